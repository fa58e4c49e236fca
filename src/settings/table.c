/* SPDX-License-Identifier: MIT */
/* Owns the table of settings and the presets, the names of a row, and the search for the key that
 * was meant. Pure but for the error sentence; any thread enters. */
#include "settings/table.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define KIB 1024.0
#define MIB (1024.0 * KIB)
#define GIB (1024.0 * MIB)

/* A setting is one row here and one line in enum lp_key, in the same order:
 *   id, key, type, min, max, default, words of a choice, help */
#define ROWS(X)                                                                                    \
    X(LP_PREFIX, "prefix", TEXT, 1, 64, "loomp", NULL, "first part of thread names")               \
    X(LP_PRESET, "preset", PRESET, 0, 0, "", NULL, "a named set of values, below all others")      \
    X(LP_PIN, "pin", BOOL, 0, 1, "true", NULL, "bind each thread to its planned CPU")              \
    X(LP_CPUS, "cpus", CPU_LIST, 0, 0, "", NULL, "CPUs to use; empty: all that are allowed")       \
    X(LP_RESERVE, "reserve", INT, 0, 1024, "0", NULL, "CPUs kept back")                            \
    X(LP_ROUNDING, "rounding", CHOICE, 0, 0, "down", "down|nearest|up", "of a CPU quota")          \
    X(LP_PLACES, "places", PLACES, 1, 65536, "cores", NULL, "what a thread is bound to")           \
    X(LP_SMT, "smt", CHOICE, 0, 0, "avoid", "avoid|use|spill",                                     \
      "further hardware threads of a core")                                                        \
    X(LP_CORES, "cores", CHOICE, 0, 0, "performance", "performance|efficiency|all",                \
      "where a machine has two kinds")                                                             \
    X(LP_SPREAD, "spread", CHOICE, 0, 0, "compact", "compact|scatter", "order over cache groups")  \
    X(LP_CACHE_GROUPS, "cache_groups", INT, 0, 1024, "0", NULL, "most to use; 0: any number")      \
    X(LP_GPU, "gpu", DEVICES, 0, 256, "", NULL, "compute near these: 0, amd:1, a UUID, PCI, all")  \
    X(LP_GPU_POOLS, "gpu_pools", CHOICE, 0, 0, "union", "union|each", "a pool for each GPU")       \
    X(LP_MEMORY, "memory", CHOICE, 0, 0, "local", "local|inherit", "where threads take memory")    \
    X(LP_RANK_LOCAL, "rank.local", INT, -1, 65535, "-1", NULL,                                     \
      "rank on this node; -1: as the launcher says")                                               \
    X(LP_RANK_LOCAL_SIZE, "rank.local_size", INT, 0, 65536, "0", NULL,                             \
      "ranks on this node; 0: as the launcher says")                                               \
    X(LP_TOPOLOGY, "topology", TEXT, 0, 4096, "", NULL, "hwloc XML file to load instead")          \
    X(LP_FOLLOW, "follow", BOOL, 0, 1, "true", NULL, "follow changes of quota and allowed CPUs")   \
    X(LP_IO_THREADS, "io.threads", INT, 1, 1024, "1", NULL, "threads with a libev loop each")      \
    X(LP_IO_CPUS, "io.cpus", CPU_LIST, 0, 0, "", NULL, "CPUs of the loops; empty: planned")        \
    X(LP_IO_NEAR, "io.near", DEVICES, 0, 64, "", NULL,                                             \
      "device that the loops are near, like eth0")                                                 \
    X(LP_COMPUTE_THREADS, "compute.threads", INT, 0, 1024, "0", NULL,                              \
      "threads of the OpenMP team; 0: planned")                                                    \
    X(LP_COMPUTE_STACK_SIZE, "compute.stack_size", SIZE, 64 * KIB, 1024 * GIB, "0", NULL,          \
      "per thread; 0: most of OMP_STACKSIZE, ulimit -s, 8M")                                       \
    X(LP_BLOCKING_THREADS, "blocking.threads", INT, 1, 4096, "64", NULL,                           \
      "most threads for work that sleeps in I/O")                                                  \
    X(LP_BIND, "bind", CHOICE, 0, 0, "openmp", "openmp|direct", "who binds the team's threads")    \
    X(LP_QUEUE_LIMIT, "queue_limit", INT, 1, 1 << 24, "65536", NULL, "jobs waiting per queue")     \
    X(LP_QUEUE_POLICY, "queue_policy", CHOICE, 0, 0, "reject", "reject|block|caller_runs",         \
      "what submitting to a full queue does")                                                      \
    X(LP_CALL_POOL_SIZE, "call.pool_size", INT, 0, 1 << 20, "1024", NULL,                          \
      "objects of loomp_call kept per thread")                                                     \
    X(LP_SPIN_US, "spin_us", DOUBLE, 0, 1e6, "25", NULL,                                           \
      "longest search before a thread parks, in us")                                               \
    X(LP_GANG_RELIEF_US, "gang.relief_us", DOUBLE, 0, 1e7, "1000", NULL,                           \
      "longest wait of serial jobs behind a gang, in us")                                          \
    X(LP_GANG_MAX_SHARE, "gang.max_share", DOUBLE, 0.01, 1, "1", NULL,                             \
      "of the time, for gangs while serial jobs wait")                                             \
    X(LP_ADAPTIVE_MODE, "adaptive.mode", CHOICE, 0, 0, "learn", "learn|frozen|off",                \
      "whether jobs with a site go where they are cheapest")                                       \
    X(LP_ADAPTIVE_OBJECTIVE, "adaptive.objective", CHOICE, 0, 0, "latency", "latency|efficiency",  \
      "what more threads have to bring")                                                           \
    X(LP_ADAPTIVE_IO_WEIGHT, "adaptive.io_weight", DOUBLE, 0, 1000, "1", NULL,                     \
      "of other events' delay, against a job's own")                                               \
    X(LP_ADAPTIVE_INLINE_BUDGET_US, "adaptive.inline_budget_us", DOUBLE, 0, 1e6, "250", NULL,      \
      "most inline work in a turn of a loop, in us")                                               \
    X(LP_ADAPTIVE_CALIBRATE, "adaptive.calibrate", BOOL, 0, 1, "true", NULL,                       \
      "measure the hand-over at start")                                                            \
    X(LP_ADAPTIVE_SEED, "adaptive.seed", INT, 0, 9007199254740992.0, "1", NULL,                    \
      "of the random draws")                                                                       \
    X(LP_ADAPTIVE_MEMORY, "adaptive.memory", INT, 10, 1e6, "300", NULL,                            \
      "calls of a site that count")                                                                \
    X(LP_ADAPTIVE_TRACE, "adaptive.trace", INT, 0, 1 << 20, "0", NULL,                             \
      "last calls kept for each loop")                                                             \
    X(LP_ADAPTIVE_PROFILE, "adaptive.profile", TEXT, 0, 4096, "", NULL,                            \
      "file to keep what was learnt in")                                                           \
    X(LP_ADAPTIVE_GR0, "adaptive.gr0", BOOL, 0, 1, "true", NULL,                                   \
      "rail 0: of a single loop, and not short")                                                   \
    X(LP_ADAPTIVE_GR0_US, "adaptive.gr0_us", DOUBLE, 0, 1e6, "50", NULL, "how long is not short")  \
    X(LP_ADAPTIVE_GR0_PRESSURE, "adaptive.gr0_pressure", DOUBLE, 0, 1e6, "0.5", NULL,              \
      "events that wait meanwhile, from which it speaks")                                          \
    X(LP_ADAPTIVE_GR1, "adaptive.gr1", BOOL, 0, 1, "true", NULL, "rail 1: long for any loop")      \
    X(LP_ADAPTIVE_GR1_US, "adaptive.gr1_us", DOUBLE, 0, 1e6, "250", NULL, "how long that is")      \
    X(LP_ADAPTIVE_GR2, "adaptive.gr2", BOOL, 0, 1, "true", NULL,                                   \
      "rail 2: not short, under pressure")                                                         \
    X(LP_ADAPTIVE_GR2_US, "adaptive.gr2_us", DOUBLE, 0, 1e6, "100", NULL, "how long is not short") \
    X(LP_ADAPTIVE_GR2_PRESSURE, "adaptive.gr2_pressure", DOUBLE, 0, 1e6, "3", NULL,                \
      "events that wait meanwhile, above which it speaks")                                         \
    X(LP_ADAPTIVE_GR3, "adaptive.gr3", BOOL, 0, 1, "true", NULL,                                   \
      "rail 3: such a call was long lately")                                                       \
    X(LP_ADAPTIVE_GR3_US, "adaptive.gr3_us", DOUBLE, 0, 1e6, "1000", NULL, "how long that is")     \
    X(LP_ADAPTIVE_GR3_CALLS, "adaptive.gr3_calls", INT, 1, 100000, "100", NULL,                    \
      "for how many calls it speaks")                                                              \
    X(LP_LOG_LEVEL, "log.level", CHOICE, 0, 0, "warning", "none|error|warning|info|debug",         \
      "least important lines to log")                                                              \
    X(LP_LOG_RANK0_ONLY, "log.rank0_only", BOOL, 0, 1, "true", NULL,                               \
      "of an MPI job, only local rank 0 logs")

#define ROW(id, key, type, min, max, initial, words, help)                                         \
    {key, LP_TYPE_##type, min, max, initial, words, help},
const struct lp_row lp_rows[LP_KEY_COUNT] = {ROWS(ROW)};

/* The position of each row in the table must be its number in enum lp_key. */
#define POSITION(id, ...) POSITION_##id,
enum position {
    ROWS(POSITION) POSITION_COUNT
};
#define AGREES(id, ...) _Static_assert((int)POSITION_##id == (int)id, "enum lp_key, row " #id);
ROWS(AGREES)
_Static_assert((int)POSITION_COUNT == (int)LP_KEY_COUNT, "enum lp_key has a key without a row");

const struct lp_preset lp_presets[] = {
    /* Hand-over within one cache, to cores whose siblings are quiet, to threads that are awake. */
    /* With those, work that leaves a loop costs little, so that loops can be kept free of it. */
    {"latency",
     {{LP_SMT, "avoid"},
      {LP_CACHE_GROUPS, "1"},
      {LP_SPIN_US, "200"},
      {LP_ADAPTIVE_IO_WEIGHT, "10"}}},
    /* A slow core still adds to what gets done; a gang waits for its slowest. */
    {"throughput", {{LP_CORES, "all"}}},
    /* Spinning takes CPU time from the other users of the node for nothing. */
    {"shared-node", {{LP_ROUNDING, "down"}, {LP_SPIN_US, "0"}}},
    /* Beside something that matters more: the fast cores, and one CPU of ours, are its own. */
    {"background", {{LP_RESERVE, "1"}, {LP_CORES, "efficiency"}, {LP_SPIN_US, "0"}}},
    {NULL, {{0, NULL}}},
};

/* ---- names ----------------------------------------------------------------------------------- */

int lp_row_find(const char *key)
{
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        if (strcmp(lp_rows[row].key, key) == 0) {
            return row;
        }
    }
    return -1;
}

/* Unlike toupper and iscntrl these do not follow the application's locale: a Turkish i has another
 * capital. */
char lp_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

void lp_row_variable(int row, const char *prefix, char out[LP_NAME_BYTES])
{
    snprintf(out, LP_NAME_BYTES, "%s_%s", prefix, lp_rows[row].key);
    size_t prefix_bytes = strlen(prefix);
    for (size_t i = prefix_bytes; i < LP_NAME_BYTES && out[i]; i++) {
        out[i] = out[i] == '.' ? '_' : lp_upper(out[i]);
    }
}

void lp_row_option(int row, char out[LP_NAME_BYTES])
{
    snprintf(out, LP_NAME_BYTES, "%s", lp_rows[row].key);
    for (char *c = out; *c; c++) {
        if (*c == '.' || *c == '_') {
            *c = '-';
        }
    }
}

/* ---- what was meant -------------------------------------------------------------------------- */

enum {
    COMPARED_BYTES = 64
};

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The optimal string alignment distance of the first COMPARED_BYTES of both, case folded. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned a_bytes = (unsigned)strnlen(a, COMPARED_BYTES);
    unsigned b_bytes = (unsigned)strnlen(b, COMPARED_BYTES);
    unsigned rows[3][COMPARED_BYTES + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b_bytes; j++) {
        last[j] = j;
        before[j] = 0;
    }
    for (unsigned i = 1; i <= a_bytes; i++) {
        now[0] = i;
        int ca = tolower((unsigned char)a[i - 1]);
        for (unsigned j = 1; j <= b_bytes; j++) {
            int cb = tolower((unsigned char)b[j - 1]);
            unsigned best = min_of(last[j - 1] + (ca != cb), min_of(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                cb == tolower((unsigned char)a[i - 2])) {
                best = min_of(best, before[j - 2] + 1);
            }
            now[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_bytes];
}

void lp_nearest_offer(struct lp_nearest *nearest, const char *candidate, unsigned penalty,
                      int index)
{
    unsigned distance = edit_distance(nearest->wanted, candidate) + penalty;
    if (nearest->index < 0 || distance < nearest->distance) {
        nearest->index = index;
        nearest->distance = distance;
    }
}

bool lp_nearest_is_close(const struct lp_nearest *nearest)
{
    return nearest->distance <= 1 + strlen(nearest->wanted) / 3;
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

struct lp_nearest lp_row_nearest(const char *key)
{
    struct lp_nearest whole = {.wanted = key, .index = -1};
    struct lp_nearest part = {.wanted = last_part(key), .index = -1};
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        lp_nearest_offer(&whole, lp_rows[row].key, 0, row);
        lp_nearest_offer(&part, last_part(lp_rows[row].key), 1, row);
    }
    return part.distance < whole.distance ? part : whole;
}

int lp_fail_unknown(const char *where, const char *what, const char *name, const char *in,
                    const struct lp_nearest *nearest, const char *suggestion)
{
    bool close = lp_nearest_is_close(nearest);
    return lp_fail(-EINVAL, "%s%sunknown %s `%.100s'%s, %s `%s'%s", where ? where : "",
                   where ? ": " : "", what, name, in, close ? "did you mean" : "the nearest is",
                   suggestion, close ? "?" : "");
}
