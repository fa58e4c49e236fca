/* SPDX-License-Identifier: MIT */
/* Owns the layout: which levels of a machine deserve a box, and where each box is. Boxes of one
 * parent stand in a grid whose shape comes near that of a sheet of paper, so that 2 CPUs and 1024
 * both make a drawing that one can look at. */
#include "tools/info/drawing.h"

#include "base/error.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEVELS = DRAWING_CPU + 1,
    COLUMNS_MAX = 64
};

static const double paddings[LEVELS] = {0, 10, 9, 8, 4, 0};
static const double gaps[LEVELS] = {14, 12, 10, 6, 4, 0}; /* between children */
static const double label_height = 18;
static const double chip_gap = 6;
static const double narrowest_with_chips = 190;
static const double label_size = 11;

struct builder {
    const struct lp_machine *machine;
    const struct lp_devices *devices;
    bool shown[LEVELS];
    void (*label)(void *arg, struct drawing_box *box, enum drawing_level last);
    void *arg;
    bool failed;
};

double drawing_text_width(unsigned characters, double size)
{
    return characters * size * 0.6;
}

/* ---- levels ---------------------------------------------------------------------------------- */

static unsigned group_of(const struct lp_cpu *cpu, enum drawing_level level)
{
    switch (level) {
    case DRAWING_PACKAGE:
        return cpu->package;
    case DRAWING_NODE:
        return cpu->node;
    case DRAWING_CACHE:
        return cpu->cache;
    case DRAWING_CORE:
        return cpu->core;
    case DRAWING_CPU:
        return cpu->os;
    default:
        return 0;
    }
}

/* Where the group of that level that begins at `first` ends. A NUMA node that reaches over several
 * packages ends at the first one's border: boxes are nested. */
static unsigned end_of_group(const struct lp_machine *machine, unsigned first, unsigned end,
                             enum drawing_level level)
{
    for (unsigned at = first + 1; at < end; at++) {
        for (int above = DRAWING_PACKAGE; above <= (int)level; above++) {
            if (group_of(&machine->cpus[at], (enum drawing_level)above) !=
                group_of(&machine->cpus[first], (enum drawing_level)above)) {
                return at;
            }
        }
    }
    return end;
}

/* A level has boxes of its own if somewhere two of them stand side by side. */
static void choose_levels(struct builder *builder)
{
    const struct lp_machine *machine = builder->machine;
    for (int level = DRAWING_NODE; level <= DRAWING_CPU; level++) {
        builder->shown[level] = false;
        for (unsigned first = 0; first < machine->cpu_count && !builder->shown[level];) {
            enum drawing_level above = (enum drawing_level)(level - 1);
            unsigned end = end_of_group(machine, first, machine->cpu_count, above);
            builder->shown[level] =
                end_of_group(machine, first, end, (enum drawing_level)level) < end;
            first = end;
        }
    }
    builder->shown[DRAWING_MACHINE] = true;
    builder->shown[DRAWING_PACKAGE] = true;
    /* Cells are CPUs; a box around each core only where it has several. */
    builder->shown[DRAWING_CORE] = builder->shown[DRAWING_CPU];
    builder->shown[DRAWING_CPU] = true;
}

static enum drawing_level next_shown(const struct builder *builder, enum drawing_level level)
{
    int next = level + 1;
    while (!builder->shown[next]) {
        next++;
    }
    return (enum drawing_level)next;
}

static void build(struct builder *builder, struct drawing_box *box)
{
    if (box->level == DRAWING_CPU) {
        return;
    }
    const struct lp_machine *machine = builder->machine;
    enum drawing_level below = next_shown(builder, box->level);
    if (box->level < DRAWING_CORE) {
        builder->label(builder->arg, box, (enum drawing_level)(below - 1));
    }
    unsigned end = box->first + box->count;
    box->children = calloc(box->count, sizeof *box->children);
    if (!box->children) {
        builder->failed = box->count > 0;
        return;
    }
    for (unsigned first = box->first; first < end;) {
        unsigned next = end_of_group(machine, first, end, below);
        struct drawing_box *child = &box->children[box->child_count++];
        *child = (struct drawing_box){.level = below, .first = first, .count = next - first};
        build(builder, child);
        first = next;
    }
}

/* ---- devices --------------------------------------------------------------------------------- */

/* Whether all CPUs of the set that the machine has are in the box. */
static bool holds(const struct builder *builder, const struct drawing_box *box,
                  const lp_cpuset *set)
{
    unsigned inside = 0, all = 0;
    for (unsigned i = 0; i < builder->machine->cpu_count; i++) {
        if (lp_cpuset_has(set, builder->machine->cpus[i].os)) {
            all++;
            inside += i >= box->first && i < box->first + box->count;
        }
    }
    return all > 0 && inside == all;
}

/* Chips stand in packages and nodes; what is near several, or nobody knows what, in the machine. */
static struct drawing_box *home_of(const struct builder *builder, struct drawing_box *box,
                                   const struct lp_device *device)
{
    for (unsigned i = 0; i < box->child_count && box->level < DRAWING_NODE; i++) {
        struct drawing_box *child = &box->children[i];
        if (child->level <= DRAWING_NODE && device->local_known &&
            holds(builder, child, device->local)) {
            return home_of(builder, child, device);
        }
    }
    return box;
}

static void chip_label(struct drawing_chip *chip, const struct lp_device *device)
{
    /* A vendor that nobody knows is a number. */
    bool is_named = *device->vendor && device->vendor[strspn(device->vendor, "0123456789abcdef")];
    const char *what = *device->model ? device->model : is_named ? device->vendor : "";
    char name[80];
    if (device->kind == LP_DEVICE_GPU && device->visible) {
        snprintf(name, sizeof name, "GPU %u", device->index);
    } else {
        snprintf(name, sizeof name, "%s",
                 device->kind == LP_DEVICE_GPU ? "hidden GPU" : device->name);
    }
    if (!*name) {
        snprintf(name, sizeof name, "device");
    }
    snprintf(chip->label, sizeof chip->label, "%.20s%s%.24s", name, *what ? " \302\267 " : "",
             what);
}

static void add_chips(struct builder *builder, struct drawing_box *machine)
{
    for (unsigned i = 0; i < builder->devices->count; i++) {
        const struct lp_device *device = &builder->devices->entries[i];
        struct drawing_box *box = home_of(builder, machine, device);
        struct drawing_chip *chips = reallocarray(box->chips, box->chip_count + 1, sizeof *chips);
        if (!chips) {
            builder->failed = true;
            return;
        }
        box->chips = chips;
        chips[box->chip_count] = (struct drawing_chip){.device = i};
        chip_label(&chips[box->chip_count], device);
        chips[box->chip_count].width =
            drawing_text_width((unsigned)strlen(chips[box->chip_count].label), 10.5) + 18;
        box->chip_count++;
    }
}

/* ---- sizes ----------------------------------------------------------------------------------- */

struct grid {
    unsigned columns;
    double width, height;
};

static double column_width(const struct drawing_box *box, unsigned column, unsigned columns)
{
    double width = 0;
    for (unsigned i = column; i < box->child_count; i += columns) {
        width = fmax(width, box->children[i].width);
    }
    return width;
}

static double row_height(const struct drawing_box *box, unsigned row, unsigned columns)
{
    double height = 0;
    for (unsigned i = row * columns; i < box->child_count && i < (row + 1) * columns; i++) {
        height = fmax(height, box->children[i].height);
    }
    return height;
}

static struct grid grid_of(const struct drawing_box *box, unsigned columns)
{
    struct grid grid = {.columns = columns};
    unsigned rows = (box->child_count + columns - 1) / columns;
    for (unsigned i = 0; i < columns; i++) {
        grid.width += column_width(box, i, columns) + (i ? gaps[box->level] : 0);
    }
    for (unsigned i = 0; i < rows; i++) {
        grid.height += row_height(box, i, columns) + (i ? gaps[box->level] : 0);
    }
    return grid;
}

/* How wide the content is at least, because of label and chips. */
static double narrowest_of(const struct drawing_box *box)
{
    double width = drawing_text_width((unsigned)strlen(box->label), label_size);
    for (unsigned i = 0; i < box->chip_count; i++) {
        width = fmax(width, fmax(narrowest_with_chips, box->chips[i].width));
    }
    return width;
}

/* How far from a good shape: proportions of the box, room beside the grid, and a last row with
 * holes. */
static double ugliness(const struct drawing_box *box, const struct grid *grid, double narrowest)
{
    double wanted = box->level == DRAWING_CORE ? 2.6 : 1.6;
    double frame = 2 * paddings[box->level];
    double width = fmax(grid->width, narrowest);
    double height = grid->height + frame + (*box->label ? label_height : 0);
    unsigned rest = box->child_count % grid->columns;
    unsigned holes = rest ? grid->columns - rest : 0;
    return fabs(log((width + frame) / height / wanted)) + 3.0 * (1.0 - grid->width / width) +
           2.0 * (double)holes / (double)grid->columns;
}

static struct grid best_grid(const struct drawing_box *box)
{
    double narrowest = narrowest_of(box);
    struct grid best = grid_of(box, 1);
    for (unsigned columns = 2; columns <= box->child_count && columns <= COLUMNS_MAX; columns++) {
        struct grid grid = grid_of(box, columns);
        if (ugliness(box, &grid, narrowest) < ugliness(box, &best, narrowest)) {
            best = grid;
        }
    }
    return best;
}

/* Rows of chips of that width, from y on; returns where they end. */
static double flow_chips(struct drawing_box *box, double y, double width)
{
    double x = paddings[box->level];
    for (unsigned i = 0; i < box->chip_count; i++) {
        struct drawing_chip *chip = &box->chips[i];
        if (x > paddings[box->level] && x + chip->width > paddings[box->level] + width) {
            x = paddings[box->level];
            y += DRAWING_CHIP_HEIGHT + chip_gap;
        }
        chip->x = x;
        chip->y = y;
        x += chip->width + chip_gap;
    }
    return box->chip_count ? y + DRAWING_CHIP_HEIGHT : y;
}

/* Gives the children their places relative to the box, and the box its size. */
static void size(struct drawing_box *box)
{
    if (box->level == DRAWING_CPU) {
        box->width = DRAWING_CPU_WIDTH;
        box->height = DRAWING_CPU_HEIGHT;
        return;
    }
    for (unsigned i = 0; i < box->child_count; i++) {
        size(&box->children[i]);
    }
    double padding = paddings[box->level];
    double top = padding + (*box->label ? label_height : 0);
    struct grid grid = best_grid(box);
    double y = top;
    for (unsigned i = 0; i < box->child_count; i += grid.columns) {
        double x = padding;
        for (unsigned k = 0; k < grid.columns && i + k < box->child_count; k++) {
            struct drawing_box *child = &box->children[i + k];
            child->x = x;
            child->y = y;
            x += column_width(box, k, grid.columns) + gaps[box->level];
            if (child->level < DRAWING_CORE) {
                /* Neighbours of one size, whatever is in them. Only now: the grid was chosen, and
                 * the largest of each row and column stays as it is. */
                child->width = column_width(box, k, grid.columns);
                child->height = row_height(box, i / grid.columns, grid.columns);
            }
        }
        y += row_height(box, i / grid.columns, grid.columns) + gaps[box->level];
    }
    double content = fmax(grid.width, narrowest_of(box));
    y = top + grid.height;
    if (box->chip_count > 0) {
        y = flow_chips(box, y + 8, content);
    }
    box->width = content + 2 * padding;
    box->height = y + padding;
}

static void move(struct drawing_box *box, double x, double y)
{
    box->x += x;
    box->y += y;
    for (unsigned i = 0; i < box->chip_count; i++) {
        box->chips[i].x += box->x;
        box->chips[i].y += box->y;
    }
    for (unsigned i = 0; i < box->child_count; i++) {
        move(&box->children[i], box->x, box->y);
    }
}

int drawing_make(struct drawing_box *machine, const struct lp_machine *of,
                 const struct lp_devices *devices,
                 void (*label)(void *arg, struct drawing_box *box, enum drawing_level last),
                 void *arg)
{
    struct builder builder = {.machine = of, .devices = devices, .label = label, .arg = arg};
    *machine = (struct drawing_box){.level = DRAWING_MACHINE, .count = of->cpu_count};
    choose_levels(&builder);
    build(&builder, machine);
    add_chips(&builder, machine);
    if (builder.failed) {
        drawing_fini(machine);
        return lp_fail(-ENOMEM, "no memory for a drawing of %u CPUs", of->cpu_count);
    }
    size(machine);
    move(machine, 0, 0);
    return 0;
}

void drawing_fini(struct drawing_box *box)
{
    for (unsigned i = 0; i < box->child_count; i++) {
        drawing_fini(&box->children[i]);
    }
    free(box->children);
    free(box->chips);
    *box = (struct drawing_box){0};
}
