/* SPDX-License-Identifier: MIT */
/* The layout of a drawing of a machine: nested boxes with sizes and positions, without colours and
 * without a file format. Pure but for memory. */
#ifndef LP_TOOLS_INFO_DRAWING_H
#define LP_TOOLS_INFO_DRAWING_H

#include "placement/device.h"
#include "placement/machine.h"

enum drawing_level {
    DRAWING_MACHINE,
    DRAWING_PACKAGE,
    DRAWING_NODE,
    DRAWING_CACHE,
    DRAWING_CORE,
    DRAWING_CPU
};

/* A device beside the CPUs it is near. */
struct drawing_chip {
    unsigned device; /* index in lp_devices */
    double x, y, width;
    char label[64];
};

struct drawing_box {
    enum drawing_level level;
    unsigned first, count; /* its CPUs in lp_machine.cpus */
    double x, y, width, height;
    unsigned child_count;
    struct drawing_box *children;
    unsigned chip_count;
    struct drawing_chip *chips;
    char label[96]; /* "" for cores and CPUs */
};

enum {
    DRAWING_CHIP_HEIGHT = 22,
    DRAWING_CPU_WIDTH = 46,
    DRAWING_CPU_HEIGHT = 34
};

/* The machine at 0, 0. label writes what stands over a box: the levels from box->level down to
 * `last` are one box. 0 or -ENOMEM with a sentence. */
int drawing_make(struct drawing_box *machine, const struct lp_machine *of,
                 const struct lp_devices *devices,
                 void (*label)(void *arg, struct drawing_box *box, enum drawing_level last),
                 void *arg);
void drawing_fini(struct drawing_box *box);

/* How wide a text of that many characters is, on the safe side. */
double drawing_text_width(unsigned characters, double size);

#endif
