/* SPDX-License-Identifier: MIT */
/* dups: finds files with equal contents in directory trees, with a pool of threads for each
 * physical device. This file owns the options, the start, the end and the exit status. */
#include "output.h"
#include "search.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_LEFT_OUT = 1,
    EXIT_USAGE = 2,
    EXIT_NO_RESULT = 3,
    EXIT_INTERRUPTED = 130,
    RULES = 64,
    MOST_THREADS = 1024,
};

struct program {
    struct search_options search;
    struct pool_rule rules[RULES];
    char *rule_texts[RULES];
    bool has_searched;
    bool null;
    bool json;
};

static const char usage[] =
    "Usage: dups [option ...] DIRECTORY ...\n"
    "\n"
    "Finds files with equal contents: by size, then by a hash of the first 4096 bytes,\n"
    "then by a hash of everything (XXH3, 128 bits). Prints groups of equal files, one path\n"
    "per line, with an empty line between groups, all sorted.\n"
    "\n"
    "  -H, --hard-links         names of one inode are duplicates too; otherwise an inode\n"
    "                           counts once, under its first name\n"
    "  -z, --empty              empty files are duplicates too\n"
    "  -x, --one-file-system    stay on the file systems of the directories given\n"
    "  -0, --null               end paths with NUL, groups with another one, for names with\n"
    "                           newlines in them\n"
    "      --json               print one object instead\n"
    "      --pool=THREADS       threads for each pool\n"
    "      --pool=POOL=THREADS  for one: --pool=dev8-0=2, or --pool=8:0=2 as lsblk has it\n"
    "  -v, --verbose            tell of each pool when it is opened\n"
    "  -q, --quiet              no line of progress, which a terminal gets otherwise\n"
    "      --sysfs=DIRECTORY    where the kernel describes devices (/sys)\n"
    "      --mountinfo=FILE     where it lists mounts (/proc/self/mountinfo)\n"
    "  -h, --help               this list\n"
    "\n"
    "Symbolic links are not followed, unless given as a DIRECTORY. A directory that is met\n"
    "twice counts once. What cannot be read, and files that change meanwhile, are named on\n"
    "standard error and left out.\n"
    "\n"
    "Each physical device has a pool of threads, named after its numbers (dev8-0): one\n"
    "thread if the kernel says that it turns (queue/rotational), 16 otherwise. A partition\n"
    "belongs to its disk, and so does a volume (LVM, dm-crypt, RAID) on one disk. A volume\n"
    "on several disks is a device, which turns if all of them do. File systems without a\n"
    "device number of their own (major 0: btrfs, overlayfs, tmpfs, NFS) belong to the\n"
    "device that is the source of their mount, if it is one (btrfs), and otherwise to the\n"
    "pool `other`, of 16 threads.\n"
    "\n"
    "Exit status: 0 done; 1 done, but something was left out; 2 wrong usage; 3 no result;\n"
    "130 interrupted: what was known by then has been printed.\n";

static void print_help(void)
{
    printf("%s\nloomp's own settings:\n", usage);
    loomp_config_help(stdout);
}

/* --- options --------------------------------------------------------------------------------- */

/* THREADS or POOL=THREADS. */
static int take_rule(struct program *program, const char *text)
{
    const char *equals = strrchr(text, '=');
    const char *number = equals != NULL ? equals + 1 : text;
    char *end;
    long threads = strtol(number, &end, 10);
    unsigned major_;
    unsigned minor_;
    int length = 0;
    char *name = NULL;

    if (*number < '0' || *number > '9' || *end != '\0' || threads < 1 || threads > MOST_THREADS ||
        equals == text) {
        fprintf(stderr, "dups: --pool=%s is not THREADS or POOL=THREADS, with 1 to %d threads\n",
                text, MOST_THREADS);
        return -EINVAL;
    }
    if (program->search.rule_count == RULES) {
        fprintf(stderr, "dups: more than %d times --pool\n", RULES);
        return -EINVAL;
    }
    if (equals != NULL) {
        int err = sscanf(text, "%u:%u%n", &major_, &minor_, &length) == 2 && text + length == equals
                      ? asprintf(&name, "dev%u-%u", major_, minor_)
                      : asprintf(&name, "%.*s", (int)(equals - text), text);
        if (err < 0) {
            fprintf(stderr, "dups: no memory\n");
            return -ENOMEM;
        }
    }
    program->rule_texts[program->search.rule_count] = name;
    program->rules[program->search.rule_count++] =
        (struct pool_rule){.name = name, .threads = (unsigned)threads};
    return 0;
}

/* Returns 0, 1 after --help, a negative errno. */
static int take_options(struct program *program, int argc, char **argv)
{
    enum {
        SYSFS = 256,
        MOUNTINFO,
        POOL,
        JSON
    };
    static const struct option options[] = {
        {"hard-links", no_argument, NULL, 'H'},
        {"empty", no_argument, NULL, 'z'},
        {"one-file-system", no_argument, NULL, 'x'},
        {"null", no_argument, NULL, '0'},
        {"json", no_argument, NULL, JSON},
        {"pool", required_argument, NULL, POOL},
        {"verbose", no_argument, NULL, 'v'},
        {"quiet", no_argument, NULL, 'q'},
        {"sysfs", required_argument, NULL, SYSFS},
        {"mountinfo", required_argument, NULL, MOUNTINFO},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct search_options *search = &program->search;
    int option;

    while ((option = getopt_long(argc, argv, "Hzx0vqh", options, NULL)) != -1) {
        switch (option) {
        case 'H':
            search->hard_links = true;
            break;
        case 'z':
            search->empty = true;
            break;
        case 'x':
            search->one_file_system = true;
            break;
        case '0':
            program->null = true;
            break;
        case JSON:
            program->json = true;
            break;
        case POOL:
            if (take_rule(program, optarg) < 0) {
                return -EINVAL;
            }
            break;
        case 'v':
            search->verbose = true;
            break;
        case 'q':
            search->quiet = true;
            break;
        case SYSFS:
            search->sysfs = optarg;
            break;
        case MOUNTINFO:
            search->mountinfo = optarg;
            break;
        case 'h':
            print_help();
            return 1;
        default:
            return -EINVAL;
        }
    }
    if (optind == argc) {
        fprintf(stderr, "dups: which directories? --help tells the rest\n");
        return -EINVAL;
    }
    return 0;
}

/* Defaults, then $LOOMP_CONFIG, then LOOMP_*, then --loomp-*. Returns as loomp_config_args. */
static int configure(loomp_config *config, int *argc, char **argv)
{
    const char *path = getenv("LOOMP_CONFIG");
    int err = loomp_config_set(config, "prefix", "dups");

    if (err == 0 && path != NULL) {
        err = loomp_config_file(config, path);
    }
    if (err == 0) {
        err = loomp_config_env(config, "LOOMP");
    }
    if (err == 0) {
        err = loomp_config_args(config, argc, argv);
    }
    return err;
}

/* --- the search ------------------------------------------------------------------------------ */

/* Returns the exit status. */
static int print(const struct program *program, struct search *search, enum search_end end)
{
    struct groups groups;
    bool complete = end == SEARCH_COMPLETE;

    if (search_groups(search, &groups) < 0) {
        fprintf(stderr, "dups: no memory\n");
        return EXIT_NO_RESULT;
    }
    if (program->json) {
        output_json(stdout, &groups, complete, search_left_out(search));
    } else {
        output_lines(stdout, &groups, program->null ? '\0' : '\n');
    }
    groups_free(&groups);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "dups: the result cannot be written: %s\n", strerror(errno));
        return EXIT_NO_RESULT;
    }
    if (!complete) {
        fprintf(stderr, "dups: interrupted; the groups are those found until then\n");
        return EXIT_INTERRUPTED;
    }
    return search_left_out(search) > 0 ? EXIT_LEFT_OUT : EXIT_SUCCESS;
}

static int run(const struct program *program, loomp_runtime *runtime, char *const *roots,
               size_t count)
{
    struct search *search = search_new(runtime, &program->search);
    enum search_end end = SEARCH_FAILED;
    int status = EXIT_NO_RESULT;

    if (search == NULL) {
        fprintf(stderr, "dups: no memory\n");
    } else {
        end = search_run(search, roots, count);
    }
    int err = end == SEARCH_COMPLETE ? loomp_stop(runtime) : loomp_stop_now(runtime);
    if (err < 0) {
        /* What still runs may use the search. */
        fprintf(stderr, "dups: %s\n", loomp_error());
        return EXIT_NO_RESULT;
    }
    if (end != SEARCH_FAILED) {
        status = print(program, search, end);
    }
    if (search != NULL) {
        search_free(search);
    }
    return status;
}

static int start(struct program *program, int argc, char **argv)
{
    loomp_runtime *runtime;
    loomp_config *config = loomp_config_new();
    int err;

    if (config == NULL) {
        fprintf(stderr, "dups: no memory\n");
        return EXIT_NO_RESULT;
    }
    err = configure(config, &argc, argv);
    if (err == 1) {
        print_help();
        loomp_config_free(config);
        return EXIT_SUCCESS;
    }
    if (err < 0) {
        fprintf(stderr, "dups: %s\n", loomp_error());
        loomp_config_free(config);
        return EXIT_USAGE;
    }
    err = take_options(program, argc, argv);
    if (err != 0) {
        loomp_config_free(config);
        return err == 1 ? EXIT_SUCCESS : EXIT_USAGE;
    }
    err = loomp_start(&runtime, config);
    loomp_config_free(config);
    if (err < 0) {
        fprintf(stderr, "dups: %s\n", loomp_error());
        return EXIT_NO_RESULT;
    }
    program->has_searched = true;
    return run(program, runtime, argv + optind, (size_t)(argc - optind));
}

int main(int argc, char **argv)
{
    static struct program program;

    program.search.sysfs = "/sys";
    program.search.mountinfo = "/proc/self/mountinfo";
    program.search.rules = program.rules;
    int status = start(&program, argc, argv);
    for (size_t i = 0; i < program.search.rule_count; i++) {
        if (program.rules[i].name != NULL && !program.rules[i].met && program.has_searched) {
            fprintf(stderr, "dups: --pool=%s=%u: there was no pool of that name\n",
                    program.rules[i].name, program.rules[i].threads);
        }
        free(program.rule_texts[i]);
    }
    return status;
}
