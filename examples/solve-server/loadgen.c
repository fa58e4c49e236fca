/* SPDX-License-Identifier: MIT */
/* loadgen: asks a running solve-server many questions at once while it measures how soon /healthz
 * is answered; first with the solves offloaded, then with the same solves on the server's loop. One
 * thread per question, one for the measurement; main() waits and reports. */
#include "client.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_S 600.0
#define PROBE_EVERY_S 0.001
#define IDLE_S 1.0

enum pass {
    PASS_OFFLOADED,
    PASS_ON_LOOP,
    PASSES,
};

struct question {
    const char *name;
    char *body; /* NULL for a generated system */
    size_t size;
    char target[96];
    char unreadable[160]; /* why the file could not be read; "": it could */
    struct client_answer answers[PASSES];
    double seconds[PASSES];
};

/* One question being asked. */
struct asking {
    pthread_t thread;
    struct question *question;
    enum pass pass;
    int port;
};

/* The measurement. The samples are main's to read once the thread is joined. */
struct probe {
    pthread_t thread;
    int port;
    atomic_bool stop; /* written by main, read by the probe; orders nothing else */
    bool failed;
    double *samples;
    size_t count;
    size_t capacity;
};

static atomic_int answered; /* questions of this pass that have been answered; for the progress */

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void sleep_until(double when)
{
    struct timespec t = {.tv_sec = (time_t)when};

    t.tv_nsec = (long)((when - (double)t.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

/* --- the measurement ------------------------------------------------------------------------- */

static bool keep_sample(struct probe *probe, double sample)
{
    if (probe->count == probe->capacity) {
        size_t capacity = 2 * probe->capacity + 4096;
        double *samples = realloc(probe->samples, capacity * sizeof *samples);
        if (samples == NULL) {
            return false;
        }
        probe->samples = samples;
        probe->capacity = capacity;
    }
    probe->samples[probe->count++] = sample;
    return true;
}

static struct client_answer probe_once(int fd)
{
    struct client_answer answer = {0};

    if (fd >= 0 && client_send_head(fd, "GET", "/healthz", 0, true)) {
        answer = client_receive(fd);
    }
    return answer;
}

/* A request is due every millisecond. While the server does not answer, the requests that fall due
 * cannot be sent, but their clients would be waiting: their time counts from when they were due. If
 * it is this thread that woke up late, the time counts from when the request was sent. */
static void *run_probe(void *arg)
{
    struct probe *probe = arg;
    int fd = client_connect(probe->port, ANSWER_TIMEOUT_S);
    double due = now_s();
    double free_at = due; /* when the last answer came */

    if (fd < 0) {
        probe->failed = true;
        return NULL;
    }
    for (;;) {
        bool held_up = free_at > due;
        if (!held_up) {
            sleep_until(due);
        }
        double now = now_s();
        if (atomic_load(&probe->stop) && now < due + PROBE_EVERY_S) {
            break;
        }
        double from = held_up ? due : now;
        struct client_answer answer = probe_once(fd);
        if (answer.status == 0) {
            /* A server that was busy for longer than its time limit for silent connections closes
             * this one before it looks at it. A client would ask again, and so does this one; the
             * time goes on. */
            close(fd);
            fd = client_connect(probe->port, ANSWER_TIMEOUT_S);
            answer = probe_once(fd);
        }
        free(answer.body);
        free_at = now_s();
        if (answer.status != 200 || !keep_sample(probe, free_at - from)) {
            probe->failed = true;
            break;
        }
        due = from + PROBE_EVERY_S;
    }
    if (fd >= 0) {
        close(fd);
    }
    return NULL;
}

static int compare_doubles(const void *left, const void *right)
{
    double l = *(const double *)left;
    double r = *(const double *)right;

    return (l > r) - (l < r);
}

static void print_probe(const char *what, struct probe *probe)
{
    if (probe->count == 0) {
        printf("  %-34s no answer\n", what);
        return;
    }
    qsort(probe->samples, probe->count, sizeof *probe->samples, compare_doubles);
    printf("  %-34s %9zu %11.3f %11.3f %11.3f\n", what, probe->count,
           1e3 * probe->samples[probe->count / 2],
           1e3 * probe->samples[(size_t)(0.99 * (double)(probe->count - 1))],
           1e3 * probe->samples[probe->count - 1]);
}

static bool probe_start(struct probe *probe, int port)
{
    probe->port = port;
    return pthread_create(&probe->thread, NULL, run_probe, probe) == 0;
}

static void probe_stop(struct probe *probe)
{
    atomic_store(&probe->stop, true);
    pthread_join(probe->thread, NULL);
}

/* --- the questions --------------------------------------------------------------------------- */

static void read_file(struct question *question, const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t capacity = 0;
    size_t got;

    if (file == NULL) {
        snprintf(question->unreadable, sizeof question->unreadable, "%s", strerror(errno));
        return;
    }
    do {
        if (question->size == capacity) {
            char *body = realloc(question->body, capacity = 2 * capacity + 65536);
            if (body == NULL) {
                snprintf(question->unreadable, sizeof question->unreadable, "no memory for it");
                break;
            }
            question->body = body;
        }
        errno = 0;
        got = fread(question->body + question->size, 1, capacity - question->size, file);
        question->size += got;
    } while (got > 0);
    if (ferror(file)) {
        snprintf(question->unreadable, sizeof question->unreadable, "%s",
                 strerror(errno != 0 ? errno : EIO));
    }
    fclose(file);
}

static void question_init(struct question *question, const char *item)
{
    const char *slash = strrchr(item, '/');

    memset(question, 0, sizeof *question);
    question->name = slash != NULL ? slash + 1 : item;
    if (strncmp(item, "poisson:", 8) == 0) {
        snprintf(question->target, sizeof question->target, "/solve?poisson=%s&offload=", item + 8);
        return;
    }
    snprintf(question->target, sizeof question->target, "/solve?offload=");
    read_file(question, item);
}

static void *ask(void *arg)
{
    struct asking *asking = arg;
    struct question *question = asking->question;
    char target[128];
    double began = now_s();

    snprintf(target, sizeof target, "%s%d", question->target, asking->pass == PASS_OFFLOADED);
    question->answers[asking->pass] =
        client_ask(asking->port, ANSWER_TIMEOUT_S, "POST", target, question->body, question->size);
    question->seconds[asking->pass] = now_s() - began;
    atomic_fetch_add(&answered, 1);
    return NULL;
}

/* On a terminal one line that changes; elsewhere a new one now and then. */
static void show_progress(const char *what, int of, double seconds, double *shown)
{
    bool terminal = isatty(STDERR_FILENO);

    if (seconds - *shown < (terminal ? 0.2 : 5.0)) {
        return;
    }
    *shown = seconds;
    fprintf(stderr, "%s%s: %d of %d systems answered, %.0f s%s", terminal ? "\r" : "", what,
            atomic_load(&answered), of, seconds, terminal ? "  " : "\n");
    fflush(stderr);
}

static bool run_pass(enum pass pass, int port, struct question *questions, int count,
                     struct probe *probe)
{
    static const char *const names[PASSES] = {"offloaded", "on the loop"};
    struct asking *asking = calloc((size_t)count, sizeof *asking);
    double began = now_s();
    double shown = 0.0;
    int started = 0;

    if (asking == NULL || !probe_start(probe, port)) {
        free(asking);
        return false;
    }
    atomic_store(&answered, 0);
    for (int k = 0; k < count; k++) {
        if (questions[k].unreadable[0] != '\0') {
            continue;
        }
        struct asking *a = &asking[started];
        a->question = &questions[k];
        a->pass = pass;
        a->port = port;
        if (pthread_create(&a->thread, NULL, ask, a) == 0) {
            started++;
        }
    }
    while (atomic_load(&answered) < started) {
        sleep_until(now_s() + 0.05);
        show_progress(names[pass], started, now_s() - began, &shown);
    }
    for (int k = 0; k < started; k++) {
        pthread_join(asking[k].thread, NULL);
    }
    probe_stop(probe);
    if (shown > 0.0 && isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%60s\r", "");
    }
    free(asking);
    return true;
}

/* --- the report ------------------------------------------------------------------------------ */

static double number_of(const struct client_answer *answer, const char *name)
{
    double value = NAN;

    if (answer->body != NULL) {
        client_number(answer->body, name, &value);
    }
    return value;
}

static bool has_solution(const struct client_answer *answer)
{
    return answer->status == 200 && answer->body != NULL &&
           strstr(answer->body, "\"converged\":true") != NULL;
}

static void print_error(const struct question *question, const struct client_answer *answer)
{
    char text[256] = "no answer";
    double line = number_of(answer, "line");

    if (question->unreadable[0] != '\0') {
        snprintf(text, sizeof text, "%s", question->unreadable);
    } else if (answer->body != NULL && !client_text(answer->body, "error", text, sizeof text)) {
        client_text(answer->body, "reason", text, sizeof text);
    }
    if (isnan(line)) {
        printf("  %-22.22s %s\n", question->name, text);
    } else {
        printf("  %-22.22s line %.0f: %s\n", question->name, line, text);
    }
}

static void print_questions(const struct question *questions, int count)
{
    char method[32];
    char kind[16];

    printf("\n  %-22s %8s %9s %-9s %6s %9s %-6s %3s %10s %10s %10s %10s\n", "", "", "", "", "", "",
           "", "", "queued", "running", "answered", "the same");
    printf("  %-22s %8s %9s %-9s %6s %9s %-6s %3s %10s %10s %10s %10s\n", "system", "unknowns",
           "entries", "method", "steps", "residual", "kind", "thr", "ms", "ms", "after ms",
           "on loop");
    for (int k = 0; k < count; k++) {
        const struct client_answer *a = &questions[k].answers[PASS_OFFLOADED];
        if (!has_solution(a)) {
            print_error(&questions[k], a);
            continue;
        }
        client_text(a->body, "method", method, sizeof method);
        client_text(a->body, "kind", kind, sizeof kind);
        /* "cg, then bicgstab" found its answer with the latter. */
        char *last = strrchr(method, ' ');
        printf("  %-22.22s %8.0f %9.0f %-9s %6.0f %9.1e %-6s %3.0f %10.1f %10.1f %10.1f %10.1f\n",
               questions[k].name, number_of(a, "n"), number_of(a, "nnz"),
               last != NULL ? last + 1 : method, number_of(a, "iterations"),
               number_of(a, "residual"), kind, number_of(a, "threads"), number_of(a, "queued_ms"),
               number_of(a, "running_ms"), 1e3 * questions[k].seconds[PASS_OFFLOADED],
               1e3 * questions[k].seconds[PASS_ON_LOOP]);
    }
}

static int usage(void)
{
    fprintf(stderr, "Usage: loadgen --port=NUMBER [--must-solve] ITEM ...\n"
                    "An ITEM is a Matrix Market file or poisson:SIDE. With --must-solve an item "
                    "without a solution makes the exit status 1.\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct probe idle = {0};
    struct probe probes[PASSES] = {0};
    int port = 0;
    bool must_solve = false;
    int first = 1;
    int status = 0;

    for (; first < argc && strncmp(argv[first], "--", 2) == 0; first++) {
        if (strncmp(argv[first], "--port=", 7) == 0) {
            port = atoi(argv[first] + 7);
        } else if (strcmp(argv[first], "--must-solve") == 0) {
            must_solve = true;
        } else {
            return usage();
        }
    }
    int count = argc - first;
    if (port <= 0 || count <= 0) {
        return usage();
    }
    struct question *questions = calloc((size_t)count, sizeof *questions);
    if (questions == NULL) {
        fprintf(stderr, "loadgen: no memory\n");
        return 1;
    }
    for (int k = 0; k < count; k++) {
        question_init(&questions[k], argv[first + k]);
    }

    if (!probe_start(&idle, port)) {
        fprintf(stderr, "loadgen: cannot start a thread\n");
        return 1;
    }
    sleep_until(now_s() + IDLE_S);
    probe_stop(&idle);
    for (enum pass pass = 0; pass < PASSES; pass++) {
        if (!run_pass(pass, port, questions, count, &probes[pass])) {
            fprintf(stderr, "loadgen: no memory or threads for %d questions\n", count);
            return 1;
        }
    }

    print_questions(questions, count);
    printf("\n  %-34s %9s %11s %11s %11s\n", "/healthz, asked every millisecond", "requests",
           "p50 ms", "p99 ms", "max ms");
    print_probe("nothing to solve", &idle);
    print_probe("while solving, offloaded", &probes[PASS_OFFLOADED]);
    print_probe("while solving, on the loop", &probes[PASS_ON_LOOP]);

    for (int k = 0; k < count; k++) {
        for (enum pass pass = 0; pass < PASSES; pass++) {
            struct client_answer *a = &questions[k].answers[pass];
            if (questions[k].unreadable[0] == '\0' && a->status == 0) {
                fprintf(stderr, "loadgen: no answer for %s\n", questions[k].name);
                status = 1;
            } else if (must_solve && !has_solution(a)) {
                fprintf(stderr, "loadgen: no solution for %s\n", questions[k].name);
                status = 1;
            }
            free(a->body);
        }
        free(questions[k].body);
    }
    if (idle.failed || probes[0].failed || probes[1].failed) {
        fprintf(stderr, "loadgen: /healthz was not answered\n");
        status = 1;
    }
    free(idle.samples);
    free(probes[0].samples);
    free(probes[1].samples);
    free(questions);
    return status;
}
