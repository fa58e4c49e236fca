/* SPDX-License-Identifier: MIT */
/* Profiles: what the adaptive scheduler has learnt, in a file that a person can read and edit. What
 * the numbers mean to it is in adaptive/model.h and adaptive/policy.h; here they are plain values.
 */
#ifndef LP_SETTINGS_PROFILE_FILE_H
#define LP_SETTINGS_PROFILE_FILE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LP_PROFILE_CLASSES = 32, /* of sizes: class k begins at 4^k */
    LP_PROFILE_MODELS = 12,  /* of widths 1, 2, 4, ..., 2048 */
    LP_PROFILE_WIDTH_MAX = 1 << (LP_PROFILE_MODELS - 1)
};

/* For one number of threads: ln cost over ln size, costs in ns. Nothing that has been seen (seen is
 * 0) is not written. */
struct lp_profile_model {
    uint32_t width; /* a power of two */
    uint64_t seen;
    double n, mean_x, mean_y, cxx, cxy, cyy, ratio_n, ratio, ratio2, ln_p95;
};

/* What was chosen most for sizes of a class. No votes: not written. */
struct lp_profile_habit {
    uint32_t size_class;
    uint32_t arm; /* LOOMP_INLINE, LOOMP_TASK, LOOMP_TEAM */
    uint32_t width, votes;
};

struct lp_profile_site {
    const char *name; /* 1 to 63 bytes, no control characters */
    unsigned model_count;
    const struct lp_profile_model *models;
    unsigned habit_count;
    const struct lp_profile_habit *habits;
};

/* Writes the sites that next yields until it returns false; what a site points to is read before
 * the next call. The file appears whole under its name, or what was there stays. Any thread;
 * blocks. Returns 0, -ENOMEM, -EINVAL for what lp_profile_read would refuse, or the error of the
 * file. */
int lp_profile_write(const char *path, const char *machine, const char *version,
                     bool (*next)(void *arg, struct lp_profile_site *site), void *arg);

/* Reads a profile: calls site for each, after all of the file has been found good; the site is
 * valid during the call. Any thread; blocks. Returns 0; 1, with a note in the log, for a profile of
 * another machine or version; -ENOENT or another error of the file; -EINVAL with file, line and key
 * for nonsense; -ENOMEM. */
int lp_profile_read(const char *path, const char *machine, const char *version,
                    void (*site)(void *arg, const struct lp_profile_site *site), void *arg);

#endif
