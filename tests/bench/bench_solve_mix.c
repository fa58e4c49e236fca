/* SPDX-License-Identifier: MIT */
/* What it brings the example solve-server to let loomp choose where each system is solved: as fast
 * as the better of two fixed policies, whatever the mix of systems is, and /healthz answered nearly
 * as soon as if nothing were ever solved on the loop.
 *
 * Four servers run at a time, of which one is asked: always offload, always inline, adaptive by
 * default, adaptive with io_weight = 10. Each round of a mix asks each of them the same systems
 * twice, over a few connections: first without a pause, for the throughput, then at a part of that
 * speed, with exponential gaps, for the latency, because with more to do than there are CPUs the
 * kernel decides who is late. A thread asks for /healthz every millisecond. Rounds are interleaved,
 * in changing order, and compared with each other only.
 *
 * usage: bench_solve_mix [-r ROUNDS] [-s SECONDS] [-c CONNECTIONS] [-m MIX] [-- SERVER-OPTION ...]
 * SECONDS: each half of a round */
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
    WARM_UP = 150, /* systems, of which the very first pass has so many */
    MOST_QUESTIONS = 40000
};

/* Of the throughput of always offload. */
#define PACED_LOAD 0.4

enum {
    OFFLOAD,
    INLINE,
    ADAPTIVE,
    WEIGHTED
};

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
    int tiny, middle, huge; /* of 10000 */
} mixes[] = {
    {"many tiny", 9985, 14, 1},
    {"mixed", 7000, 2900, 100},
    {"heavy", 2000, 6000, 2000},
};
enum {
    MIXES = sizeof mixes / sizeof *mixes
};

static const int tiny_sides[] = {2, 3, 4, 5, 6, 7, 8};
static const int middle_sides[] = {20, 24, 28, 34, 40, 45};
static const int huge_sides[] = {80, 100, 120};

struct server {
    pid_t pid;
    int port;
};

static int rounds = 11, client_count = 4;
static double round_s = 1.5;
static const char *more_options[MOST_OPTIONS];
static int more_count;
static struct server servers[POLICIES];

/* ---- servers -------------------------------------------------------------------------------- */

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
    execv(path ? path : LOOMP_BUILD "/examples/solve-server/solve-server",
          (char *const *)arguments);
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

/* ---- questions ------------------------------------------------------------------------------ */

static int sides[MOST_QUESTIONS];
static double due_us[MOST_QUESTIONS]; /* from the beginning of a half; all 0: no pauses */
static double began_us;
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
        int class = (int)((i * 10000L + 5000) / count);
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

/* When they are asked: as they come from many people, so many a second. */
static void pace_questions(double rate)
{
    double at = 0;
    for (int i = 0; i < question_count; i++) {
        at -= log((random_below(1u << 30) + 1.0) / (1u << 30)) / rate * 1e6;
        due_us[i] = at;
    }
}

static void sleep_until_us(double when)
{
    struct timespec t = {.tv_sec = (time_t)(when / 1e6)};
    t.tv_nsec = (long)((when - (double)t.tv_sec * 1e6) * 1e3);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

static void *run_client(void *arg)
{
    int fd = client_connect(asked_port, 600);
    (void)arg;
    for (int i; (i = atomic_fetch_add(&next_question, 1)) < question_count;) {
        char target[64];
        if (due_us[i] > 0) {
            sleep_until_us(began_us + due_us[i]);
        }
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

/* ---- /healthz ------------------------------------------------------------------------------- */

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

/* ---- rounds --------------------------------------------------------------------------------- */

struct result {
    double seconds;
    struct bench_summary health; /* us */
    long samples;
};

/* At `rate` systems a second; 0: as fast as they are answered. */
static struct result ask_all(const struct server *server, double rate)
{
    pthread_t clients[MOST_CLIENTS];
    struct probe probe = {0};
    if (rate > 0) {
        pace_questions(rate);
    } else {
        memset(due_us, 0, sizeof due_us);
    }
    asked_port = server->port;
    next_question = 0;
    if (pthread_create(&probe.thread, NULL, run_probe, &probe)) {
        die("no thread");
    }
    double start = began_us = bench_now_us();
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

static int questions_at(double rate)
{
    double count = rate * round_s;
    return count > MOST_QUESTIONS ? MOST_QUESTIONS : count < 100 ? 100 : (int)count;
}

static double rate_of(int count, const struct result *result)
{
    return count / result->seconds;
}

/* Of no use for the comparison: the servers learn, and the length of a round is found. Returns how
 * many systems a second always offload solves. */
static double warm_up(const struct mix *mix)
{
    double rate = WARM_UP / round_s;
    for (int i = 0; i < 3; i++) {
        make_questions(mix, questions_at(rate));
        struct result result = ask_all(&servers[OFFLOAD], 0);
        rate = rate_of(question_count, &result);
    }
    make_questions(mix, questions_at(rate / 2));
    for (int i = 1; i < POLICIES; i++) {
        ask_all(&servers[i], 0);
    }
    return rate;
}

/* ---- the report ----------------------------------------------------------------------------- */

enum {
    SATURATED,
    PACED,
    HALVES
};

static struct result results[HALVES][POLICIES][MOST_ROUNDS];
static double inline_share[POLICIES]; /* of the calls of a mix */

static double median(double *values)
{
    return bench_summarise(values, rounds).p50;
}

/* How fast one policy is against another: the median over rounds of the ratio in one. */
static double speed(int policy, int against)
{
    double ratios[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        ratios[i] = results[SATURATED][against][i].seconds / results[SATURATED][policy][i].seconds;
    }
    return median(ratios);
}

static double health_p50(int half, int policy)
{
    double values[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        values[i] = results[half][policy][i].health.p50;
    }
    return median(values);
}

static double health_p99(int half, int policy)
{
    double values[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        values[i] = results[half][policy][i].health.p99;
    }
    return median(values);
}

static int check(const char *what, double value, const char *unit, bool good)
{
    printf("  %-62s %9.2f%s  %s\n", what, value, unit, good ? "yes" : "NO");
    return !good;
}

static void print_policy(int policy, int best, int count)
{
    double rates[MOST_ROUNDS];
    long samples = 0;
    for (int i = 0; i < rounds; i++) {
        rates[i] = rate_of(count, &results[SATURATED][policy][i]);
        samples += results[PACED][policy][i].samples;
    }
    printf("  %-15s %9.0f %11.3f", policies[policy].name, median(rates), speed(policy, best));
    for (int half = 0; half < HALVES; half++) {
        printf(" %9.0f %9.0f", health_p50(half, policy), health_p99(half, policy));
    }
    printf(" %9ld %7.1f %%\n", samples, 100 * inline_share[policy]);
}

static int report(const struct mix *mix, int count, double rate)
{
    int best = speed(INLINE, OFFLOAD) > 1 ? INLINE : OFFLOAD;
    printf("\n%s: %.2f %% tiny, %.2f %% middle, %.2f %% huge; then %.0f systems a second\n",
           mix->name, mix->tiny / 100.0, mix->middle / 100.0, mix->huge / 100.0, rate);
    printf("  %-15s %21s   /healthz then [us]  /healthz paced [us]\n", "", "without a pause");
    printf("  %-15s %9s %11s %9s %9s %9s %9s %9s %9s\n", "", "a second", "to the best", "p50",
           "p99", "p50", "p99", "samples", "inline");
    for (int i = 0; i < POLICIES; i++) {
        print_policy(i, best, count);
    }
    double differences[MOST_ROUNDS], ratios[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        double offload = results[PACED][OFFLOAD][i].health.p99;
        differences[i] = results[PACED][ADAPTIVE][i].health.p99 - offload;
        ratios[i] = results[PACED][WEIGHTED][i].health.p99 / offload;
    }
    double fast = speed(ADAPTIVE, best), more = median(differences), factor = median(ratios);
    return check("adaptive within 5 % of the best fixed policy", fast, " x", fast >= 0.95) +
           check("p99 of /healthz less than 250 us above always offload", more, " us", more < 250) +
           check("the same with io_weight = 10, at most 2 times", factor, " x", factor <= 2);
}

struct counts {
    double calls, inlined;
};

static struct counts ask_counts(const struct server *server)
{
    struct counts counts = {0};
    struct client_answer answer =
        client_ask(server->port, 600, "GET", "/sites?after=1e15", NULL, 0);
    if (answer.status != 200 || !client_number(answer.body, "calls", &counts.calls) ||
        !client_number(answer.body, "inlined", &counts.inlined)) {
        die("no answer about sites");
    }
    free(answer.body);
    return counts;
}

/* Each of the policies is first in one round of four. */
static void ask_by_turns(int half, int round, double rate)
{
    for (int i = 0; i < POLICIES; i++) {
        int policy = (i + round) % POLICIES;
        results[half][policy][round] = ask_all(&servers[policy], rate);
    }
}

static int run_mix(const struct mix *mix)
{
    double rate = warm_up(mix);
    struct counts before[POLICIES];
    for (int i = 0; i < POLICIES; i++) {
        before[i] = ask_counts(&servers[i]);
    }
    int count = questions_at(rate);
    double rates[MOST_ROUNDS], sorted[MOST_ROUNDS], pace = 0;
    for (int round = 0; round < rounds; round++) {
        make_questions(mix, count);
        ask_by_turns(SATURATED, round, 0);
        rates[round] = rate_of(count, &results[SATURATED][OFFLOAD][round]);
        memcpy(sorted, rates, sizeof sorted);
        pace = PACED_LOAD * bench_summarise(sorted, round + 1).p50;
        make_questions(mix, questions_at(pace));
        ask_by_turns(PACED, round, pace);
    }
    for (int i = 0; i < POLICIES; i++) {
        struct counts after = ask_counts(&servers[i]);
        inline_share[i] = (after.inlined - before[i].inlined) / (after.calls - before[i].calls);
    }
    return report(mix, count, pace);
}

static void take_options(int argc, char **argv, const char **only)
{
    int option;
    while ((option = getopt(argc, argv, "+r:s:c:m:")) > 0) {
        switch (option) {
        case 'r':
            rounds = atoi(optarg);
            break;
        case 's':
            round_s = atof(optarg);
            break;
        case 'c':
            client_count = atoi(optarg);
            break;
        case 'm':
            *only = optarg;
            break;
        default:
            exit(2);
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
    printf(
        "solve-server, %d connections, medians of %d interleaved rounds, each half about %.1f s\n",
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
