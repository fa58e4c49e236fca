/* SPDX-License-Identifier: MIT */
/* kernels: runs the OpenMP kernels of this folder, all or those named, and prints for each how long
 * it took and whether the answer is right. A plain OpenMP program: what the kernels do without
 * loomp, which the same kernels within it are compared with. Only its main thread enters it. */
#include "kernels.h"

#include <getopt.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct form {
    const char *name;
    kernel_fn *(*function)(const struct kernel *kernel);
    bool team;  /* call it from a task of a team, and not from outside of any */
    bool alone; /* allow no team */
};

static kernel_fn *region_of(const struct kernel *kernel)
{
    return kernel->region;
}

static kernel_fn *tasks_of(const struct kernel *kernel)
{
    return kernel->tasks;
}

/* Those of one name belong together. */
static const struct form forms[] = {
    {"region", region_of, false, false},
    {"tasks", tasks_of, true, false},
    {"serial", region_of, false, true},
    {"serial", tasks_of, false, true},
};

enum { FORMS = sizeof forms / sizeof *forms };

static int run(const struct kernel *kernel, const struct form *form, char size,
               struct kernel_result *result)
{
    kernel_fn *function = form->function(kernel);
    int err = 0, levels = omp_get_max_active_levels();
    if (form->alone) {
        omp_set_max_active_levels(0);
    }
    if (form->team) {
#pragma omp parallel
#pragma omp single
        err = function(size, result);
    } else {
        err = function(size, result);
    }
    omp_set_max_active_levels(levels);
    return err;
}

/* Returns whether the answer is right. */
static bool report(const struct kernel *kernel, const struct form *form, char size)
{
    struct kernel_result result;
    int err = run(kernel, form, size, &result);
    if (err) {
        fprintf(stderr, "kernels: %s of size %c: %s\n", kernel->name, size, strerror(-err));
        return false;
    }
    printf("%-9s %-4c %-7s %7d %9.4f  %-8s  %s\n", kernel->name, size, form->name, result.threads,
           result.seconds, result.verified ? "yes" : "NO", result.text);
    fflush(stdout);
    return result.verified;
}

static void usage(FILE *file)
{
    fputs("usage: kernels [--size=S|W] [--form=region|tasks|serial] [name...]\n"
          "Runs OpenMP kernels and verifies their answers.\n\n"
          "  -s, --size=SIZE  S, which is the default, or W, of some seconds\n"
          "  -f, --form=FORM  region: regions of the kernel's own, which is the default\n"
          "                   tasks: tasks in a team that is there already\n"
          "                   serial: both of these with one thread\n"
          "  -h, --help       this text\n\n"
          "The exit status is 1 if an answer is not verified.\n\n",
          file);
    for (const struct kernel *kernel = kernels; kernel->name; kernel++) {
        fprintf(file, "  %-9s  %s\n", kernel->name, kernel->what);
    }
}

static int wrong_usage(const char *what, const char *value)
{
    fprintf(stderr, "kernels: there is no %s '%s'\n", what, value);
    return 2;
}

static bool is_form(const char *name)
{
    bool found = false;
    for (int f = 0; f < FORMS; f++) {
        found = found || strcmp(forms[f].name, name) == 0;
    }
    return found;
}

static bool run_forms(const struct kernel *kernel, const char *form, char size)
{
    bool right = true;
    for (int f = 0; f < FORMS; f++) {
        if (strcmp(forms[f].name, form) == 0) {
            right = report(kernel, &forms[f], size) && right;
        }
    }
    return right;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"size", required_argument, NULL, 's'},
        {"form", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *size = "S", *form = "region";
    bool right = true;
    for (int option; (option = getopt_long(argc, argv, "s:f:h", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            size = optarg;
            break;
        case 'f':
            form = optarg;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (strlen(size) != 1 || !strchr(kernels->sizes, *size)) {
        return wrong_usage("size", size);
    }
    if (!is_form(form)) {
        return wrong_usage("form", form);
    }
    for (int i = optind; i < argc; i++) {
        if (!kernel_find(argv[i])) {
            return wrong_usage("kernel", argv[i]);
        }
    }
    printf("kernel    size form    threads   seconds  verified  answer\n");
    for (const struct kernel *kernel = kernels; optind == argc && kernel->name; kernel++) {
        right = run_forms(kernel, form, *size) && right;
    }
    for (int i = optind; i < argc; i++) {
        right = run_forms(kernel_find(argv[i]), form, *size) && right;
    }
    return right ? 0 : 1;
}
