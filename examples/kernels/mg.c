/* SPDX-License-Identifier: MIT */
/* MG of the NAS parallel benchmarks: four V-cycles of multigrid for Poisson's equation on a
 * periodic cube, with ten charges of each sign. Loops over the planes of grids from large to tiny:
 * a region for each, or a taskloop.
 *
 * A grid of n^3 points has n planes, which are addressed round the end; in a plane, each row has a
 * copy of its last point before the first and of its first after the last, and the first and last
 * row stand in the same way. Any thread may enter it, several at once. */
#include "kernels.h"
#include "npb_random.h"

#include <errno.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CYCLES = 4, CHARGES = 10, LEVELS = 7, LARGEST = 1 << LEVELS, ROW = LARGEST + 2 };

struct grid {
    int n;
    double *cell; /* n planes of (n + 2)^2 */
};

struct problem {
    int levels;  /* the finest grid has 2^levels points a side */
    double norm; /* known, of the last residual */
};

/* The grids of level l are at [l]; level 0 is not used. */
struct multigrid {
    int levels;
    struct grid u[LEVELS + 1], r[LEVELS + 1], v;
    double part[LARGEST]; /* sums of planes */
    double *memory;
};

/* What is done to one plane of a grid, from one or two others. */
typedef void plane_fn(const struct grid *to, const struct grid *a, const struct grid *b, int plane);

typedef void planes_fn(plane_fn *work, const struct grid *to, const struct grid *a,
                       const struct grid *b);

/* By centre, face, edge and corner neighbours. */
static const double laplace[4] = {-8.0 / 3, 0, 1.0 / 6, 1.0 / 12};
static const double smoother[4] = {-3.0 / 8, 1.0 / 32, -1.0 / 64, 0};

static int problem_of(char size, struct problem *problem)
{
    switch (size) {
    case 'S':
        *problem = (struct problem){5, 0.5307707005734e-4};
        return 0;
    case 'W':
        *problem = (struct problem){7, 0.6467329375339e-5};
        return 0;
    default:
        return -EINVAL;
    }
}

/* A row's cell 0 is the copy before its first point; so is row 0. n is a power of two. */
static double *row_of(const struct grid *grid, int plane, int row)
{
    size_t side = (size_t)grid->n + 2;
    return grid->cell + ((size_t)(plane & (grid->n - 1)) * side + (size_t)row) * side;
}

static size_t cells_of(int n)
{
    return (size_t)n * ((size_t)n + 2) * ((size_t)n + 2);
}

/* Makes the copies of a plane after its points have changed. */
static void close_plane(const struct grid *grid, int plane)
{
    int n = grid->n;
    size_t bytes = ((size_t)n + 2) * sizeof(double);
    for (int j = 1; j <= n; j++) {
        double *row = row_of(grid, plane, j);
        row[0] = row[n];
        row[n + 1] = row[1];
    }
    memcpy(row_of(grid, plane, 0), row_of(grid, plane, n), bytes);
    memcpy(row_of(grid, plane, n + 1), row_of(grid, plane, 1), bytes);
}

/* Sums over the neighbours of each point of a row: those in the four adjacent rows of the same or
 * the next planes, and those in the four diagonal ones. */
static void add_neighbours(const struct grid *grid, int plane, int j, double *restrict adjacent,
                           double *restrict diagonal)
{
    const double *north = row_of(grid, plane, j + 1), *south = row_of(grid, plane, j - 1);
    const double *up = row_of(grid, plane + 1, j), *down = row_of(grid, plane - 1, j);
    const double *up_north = row_of(grid, plane + 1, j + 1);
    const double *up_south = row_of(grid, plane + 1, j - 1);
    const double *down_north = row_of(grid, plane - 1, j + 1);
    const double *down_south = row_of(grid, plane - 1, j - 1);
    for (int i = 0; i < grid->n + 2; i++) {
        adjacent[i] = south[i] + north[i] + down[i] + up[i];
        diagonal[i] = down_south[i] + down_north[i] + up_south[i] + up_north[i];
    }
}

/* to = v - A u. The grid v may be to itself. */
static void residual(const struct grid *to, const struct grid *v, const struct grid *u, int plane)
{
    double adjacent[ROW], diagonal[ROW];
    for (int j = 1; j <= to->n; j++) {
        const double *right = row_of(v, plane, j), *centre = row_of(u, plane, j);
        double *out = row_of(to, plane, j);
        add_neighbours(u, plane, j, adjacent, diagonal);
        /* The coefficient of the faces is zero. */
        for (int i = 1; i <= to->n; i++) {
            double edge = diagonal[i] + adjacent[i - 1] + adjacent[i + 1];
            double corner = diagonal[i - 1] + diagonal[i + 1];
            out[i] = right[i] - laplace[0] * centre[i] - laplace[2] * edge - laplace[3] * corner;
        }
    }
    close_plane(to, plane);
}

/* to += C r */
static void smooth(const struct grid *to, const struct grid *r, const struct grid *unused,
                   int plane)
{
    double adjacent[ROW], diagonal[ROW];
    (void)unused;
    for (int j = 1; j <= to->n; j++) {
        const double *centre = row_of(r, plane, j);
        double *out = row_of(to, plane, j);
        add_neighbours(r, plane, j, adjacent, diagonal);
        /* The coefficient of the corners is zero. */
        for (int i = 1; i <= to->n; i++) {
            double face = adjacent[i] + centre[i - 1] + centre[i + 1];
            double edge = diagonal[i] + adjacent[i - 1] + adjacent[i + 1];
            out[i] += smoother[0] * centre[i] + smoother[1] * face + smoother[2] * edge;
        }
    }
    close_plane(to, plane);
}

/* to = the weighted mean of the finer grid, whose point 2 k is point k of the coarser one; both
 * counted from the copies on. In planes, which have no copies, that is 2 k + 1. */
static void restrict_plane(const struct grid *to, const struct grid *fine,
                           const struct grid *unused, int plane)
{
    double adjacent[ROW], diagonal[ROW];
    (void)unused;
    for (int j = 1; j <= to->n; j++) {
        const double *centre = row_of(fine, 2 * plane + 1, 2 * j);
        double *out = row_of(to, plane, j);
        add_neighbours(fine, 2 * plane + 1, 2 * j, adjacent, diagonal);
        for (int i = 1; i <= to->n; i++) {
            int k = 2 * i;
            double face = adjacent[k] + centre[k - 1] + centre[k + 1];
            double edge = diagonal[k] + adjacent[k - 1] + adjacent[k + 1];
            double corner = diagonal[k - 1] + diagonal[k + 1];
            out[i] = 0.5 * centre[k] + 0.25 * face + 0.125 * edge + 0.0625 * corner;
        }
    }
    close_plane(to, plane);
}

/* to += the coarser grid, trilinear between its points. Rows of the coarser grid that a row lies
 * between are added first; where it lies on one, that is taken twice. */
static void prolong(const struct grid *to, const struct grid *coarse, const struct grid *unused,
                    int plane)
{
    (void)unused;
    int low = (plane + 1) / 2 - 1, high = plane / 2; /* -1 is the last plane */
    for (int j = 1; j <= to->n; j++) {
        const double *a = row_of(coarse, low, j / 2), *b = row_of(coarse, low, (j + 1) / 2);
        const double *c = row_of(coarse, high, j / 2), *d = row_of(coarse, high, (j + 1) / 2);
        double *out = row_of(to, plane, j), between[ROW];
        for (int i = 0; i <= coarse->n + 1; i++) {
            between[i] = 0.25 * (a[i] + b[i] + c[i] + d[i]);
        }
        for (int i = 0; i < coarse->n; i++) {
            out[2 * i + 1] += 0.5 * (between[i] + between[i + 1]);
            out[2 * i + 2] += between[i + 1];
        }
    }
    close_plane(to, plane);
}

static void clear(const struct grid *to, const struct grid *unused, const struct grid *unused_too,
                  int plane)
{
    (void)unused;
    (void)unused_too;
    size_t side = (size_t)to->n + 2;
    memset(row_of(to, plane, 0), 0, side * side * sizeof(double));
}

static double square_of_plane(const struct grid *grid, int plane)
{
    double sum = 0;
    for (int j = 1; j <= grid->n; j++) {
        const double *row = row_of(grid, plane, j);
        for (int i = 1; i <= grid->n; i++) {
            sum += row[i] * row[i];
        }
    }
    return sum;
}

/* Grids of a few points are not worth the sharing. */
static bool tiny(const struct grid *grid)
{
    return grid->n < 16;
}

static void planes_alone(plane_fn *work, const struct grid *to, const struct grid *a,
                         const struct grid *b)
{
    for (int plane = 0; plane < to->n; plane++) {
        work(to, a, b, plane);
    }
}

static void planes_region(plane_fn *work, const struct grid *to, const struct grid *a,
                          const struct grid *b)
{
    if (tiny(to)) {
        planes_alone(work, to, a, b);
        return;
    }
#pragma omp parallel for schedule(static)
    for (int plane = 0; plane < to->n; plane++) {
        work(to, a, b, plane);
    }
}

static void planes_tasks(plane_fn *work, const struct grid *to, const struct grid *a,
                         const struct grid *b)
{
    if (tiny(to)) {
        planes_alone(work, to, a, b);
        return;
    }
    size_t n = (size_t)to->n, grain = n > 64 ? 4 : 8;
    /* The clause says what is so without it; clang 14 crashes on a captured pointer to function. */
#pragma omp taskloop grainsize(grain) firstprivate(work, to, a, b)
    for (size_t plane = 0; plane < n; plane++) {
        work(to, a, b, (int)plane);
    }
}

static double square_region(struct multigrid *grids, const struct grid *grid, int *threads)
{
    double sum = 0;
    (void)grids;
#pragma omp parallel reduction(+ : sum)
    {
#pragma omp for schedule(static)
        for (int plane = 0; plane < grid->n; plane++) {
            sum += square_of_plane(grid, plane);
        }
#pragma omp single nowait
        *threads = omp_get_num_threads();
    }
    return sum;
}

static double square_tasks(struct multigrid *grids, const struct grid *grid, int *threads)
{
    size_t n = (size_t)grid->n;
    double sum = 0;
#pragma omp taskloop grainsize(8)
    for (size_t plane = 0; plane < n; plane++) {
        grids->part[plane] = square_of_plane(grid, (int)plane);
    }
    for (size_t plane = 0; plane < n; plane++) {
        sum += grids->part[plane];
    }
    *threads = omp_get_num_threads();
    return sum;
}

/* The charges: of a random number at each point, the greatest are 1 and the smallest -1. */
static void set_charges(const struct grid *v)
{
    double *greatest[CHARGES] = {NULL}, *smallest[CHARGES] = {NULL};
    int n = v->n;
    uint64_t state = 314159265;
    for (int plane = 0; plane < n; plane++) {
        for (int j = 1; j <= n; j++) {
            double *row = row_of(v, plane, j);
            for (int i = 1; i <= n; i++) {
                row[i] = npb_random(&state, NPB_RANDOM_A);
                double *up = &row[i], *down = &row[i];
                for (int c = 0; c < CHARGES && up; c++) {
                    if (!greatest[c] || *up > *greatest[c]) {
                        double *less = greatest[c];
                        greatest[c] = up;
                        up = less;
                    }
                }
                for (int c = 0; c < CHARGES && down; c++) {
                    if (!smallest[c] || *down < *smallest[c]) {
                        double *more = smallest[c];
                        smallest[c] = down;
                        down = more;
                    }
                }
            }
        }
    }
    planes_alone(clear, v, NULL, NULL);
    for (int c = 0; c < CHARGES; c++) {
        *greatest[c] = 1;
        *smallest[c] = -1;
    }
    for (int plane = 0; plane < n; plane++) {
        close_plane(v, plane);
    }
}

static int multigrid_init(struct multigrid *grids, int levels)
{
    size_t cells = cells_of(1 << levels);
    for (int l = 1; l <= levels; l++) {
        cells += 2 * cells_of(1 << l);
    }
    *grids = (struct multigrid){.levels = levels, .memory = calloc(cells, sizeof(double))};
    if (!grids->memory) {
        return -ENOMEM;
    }
    double *free_cells = grids->memory;
    for (int l = 1; l <= levels; l++) {
        int n = 1 << l;
        grids->u[l] = (struct grid){n, free_cells};
        grids->r[l] = (struct grid){n, free_cells + cells_of(n)};
        free_cells += 2 * cells_of(n);
    }
    grids->v = (struct grid){1 << levels, free_cells};
    /* Writes to memory that is zero already, so that the cycles meet no page faults. */
    for (int l = 1; l <= levels; l++) {
        planes_alone(clear, &grids->u[l], NULL, NULL);
        planes_alone(clear, &grids->r[l], NULL, NULL);
    }
    set_charges(&grids->v);
    return 0;
}

/* One V-cycle: improves the finest u by its residual r, which is then that of the new u. */
static void cycle(struct multigrid *grids, planes_fn *planes)
{
    struct grid *u = grids->u, *r = grids->r;
    int top = grids->levels;
    for (int l = top; l > 1; l--) {
        planes(restrict_plane, &r[l - 1], &r[l], NULL);
    }
    planes(clear, &u[1], NULL, NULL);
    planes(smooth, &u[1], &r[1], NULL);
    for (int l = 2; l < top; l++) {
        planes(clear, &u[l], NULL, NULL);
        planes(prolong, &u[l], &u[l - 1], NULL);
        planes(residual, &r[l], &r[l], &u[l]);
        planes(smooth, &u[l], &r[l], NULL);
    }
    planes(prolong, &u[top], &u[top - 1], NULL);
    planes(residual, &r[top], &grids->v, &u[top]);
    planes(smooth, &u[top], &r[top], NULL);
    planes(residual, &r[top], &grids->v, &u[top]);
}

static int run(char size, planes_fn *planes,
               double (*square)(struct multigrid *grids, const struct grid *grid, int *threads),
               struct kernel_result *result)
{
    struct problem problem;
    struct multigrid grids;
    int err = problem_of(size, &problem);
    if (err) {
        return err;
    }
    err = multigrid_init(&grids, problem.levels);
    if (err) {
        return err;
    }
    double start = kernel_clock();
    const struct grid *finest = &grids.r[problem.levels];
    int n = finest->n, threads = 1;
    planes(residual, finest, &grids.v, &grids.u[problem.levels]);
    for (int c = 0; c < CYCLES; c++) {
        cycle(&grids, planes);
    }
    double norm = sqrt(square(&grids, finest, &threads) / ((double)n * n * n));
    *result = (struct kernel_result){.verified = kernel_close(norm, problem.norm, 1e-8),
                                     .value = {norm},
                                     .count = n,
                                     .seconds = kernel_clock() - start,
                                     .threads = threads};
    snprintf(result->text, sizeof result->text, "norm of the residual %.13e", norm);
    free(grids.memory);
    return 0;
}

int mg_region(char size, struct kernel_result *result)
{
    return run(size, planes_region, square_region, result);
}

int mg_tasks(char size, struct kernel_result *result)
{
    return run(size, planes_tasks, square_tasks, result);
}
