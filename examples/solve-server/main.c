/* SPDX-License-Identifier: MIT */
/* solve-server: an HTTP service that solves sparse linear systems while it answers everything else
 * at once. This file owns the options, the start, the signals and the end. */
#include "http.h"
#include "sites.h"

#include <errno.h>
#include <ev.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct program {
    struct http_options options;
    loomp_runtime *runtime;
    struct http *http;
    ev_signal interrupt;
    ev_signal terminate;
    ev_signal usr1;
    const char *trace_path; /* NULL: no trace is written */
    sem_t news;             /* posted by the loop: there is a trace to write, or it has ended */
    atomic_bool ended;      /* written by the loop before it posts, read by main() after */
};

/* --- options --------------------------------------------------------------------------------- */

struct option_row {
    const char *name;
    const char *value; /* what --help calls it; NULL: a switch */
    const char *help;
};

static const struct option_row option_rows[] = {
    {"bind", "ADDRESS", "IPv4 address to listen on (127.0.0.1)"},
    {"port", "NUMBER", "port to listen on, 0 for any free one (8080)"},
    {"max-body", "MIB", "largest body of a request (64)"},
    {"max-held", "MIB", "of all requests together (512)"},
    {"max-solves", "COUNT", "systems received, queued or solved at once; more get 503 (256)"},
    {"max-connections", "COUNT", "connections; more wait to be accepted (800)"},
    {"max-rows", "COUNT", "largest system (4000000)"},
    {"max-seconds", "SECONDS", "longest solve in all, then the last iterate is the answer (300)"},
    {"timeout", "SECONDS", "of a silent connection (30)"},
    {"grace", "SECONDS", "for running solves after SIGTERM; then they are cancelled (5)"},
    {"gang-entries", "COUNT", "from this size on a system is solved by the whole team (50000)"},
    {"no-offload", NULL, "solve on the loop, for comparison; ?offload=1 and 0 override it"},
    {"trace", "FILE", "at the end and at SIGUSR1 write the last calls there, as CSV"},
    {"help", NULL, "this list"},
};

static void print_help(void)
{
    char left[48];

    printf("Usage: solve-server [option ...]\n\n"
           "POST /solve[?tol=1e-6&maxit=20000&rhs=ones|sin|rowsums|1,2,...&x=1&offload=0&repeat=1]"
           "\n"
           "with a Matrix Market file as the body, or /solve?poisson=SIDE without one; with\n"
           "repeat=N the system is solved N times over, and the last time is the answer;\n"
           "with offload=1 it is a job in any case, with 0 it is solved on the loop without one,\n"
           "with neither where loomp finds it cheapest: its site is called \"solve\".\n"
           "GET / is a page for browsers, /healthz answers at once, /threads shows the plan,\n"
           "/sites[?after=SECONDS] what has been learnt of the site, and the last calls.\n\n");
    for (size_t k = 0; k < sizeof option_rows / sizeof *option_rows; k++) {
        const struct option_row *row = &option_rows[k];
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->value != NULL ? "=" : "",
                 row->value != NULL ? row->value : "");
        printf("  %-26s %s\n", left, row->help);
    }
    printf("\nloomp's own settings:\n");
    loomp_config_help(stdout);
}

static int take_number(const char *name, const char *text, double low, double high, double *value)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || *end != '\0' || !(number >= low && number <= high)) {
        fprintf(stderr, "solve-server: --%s=%s is not a number from %g to %g\n", name, text, low,
                high);
        return -EINVAL;
    }
    *value = number;
    return 0;
}

static int take_option(struct http_options *o, const char *name, const char *text)
{
    const double mib = 1024.0 * 1024.0;
    double number = 0.0;
    int err = 0;

#define NUMBER(low, high, assign)                                                                  \
    do {                                                                                           \
        err = take_number(name, text, low, high, &number);                                         \
        if (err == 0) {                                                                            \
            assign;                                                                                \
        }                                                                                          \
    } while (0)

    if (strcmp(name, "bind") == 0) {
        o->address = text;
    } else if (strcmp(name, "port") == 0) {
        NUMBER(0, 65535, o->port = (int)number);
    } else if (strcmp(name, "max-body") == 0) {
        NUMBER(0.001, 65536, o->max_body_bytes = (size_t)(number * mib));
    } else if (strcmp(name, "max-held") == 0) {
        NUMBER(0.001, 1048576, o->max_held_bytes = (size_t)(number * mib));
    } else if (strcmp(name, "max-solves") == 0) {
        NUMBER(1, 1e6, o->max_solves = (int)number);
    } else if (strcmp(name, "max-connections") == 0) {
        NUMBER(1, 1e6, o->max_connections = (int)number);
    } else if (strcmp(name, "max-rows") == 0) {
        NUMBER(1, 4e8, o->solve.max_rows = (int64_t)number);
    } else if (strcmp(name, "max-seconds") == 0) {
        NUMBER(0.001, 1e6, o->solve.max_seconds = number);
    } else if (strcmp(name, "timeout") == 0) {
        NUMBER(1, 86400, o->timeout_s = (unsigned)number);
    } else if (strcmp(name, "grace") == 0) {
        NUMBER(0, 86400, o->grace_s = number);
    } else if (strcmp(name, "gang-entries") == 0) {
        NUMBER(0, 1e15, o->solve.gang_entries = (int64_t)number);
    }
#undef NUMBER
    return err;
}

/* Returns 0, 1 after --help, -EINVAL. */
static int take_arguments(struct program *program, int argc, char **argv)
{
    struct http_options *o = &program->options;

    for (int k = 1; k < argc; k++) {
        const struct option_row *found = NULL;
        const char *text = NULL;
        for (size_t r = 0; r < sizeof option_rows / sizeof *option_rows; r++) {
            const struct option_row *row = &option_rows[r];
            size_t length = strlen(row->name);
            if (strncmp(argv[k], "--", 2) == 0 && strncmp(argv[k] + 2, row->name, length) == 0 &&
                argv[k][2 + length] == (row->value != NULL ? '=' : '\0')) {
                found = row;
                text = argv[k] + 2 + length + 1;
            }
        }
        if (found == NULL) {
            fprintf(stderr, "solve-server: '%s' is not an option; --help lists them\n", argv[k]);
            return -EINVAL;
        }
        if (strcmp(found->name, "help") == 0) {
            print_help();
            return 1;
        }
        if (strcmp(found->name, "no-offload") == 0) {
            o->where = HTTP_ON_LOOP;
        } else if (strcmp(found->name, "trace") == 0) {
            program->trace_path = text;
        } else if (take_option(o, found->name, text) < 0) {
            return -EINVAL;
        }
    }
    return 0;
}

/* --- on the loop ----------------------------------------------------------------------------- */

static void on_ended(void *arg)
{
    struct program *program = arg;

    atomic_store(&program->ended, true);
    sem_post(&program->news);
}

/* Files are written by main(), which nobody waits for. */
static void on_usr1(struct ev_loop *ev, ev_signal *watcher, int events)
{
    struct program *program = watcher->data;

    (void)ev;
    (void)events;
    sem_post(&program->news);
}

static void on_signal(struct ev_loop *ev, ev_signal *watcher, int events)
{
    struct program *program = watcher->data;

    (void)ev;
    (void)events;
    http_shutdown(program->http, on_ended, program);
}

static void stop_signals(loomp_loop *loop, void *arg)
{
    struct program *program = arg;

    ev_signal_stop(loomp_loop_ev(loop), &program->interrupt);
    ev_signal_stop(loomp_loop_ev(loop), &program->terminate);
    ev_signal_stop(loomp_loop_ev(loop), &program->usr1);
}

static int set_up(loomp_loop *loop, void *arg)
{
    struct program *program = arg;
    struct ev_loop *ev = loomp_loop_ev(loop);
    int err = http_open(&program->http, program->runtime, loop, &program->options);

    if (err < 0) {
        return err;
    }
    err = loomp_loop_at_exit(loop, stop_signals, program);
    if (err < 0) {
        return err;
    }
    ev_signal_init(&program->interrupt, on_signal, SIGINT);
    ev_signal_init(&program->terminate, on_signal, SIGTERM);
    ev_signal_init(&program->usr1, on_usr1, SIGUSR1);
    program->interrupt.data = program->terminate.data = program->usr1.data = program;
    ev_signal_start(ev, &program->interrupt);
    ev_signal_start(ev, &program->terminate);
    ev_signal_start(ev, &program->usr1);
    return 0;
}

/* --- the plain thread ------------------------------------------------------------------------ */

/* Defaults, then $LOOMP_CONFIG, then LOOMP_*, then --loomp-*. Returns as loomp_config_args. */
static int configure(loomp_config *config, int *argc, char **argv)
{
    const char *path = getenv("LOOMP_CONFIG");
    int err = loomp_config_set(config, "prefix", "solve");

    if (err == 0) {
        err = loomp_config_set(config, "adaptive.trace", "1024"); /* the page shows them */
    }
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

static void write_trace(const struct program *program)
{
    if (program->trace_path == NULL) {
        return;
    }
    int err = sites_write_calls(program->runtime, program->trace_path);
    if (err < 0) {
        fprintf(stderr, "solve-server: cannot write %s: %s\n", program->trace_path, strerror(-err));
    }
}

int main(int argc, char **argv)
{
    static struct program program = {
        .options =
            {
                .address = "127.0.0.1",
                .port = 8080,
                .max_body_bytes = (size_t)64 << 20,
                .max_held_bytes = (size_t)512 << 20,
                .max_solves = 256,
                .max_connections = 800,
                .timeout_s = 30,
                .grace_s = 5.0,
                .where = HTTP_CHEAPEST,
                .solve =
                    {
                        .gang_entries = 50000,
                        .max_rows = 4000000,
                        .max_seconds = 300.0,
                    },
            },
    };
    int err;

    signal(SIGPIPE, SIG_IGN);
    sem_init(&program.news, 0, 0);
    loomp_config *config = loomp_config_new();
    if (config == NULL) {
        fprintf(stderr, "solve-server: no memory\n");
        return 1;
    }
    err = configure(config, &argc, argv);
    if (err == 1) {
        print_help();
        loomp_config_free(config);
        return 0;
    }
    if (err < 0) {
        fprintf(stderr, "solve-server: %s\n", loomp_error());
        loomp_config_free(config);
        return 2;
    }
    err = take_arguments(&program, argc, argv);
    if (err != 0) {
        loomp_config_free(config);
        return err == 1 ? 0 : 2;
    }
    program.options.solve.max_entries = 20 * program.options.solve.max_rows;

    err = loomp_start(&program.runtime, config);
    loomp_config_free(config);
    if (err < 0) {
        fprintf(stderr, "solve-server: %s\n", loomp_error());
        return 1;
    }
    err = loomp_run_until_complete(program.runtime, set_up, &program);
    if (err < 0) {
        fprintf(stderr, "solve-server: cannot listen on %s:%d: %s\n", program.options.address,
                program.options.port, loomp_strerror(err));
        loomp_stop(program.runtime);
        return 1;
    }
    printf("solve-server: http://%s:%d/\n", program.options.address, http_port(program.http));
    fflush(stdout);

    while (!atomic_load(&program.ended)) {
        if (sem_wait(&program.news) == 0) {
            write_trace(&program);
        }
    }
    err = loomp_stop(program.runtime);
    if (err < 0) {
        fprintf(stderr, "solve-server: %s\n", loomp_error());
        return 1;
    }
    printf("solve-server: stopped\n");
    return 0;
}
