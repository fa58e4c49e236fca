/* SPDX-License-Identifier: MIT */
/* Where placement reads variables of the environment: the process's own, or a recorded one. Pure
 * data; any thread, as long as nobody changes the environment meanwhile. */
#ifndef LP_PLACEMENT_ENVIRONMENT_H
#define LP_PLACEMENT_ENVIRONMENT_H

struct lp_environment {
    /* The value of a variable or NULL; the text stays the environment's. */
    const char *(*get)(void *arg, const char *name);
    void *arg;
};

/* The environment of this process. */
extern const struct lp_environment lp_process_environment;

/* Of "NAME=value" texts, the last one NULL; the array must outlive the answer. */
struct lp_environment lp_environment_of(const char *const *variables);

/* Never fails: NULL for a variable that is not set or is empty. */
const char *lp_environment_get(const struct lp_environment *environment, const char *name);

#endif
