/* SPDX-License-Identifier: MIT */
/* Connections, requests, limits. libmicrohttpd runs without a thread of its own: it has an epoll
 * descriptor, which an ev_io watches, and a timeout, which an ev_timer keeps. A connection whose
 * question is being solved is suspended; when the solve's `finished` comes back to the loop, the
 * connection is resumed and answered. Everything here happens on that one loop thread, so nothing
 * is locked. */
#include "http.h"

#include "json.h"
#include "page.h"
#include "sites.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <math.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* 0.9.71 gave functions that answered int a type of their own. */
#if MHD_VERSION >= 0x00097002
typedef enum MHD_Result answer;
#else
typedef int answer;
#endif

enum state {
    STATE_RECEIVING,
    STATE_SOLVING,
    STATE_ANSWERING,
};

struct request {
    struct http *http;
    struct MHD_Connection *connection;
    struct request *next;
    struct request *previous;
    enum state state;
    enum http_where where;
    double began; /* the loop's time */
    char *body;
    size_t size;
    size_t capacity;
    size_t held; /* what it counts for in http->held_bytes */
    int refused; /* the body is swallowed, then this status and text are sent; 0: not refused */
    const char *why;
    struct solve solve;
};

struct http {
    struct http_options options;
    loomp_runtime *runtime;
    loomp_loop *loop;
    struct ev_loop *ev;
    struct MHD_Daemon *daemon;
    struct MHD_Response *healthy;
    struct MHD_Response *page;
    int port;
    ev_io ready;      /* libmicrohttpd's epoll descriptor */
    ev_timer timeout; /* libmicrohttpd's next timeout */
    int gone_fd;      /* an epoll set of the suspended connections */
    ev_io gone;
    struct request *requests; /* the questions, from their headers until their answer is sent */
    int solves;
    int connections; /* open ones, idle ones among them */
    size_t held_bytes;
    uint64_t answered;
    int shutdowns; /* how often http_shutdown was called */
    bool idle;     /* shutting down, and the runtime has nothing left to do */
    ev_timer grace;
    ev_timer last_answers;
    int last_turns;
    void (*ended)(void *arg);
    void *ended_arg;
};

/* What con_cls points to for requests that need no memory. */
static char plain_request;

/* --- running libmicrohttpd on the loop ------------------------------------------------------- */

static void run_daemon(struct http *http)
{
    MHD_UNSIGNED_LONG_LONG ms;

    MHD_run(http->daemon);
    ev_timer_stop(http->ev, &http->timeout);
    if (MHD_get_timeout(http->daemon, &ms) == MHD_YES) {
        ev_timer_set(&http->timeout, (double)ms / 1e3, 0.0);
        ev_timer_start(http->ev, &http->timeout);
    }
}

static void on_ready(struct ev_loop *ev, ev_io *watcher, int events)
{
    (void)ev;
    (void)events;
    run_daemon(watcher->data);
}

static void on_timeout(struct ev_loop *ev, ev_timer *watcher, int events)
{
    (void)ev;
    (void)events;
    run_daemon(watcher->data);
}

/* --- clients that leave ---------------------------------------------------------------------- */

/* libmicrohttpd does not look at a suspended connection. This set does: edge-triggered, because a
 * client may send its next request early, which must neither wake us again and again nor be read.
 */
static void watch_client(struct request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = request};

    /* Without it the solve of a client that has left runs to its end: a loss, but no error. */
    (void)epoll_ctl(request->http->gone_fd, EPOLL_CTL_ADD, info->connect_fd, &event);
}

static void forget_client(struct request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    (void)epoll_ctl(request->http->gone_fd, EPOLL_CTL_DEL, info->connect_fd, NULL);
}

static void on_gone(struct ev_loop *ev, ev_io *watcher, int revents)
{
    struct epoll_event events[32];
    int count = epoll_wait(watcher->fd, events, 32, 0);

    (void)ev;
    (void)revents;
    for (int k = 0; k < count; k++) {
        struct request *request = events[k].data.ptr;
        if (request->state == STATE_SOLVING) {
            solve_cancel(&request->solve);
        }
    }
}

/* --- requests -------------------------------------------------------------------------------- */

static struct request *request_new(struct http *http, struct MHD_Connection *connection)
{
    struct request *request = calloc(1, sizeof *request);

    if (request == NULL) {
        return NULL;
    }
    request->http = http;
    request->connection = connection;
    request->where = http->options.where;
    request->began = ev_now(http->ev);
    solve_init(&request->solve, &http->options.solve);
    request->next = http->requests;
    if (request->next != NULL) {
        request->next->previous = request;
    }
    http->requests = request;
    http->solves++;
    return request;
}

static void request_free(struct request *request)
{
    struct http *http = request->http;

    if (request->previous != NULL) {
        request->previous->next = request->next;
    } else {
        http->requests = request->next;
    }
    if (request->next != NULL) {
        request->next->previous = request->previous;
    }
    http->solves--;
    http->held_bytes -= request->held;
    solve_fini(&request->solve);
    free(request->body);
    free(request);
}

/* Keeps the first reason, and gives back what was received. */
static void refuse(struct request *request, int status, const char *why)
{
    if (request->refused == 0) {
        request->refused = status;
        request->why = why;
    }
    request->http->held_bytes -= request->held;
    request->held = 0;
    free(request->body);
    request->body = NULL;
}

/* Room for `more` bytes and a terminating 0. */
static bool request_grow(struct request *request, size_t more)
{
    struct http *http = request->http;
    size_t wanted = request->size + more;

    if (wanted > http->options.max_body_bytes) {
        refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than the server accepts");
        return false;
    }
    if (wanted < request->capacity) {
        return true;
    }
    size_t capacity = 2 * wanted + 4096;
    if (capacity > http->options.max_body_bytes + 1) {
        capacity = http->options.max_body_bytes + 1;
    }
    if (http->held_bytes + capacity - request->held > http->options.max_held_bytes) {
        refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the server holds enough requests already");
        return false;
    }
    char *body = realloc(request->body, capacity);
    if (body == NULL) {
        refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the body");
        return false;
    }
    http->held_bytes += capacity - request->held;
    request->held = capacity;
    request->body = body;
    request->capacity = capacity;
    return true;
}

static bool receive(struct request *request, const char *data, size_t size)
{
    if (ev_now(request->http->ev) - request->began > 10.0 * request->http->options.timeout_s) {
        return false;
    }
    if (request->refused == 0 && request_grow(request, size)) {
        memcpy(request->body + request->size, data, size);
    }
    request->size += size;
    return true;
}

/* --- the query ------------------------------------------------------------------------------- */

static const char *argument(struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

static bool number_argument(struct request *request, const char *name, double low, double high,
                            double *value)
{
    const char *text = argument(request, name);
    char *end;

    if (text == NULL) {
        return true;
    }
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= low && number <= high)) {
        return false;
    }
    *value = number;
    return true;
}

static void read_query(struct request *request)
{
    struct solve *solve = &request->solve;
    double side = 0.0;
    double iterations = (double)solve->max_iterations;
    double repetitions = (double)solve->repetitions;
    double offload = -1.0;
    double want_x = 0.0;
    const char *rhs = argument(request, "rhs");

    if (!number_argument(request, "tol", 1e-15, 0.5, &solve->tolerance)) {
        refuse(request, MHD_HTTP_BAD_REQUEST, "tol is not a number from 1e-15 to 0.5");
    }
    if (!number_argument(request, "maxit", 1.0, 1e6, &iterations)) {
        refuse(request, MHD_HTTP_BAD_REQUEST, "maxit is not a number from 1 to 1,000,000");
    }
    if (!number_argument(request, "repeat", 1.0, 1e9, &repetitions) ||
        repetitions != floor(repetitions)) {
        refuse(request, MHD_HTTP_BAD_REQUEST,
               "repeat is not a whole number from 1 to 1,000,000,000");
    }
    if (!number_argument(request, "poisson", 1.0, 1e6, &side) || side != floor(side)) {
        refuse(request, MHD_HTTP_BAD_REQUEST, "poisson is not the side of a grid");
    }
    if (side * side > (double)solve->limits->max_rows ||
        5.0 * side * side > (double)solve->limits->max_entries) {
        refuse(request, MHD_HTTP_CONTENT_TOO_LARGE,
               "the grid has more points than the server takes");
    }
    if (!number_argument(request, "offload", 0.0, 1.0, &offload)) {
        refuse(request, MHD_HTTP_BAD_REQUEST, "offload is neither 0 nor 1");
    }
    if (!number_argument(request, "x", 0.0, 1.0, &want_x)) {
        refuse(request, MHD_HTTP_BAD_REQUEST, "x is neither 0 nor 1");
    }
    solve->max_iterations = (int64_t)iterations;
    solve->repetitions = (int64_t)repetitions;
    solve->poisson = (int64_t)side;
    solve->want_x = want_x == 1.0;
    if (offload >= 0.0) {
        request->where = offload == 1.0 ? HTTP_OFFLOADED : HTTP_ON_LOOP;
    }
    if (rhs != NULL) {
        solve->rhs = strdup(rhs);
        if (solve->rhs == NULL) {
            refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the right-hand side");
        }
    }
}

/* --- answers --------------------------------------------------------------------------------- */

static answer send_text(struct MHD_Connection *connection, int status, const char *type, char *text,
                        size_t size)
{
    if (text == NULL) {
        static char nothing[] = "{\"error\":\"no memory for the answer\"}";
        struct MHD_Response *response =
            MHD_create_response_from_buffer(sizeof nothing - 1, nothing, MHD_RESPMEM_PERSISTENT);
        answer sent = MHD_queue_response(connection, MHD_HTTP_SERVICE_UNAVAILABLE, response);
        MHD_destroy_response(response);
        return sent;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE) {
        MHD_add_response_header(response, "Retry-After", "1");
    }
    answer sent = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return sent;
}

static answer send_error(struct MHD_Connection *connection, int status, const char *why)
{
    struct json j;
    size_t size = 0;

    json_init(&j);
    json_open(&j, NULL, '{');
    json_text(&j, "error", why);
    json_close(&j, '}');
    char *text = json_finish(&j, &size);
    return send_text(connection, status, "application/json", text, size);
}

static answer send_solution(struct request *request)
{
    struct solve *solve = &request->solve;
    char *json = solve->json;

    solve->json = NULL;
    request->http->answered++;
    return send_text(request->connection, solve->status, "application/json", json,
                     solve->json_bytes);
}

static answer send_threads(struct http *http, struct MHD_Connection *connection)
{
    static const char *const roles[] = {"loop", "task team", "gang team", "blocking"};
    static const char *const states[] = {"parked", "searching", "busy", "paused"};
    struct loomp_thread_info *threads;
    struct json j;
    size_t size = 0;
    int count = loomp_threads(http->runtime, NULL, 0);

    if (count < 0) {
        count = 0;
    }
    threads = calloc((size_t)count + 1, sizeof *threads);
    if (threads == NULL) {
        return send_error(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the threads");
    }
    int now = loomp_threads(http->runtime, threads, count);
    json_init(&j);
    json_open(&j, NULL, '{');
    json_open(&j, "threads", '[');
    for (int k = 0; k < count && k < now; k++) {
        const struct loomp_thread_info *t = &threads[k];
        json_open(&j, NULL, '{');
        json_text(&j, "name", t->name);
        json_text(&j, "role", t->role >= 0 && t->role < 4 ? roles[t->role] : "other");
        json_text(&j, "state", t->state >= 0 && t->state < 4 ? states[t->state] : "other");
        json_int(&j, "cpu", t->cpu);
        json_int(&j, "jobs", (int64_t)t->jobs);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_int(&j, "solving", http->solves);
    json_int(&j, "max_solves", http->options.max_solves);
    json_int(&j, "connections", http->connections);
    json_int(&j, "answered", (int64_t)http->answered);
    json_int(&j, "max_body", (int64_t)http->options.max_body_bytes);
    json_close(&j, '}');
    free(threads);
    char *text = json_finish(&j, &size);
    return send_text(connection, MHD_HTTP_OK, "application/json", text, size);
}

/* Calls that were over after ?after=SECONDS, so that a page asks for what is new to it. */
static answer send_sites(struct http *http, struct MHD_Connection *connection)
{
    const char *after = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "after");
    size_t size = 0;
    char *text = sites_json(http->runtime, after != NULL ? strtod(after, NULL) : 0.0, &size);

    return send_text(connection, MHD_HTTP_OK, "application/json", text, size);
}

static answer send_plain(struct http *http, struct MHD_Connection *connection, const char *url,
                         const char *method)
{
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool solve = strcmp(url, "/solve") == 0;
    bool health = strcmp(url, "/healthz") == 0;
    bool threads = strcmp(url, "/threads") == 0;
    bool sites = strcmp(url, "/sites") == 0;
    bool page = strcmp(url, "/") == 0;

    if (!(solve || health || threads || sites || page)) {
        return send_error(connection, MHD_HTTP_NOT_FOUND,
                          "there are /, /solve, /healthz, /threads and /sites");
    }
    if (!get || solve) {
        return send_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                          "/solve takes POST, the others GET");
    }
    if (health) {
        return MHD_queue_response(connection, MHD_HTTP_OK, http->healthy);
    }
    if (page) {
        return MHD_queue_response(connection, MHD_HTTP_OK, http->page);
    }
    return sites ? send_sites(http, connection) : send_threads(http, connection);
}

/* --- solving --------------------------------------------------------------------------------- */

static void on_finished(struct solve *solve)
{
    struct request *request = LOOMP_CONTAINER(solve, struct request, solve);
    struct http *http = request->http;

    request->state = STATE_ANSWERING;
    forget_client(request);
    MHD_resume_connection(request->connection);
    /* Not run_daemon: when many solves end in one turn of the loop, it is wanted once. */
    ev_feed_event(http->ev, &http->ready, EV_READ);
}

static answer begin_solve(struct request *request)
{
    struct http *http = request->http;
    struct solve *solve = &request->solve;

    if (request->body != NULL) {
        request->body[request->size] = '\0';
        solve->body = request->body;
        solve->body_bytes = request->size;
        request->body = NULL;
    } else if (solve->poisson == 0) {
        /* An empty body is an empty file, and is told so by the parser. */
        solve->body = calloc(1, 1);
        if (solve->body == NULL) {
            return send_error(request->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory");
        }
    }
    if (request->where == HTTP_ON_LOOP) {
        solve_inline(solve);
        request->state = STATE_ANSWERING;
        return send_solution(request);
    }
    solve->offload = request->where == HTTP_OFFLOADED;
    solve->finished = on_finished;
    int err = solve_start(http->runtime, solve);
    if (err < 0) {
        request->state = STATE_ANSWERING;
        return send_error(request->connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                          err == -ESHUTDOWN ? "the server is shutting down" : loomp_error());
    }
    request->state = STATE_SOLVING;
    MHD_suspend_connection(request->connection);
    watch_client(request);
    return MHD_YES;
}

/* Whether to answer before the body is read. A client that asked for permission (Expect) waits for
 * it; another would meet a reset connection while it sends, and miss the answer, so its body is
 * swallowed, unless it is out of all proportion. */
static bool answer_early(struct request *request)
{
    struct http *http = request->http;
    const char *length = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *expect =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
    unsigned long long bytes = length != NULL ? strtoull(length, NULL, 10) : 0;

    if (bytes > http->options.max_body_bytes) {
        refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than the server accepts");
    }
    return request->refused != 0 && (expect != NULL || bytes / 16 > http->options.max_body_bytes);
}

static answer begin_question(struct http *http, struct MHD_Connection *connection, void **con_cls)
{
    bool full = http->solves >= http->options.max_solves;
    struct request *request = request_new(http, connection);

    if (request == NULL) {
        return MHD_NO;
    }
    *con_cls = request;
    if (http->shutdowns > 0) {
        refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is shutting down");
    } else if (full) {
        refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "too many systems are being solved already");
    }
    read_query(request);
    if (answer_early(request)) {
        request->state = STATE_ANSWERING;
        return send_error(connection, request->refused, request->why);
    }
    return MHD_YES;
}

/* libmicrohttpd calls this once for the headers, then for every piece of the body, then once more;
 * and again when a suspended connection is resumed. */
static answer on_request(void *cls, struct MHD_Connection *connection, const char *url,
                         const char *method, const char *version, const char *data, size_t *size,
                         void **con_cls)
{
    struct http *http = cls;
    struct request *request = *con_cls;

    (void)version;
    if (*con_cls == NULL) {
        if (strcmp(url, "/solve") == 0 && strcmp(method, "POST") == 0) {
            return begin_question(http, connection, con_cls);
        }
        *con_cls = &plain_request;
        return MHD_YES;
    }
    if (*con_cls == &plain_request) {
        if (*size > 0) {
            *size = 0;
            return MHD_YES;
        }
        return send_plain(http, connection, url, method);
    }
    switch (request->state) {
    case STATE_RECEIVING:
        if (*size > 0) {
            answer go_on = receive(request, data, *size) ? MHD_YES : MHD_NO;
            *size = 0;
            return go_on;
        }
        if (request->refused != 0) {
            request->state = STATE_ANSWERING;
            return send_error(connection, request->refused, request->why);
        }
        return begin_solve(request);
    case STATE_SOLVING:
        return MHD_YES;
    case STATE_ANSWERING:
        return send_solution(request);
    }
    return MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode how)
{
    (void)cls;
    (void)connection;
    (void)how;
    if (*con_cls != NULL && *con_cls != &plain_request) {
        request_free(*con_cls);
    }
    *con_cls = NULL;
}

/* Closed is said in the turn that closes the descriptor: whoever reads the count on this thread
 * finds no descriptor that it does not count. */
static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http *http = cls;

    (void)connection;
    (void)socket_context;
    http->connections += what == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1;
}

/* --- opening and closing --------------------------------------------------------------------- */

static void http_free(struct http *http)
{
    if (http->daemon != NULL) {
        MHD_stop_daemon(http->daemon);
    }
    if (http->healthy != NULL) {
        MHD_destroy_response(http->healthy);
    }
    if (http->page != NULL) {
        MHD_destroy_response(http->page);
    }
    if (http->gone_fd >= 0) {
        close(http->gone_fd);
    }
    free(http);
}

static void on_loop_exit(loomp_loop *loop, void *arg)
{
    struct http *http = arg;

    (void)loop;
    ev_io_stop(http->ev, &http->ready);
    ev_io_stop(http->ev, &http->gone);
    ev_timer_stop(http->ev, &http->timeout);
    ev_timer_stop(http->ev, &http->grace);
    ev_timer_stop(http->ev, &http->last_answers);
    http_free(http);
}

static struct MHD_Response *constant(const void *text, size_t size, const char *type)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, (void *)text, MHD_RESPMEM_PERSISTENT);

    if (response != NULL) {
        MHD_add_response_header(response, "Content-Type", type);
        MHD_add_response_header(response, "Cache-Control", "no-store");
    }
    return response;
}

static struct MHD_Daemon *start_daemon(struct http *http, const struct sockaddr_in *address)
{
    const struct http_options *o = &http->options;
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, o->max_connections, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, o->timeout_s, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, 64 * 1024, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, http},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, http},
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)o->port, NULL, NULL,
                            on_request, http, MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_ARRAY,
                            items, MHD_OPTION_END);
}

int http_open(struct http **out, loomp_runtime *runtime, loomp_loop *loop,
              const struct http_options *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port)};
    struct http *http;
    int err;

    if (inet_pton(AF_INET, options->address, &address.sin_addr) != 1) {
        return -EINVAL;
    }
    http = calloc(1, sizeof *http);
    if (http == NULL) {
        return -ENOMEM;
    }
    http->options = *options;
    http->runtime = runtime;
    http->loop = loop;
    http->ev = loomp_loop_ev(loop);
    http->gone_fd = epoll_create1(EPOLL_CLOEXEC);
    http->healthy = constant("ok\n", 3, "text/plain");
    http->page = constant(page_html, page_html_size, "text/html; charset=utf-8");
    if (http->gone_fd < 0 || http->healthy == NULL || http->page == NULL) {
        err = http->gone_fd < 0 ? -errno : -ENOMEM;
        goto free_http;
    }
    errno = 0;
    http->daemon = start_daemon(http, &address);
    if (http->daemon == NULL) {
        err = errno != 0 ? -errno : -EIO;
        goto free_http;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    http->port = info->port;
    info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    err = loomp_loop_at_exit(loop, on_loop_exit, http);
    if (err < 0) {
        goto free_http;
    }

    ev_io_init(&http->ready, on_ready, info->epoll_fd, EV_READ);
    ev_io_init(&http->gone, on_gone, http->gone_fd, EV_READ);
    ev_timer_init(&http->timeout, on_timeout, 0.0, 0.0);
    http->ready.data = http->gone.data = http->timeout.data = http;
    ev_io_start(http->ev, &http->ready);
    ev_io_start(http->ev, &http->gone);
    run_daemon(http);
    *out = http;
    return 0;

free_http:
    http_free(http);
    return err;
}

int http_port(const struct http *http)
{
    return http->port;
}

/* --- shutting down --------------------------------------------------------------------------- */

static void cancel_all(struct http *http)
{
    for (struct request *r = http->requests; r != NULL; r = r->next) {
        if (r->state == STATE_SOLVING) {
            solve_cancel(&r->solve);
        }
    }
}

static void on_grace(struct ev_loop *ev, ev_timer *watcher, int events)
{
    (void)ev;
    (void)events;
    cancel_all(watcher->data);
}

/* The last solves are done; their answers may still be on the way to slow clients, which get two
 * seconds. */
static void on_last_answers(struct ev_loop *ev, ev_timer *watcher, int events)
{
    struct http *http = watcher->data;

    (void)events;
    run_daemon(http);
    if (http->requests == NULL || ++http->last_turns > 100) {
        ev_timer_stop(ev, watcher);
        http->ended(http->ended_arg);
    }
}

static void on_idle(loomp_runtime *runtime, void *arg)
{
    struct http *http = arg;

    (void)runtime;
    ev_timer_stop(http->ev, &http->grace);
    ev_timer_init(&http->last_answers, on_last_answers, 0.0, 0.02);
    http->last_answers.data = http;
    ev_timer_start(http->ev, &http->last_answers);
}

void http_shutdown(struct http *http, void (*fn)(void *arg), void *arg)
{
    if (http->shutdowns++ > 0) {
        cancel_all(http);
        return;
    }
    http->ended = fn;
    http->ended_arg = arg;
    MHD_socket listening = MHD_quiesce_daemon(http->daemon);
    if (listening != MHD_INVALID_SOCKET) {
        close(listening);
    }
    ev_timer_init(&http->grace, on_grace, http->options.grace_s, 0.0);
    http->grace.data = http;
    ev_timer_start(http->ev, &http->grace);
    int err = loomp_shutdown_notify(http->runtime, http->loop, on_idle, http);
    if (err < 0) {
        on_idle(http->runtime, http);
    }
}
