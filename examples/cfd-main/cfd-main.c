/* SPDX-License-Identifier: MIT */
/* The flow in a square cavity under a moving lid: vorticity and stream function on a grid, explicit
 * steps, Jacobi sweeps. An ordinary OpenMP program with regions in main() and in its functions; it
 * writes a checkpoint every few steps. There are two forms, cfd-plain.c and cfd-main.c; the second
 * has a socket that tells how far it is, and checkpoints that do not hold up steps, both by loomp:
 * diff shows what that takes.
 *
 * Its numbers do not depend on how many threads compute them: no sum is formed across threads but
 * that of the rows' sums, by one thread and in their order. */
#include <errno.h>
#include <ev.h>
#include <loomp.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "unix_socket.h"

enum { SWEEPS = 20 }; /* even, so that the last one ends in psi */

struct timer {
    double total_s, slowest_s;
};

struct flow {
    int n;               /* points per side */
    int step, steps;     /* done, wanted */
    int every;           /* steps between checkpoints */
    const char *name;    /* first part of the checkpoints' names */
    double viscosity, dt, time;
    double residual;     /* how much the last step changed the vorticity, root mean square */
    double *state;       /* n * n of psi, then n * n of omega: what a checkpoint holds */
    double *next;        /* n * n, zero at the walls between steps */
    double *rows;        /* n partial sums */
    struct timer stepping, saving;
};

static loomp_runtime *rt;
static int (*on_team)(void *arg); /* the phase that runs on loomp's team */
static _Atomic struct progress { int step; float residual; } seen;
static struct flow saved; /* the copy that is being written */
static loomp_job save_job;
static loomp_group saving;
static ev_io monitor;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Runs one phase of the program and takes its time. */
static int timed(int (*phase)(void *arg), void *arg, struct timer *timer)
{
    double start = seconds();
    int err = phase == on_team ? loomp_install(rt, phase, arg) : phase(arg);
    double took = seconds() - start;
    timer->total_s += took;
    timer->slowest_s = took > timer->slowest_s ? took : timer->slowest_s;
    return err;
}

/* Vorticity at the walls from the stream function next to them; the lid moves with speed 1. */
static void set_wall_vorticity(const struct flow *flow, int k)
{
    int n = flow->n, last = n - 1;
    const double *psi = flow->state;
    double *omega = flow->state + n * n, h = 1.0 / last, f = -2 / (h * h);
    omega[k] = f * psi[n + k];
    omega[last * n + k] = f * psi[(last - 1) * n + k] - 2 / h;
    omega[k * n] = f * psi[k * n + 1];
    omega[k * n + last] = f * psi[k * n + last - 1];
}

/* The new vorticity of row i; returns the sum of the squared changes. */
static double transport(const struct flow *flow, int i)
{
    int n = flow->n;
    const double *psi = flow->state, *omega = psi + n * n;
    double h = 1.0 / (n - 1), sum = 0;
    for (int c = i * n + 1; c < i * n + n - 1; c++) {
        double u = (psi[c + n] - psi[c - n]) / (2 * h), v = -(psi[c + 1] - psi[c - 1]) / (2 * h);
        double along = u * (omega[c + 1] - omega[c - 1]) + v * (omega[c + n] - omega[c - n]);
        double spread = omega[c + 1] + omega[c - 1] + omega[c + n] + omega[c - n] - 4 * omega[c];
        double change = flow->dt * (flow->viscosity * spread / (h * h) - along / (2 * h));
        flow->next[c] = omega[c] + change;
        sum += change * change;
    }
    return sum;
}

/* One time step. */
static int advance(void *arg)
{
    struct flow *flow = arg;
    int n = flow->n, last = n - 1;
    double *psi = flow->state, *omega = psi + n * n, *next = flow->next;
    double h = 1.0 / last, sum = 0;
#pragma omp parallel
    {
        for (int sweep = 0; sweep < SWEEPS; sweep++) {
            const double *from = sweep % 2 ? next : psi;
            double *to = sweep % 2 ? psi : next;
#pragma omp for schedule(static)
            for (int i = 1; i < last; i++) {
                for (int c = i * n + 1; c < i * n + last; c++) {
                    to[c] = 0.25 * (from[c - 1] + from[c + 1] + from[c - n] + from[c + n] +
                                    h * h * omega[c]);
                }
            }
        }
#pragma omp for schedule(static)
        for (int k = 1; k < last; k++) {
            set_wall_vorticity(flow, k);
        }
#pragma omp for schedule(static)
        for (int i = 1; i < last; i++) {
            flow->rows[i] = transport(flow, i);
        }
#pragma omp for schedule(static)
        for (int i = 1; i < last; i++) {
            memcpy(omega + i * n + 1, next + i * n + 1, (size_t)(n - 2) * sizeof *omega);
        }
    }
    for (int i = 1; i < last; i++) {
        sum += flow->rows[i];
    }
    flow->residual = sqrt(sum) / n;
    flow->time = ++flow->step * flow->dt;
    return isfinite(flow->residual) ? 0 : -EDOM;
}

/* Writes a checkpoint and returns when it is on the disk. */
static int save(void *arg)
{
    const struct flow *flow = arg;
    size_t cells = (size_t)flow->n * (size_t)flow->n;
    char path[256];
    snprintf(path, sizeof path, "%s.%d", flow->name, flow->step);
    FILE *file = fopen(path, "wb");
    if (!file) {
        return -errno;
    }
    fwrite(&flow->step, sizeof flow->step, 1, file);
    fwrite(&flow->time, sizeof flow->time, 1, file);
    fwrite(&flow->residual, sizeof flow->residual, 1, file);
    fwrite(flow->state, sizeof *flow->state, 2 * cells, file);
    int err = fflush(file) || ferror(file) || fsync(fileno(file)) ? -EIO : 0;
    return fclose(file) ? -EIO : err;
}

static int save_copy(loomp_job *job)
{
    return save(job->data);
}

static int save_later(void *arg)
{
    int err = loomp_group_wait(&saving, -1); /* the one before */
    double *copy = saved.state;
    saved = *(struct flow *)arg;
    saved.state = memcpy(copy, saved.state, 2 * sizeof *copy * (size_t)(saved.n * saved.n));
    return err ? err : loomp_submit_blocking(rt, &save_job);
}

static void answer(struct ev_loop *ev, ev_io *watcher, int events)
{
    (void)ev, (void)events;
    struct progress now = seen;
    unix_socket_answer(watcher->fd, "{\"step\":%d,\"time\":%.9g,\"residual\":%.9g}\n", now.step,
                       now.step * *(double *)watcher->data, now.residual);
}

static void start_monitor(loomp_loop *loop, void *watcher)
{
    ev_io_start(loomp_loop_ev(loop), watcher);
}

/* All steps. */
static int run(void *arg)
{
    struct flow *flow = arg;
    int err = 0;
    while (!err && flow->step < flow->steps) {
        err = timed(advance, flow, &flow->stepping);
        seen = (struct progress){flow->step, (float)flow->residual};
        loomp_gang_pause(rt); /* nothing, unless this loop runs as a GANG */
        if (!err && flow->step % flow->every == 0) {
            err = timed(save_later, flow, &flow->saving);
        }
    }
    err = err ? err : loomp_group_wait(&saving, -1);
    return err;
}

int main(int argc, char **argv)
{
    struct flow flow = {.n = argc > 1 ? atoi(argv[1]) : 129,
                        .steps = argc > 2 ? atoi(argv[2]) : 2000,
                        .every = argc > 3 ? atoi(argv[3]) : 100,
                        .name = argc > 4 ? argv[4] : "cavity",
                        .viscosity = 0.01};
    if (flow.n < 3 || flow.n > 16384 || flow.steps < 1 || flow.every < 1) {
        fprintf(stderr, "usage: %s [SIDE [STEPS [STEPS-BETWEEN-CHECKPOINTS [NAME]]]]\n", argv[0]);
        return 2;
    }
    int n = flow.n;
    size_t cells = (size_t)n * (size_t)n;
    flow.dt = 0.2 / (flow.viscosity * (n - 1) * (n - 1));
    flow.dt = flow.dt < 0.2 / (n - 1) ? flow.dt : 0.2 / (n - 1);
    flow.state = malloc(2 * cells * sizeof *flow.state);
    flow.next = malloc(cells * sizeof *flow.next);
    flow.rows = calloc((size_t)n, sizeof *flow.rows);
    if (!flow.state || !flow.next || !flow.rows) {
        fprintf(stderr, "%s: no memory for %d * %d points\n", argv[0], n, n);
        return 1;
    }
    double *psi = flow.state, *omega = psi + cells, *next = flow.next;
    /* Each thread touches the rows first that it will compute. */
#pragma omp parallel for schedule(static)
    for (int i = 0; i < n; i++) {
        memset(psi + i * n, 0, (size_t)n * sizeof *psi);
        memset(omega + i * n, 0, (size_t)n * sizeof *omega);
        memset(next + i * n, 0, (size_t)n * sizeof *next);
    }
    struct timer all = {0, 0};
    char *path = argc > 5 ? argv[5] : "cavity.sock", *form = argc > 6 ? argv[6] : "step";
    on_team = strcmp(form, "gang") == 0 ? run : strcmp(form, "own") == 0 ? NULL : advance;
    ev_io_init(&monitor, answer, unix_socket_listen(path), EV_READ);
    monitor.data = &flow.dt;
    save_job = (loomp_job){.work = save_copy, .data = &saved, .group = &saving};
    saved.state = malloc(2 * cells * sizeof *saved.state);
    if (monitor.fd < 0 || !saved.state || loomp_start(&rt, NULL)) {
        bool ours = saved.state && monitor.fd >= 0;
        fprintf(stderr, "%s: %s\n", argv[0], ours ? loomp_error() : strerror(errno));
        return 1;
    }
    loomp_group_init(&saving, rt);
    loomp_post(loomp_loop_at(rt, 0), start_monitor, &monitor);
    int err = timed(run, &flow, &all);
    double strongest = 0;
#pragma omp parallel for schedule(static) reduction(min : strongest)
    for (size_t c = 0; c < cells; c++) {
        strongest = psi[c] < strongest ? psi[c] : strongest;
    }
    printf("%d steps, time %.4f, residual %.3e, vortex %.8f\n", flow.step, flow.time, flow.residual,
           strongest);
    printf("%.3f s; a step %.3f ms, the slowest %.3f; all checkpoints %.3f ms, the slowest %.3f\n",
           all.total_s, 1e3 * flow.stepping.total_s / flow.step, 1e3 * flow.stepping.slowest_s,
           1e3 * flow.saving.total_s, 1e3 * flow.saving.slowest_s);
    if (err) {
        fprintf(stderr, "%s: step %d: %s\n", argv[0], flow.step, strerror(-err));
    }
    free(flow.state);
    loomp_stop(rt);
    unlink(path);
    free(saved.state);
    free(flow.next);
    free(flow.rows);
    return err ? 1 : 0;
}
