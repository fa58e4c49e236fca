/* SPDX-License-Identifier: MIT */
/* Reads the command line, runs the kernels that it names, all if it names none, and prints for each
 * how long it took and whether the answer is right. Only the main thread enters it; it has no
 * OpenMP in it. */
#include "program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
    const struct program *program;
    const char *way;
    char size;
    int repeats;
};

/* Returns whether the answer is right. */
static bool run_once(const struct request *request, const struct kernel *kernel,
                     const struct way *way)
{
    struct kernel_result result = {0};
    int err = way->run(kernel, request->size, &result);
    if (err) {
        fprintf(stderr, "%s: %s of size %c: %s\n", request->program->name, kernel->name,
                request->size, result.text[0] ? result.text : strerror(-err));
        return false;
    }
    printf("%-9s %-4c %-7s %7d %9.6f  %-8s  %s\n", kernel->name, request->size, way->name,
           result.threads, result.seconds, result.verified ? "yes" : "NO", result.text);
    fflush(stdout);
    return result.verified;
}

static bool run_kernel(const struct request *request, const struct kernel *kernel)
{
    bool right = true;
    for (const struct way *way = request->program->ways; way->name; way++) {
        for (int i = 0; strcmp(way->name, request->way) == 0 && i < request->repeats; i++) {
            right = run_once(request, kernel, way) && right;
        }
    }
    return right;
}

static void usage(const struct program *program, FILE *file)
{
    fprintf(file, "usage: %s [--size=S|W] [--%s=", program->name, program->option);
    const char *name = "";
    for (const struct way *way = program->ways; way->name; way++) {
        if (strcmp(way->name, name) != 0) {
            fprintf(file, "%s%s", *name ? "|" : "", way->name);
        }
        name = way->name;
    }
    fprintf(file,
            "] [--repeat=N] [name...]\n%s\n"
            "  -s, --size=SIZE  S, which is the default, or W, of some seconds\n%s"
            "  -r, --repeat=N   run each so many times\n"
            "  -h, --help       this text\n\n"
            "The exit status is 1 if an answer is not verified.\n\n",
            program->what, program->help);
    for (const struct kernel *kernel = kernels; kernel->name; kernel++) {
        fprintf(file, "  %-9s  %s\n", kernel->name, kernel->what);
    }
}

static int wrong_usage(const struct program *program, const char *what, const char *value)
{
    fprintf(stderr, "%s: there is no %s '%s'\n", program->name, what, value);
    return 2;
}

static bool is_way(const struct program *program, const char *name)
{
    bool found = false;
    for (const struct way *way = program->ways; way->name; way++) {
        found = found || strcmp(way->name, name) == 0;
    }
    return found;
}

static int run_kernels(const struct request *request, char **names)
{
    bool right = true;
    printf("kernel    size %-7s threads   seconds  verified  answer\n", request->program->option);
    for (const struct kernel *kernel = kernels; !*names && kernel->name; kernel++) {
        right = run_kernel(request, kernel) && right;
    }
    for (; *names; names++) {
        right = run_kernel(request, kernel_find(*names)) && right;
    }
    return right ? 0 : 1;
}

int program_main(const struct program *program, int argc, char **argv)
{
    const struct option options[] = {
        {"size", required_argument, NULL, 's'},
        {program->option, required_argument, NULL, 'w'},
        {"repeat", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char letters[] = {'s', ':', 'r', ':', 'h', program->option[0], ':', '\0'};
    const char *size = "S", *repeats = "1";
    struct request request = {.program = program, .way = program->ways[0].name};
    for (int option; (option = getopt_long(argc, argv, letters, options, NULL)) != -1;) {
        if (option == 's') {
            size = optarg;
        } else if (option == 'w' || option == program->option[0]) {
            request.way = optarg;
        } else if (option == 'r') {
            repeats = optarg;
        } else {
            usage(program, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (strlen(size) != 1 || !strchr(kernels->sizes, *size)) {
        return wrong_usage(program, "size", size);
    }
    if (!is_way(program, request.way)) {
        return wrong_usage(program, "way", request.way);
    }
    request.size = *size;
    request.repeats = atoi(repeats);
    if (request.repeats < 1) {
        return wrong_usage(program, "number of runs", repeats);
    }
    for (int i = optind; i < argc; i++) {
        if (!kernel_find(argv[i])) {
            return wrong_usage(program, "kernel", argv[i]);
        }
    }
    return run_kernels(&request, argv + optind);
}
