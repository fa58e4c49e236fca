/* SPDX-License-Identifier: MIT */
/* Tests of examples/solve-server from outside: a server per test, asked what it must answer, what
 * it must refuse and what it must survive. Each test ends with SIGTERM and wants exit status 0 and,
 * with the sanitizers, not a word on standard error.
 *
 * usage: solve_server SERVER DATA [PART-OF-A-TEST'S-NAME]   SERVER: the program, DATA:
 * examples/data Environment: SOLVE_SERVER and EXAMPLE_DATA instead of the arguments. */
#define SUITE "solve_server"
#include "unit/harness.h"

#include "client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Generous: a loaded machine is no failure. */
#define TIMEOUT_S 120.0

/* Limits of the server that only the tests about them meet, which set them again. */
#define NO_LIMITS "--timeout=86400", "--max-seconds=1000000"

static const char *server_path;
static const char *data_path;

struct server {
    pid_t pid;
    int port;
    FILE *out;
};

/* --- the server ------------------------------------------------------------------------------ */

static void run_server(int out, const char *const *options)
{
    char threads[64];
    const char *arguments[16] = {server_path, "--port=0", NO_LIMITS};
    const char *workers = getenv("LOOMP_TEST_WORKERS");
    int count = 4;

    dup2(out, STDOUT_FILENO);
    while (*options != NULL && count < 14) {
        arguments[count++] = *options++;
    }
    if (workers != NULL && atoi(workers) > 0) {
        snprintf(threads, sizeof threads, "--loomp-compute-threads=%d", atoi(workers));
        arguments[count++] = threads;
    }
    execv(server_path, (char *const *)arguments);
    _exit(127);
}

/* Waits until there is something to read from the server's output, its end too. */
static bool says_something(const struct server *server)
{
    struct pollfd output = {.fd = fileno(server->out), .events = POLLIN};

    return poll(&output, 1, (int)(1e3 * TIMEOUT_S)) == 1;
}

static struct server start(const char *const *options)
{
    struct server server = {0};
    char line[256];
    int ends[2];

    if (!CHECK(pipe2(ends, O_CLOEXEC) == 0)) {
        return server;
    }
    server.pid = fork();
    if (server.pid == 0) {
        run_server(ends[1], options);
    }
    close(ends[1]);
    server.out = fdopen(ends[0], "r");
    if (CHECK(says_something(&server)) && CHECK(fgets(line, sizeof line, server.out) != NULL)) {
        CHECK(sscanf(line, "solve-server: http://127.0.0.1:%d/", &server.port) == 1);
    }
    return server;
}

#define START(...) start((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* Its output ends with the process. One that stays is a failure of this test, not of the next. */
static void wait_for_end(struct server *server)
{
    int status = -1;
    bool said = true;
    char byte;

    while ((said = says_something(server)) && read(fileno(server->out), &byte, 1) > 0) {
    }
    if (!CHECK(said)) {
        kill(server->pid, SIGKILL);
    }
    CHECK(waitpid(server->pid, &status, 0) == server->pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    fclose(server->out);
}

static struct client_answer ask(const struct server *server, const char *method, const char *target,
                                const char *body)
{
    return client_ask(server->port, TIMEOUT_S, method, target, body,
                      body != NULL ? strlen(body) : 0);
}

static bool is_healthy(const struct server *server)
{
    struct client_answer answer = ask(server, "GET", "/healthz", NULL);
    bool healthy = answer.status == 200 && strcmp(answer.body, "ok\n") == 0;

    free(answer.body);
    return healthy;
}

static void stop(struct server *server)
{
    CHECK(is_healthy(server));
    CHECK(kill(server->pid, SIGTERM) == 0);
    wait_for_end(server);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Asks /threads over a connection that is kept; -1 without an answer. */
static double number_over(int fd, const char *name)
{
    double value = -1.0;

    if (client_send_head(fd, "GET", "/threads", 0, true)) {
        struct client_answer answer = client_receive(fd);
        if (answer.status != 200 || !client_number(answer.body, name, &value)) {
            value = -1.0;
        }
        free(answer.body);
    }
    return value;
}

static bool reaches_over(int fd, const char *name, double wanted)
{
    double until = now_s() + TIMEOUT_S;
    double value;

    do {
        value = number_over(fd, name);
    } while (value >= 0.0 && value != wanted && now_s() < until);
    return value == wanted;
}

/* Asks until the server has so many questions under way: for numbers that stay once they are
 * reached. */
static bool reaches(const struct server *server, int solving)
{
    int fd = client_connect(server->port, TIMEOUT_S);
    bool reached = reaches_over(fd, "solving", solving);

    close(fd);
    return reached;
}

/* Asks small questions over a connection that is kept until the server, which was sent a signal,
 * refuses them. False: it ended before it refused one. */
static bool refuses_new_questions(int fd)
{
    struct client_answer answer;

    do {
        answer = (struct client_answer){0};
        if (client_send_head(fd, "POST", "/solve?poisson=3", 0, true)) {
            answer = client_receive(fd);
        }
        free(answer.body);
    } while (answer.status == 200);
    return answer.status == 503;
}

static bool has_answer(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) != 0;
}

static int count_entries(pid_t pid, const char *what)
{
    char path[64];
    int count = 0;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    DIR *directory = opendir(path);
    while (directory != NULL && readdir(directory) != NULL) {
        count++;
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return count;
}

/* --- answers --------------------------------------------------------------------------------- */

static bool has(const struct client_answer *answer, const char *words)
{
    return answer->body != NULL && strstr(answer->body, words) != NULL;
}

static void solved(struct client_answer answer)
{
    if (!CHECK(answer.status == 200) || !CHECK(has(&answer, "\"converged\":true"))) {
        printf("    %d: %.300s\n", answer.status, answer.body != NULL ? answer.body : "");
    }
    free(answer.body);
}

/* Refused with that status and words, and a line unless it is 0. */
static void refused(struct client_answer answer, int status, int line, const char *words)
{
    double told = 0.0;

    if (answer.body != NULL) {
        client_number(answer.body, "line", &told);
    }
    if (!CHECK(answer.status == status) || !CHECK(has(&answer, words)) || !CHECK(told == line)) {
        printf("    %d: %.300s\n", answer.status, answer.body != NULL ? answer.body : "");
    }
    free(answer.body);
}

static char *read_data(const char *name, size_t *size)
{
    char path[1024];
    char *text = calloc(1, 1 << 20);

    snprintf(path, sizeof path, "%s/%s", data_path, name);
    FILE *file = fopen(path, "rb");
    if (text != NULL && CHECK(file != NULL)) {
        *size = fread(text, 1, (1 << 20) - 1, file);
        fclose(file);
    }
    return text;
}

static struct client_answer post_file(const struct server *server, const char *name)
{
    size_t size = 0;
    char *text = read_data(name, &size);
    struct client_answer answer = client_ask(server->port, TIMEOUT_S, "POST", "/solve", text, size);

    free(text);
    return answer;
}

/* A solve, by a gang, that ends when somebody ends it: days of repetitions of milliseconds. */
#define ENDLESS "/solve?poisson=110&repeat=1000000000"

/* --- the tests ------------------------------------------------------------------------------- */

TEST(the_example_files_are_solved)
{
    struct server server = START();
    DIR *directory = opendir(data_path);
    int files = 0;

    if (!CHECK(directory != NULL)) {
        stop(&server);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strstr(entry->d_name, ".mtx") != NULL) {
            solved(post_file(&server, entry->d_name));
            files++;
        }
    }
    closedir(directory);
    CHECK(files >= 5);
    stop(&server);
}

TEST(small_systems_are_serial_jobs_and_large_ones_gangs)
{
    struct server server = START("--gang-entries=10000");
    struct client_answer small = ask(&server, "POST", "/solve?poisson=10&offload=1", NULL);
    struct client_answer large = ask(&server, "POST", "/solve?poisson=100&offload=1", NULL);
    double threads = 0.0;

    CHECK(has(&small, "\"kind\":\"SERIAL\"") && has(&small, "\"team_thread\":\"solve-omp-"));
    CHECK(has(&small, "\"threads\":1,"));
    CHECK(has(&small, "\"loop_thread\":\"solve-io-"));
    CHECK(has(&large, "\"kind\":\"GANG\"") && has(&large, "\"team_thread\":\"solve-gang-"));
    CHECK(large.body != NULL && client_number(large.body, "threads", &threads) && threads >= 1.0);
    solved(small);
    solved(large);
    stop(&server);
}

TEST(a_posted_large_system_is_read_first_and_then_a_gang)
{
    struct server server = START("--gang-entries=600");
    struct client_answer answer = post_file(&server, "anisotropic-144.mtx");

    CHECK(has(&answer, "\"kind\":\"GANG\"") && has(&answer, "\"team_thread\":\"solve-gang-"));
    solved(answer);
    stop(&server);
}

TEST(the_same_system_on_the_loop_has_the_same_answer)
{
    struct server server = START();
    double steps[2] = {-1.0, -2.0};

    for (int offload = 0; offload < 2; offload++) {
        struct client_answer answer = ask(
            &server, "POST", offload ? "/solve?poisson=20" : "/solve?poisson=20&offload=0", NULL);
        CHECK(has(&answer, offload ? "\"offloaded\":true" : "\"offloaded\":false"));
        if (answer.body != NULL) {
            client_number(answer.body, "iterations", &steps[offload]);
        }
        solved(answer);
    }
    CHECK(steps[0] == steps[1]);
    stop(&server);
}

/* The solution of a system that all policies solve with one thread; the caller frees it. */
static char *solution_by(const char *option)
{
    struct server server = START(option);
    struct client_answer answer = {0};

    /* The second one is solved by a policy that has seen one. */
    for (int k = 0; k < 2; k++) {
        free(answer.body);
        answer = ask(&server, "POST", "/solve?poisson=12&rhs=sin&x=1", NULL);
    }
    const char *x = answer.body != NULL ? strstr(answer.body, "\"x\":[") : NULL;
    char *copy = CHECK(x != NULL) ? strdup(x) : NULL;
    solved(answer);
    stop(&server);
    return copy;
}

TEST(solutions_are_the_same_wherever_a_system_is_solved)
{
    const char *const options[] = {"--loomp-adaptive-mode=learn", "--loomp-sites-solve-arm=task",
                                   "--loomp-sites-solve-arm=inline", "--no-offload"};
    char *first = solution_by("--loomp-adaptive-mode=off");

    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        char *other = solution_by(options[k]);
        CHECK_TEXT(other, first);
        free(other);
    }
    free(first);
}

TEST(a_pinned_site_solves_where_it_is_told)
{
    struct server server = START("--loomp-sites-solve-arm=inline");
    struct client_answer answer = ask(&server, "POST", "/solve?poisson=12", NULL);

    CHECK(has(&answer, "\"kind\":\"INLINE\"") && has(&answer, "\"offloaded\":false"));
    CHECK(has(&answer, "\"team_thread\":\"solve-io-"));
    solved(answer);
    /* Who asks for a job gets one. */
    answer = ask(&server, "POST", "/solve?poisson=12&offload=1", NULL);
    CHECK(has(&answer, "\"kind\":\"SERIAL\"") && has(&answer, "\"team_thread\":\"solve-omp-"));
    solved(answer);
    stop(&server);
    server = START("--loomp-sites-solve-arm=task", "--gang-entries=100");
    answer = ask(&server, "POST", "/solve?poisson=12", NULL);
    CHECK(has(&answer, "\"team_thread\":\"solve-omp-") && has(&answer, "\"threads\":1,"));
    solved(answer);
    stop(&server);
}

/* The line of the loop's CPUs, of its thread's status. */
static void read_loop_cpus(const struct server *server, char *cpus, size_t size)
{
    char path[64];

    cpus[0] = '\0';
    snprintf(path, sizeof path, "/proc/%d/task", (int)server->pid);
    DIR *directory = opendir(path);
    for (struct dirent *e; directory != NULL && (e = readdir(directory)) != NULL;) {
        char status[512];
        char line[256];
        bool is_loop = false;
        snprintf(status, sizeof status, "%s/%s/status", path, e->d_name);
        FILE *file = fopen(status, "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
            is_loop |= strncmp(line, "Name:\tsolve-io", 14) == 0;
            if (is_loop && strncmp(line, "Cpus_allowed_list:", 18) == 0) {
                snprintf(cpus, size, "%s", line);
            }
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

TEST(the_loop_stays_on_its_cpus_after_it_has_solved)
{
    struct server server = START("--loomp-sites-solve-arm=inline");
    char before[256];
    char after[256];

    read_loop_cpus(&server, before, sizeof before);
    CHECK(before[0] != '\0');
    solved(ask(&server, "POST", "/solve?poisson=12", NULL));
    read_loop_cpus(&server, after, sizeof after);
    CHECK_TEXT(after, before);
    stop(&server);
}

/* --- what it tells of its site --------------------------------------------------------------- */

static const char *skip_value(const char *at);

/* Values with commas between them, up to the closing bracket; NULL if it is no JSON. */
static const char *skip_members(const char *at, char close, bool named)
{
    if (*at == close) {
        return at + 1;
    }
    for (;;) {
        if (named) {
            at = *at == '"' ? skip_value(at) : NULL;
            if (at == NULL || *at++ != ':') {
                return NULL;
            }
        }
        at = skip_value(at);
        if (at == NULL || (*at != ',' && *at != close)) {
            return NULL;
        }
        if (*at++ == close) {
            return at;
        }
    }
}

/* Behind one value of JSON without blanks; NULL if it is none. */
static const char *skip_value(const char *at)
{
    static const char *const words[] = {"null", "true", "false"};
    char *end;

    if (*at == '{' || *at == '[') {
        return skip_members(at + 1, *at == '{' ? '}' : ']', *at == '{');
    }
    if (*at == '"') {
        for (at++; *at != '"'; at++) {
            if ((unsigned char)*at < 0x20 || (*at == '\\' && *++at == '\0')) {
                return NULL;
            }
        }
        return at + 1;
    }
    for (int k = 0; k < 3; k++) {
        if (strncmp(at, words[k], strlen(words[k])) == 0) {
            return at + strlen(words[k]);
        }
    }
    /* strtod takes words and hexadecimal numbers, which begin differently. */
    if (strspn(at, "-0123456789") == 0) {
        return NULL;
    }
    strtod(at, &end);
    return end;
}

static double site_number(const struct client_answer *answer, const char *name)
{
    double value = -1.0;

    CHECK(answer->body != NULL && client_number(answer->body, name, &value));
    return value;
}

static struct client_answer ask_sites(const struct server *server, const char *target)
{
    struct client_answer answer = ask(server, "GET", target, NULL);

    CHECK(answer.status == 200 && answer.body != NULL);
    const char *end = answer.body != NULL ? skip_value(answer.body) : NULL;
    if (!CHECK(end != NULL && *end == '\0')) {
        printf("    %.300s\n", answer.body != NULL ? answer.body : "");
    }
    return answer;
}

TEST(sites_count_every_solve)
{
    struct server server = START("--gang-entries=600");
    struct client_answer sites = ask_sites(&server, "/sites");

    CHECK(has(&sites, "{\"sites\":[],") && has(&sites, "\"calls\":[]}"));
    free(sites.body);
    for (int k = 0; k < 20; k++) {
        solved(ask(&server, "POST", "/solve?poisson=5", NULL));
    }
    solved(post_file(&server, "beam-6.mtx"));
    solved(post_file(&server, "anisotropic-144.mtx")); /* read as one job, solved as another */
    solved(ask(&server, "POST", "/solve?poisson=30", NULL));
    /* These are no calls of the site: told where to go, or never solved. */
    solved(ask(&server, "POST", "/solve?poisson=5&offload=1", NULL));
    solved(ask(&server, "POST", "/solve?poisson=5&offload=0", NULL));
    refused(post_file(&server, "bad/not-square.mtx"), 400, 2, "not square");
    sites = ask_sites(&server, "/sites");
    CHECK(has(&sites, "\"name\":\"solve\",\"calls\":23,"));
    CHECK(site_number(&sites, "inlined") + site_number(&sites, "tasks") +
              site_number(&sites, "teams") ==
          23.0);
    CHECK(site_number(&sites, "size_least") > 0.0);
    CHECK(site_number(&sites, "size_most") > site_number(&sites, "size_least"));
    CHECK(site_number(&sites, "slope") != -1.0);
    CHECK(has(&sites, "[\"solve\","));
    free(sites.body);
    /* Nothing has been solved since. */
    sites = ask_sites(&server, "/sites?after=1e15");
    CHECK(has(&sites, "\"calls\":23,") && has(&sites, "\"calls\":[]}"));
    free(sites.body);
    stop(&server);
}

/* Lines of the trace; -1 where one is wrong or earlier than the one before. */
static int count_calls(const char *path)
{
    char line[512];
    char site[64];
    double last_s = 0.0;
    double at_s;
    double cost_s;
    int count = 0;
    FILE *file = fopen(path, "r");

    if (!CHECK(file != NULL)) {
        return -1;
    }
    CHECK(fgets(line, sizeof line, file) != NULL);
    CHECK(strncmp(line, "site,size,arm,width,reason,loop,at_s,cost_s,", 44) == 0);
    for (; fgets(line, sizeof line, file) != NULL; count++) {
        if (sscanf(line, "%63[^,],%*[^,],%*[^,],%*[^,],%*[^,],%*[^,],%lf,%lf,", site, &at_s,
                   &cost_s) != 3 ||
            strcmp(site, "solve") != 0 || at_s < last_s || cost_s <= 0.0) {
            printf("    %s", line);
            count = -1;
            break;
        }
        last_s = at_s;
    }
    fclose(file);
    return count;
}

TEST(the_trace_has_every_call_in_order)
{
    char directory[] = "/tmp/solve-server-XXXXXX";
    char path[64];
    char option[80];

    if (!CHECK(mkdtemp(directory) != NULL)) {
        return;
    }
    snprintf(path, sizeof path, "%s/calls.csv", directory);
    snprintf(option, sizeof option, "--trace=%s", path);
    struct server server = START(option, "--gang-entries=600");
    for (int k = 0; k < 30; k++) {
        solved(ask(&server, "POST", k % 2 != 0 ? "/solve?poisson=3" : "/solve?poisson=20", NULL));
    }
    stop(&server);
    CHECK(count_calls(path) == 30);
    unlink(path);
    rmdir(directory);
}

TEST(right_hand_sides_and_solutions_are_as_asked)
{
    static const char matrix[] =
        "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 2\n2 2 4\n";
    struct server server = START();
    struct client_answer answer = ask(&server, "POST", "/solve?rhs=1,2&x=1", matrix);

    CHECK(has(&answer, "\"x\":[0.5,0.5]"));
    solved(answer);
    answer = ask(&server, "POST", "/solve?rhs=rowsums&x=1", matrix);
    CHECK(has(&answer, "\"x\":[1,1]"));
    solved(answer);
    solved(ask(&server, "POST", "/solve?rhs=sin&tol=1e-12", matrix));
    refused(ask(&server, "POST", "/solve?rhs=1", matrix), 400, 0, "list of 2 numbers");
    refused(ask(&server, "POST", "/solve?rhs=1,2,3", matrix), 400, 0, "list of 2 numbers");
    refused(ask(&server, "POST", "/solve?rhs=1,nan", matrix), 400, 0, "list of 2 numbers");
    stop(&server);
}

TEST(malformed_files_are_refused_with_their_line)
{
    struct server server = START();

    refused(post_file(&server, "bad/empty.mtx"), 400, 1, "empty");
    refused(post_file(&server, "bad/truncated.mtx"), 400, 7, "after 4 of 7 entries");
    refused(post_file(&server, "bad/index-out-of-range.mtx"), 400, 5, "outside of 1 to 3");
    refused(post_file(&server, "bad/nan.mtx"), 400, 4, "not a finite number");
    refused(post_file(&server, "bad/infinite.mtx"), 400, 4, "too large");
    refused(post_file(&server, "bad/junk.mtx"), 400, 4, "not a number");
    refused(post_file(&server, "bad/not-square.mtx"), 400, 2, "not square");
    refused(post_file(&server, "bad/dense-format.mtx"), 400, 1, "'array'");
    refused(post_file(&server, "bad/not-a-matrix.mtx"), 400, 1, "does not begin");
    refused(post_file(&server, "bad/huge-counts.mtx"), 413, 2, "over the limit");
    stop(&server);
}

TEST(singular_matrices_are_refused_by_the_solver)
{
    struct server server = START();

    refused(post_file(&server, "bad/singular.mtx"), 422, 0, "singular");
    refused(post_file(&server, "bad/empty-row.mtx"), 422, 0, "row 2 is empty");
    stop(&server);
}

TEST(a_solve_without_convergence_is_answered_as_such)
{
    struct server server = START();
    struct client_answer answer = ask(&server, "POST", "/solve?poisson=50&maxit=3", NULL);

    CHECK(answer.status == 200 && has(&answer, "\"converged\":false"));
    CHECK(has(&answer, "within the allowed iterations"));
    free(answer.body);
    stop(&server);
}

TEST(a_solve_over_the_time_limit_is_answered_as_such)
{
    struct server server = START("--max-seconds=0.3");
    /* By a gang, by one thread, and one that needs no iteration. */
    const char *const targets[] = {ENDLESS, "/solve?poisson=8&repeat=1000000000",
                                   "/solve?poisson=1&rhs=0&repeat=1000000000"};

    for (size_t k = 0; k < sizeof targets / sizeof *targets; k++) {
        struct client_answer answer = ask(&server, "POST", targets[k], NULL);
        CHECK(answer.status == 200 && has(&answer, "\"converged\":false"));
        CHECK(has(&answer, "\"reason\":\"stopped after ") &&
              has(&answer, " of 1000000000 repetitions\""));
        free(answer.body);
    }
    stop(&server);
}

TEST(a_repeated_solve_has_the_answer_of_one)
{
    struct server server = START();
    double steps[2] = {-1.0, -2.0};

    for (int repeated = 0; repeated < 2; repeated++) {
        struct client_answer answer = ask(
            &server, "POST", repeated ? "/solve?poisson=20&repeat=3" : "/solve?poisson=20", NULL);
        CHECK(has(&answer, repeated ? "\"repetitions\":3," : "\"repetitions\":1,"));
        if (answer.body != NULL) {
            client_number(answer.body, "iterations", &steps[repeated]);
        }
        solved(answer);
    }
    CHECK(steps[0] == steps[1]);
    /* Iterations run out in each repetition, not in all together. */
    struct client_answer answer = ask(&server, "POST", "/solve?poisson=50&maxit=3&repeat=4", NULL);
    CHECK(has(&answer, "\"repetitions\":4,") && has(&answer, "within the allowed iterations"));
    free(answer.body);
    /* What has no answer has none the next time. */
    refused(ask(&server, "POST", "/solve?repeat=1000000000",
                "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 1\n1 2 1\n"),
            422, 0, "row 2 is empty");
    stop(&server);
}

TEST(requests_that_make_no_sense_are_refused)
{
    struct server server = START("--max-rows=1000");

    refused(ask(&server, "GET", "/nothing", NULL), 404, 0, "error");
    refused(ask(&server, "GET", "/solve", NULL), 405, 0, "error");
    refused(ask(&server, "POST", "/healthz", "body"), 405, 0, "error");
    refused(ask(&server, "POST", "/solve?poisson=0", NULL), 400, 0, "poisson");
    refused(ask(&server, "POST", "/solve?poisson=1.5", NULL), 400, 0, "poisson");
    refused(ask(&server, "POST", "/solve?poisson=many", NULL), 400, 0, "poisson");
    refused(ask(&server, "POST", "/solve?poisson=32", NULL), 413, 0, "more points");
    refused(ask(&server, "POST", "/solve?poisson=3&tol=0", NULL), 400, 0, "tol");
    refused(ask(&server, "POST", "/solve?poisson=3&maxit=-1", NULL), 400, 0, "maxit");
    const char *const no_counts[] = {"0", "-1", "1.5", "2e9", "many", "", "nan"};
    for (size_t k = 0; k < sizeof no_counts / sizeof *no_counts; k++) {
        char target[64];
        snprintf(target, sizeof target, "/solve?poisson=3&repeat=%s", no_counts[k]);
        refused(ask(&server, "POST", target, NULL), 400, 0, "repeat");
    }
    refused(ask(&server, "POST", "/solve", NULL), 400, 1, "empty");
    int fd = client_connect(server.port, TIMEOUT_S);
    CHECK(client_send(fd, "\x16\x03\x01 this is not HTTP\r\n\r\n", 24));
    char byte;
    while (recv(fd, &byte, 1, 0) > 0) {
    }
    close(fd);
    stop(&server);
}

TEST(a_body_over_the_limit_is_refused)
{
    struct server server = START("--max-body=1");
    size_t size = (size_t)3 << 20;
    char *body = malloc(size);

    memset(body, '\n', size);
    refused(client_ask(server.port, TIMEOUT_S, "POST", "/solve", body, size), 413, 0, "larger");
    /* One that announces more than anyone would want to swallow. */
    int fd = client_connect(server.port, TIMEOUT_S);
    CHECK(client_send_head(fd, "POST", "/solve", (size_t)1 << 40, false));
    refused(client_receive(fd), 413, 0, "larger");
    close(fd);
    /* One that does not announce its size. */
    static const char head[] = "POST /solve HTTP/1.1\r\nHost: localhost\r\n"
                               "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    fd = client_connect(server.port, TIMEOUT_S);
    CHECK(client_send(fd, head, sizeof head - 1));
    for (int k = 0; k < 3; k++) {
        CHECK(client_send(fd, "100000\r\n", 8));
        CHECK(client_send(fd, body, 0x100000));
        CHECK(client_send(fd, "\r\n", 2));
    }
    CHECK(client_send(fd, "0\r\n\r\n", 5));
    refused(client_receive(fd), 413, 0, "larger");
    close(fd);
    free(body);
    stop(&server);
}

TEST(a_silent_client_is_closed)
{
    struct server server = START("--timeout=1");
    int fd = client_connect(server.port, TIMEOUT_S);
    double until = now_s() + TIMEOUT_S;
    char byte;

    CHECK(client_send_head(fd, "POST", "/solve", 100, false));
    ssize_t got = recv(fd, &byte, 1, 0);
    CHECK(got == 0 || (got < 0 && errno == ECONNRESET));
    close(fd);
    /* Who is held up for a second after connecting is silent, too, and asks again. */
    while (!is_healthy(&server) && now_s() < until) {
    }
    CHECK(now_s() < until);
    CHECK(kill(server.pid, SIGTERM) == 0);
    wait_for_end(&server);
}

TEST(healthz_is_answered_while_a_gang_runs)
{
    struct server server = START();
    int fd = client_connect(server.port, TIMEOUT_S);

    CHECK(client_send_head(fd, "POST", ENDLESS, 0, false));
    CHECK(reaches(&server, 1));
    for (int k = 0; k < 50; k++) {
        CHECK(is_healthy(&server));
    }
    CHECK(!has_answer(fd));
    /* Small systems get their turn, too. */
    solved(ask(&server, "POST", "/solve?poisson=8", NULL));
    CHECK(!has_answer(fd));
    close(fd);
    CHECK(reaches(&server, 0));
    stop(&server);
}

TEST(the_solve_of_a_client_that_leaves_is_cancelled)
{
    struct server server = START();
    int fds[4];

    for (int k = 0; k < 4; k++) {
        fds[k] = client_connect(server.port, TIMEOUT_S);
        CHECK(client_send_head(fds[k], "POST", ENDLESS, 0, true));
    }
    CHECK(reaches(&server, 4));
    /* One by reset, the others in good order: a running one and queued ones. */
    struct linger reset = {.l_onoff = 1};
    setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    for (int k = 0; k < 4; k++) {
        close(fds[k]);
    }
    CHECK(reaches(&server, 0));
    solved(ask(&server, "POST", "/solve?poisson=30", NULL));
    stop(&server);
}

TEST(a_client_that_leaves_while_it_sends_leaves_nothing)
{
    struct server server = START();
    int fd = client_connect(server.port, TIMEOUT_S);

    CHECK(client_send_head(fd, "POST", "/solve", 1000000, false));
    CHECK(client_send(fd, "%%MatrixMarket ", 15));
    CHECK(reaches(&server, 1));
    close(fd);
    CHECK(reaches(&server, 0));
    stop(&server);
}

TEST(a_connection_that_is_kept_alive_is_used_again)
{
    struct server server = START();
    int fd = client_connect(server.port, TIMEOUT_S);

    for (int k = 0; k < 20; k++) {
        CHECK(client_send_head(fd, "POST", "/solve?poisson=5", 0, true));
        solved(client_receive(fd));
        CHECK(client_send_head(fd, "GET", "/healthz", 0, true));
        struct client_answer answer = client_receive(fd);
        CHECK(answer.status == 200);
        free(answer.body);
    }
    /* The next question arrives while the first is being solved. */
    CHECK(client_send_head(fd, "POST", "/solve?poisson=120", 0, true));
    CHECK(client_send_head(fd, "POST", "/solve?poisson=6", 0, true));
    /* Both answers are on their way before the first is read. */
    int other = client_connect(server.port, TIMEOUT_S);
    CHECK(reaches_over(other, "answered", 22));
    close(other);
    solved(client_receive(fd));
    solved(client_receive(fd));
    close(fd);
    stop(&server);
}

TEST(more_questions_than_allowed_are_refused)
{
    struct server server = START("--max-solves=2");
    int fds[2];

    for (int k = 0; k < 2; k++) {
        fds[k] = client_connect(server.port, TIMEOUT_S);
        CHECK(client_send_head(fds[k], "POST", "/solve", 1000, false));
    }
    CHECK(reaches(&server, 2));
    refused(ask(&server, "POST", "/solve?poisson=3", NULL), 503, 0, "too many");
    close(fds[0]);
    close(fds[1]);
    CHECK(reaches(&server, 0));
    solved(ask(&server, "POST", "/solve?poisson=3", NULL));
    stop(&server);
}

enum {
    CLIENTS = 200,
    ROUNDS = 8
};

struct client {
    pthread_t thread;
    bool started;
    const struct server *server;
    int index;
    struct client_answer answer;
};

static void *run_client(void *arg)
{
    struct client *client = arg;
    static const char *const targets[] = {"/solve?poisson=8", "/solve?poisson=12",
                                          "/solve?poisson=14&rhs=sin", "/solve?poisson=16"};

    client->answer = ask(client->server, "POST", targets[client->index % 4], NULL);
    return NULL;
}

static void run_clients(const struct server *server)
{
    static struct client clients[CLIENTS];

    for (int k = 0; k < CLIENTS; k++) {
        struct client *client = &clients[k];
        *client = (struct client){.server = server, .index = k};
        client->started = CHECK(pthread_create(&client->thread, NULL, run_client, client) == 0);
    }
    CHECK(is_healthy(server));
    for (int k = 0; k < CLIENTS; k++) {
        if (clients[k].started) {
            pthread_join(clients[k].thread, NULL);
            solved(clients[k].answer);
        }
    }
}

/* What is made on demand is made a few times; what leaks is more after each round. So there is a
 * round that adds nothing, or there is a leak. A fourth of the systems are gangs, and small: where
 * a team has less than a CPU each of their regions may take a time slice. */
TEST(two_hundred_clients_at_once_are_all_answered_and_leave_nothing)
{
    struct server server = START("--gang-entries=1000");
    int fd = client_connect(server.port, TIMEOUT_S);
    int descriptors = 0;
    int threads = 0;
    bool grew = true;

    for (int round = 0; round < ROUNDS && grew; round++) {
        run_clients(&server);
        CHECK(reaches_over(fd, "solving", 0));
        CHECK(reaches_over(fd, "connections", 1));
        int descriptors_now = count_entries(server.pid, "fd");
        int threads_now = count_entries(server.pid, "task");
        grew = round == 0 || descriptors_now > descriptors || threads_now > threads;
        descriptors = descriptors_now;
        threads = threads_now;
    }
    CHECK(!grew);
    close(fd);
    stop(&server);
}

/* Returns whether the solve was still running when the server had begun to shut down. */
static bool ends_well_after_sigterm(int repetitions)
{
    struct server server = START("--grace=80000");
    int probe = client_connect(server.port, TIMEOUT_S);
    int fd = client_connect(server.port, TIMEOUT_S);
    char target[64];

    snprintf(target, sizeof target, "/solve?poisson=110&repeat=%d", repetitions);
    CHECK(client_send_head(fd, "POST", target, 0, false));
    double until = now_s() + TIMEOUT_S;
    while (number_over(probe, "solving") != 1.0 && !has_answer(fd) && now_s() < until) {
    }
    CHECK(kill(server.pid, SIGTERM) == 0);
    bool running = refuses_new_questions(probe) && !has_answer(fd);
    solved(client_receive(fd));
    close(fd);
    close(probe);
    wait_for_end(&server);
    return running;
}

TEST(sigterm_lets_a_running_solve_end)
{
    int repetitions = 4;

    /* One that is over so soon shows nothing, and is made longer. */
    while (!ends_well_after_sigterm(repetitions) && repetitions < 1 << 28) {
        repetitions *= 4;
    }
    CHECK(repetitions < 1 << 28);
}

TEST(sigterm_cancels_solves_after_the_grace_period)
{
    struct server server = START("--grace=0.1");
    int fds[3];

    for (int k = 0; k < 3; k++) {
        fds[k] = client_connect(server.port, TIMEOUT_S);
        CHECK(client_send_head(fds[k], "POST", ENDLESS, 0, false));
    }
    CHECK(reaches(&server, 3));
    CHECK(kill(server.pid, SIGTERM) == 0);
    for (int k = 0; k < 3; k++) {
        refused(client_receive(fds[k]), 503, 0, "cancelled");
        close(fds[k]);
    }
    wait_for_end(&server);
}

TEST(a_second_signal_cancels_at_once)
{
    struct server server = START("--grace=80000");
    int probe = client_connect(server.port, TIMEOUT_S);
    int fd = client_connect(server.port, TIMEOUT_S);

    CHECK(client_send_head(fd, "POST", ENDLESS, 0, false));
    CHECK(reaches_over(probe, "solving", 1));
    CHECK(kill(server.pid, SIGTERM) == 0);
    /* The first signal has been handled, and has cancelled nothing. */
    CHECK(refuses_new_questions(probe));
    CHECK(!has_answer(fd));
    CHECK(kill(server.pid, SIGINT) == 0);
    refused(client_receive(fd), 503, 0, "cancelled");
    close(fd);
    close(probe);
    wait_for_end(&server);
}

TEST(wrong_options_and_a_port_in_use_are_told)
{
    struct server server = START();
    char command[512];
    const char *const wrong[] = {"--port=x", "--nonsense", "--max-body=0", "--loomp-nonsense=1"};

    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        snprintf(command, sizeof command, "'%s' %s >/dev/null 2>&1", server_path, wrong[k]);
        int status = system(command);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    }
    snprintf(command, sizeof command, "'%s' --port=%d 2>&1 | grep -q 'cannot listen'", server_path,
             server.port);
    CHECK(system(command) == 0);
    snprintf(command, sizeof command, "'%s' --help | grep -q max-body", server_path);
    CHECK(system(command) == 0);
    stop(&server);
}

int main(int argc, char **argv)
{
    server_path = argc > 1 ? argv[1] : getenv("SOLVE_SERVER");
    data_path = argc > 2 ? argv[2] : getenv("EXAMPLE_DATA");
    if (server_path == NULL || data_path == NULL || access(server_path, X_OK) < 0) {
        printf("skipped: solve-server is not built (configure says why)\n0 passed, 0 failed\n");
        return 77;
    }
    signal(SIGPIPE, SIG_IGN);
    return harness_run(argc > 3 ? 2 : 1, argc > 3 ? (char *[]){argv[0], argv[3], NULL} : argv);
}
