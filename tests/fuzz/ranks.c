/* SPDX-License-Identifier: MIT */
/* Fuzz target: what launchers say about ranks. The first line of the input has the settings
 * rank.local and rank.local_size, the others are variables like NAME=value. Any answer must be a
 * rank below its size, by somebody's word. And Slurm's lists: from the input one is made whose
 * entries are known, and must be read as them. */
#include "fuzz/fuzz.h"

#include "base/error.h"
#include "placement/rank.h"

#include <errno.h>

enum {
    VARIABLES = 16,
    ENTRIES = 12,
    LIST = 256
};

static int within(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

static void check_rank(const struct lp_rank *rank, int wanted_local, int wanted_size)
{
    FUZZ_CHECK(rank->local_size >= 1 && rank->local >= 0 && rank->local < rank->local_size,
               "rank %d of %d", rank->local, rank->local_size);
    FUZZ_CHECK(*rank->size_from || rank->local_size == 1, "nobody says %d ranks", rank->local_size);
    FUZZ_CHECK(*rank->local_from || rank->local == 0, "nobody says rank %d", rank->local);
    FUZZ_CHECK(rank->local_size == 1 || *rank->local_from, "nobody says which of %d",
               rank->local_size);
    FUZZ_CHECK(strlen(rank->local_from) < sizeof rank->local_from &&
                   strlen(rank->size_from) < sizeof rank->size_from,
               "names too long");
    if (wanted_local >= 0 && wanted_size > 0) {
        FUZZ_CHECK(rank->local == wanted_local && rank->local_size == wanted_size,
                   "rank %d of %d instead of %d of %d", rank->local, rank->local_size, wanted_local,
                   wanted_size);
    }
}

static void check_variables(struct fuzz_input input)
{
    int wanted_local = -1, wanted_size = 0;
    char *texts[VARIABLES + 1] = {0};
    texts[VARIABLES] = fuzz_text(fuzz_line(&input));
    sscanf(texts[VARIABLES], "%6d %6d", &wanted_local, &wanted_size);
    free(texts[VARIABLES]);
    texts[VARIABLES] = NULL;
    /* As far as the settings go. */
    wanted_local = within(wanted_local, -1, 65535);
    wanted_size = within(wanted_size, 0, 65536);

    const char *variables[VARIABLES + 1] = {0};
    for (int i = 0; i < VARIABLES && input.size > 0; i++) {
        variables[i] = texts[i] = fuzz_text(fuzz_line(&input));
    }
    struct lp_environment environment = lp_environment_of(variables);
    struct lp_rank rank = {.local = -7};
    int err = lp_rank_read(&rank, &environment, wanted_local, wanted_size);
    bool contradict = wanted_size > 0 && wanted_local >= wanted_size;
    FUZZ_CHECK((err != 0) == contradict, "%d for rank %d of %d", err, wanted_local, wanted_size);
    if (err != 0) {
        FUZZ_CHECK_FAILED(err, -EINVAL, 0);
        FUZZ_CHECK(rank.local == -7, "an answer in spite of an error");
    } else {
        check_rank(&rank, wanted_local, wanted_size);
    }
    for (int i = 0; i < VARIABLES; i++) {
        free(texts[i]);
    }
}

/* A list like "4(x2),3" with as many numbers as it stands for in tasks; returns how many. */
static unsigned make_list(struct fuzz_input *input, char list[LIST], unsigned *tasks)
{
    unsigned entries = 1 + fuzz_choice(input, ENTRIES), count = 0;
    size_t used = 0;
    list[0] = '\0';
    for (unsigned i = 0; i < entries; i++) {
        unsigned number = 1 + fuzz_choice(input, 128), repeat = 1 + fuzz_choice(input, 4);
        bool short_form = repeat == 1 && fuzz_choice(input, 2) == 0;
        used += (size_t)snprintf(list + used, LIST - used, "%s%u", i > 0 ? "," : "", number);
        if (!short_form) {
            used += (size_t)snprintf(list + used, LIST - used, "(x%u)", repeat);
        }
        for (unsigned k = 0; k < repeat; k++) {
            tasks[count++] = number;
        }
    }
    return count;
}

static void check_slurm(struct fuzz_input input)
{
    char list[LIST], list_variable[LIST + 32], node_variable[32], local_variable[32];
    unsigned tasks[ENTRIES * 4];
    unsigned count = make_list(&input, list, tasks);
    unsigned node = fuzz_choice(&input, count + 1);
    unsigned local = node < count ? fuzz_choice(&input, tasks[node]) : 0;
    snprintf(list_variable, sizeof list_variable, "SLURM_STEP_TASKS_PER_NODE=%s", list);
    snprintf(node_variable, sizeof node_variable, "SLURM_NODEID=%u", node);
    snprintf(local_variable, sizeof local_variable, "SLURM_LOCALID=%u", local);
    const char *variables[] = {list_variable, node_variable, local_variable, "SLURM_STEP_ID=0",
                               NULL};
    struct lp_environment environment = lp_environment_of(variables);
    struct lp_rank rank;
    FUZZ_CHECK(lp_rank_read(&rank, &environment, -1, 0) == 0, "%s", loomp_error());
    unsigned wanted = node < count ? tasks[node] : 1;
    FUZZ_CHECK(rank.local == (int)local && rank.local_size == (int)wanted,
               "%s: node %u, rank %u of %u is read as rank %d of %d", list, node, local, wanted,
               rank.local, rank.local_size);
    FUZZ_CHECK((*rank.size_from != '\0') == (node < count), "%s: node %u by `%s'", list, node,
               rank.size_from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {(const char *)data, size};
    fuzz_log();
    check_variables(input);
    check_slurm(input);
    return 0;
}
