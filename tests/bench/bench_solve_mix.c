/* SPDX-License-Identifier: MIT */
/* What it brings the example solve-server to let loomp choose where each system is solved: as fast as
 * the better of two fixed policies, whatever the mix of systems is, and /healthz answered nearly as
 * soon as if nothing were ever solved on the loop.
 *
 * Four servers run at a time, of which one is asked: always offload, always inline, adaptive by
 * default, adaptive with io_weight = 10. Each round of a mix asks each of them the same systems over
 * a few connections, a new one when the last is answered, while a thread asks for /healthz every
 * millisecond. Rounds are interleaved, in changing order, and compared with each other only.
 *
 * usage: bench_solve_mix [-r ROUNDS] [-s SECONDS of a round] [-c CONNECTIONS] [-m MIX] [SERVER-OPTION ...] */
#include "bench.h"

#include "../../examples/solve-server/client.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    POLICIES = 4,
    MOST_ROUNDS = 31,
    MOST_CLIENTS = 32,
    MOST_OPTIONS = 16,
    WARM_UP = 150,        /* systems, before anything is measured */
    MOST_QUESTIONS = 20000
};

enum { OFFLOAD, INLINE, ADAPTIVE, WEIGHTED };

static const struct policy {
    const char *name, *option;
} policies[POLICIES] = {
    [OFFLOAD] = {"always offload", "--loomp-adaptive-mode=off"},
    [INLINE] = {"always inline", "--loomp-sites-solve-arm=inline"},
    [ADAPTIVE] = {"adaptive", NULL},
    [WEIGHTED] = {"io_weight = 10", "--loomp-adaptive-io-weight=10"},
};

/* Shares of systems that take tens of microseconds, around a millisecond, and tens of them. */
static const struct mix {
    const char *name;
    int tiny, middle, huge; /* of 1000 */
} mixes[] = {
    {"many tiny", 980, 18, 2},
    {"mixed", 700, 290, 10},
    {"heavy", 200, 600, 200},
};
enum { MIXES = sizeof mixes / sizeof *mixes };

static const int tiny_sides[] = {2, 3, 4, 5, 6, 7, 8};
static const int middle_sides[] = {20, 24, 28, 34, 40, 45};
static const int huge_sides[] = {80, 100, 120};

struct server {
    pid_t pid;
    int port;
};

static int rounds = 7, client_count = 4;
static double round_s = 2;
static const char *more_options[MOST_OPTIONS];
static int more_count;
static struct server servers[POLICIES];

/* ---- servers ------------------------------------------------------------------------------------- */

static void die(const char *what)
{
    fprintf(stderr, "bench_solve_mix: %s: %s\n", what, strerror(errno));
    for (int i = 0; i < POLICIES; i++) {
        if (servers[i].pid > 0) {
            kill(servers[i].pid, SIGKILL);
        }
    }
    exit(1);
}

static void run_server(const struct policy *policy, int output)
{
    const char *path = getenv("SOLVE_SERVER");
    const char *arguments[MOST_OPTIONS + 4] = {"solve-server", "--port=0"};
    int count = 2;
    for (int i = 0; i < more_count; i++) {
        arguments[count++] = more_options[i];
    }
    if (policy->option) {
        arguments[count++] = policy->option;
    }
    dup2(output, STDOUT_FILENO);
    execv(path ? path : LOOMP_BUILD "/examples/solve-server/solve-server", (char *const *)arguments);
    perror("solve-server");
    _exit(1);
}

static struct server start_server(const struct policy *policy)
{
    struct server server = {0};
    char line[256];
    int ends[2];
    if (pipe(ends)) {
        die("pipe");
    }
    server.pid = fork();
    if (server.pid == 0) {
        run_server(policy, ends[1]);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    if (!output || !fgets(line, sizeof line, output) ||
        sscanf(line, "solve-server: http://127.0.0.1:%d/", &server.port) != 1) {
        die("a server has not started");
    }
    fclose(output); /* what it says at the end nobody wants: it ignores SIGPIPE */
    return server;
}

static void stop_server(const struct server *server)
{
    kill(server->pid, SIGTERM);
    waitpid(server->pid, NULL, 0);
}

/* ---- questions ----------------------------------------------------------------------------------- */

static int sides[MOST_QUESTIONS];
static int question_count;
static _Atomic int next_question; /* counted up by the clients; orders nothing */
static _Atomic int failures;      /* of clients and the probe */
static int asked_port;

static uint64_t random_state = 88172645463325252u;

/* Marsaglia (2003), Xorshift RNGs. */
static unsigned random_below(unsigned bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % bound;
}


/* Exact shares, in random order: rounds of a mix differ in their order only. */
static void make_questions(const struct mix *mix, int count)
{
    for (int i = 0; i < count; i++) {
        int class = (int)((i * 1000L + 500) / count);
        sides[i] = class < mix->tiny                 ? tiny_sides[i % 7]
                   : class < mix->tiny + mix->middle ? middle_sides[i % 6]
                                                     : huge_sides[i % 3];
    }
    for (int i = count - 1; i > 0; i--) {
        int j = (int)random_below((unsigned)i + 1), side = sides[i];
        sides[i] = sides[j];
        sides[j] = side;
    }
    question_count = count;
}

static void *run_client(void *arg)
{
    int fd = client_connect(asked_port, 600);
    (void)arg;
    for (int i; (i = atomic_fetch_add(&next_question, 1)) < question_count;) {
        char target[64];
        snprintf(target, sizeof target, "/solve?poisson=%d", sides[i]);
        struct client_answer answer = {0};
        if (fd >= 0 && client_send_head(fd, "POST", target, 0, true)) {
            answer = client_receive(fd);
        }
        if (answer.status != 200) {
            atomic_fetch_add(&failures, 1);
        }
        free(answer.body);
    }
    close(fd);
    return NULL;
}

/* ---- /healthz ------------------------------------------------------------------------------------ */

struct probe {
    pthread_t thread;
    _Atomic bool stop; /* written by main, read by the probe; orders nothing */
    double *samples;   /* us; main's to read once the thread is joined */
    long count, room;
};

static void keep_sample(struct probe *probe, double us)
{
    if (probe->count == probe->room) {
        probe->room = 2 * probe->room + 4096;
        probe->samples = realloc(probe->samples, (size_t)probe->room * sizeof *probe->samples);
        if (!probe->samples) {
            die("no memory");
        }
    }
    probe->samples[probe->count++] = us;
}

static void sleep_until_us(double when)
{
    struct timespec t = {.tv_sec = (time_t)(when / 1e6)};
    t.tv_nsec = (long)((when - (double)t.tv_sec * 1e6) * 1e3);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

/* What falls due while an answer is late counts from when it was due, so that a long silence is
 * as many late answers as there would have been; a late wake-up of this thread does not count. */
static void *run_probe(void *arg)
{
    struct probe *probe = arg;
    int fd = client_connect(asked_port, 600);
    double due = bench_now_us(), free_at = due;
    while (!probe->stop) {
        bool held_up = free_at > due;
        if (!held_up) {
            sleep_until_us(due);
        }
        double from = held_up ? due : bench_now_us();
        struct client_answer answer = {0};
        if (fd >= 0 && client_send_head(fd, "GET", "/healthz", 0, true)) {
            answer = client_receive(fd);
        }
        free(answer.body);
        if (answer.status != 200) {
            atomic_fetch_add(&failures, 1);
            break;
        }
        free_at = bench_now_us();
        keep_sample(probe, free_at - from);
        due = from + 1000;
    }
    close(fd);
    return NULL;
}

/* ---- rounds -------------------------------------------------------------------------------------- */

struct result {
    double seconds;
    struct bench_summary health; /* us */
    long samples;
};

static struct result ask_all(const struct server *server)
{
    pthread_t clients[MOST_CLIENTS];
    struct probe probe = {0};
    asked_port = server->port;
    next_question = 0;
    if (pthread_create(&probe.thread, NULL, run_probe, &probe)) {
        die("no thread");
    }
    double start = bench_now_us();
    for (int i = 0; i < client_count; i++) {
        if (pthread_create(&clients[i], NULL, run_client, NULL)) {
            die("no thread");
        }
    }
    for (int i = 0; i < client_count; i++) {
        pthread_join(clients[i], NULL);
    }
    struct result result = {.seconds = (bench_now_us() - start) / 1e6};
    probe.stop = true;
    pthread_join(probe.thread, NULL);
    if (failures) {
        die("a question has not been answered");
    }
    result.samples = probe.count;
    result.health = bench_summarise(probe.samples, probe.count);
    free(probe.samples);
    return result;
}

/* Of those that are of no use for the comparison: the servers learn, and the length of a round is
 * found. */
static int warm_up(const struct mix *mix)
{
    double seconds = 0;
    make_questions(mix, WARM_UP);
    for (int i = 0; i < POLICIES; i++) {
        seconds = ask_all(&servers[i]).seconds;
    }
    double count = WARM_UP * round_s / seconds;
    return count > MOST_QUESTIONS ? MOST_QUESTIONS : count < WARM_UP ? WARM_UP : (int)count;
}

/* ---- the report ---------------------------------------------------------------------------------- */

static struct result results[POLICIES][MOST_ROUNDS];

static double median(double *values)
{
    return bench_summarise(values, rounds).p50;
}

/* How fast one policy is against another: the median over rounds of the ratio in one. */
static double speed(int policy, int against)
{
    double ratios[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        ratios[i] = results[against][i].seconds / results[policy][i].seconds;
    }
    return median(ratios);
}

static double health_p50(int policy)
{
    double values[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        values[i] = results[policy][i].health.p50;
    }
    return median(values);
}

static double health_p99(int policy)
{
    double values[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        values[i] = results[policy][i].health.p99;
    }
    return median(values);
}

static int check(const char *what, double value, const char *unit, bool good)
{
    printf("  %-62s %9.2f%s  %s\n", what, value, unit, good ? "yes" : "NO");
    return !good;
}

static int report(const struct mix *mix, int count)
{
    int best = speed(INLINE, OFFLOAD) > 1 ? INLINE : OFFLOAD;
    printf("\n%s: %.1f %% tiny, %.1f %% middle, %.1f %% huge; %d systems a round; best fixed policy: %s\n",
           mix->name, mix->tiny / 10.0, mix->middle / 10.0, mix->huge / 10.0, count,
           policies[best].name);
    printf("  %-16s %12s %12s %13s %13s %9s\n", "", "systems/s", "to the best", "healthz p50",
           "healthz p99", "samples");
    for (int i = 0; i < POLICIES; i++) {
        double rate[MOST_ROUNDS];
        long samples = 0;
        for (int k = 0; k < rounds; k++) {
            rate[k] = count / results[i][k].seconds;
            samples += results[i][k].samples;
        }
        printf("  %-16s %12.0f %12.3f %10.0f us %10.0f us %9ld\n", policies[i].name, median(rate),
               speed(i, best), health_p50(i), health_p99(i), samples);
    }
    double differences[MOST_ROUNDS], ratios[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        differences[i] = results[ADAPTIVE][i].health.p99 - results[OFFLOAD][i].health.p99;
        ratios[i] = results[WEIGHTED][i].health.p99 / results[OFFLOAD][i].health.p99;
    }
    double fast = speed(ADAPTIVE, best), more = median(differences), factor = median(ratios);
    return check("adaptive is within 5 % of the best fixed policy", fast, " x ", fast >= 0.95) +
           check("healthz p99 of adaptive beyond always offload, below 250 us", more, " us", more < 250) +
           check("healthz p99 with io_weight = 10 over always offload, within 2", factor, " x ",
                 factor <= 2);
}

static int run_mix(const struct mix *mix)
{
    int count = warm_up(mix);
    for (int round = 0; round < rounds; round++) {
        make_questions(mix, count);
        for (int i = 0; i < POLICIES; i++) {
            int policy = (i + round) % POLICIES;
            results[policy][round] = ask_all(&servers[policy]);
        }
    }
    return report(mix, count);
}

static void take_options(int argc, char **argv, const char **only)
{
    int option;
    while ((option = getopt(argc, argv, "+r:s:c:m:")) > 0) {
        switch (option) {
        case 'r': rounds = atoi(optarg); break;
        case 's': round_s = atof(optarg); break;
        case 'c': client_count = atoi(optarg); break;
        case 'm': *only = optarg; break;
        default: exit(2);
        }
    }
    rounds = rounds < 1 ? 1 : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
    client_count = client_count < 1 ? 1 : client_count > MOST_CLIENTS ? MOST_CLIENTS : client_count;
    while (optind < argc && more_count < MOST_OPTIONS) {
        more_options[more_count++] = argv[optind++];
    }
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    int missed = 0;
    take_options(argc, argv, &only);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < POLICIES; i++) {
        servers[i] = start_server(&policies[i]);
    }
    printf("solve-server, %d connections, medians of %d interleaved rounds of about %.1f s:\n",
           client_count, rounds, round_s);
    for (int i = 0; i < MIXES; i++) {
        if (!only || strcmp(only, mixes[i].name) == 0) {
            missed += run_mix(&mixes[i]);
            fflush(stdout);
        }
    }
    for (int i = 0; i < POLICIES; i++) {
        stop_server(&servers[i]);
    }
    printf("\n%s\n", missed ? "some goals were missed" : "all goals were met");
    return 0;
}
