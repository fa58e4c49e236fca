/* SPDX-License-Identifier: MIT */
/* Owns --svg: colours, words and the file format of the drawing. Each CPU is one rectangle of class
 * "cpu", with its number in data-cpu and its tasks in a title that browsers show at the pointer. */
#include "tools/info/info.h"

#include "base/error.h"
#include "tools/info/drawing.h"
#include "tools/info/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MARGIN = 28,
    TEAM_COLOURS = 8,
    ROLES_MAX = 4,
    MIX_MAX = 64
};

static const double narrowest = 620;
static const double title_size = 20, text_size = 12, legend_size = 11.5;

static const char io_colour[] = "#f6b26b";
static const char *const team_colours[TEAM_COLOURS] = {
    "#8fc1ea", "#9bd3a4", "#cdb2ec", "#f3d76b", "#f4a6bd", "#86d5cf", "#d0b894", "#b9c46a",
};
static const char allowed_colour[] = "#ffffff";
static const char forbidden_colour[] = "#dfe3e8";

/* Two or more tasks on one CPU: stripes of their colours. */
struct mix {
    unsigned count;
    unsigned roles[ROLES_MAX];
};

struct canvas {
    FILE *out;
    const struct info *info;
    double x, y; /* where the machine begins */
    double width;
    unsigned mix_count;
    struct mix mixes[MIX_MAX];
};

/* ---- text ------------------------------------------------------------------------------------ */

static void put_escaped(FILE *out, const char *text)
{
    while (*text) {
        size_t bytes = text_character(text);
        unsigned char c = (unsigned char)*text;
        if (bytes == 0 || c < 0x20 || c == 0x7f) {
            fputs("&#xfffd;", out);
            bytes = 1;
        } else if (c == '&') {
            fputs("&amp;", out);
        } else if (c == '<') {
            fputs("&lt;", out);
        } else if (c == '>') {
            fputs("&gt;", out);
        } else if (c == '"') {
            fputs("&quot;", out);
        } else {
            fwrite(text, 1, bytes, out);
        }
        text += bytes;
    }
}

static void put_text(FILE *out, double x, double y, const char *class, double size,
                     const char *text)
{
    fprintf(out, "<text class=\"%s\" x=\"%g\" y=\"%g\" font-size=\"%g\">", class, x, y, size);
    put_escaped(out, text);
    fputs("</text>\n", out);
}

/* The text in lines of at most that width; returns how far down they reach. Nothing is written with
 * out NULL. */
static double put_wrapped(FILE *out, double x, double y, double width, const char *class,
                          double size, const char *text)
{
    unsigned fits = (unsigned)(width / drawing_text_width(1, size));
    while (*text) {
        size_t bytes = strlen(text);
        if (bytes > fits) {
            bytes = fits;
            while (bytes > 0 && text[bytes] != ' ') {
                bytes--;
            }
            bytes = bytes ? bytes : strcspn(text, " ");
        }
        y += size * 1.45;
        if (out) {
            char *line = strndup(text, bytes);
            put_text(out, x, y, class, size, line ? line : "");
            free(line);
        }
        text += bytes;
        text += strspn(text, " ");
    }
    return y;
}

/* ---- roles: 0 is I/O, 1 the first pool ------------------------------------------------------- */

static unsigned role_count(const struct lp_plan *plan)
{
    return plan->pool_count + 1;
}

static const struct lp_place *places_of(const struct lp_plan *plan, unsigned role, unsigned *count)
{
    if (role == 0) {
        *count = plan->io_count;
        return plan->io;
    }
    const struct lp_pool_plan *pool = &plan->pools[role - 1];
    *count = pool->blocking ? 0 : pool->count;
    return pool->places;
}

static const char *role_name(const struct lp_plan *plan, unsigned role)
{
    return role == 0 ? "I/O" : plan->pools[role - 1].name;
}

static const char *role_colour(unsigned role)
{
    return role == 0 ? io_colour : team_colours[(role - 1) % TEAM_COLOURS];
}

/* "3", "0-7", "0,8", of the role's places on this CPU. false: it has none. */
static bool place_numbers(const struct lp_plan *plan, unsigned role, unsigned cpu,
                          struct text *text)
{
    unsigned count;
    const struct lp_place *places = places_of(plan, role, &count);
    lp_cpuset *numbers = lp_cpuset_new();
    bool any = false;
    for (unsigned i = 0; numbers && i < count; i++) {
        if (lp_cpuset_has(places[i].cpus, cpu)) {
            lp_cpuset_add(numbers, i);
            any = true;
        }
    }
    if (any) {
        text_add_cpus(text, numbers);
    }
    lp_cpuset_free(numbers);
    return any;
}

static struct mix roles_of(const struct lp_plan *plan, unsigned cpu)
{
    struct mix mix = {0};
    for (unsigned role = 0; role < role_count(plan) && mix.count < ROLES_MAX; role++) {
        unsigned count;
        const struct lp_place *places = places_of(plan, role, &count);
        bool has = false;
        for (unsigned i = 0; i < count && !has; i++) {
            has = lp_cpuset_has(places[i].cpus, cpu);
        }
        if (has) {
            mix.roles[mix.count++] = role;
        }
    }
    return mix;
}

/* The number of a mix, which is defined at the beginning of the file. */
static int find_mix(const struct canvas *canvas, const struct mix *mix)
{
    for (unsigned i = 0; i < canvas->mix_count; i++) {
        const struct mix *known = &canvas->mixes[i];
        if (known->count == mix->count &&
            memcmp(known->roles, mix->roles, mix->count * sizeof *mix->roles) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void define_mixes(struct canvas *canvas)
{
    const struct lp_machine *machine = &canvas->info->survey.topology.machine;
    FILE *out = canvas->out;
    fputs("<defs>\n", out);
    for (unsigned i = 0; i < machine->cpu_count && canvas->mix_count < MIX_MAX; i++) {
        struct mix mix = roles_of(&canvas->info->plan, machine->cpus[i].os);
        if (mix.count < 2 || find_mix(canvas, &mix) >= 0) {
            continue;
        }
        fprintf(out, "<linearGradient id=\"mix%u\">", canvas->mix_count);
        for (unsigned k = 0; k < mix.count; k++) {
            const char *colour = role_colour(mix.roles[k]);
            fprintf(
                out,
                "<stop offset=\"%g\" stop-color=\"%s\"/><stop offset=\"%g\" stop-color=\"%s\"/>",
                (double)k / mix.count, colour, (double)(k + 1) / mix.count, colour);
        }
        fputs("</linearGradient>\n", out);
        canvas->mixes[canvas->mix_count++] = mix;
    }
    fputs("</defs>\n", out);
}

/* ---- boxes ----------------------------------------------------------------------------------- */

static void add_memory(struct text *text, const struct info_host *host, unsigned node_os)
{
    uint64_t bytes = info_host_memory(host, node_os);
    if (bytes > 0) {
        text_add(text, " \302\267 %.0f GiB", (double)bytes / (1024.0 * 1024 * 1024));
    }
}

static void label_box(void *arg, struct drawing_box *box, enum drawing_level last)
{
    const struct info *info = arg;
    const struct lp_machine *machine = &info->survey.topology.machine;
    const struct lp_cpu *cpu = &machine->cpus[box->first];
    struct text text = {0};
    for (int level = box->level; level <= (int)last; level++) {
        const char *dot = text.bytes ? " \302\267 " : "";
        if (level == DRAWING_PACKAGE) {
            text_add(&text, "%spackage %u", dot, cpu->package);
        } else if (level == DRAWING_NODE) {
            text_add(&text, "%sNUMA node %u", dot, cpu->node_os);
            add_memory(&text, &info->host, cpu->node_os);
        } else if (level == DRAWING_CACHE &&
                   (machine->cache_count > 1 || (int)box->level == level)) {
            text_add(&text, "%scache group %u", dot, cpu->cache);
        }
    }
    snprintf(box->label, sizeof box->label, "%.95s", text_of(&text));
    text_fini(&text);
}

static void put_numbers(const struct canvas *canvas, const struct drawing_box *box, unsigned os,
                        const struct mix *mix)
{
    double stripe = box->width / mix->count;
    for (unsigned i = 0; i < mix->count; i++) {
        struct text text = {0};
        text_add(&text, "%s", mix->roles[i] == 0 ? "io" : "");
        place_numbers(&canvas->info->plan, mix->roles[i], os, &text);
        double size = mix->count > 1 ? 10 : 13;
        unsigned characters = (unsigned)text.bytes;
        while (size > 6.5 && drawing_text_width(characters, size) > stripe - 2) {
            size -= 0.5;
        }
        if (drawing_text_width(characters, size) <= stripe) {
            put_text(canvas->out, canvas->x + box->x + stripe * (i + 0.5), canvas->y + box->y + 16,
                     "place", size, text_of(&text));
        }
        text_fini(&text);
    }
}

static void put_cpu_title(const struct canvas *canvas, const struct lp_cpu *cpu, bool allowed,
                          const struct mix *mix)
{
    struct text text = {0};
    text_add(&text, "CPU %u, core %u, NUMA node %u", cpu->os, cpu->core, cpu->node_os);
    for (unsigned i = 0; i < mix->count; i++) {
        text_add(&text, "; %s: place ", role_name(&canvas->info->plan, mix->roles[i]));
        place_numbers(&canvas->info->plan, mix->roles[i], cpu->os, &text);
    }
    if (mix->count == 0) {
        text_add(&text, allowed ? "; allowed, not used" : "; not allowed");
    }
    fputs("<title>", canvas->out);
    put_escaped(canvas->out, text_of(&text));
    fputs("</title>", canvas->out);
    text_fini(&text);
}

static void put_cpu(const struct canvas *canvas, const struct drawing_box *box)
{
    const struct lp_machine *machine = &canvas->info->survey.topology.machine;
    const struct lp_cpu *cpu = &machine->cpus[box->first];
    bool allowed = lp_cpuset_has(machine->allowed, cpu->os);
    struct mix mix = roles_of(&canvas->info->plan, cpu->os);
    int known = find_mix(canvas, &mix);
    char fill[32];
    if (known >= 0) {
        snprintf(fill, sizeof fill, "url(#mix%d)", known);
    } else {
        snprintf(fill, sizeof fill, "%s",
                 mix.count > 0 ? role_colour(mix.roles[0])
                 : allowed     ? allowed_colour
                               : forbidden_colour);
    }
    fprintf(canvas->out,
            "<rect class=\"cpu%s\" data-cpu=\"%u\" x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" "
            "rx=\"5\" fill=\"%s\">",
            mix.count > 0 ? " used" : "", cpu->os, canvas->x + box->x, canvas->y + box->y,
            box->width, box->height, fill);
    put_cpu_title(canvas, cpu, allowed, &mix);
    fputs("</rect>\n", canvas->out);
    put_numbers(canvas, box, cpu->os, &mix);
    char name[32];
    snprintf(name, sizeof name, "cpu %u%s", cpu->os,
             cpu->kind == LP_KIND_PERFORMANCE  ? " P"
             : cpu->kind == LP_KIND_EFFICIENCY ? " E"
                                               : "");
    put_text(canvas->out, canvas->x + box->x + box->width / 2,
             canvas->y + box->y + (mix.count > 0 ? box->height - 6 : box->height / 2 + 3.5),
             mix.count > 0 ? "number" : "number idle", 8.5, name);
}

/* Whether the plan computes near that device. */
static bool is_chosen(const struct lp_plan *plan, const struct lp_device *device)
{
    for (unsigned i = 0; i < plan->pool_count; i++) {
        for (const char *at = plan->pools[i].gpu; *at;) {
            size_t bytes = strcspn(at, ",");
            if (bytes > 0 &&
                ((strlen(device->pci) == bytes && strncmp(device->pci, at, bytes) == 0) ||
                 (strlen(device->name) == bytes && strncmp(device->name, at, bytes) == 0))) {
                return true;
            }
            at += bytes;
            at += *at == ',';
        }
    }
    return false;
}

static void put_chips(const struct canvas *canvas, const struct drawing_box *box)
{
    const struct lp_devices *devices = &canvas->info->survey.devices;
    for (unsigned i = 0; i < box->chip_count; i++) {
        const struct drawing_chip *chip = &box->chips[i];
        const struct lp_device *device = &devices->entries[chip->device];
        struct text title = {0};
        text_add(&title, "%s %s %s; near CPUs ", device->name, device->model, device->pci);
        text_add(&title, "%s", device->local_known ? "" : "unknown");
        if (device->local_known) {
            text_add_cpus(&title, device->local);
        }
        fprintf(
            canvas->out,
            "<rect class=\"device%s%s%s\" x=\"%g\" y=\"%g\" width=\"%g\" height=\"%d\" rx=\"11\">"
            "<title>",
            device->kind == LP_DEVICE_GPU ? " gpu" : "",
            is_chosen(&canvas->info->plan, device) ? " chosen" : "",
            device->visible || device->kind != LP_DEVICE_GPU ? "" : " hidden", canvas->x + chip->x,
            canvas->y + chip->y, chip->width, DRAWING_CHIP_HEIGHT);
        put_escaped(canvas->out, text_of(&title));
        fputs("</title></rect>\n", canvas->out);
        put_text(canvas->out, canvas->x + chip->x + chip->width / 2, canvas->y + chip->y + 15,
                 "device-name", 10.5, chip->label);
        text_fini(&title);
    }
}

static void put_box(const struct canvas *canvas, const struct drawing_box *box)
{
    static const char *const classes[] = {
        [DRAWING_PACKAGE] = "package",
        [DRAWING_NODE] = "node",
        [DRAWING_CACHE] = "cache",
        [DRAWING_CORE] = "core",
    };
    static const double radii[] = {0, 12, 10, 8, 6};
    if (box->level == DRAWING_CPU) {
        put_cpu(canvas, box);
        return;
    }
    if (box->level != DRAWING_MACHINE) {
        fprintf(canvas->out,
                "<rect class=\"%s\" x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" rx=\"%g\"/>\n",
                classes[box->level], canvas->x + box->x, canvas->y + box->y, box->width,
                box->height, radii[box->level]);
        if (*box->label) {
            put_text(canvas->out, canvas->x + box->x + 11, canvas->y + box->y + 18, "label", 11,
                     box->label);
        }
    }
    for (unsigned i = 0; i < box->child_count; i++) {
        put_box(canvas, &box->children[i]);
    }
    put_chips(canvas, box);
}

/* ---- what stands around the machine ---------------------------------------------------------- */

/* CPUs that are switched off have no known place. Returns where they end. */
static double put_offline(const struct canvas *canvas, FILE *out, double y)
{
    const lp_cpuset *offline = canvas->info->host.offline;
    if (!offline) {
        return y;
    }
    y += 14;
    if (out) {
        put_text(out, MARGIN, y + 12, "label", 11, "switched off");
    }
    y += 20;
    double x = MARGIN;
    for (int cpu = lp_cpuset_first(offline); cpu >= 0; cpu = lp_cpuset_next(offline, cpu)) {
        if (x > MARGIN && x + DRAWING_CPU_WIDTH > canvas->width - MARGIN) {
            x = MARGIN;
            y += DRAWING_CPU_HEIGHT + 6;
        }
        if (out) {
            char name[32];
            snprintf(name, sizeof name, "cpu %d", cpu);
            fprintf(out,
                    "<rect class=\"offline\" data-cpu=\"%d\" x=\"%g\" y=\"%g\" width=\"%d\" "
                    "height=\"%d\" rx=\"5\"/>\n",
                    cpu, x, y, DRAWING_CPU_WIDTH, DRAWING_CPU_HEIGHT);
            put_text(out, x + DRAWING_CPU_WIDTH / 2.0, y + DRAWING_CPU_HEIGHT / 2.0 + 3.5,
                     "number idle", 8.5, name);
        }
        x += DRAWING_CPU_WIDTH + 6;
    }
    return y + DRAWING_CPU_HEIGHT;
}

static double put_entry(const struct canvas *canvas, FILE *out, double *x, double y,
                        const char *fill, const char *class, const char *text)
{
    double width = 20 + drawing_text_width((unsigned)strlen(text), legend_size) + 12;
    if (*x > MARGIN && *x + width > canvas->width - MARGIN) {
        *x = MARGIN;
        y += 22;
    }
    if (out) {
        fprintf(
            out,
            "<rect class=\"%s\" x=\"%g\" y=\"%g\" width=\"14\" height=\"14\" rx=\"3\"%s%s%s/>\n",
            class, *x, y, *fill ? " fill=\"" : "", fill, *fill ? "\"" : "");
        put_text(out, *x + 20, y + 11.5, "legend", legend_size, text);
    }
    *x += width;
    return y;
}

static bool has_kinds(const struct lp_machine *machine)
{
    return machine->cpu_count > 0 && machine->cpus[0].kind != LP_KIND_ONLY;
}

static void add_thread_count(struct text *text, const struct lp_plan *plan, unsigned role)
{
    unsigned count = 0;
    places_of(plan, role, &count);
    text_add(text, "%s (", role_name(plan, role));
    text_add_count(text, count, "thread");
    text_add(text, ")");
}

static unsigned count_idle(const struct info *info, bool allowed)
{
    const struct lp_machine *machine = &info->survey.topology.machine;
    unsigned count = 0;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        unsigned os = machine->cpus[i].os;
        count +=
            lp_cpuset_has(machine->allowed, os) == allowed && roles_of(&info->plan, os).count == 0;
    }
    return count;
}

static double put_swatches(const struct canvas *canvas, FILE *out, double y)
{
    const struct lp_plan *plan = &canvas->info->plan;
    struct text text = {0};
    double x = MARGIN;
    for (unsigned role = 0; role < role_count(plan); role++) {
        unsigned count;
        places_of(plan, role, &count);
        if (count > 0) {
            add_thread_count(&text, plan, role);
            y = put_entry(canvas, out, &x, y, role_colour(role), "cpu used", text_of(&text));
            text_fini(&text);
        }
    }
    unsigned idle = count_idle(canvas->info, true), forbidden = count_idle(canvas->info, false);
    if (idle > 0) {
        text_add(&text, "allowed, not used (%u)", idle);
        y = put_entry(canvas, out, &x, y, allowed_colour, "cpu", text_of(&text));
        text_fini(&text);
    }
    if (forbidden > 0) {
        text_add(&text, "not allowed (%u)", forbidden);
        y = put_entry(canvas, out, &x, y, forbidden_colour, "cpu", text_of(&text));
        text_fini(&text);
    }
    if (canvas->info->host.offline) {
        y = put_entry(canvas, out, &x, y, "", "offline", "switched off");
    }
    return y + 14;
}

/* Returns where it ends. */
static double put_legend(const struct canvas *canvas, FILE *out, double y)
{
    const struct lp_plan *plan = &canvas->info->plan;
    double width = canvas->width - 2 * MARGIN;
    y = put_swatches(canvas, out, y + 20);
    struct text text = {0};
    text_add(&text, "Bold numbers: the places of a team in wake order, from 0.");
    if (plan->io_count > 0) {
        text_add(&text, " io0: the first loop.");
    }
    if (has_kinds(&canvas->info->survey.topology.machine)) {
        text_add(&text, " P: performance core, E: efficiency core.");
    }
    if (!plan->pin) {
        text_add(&text, " Threads are not pinned: each may run on all of these CPUs.");
    }
    for (unsigned i = 0; i < plan->pool_count; i++) {
        if (plan->pools[i].blocking) {
            text_add(&text, " Pool %s: up to %u threads anywhere on CPUs ", plan->pools[i].name,
                     plan->pools[i].count);
            text_add_cpus(&text, plan->pools[i].places[0].cpus);
            text_add(&text, ".");
        }
    }
    y = put_wrapped(out, MARGIN, y + 4, width, "legend", 11, text_of(&text));
    text_fini(&text);
    for (unsigned i = 0; i < plan->warnings.count; i++) {
        text_add(&text, "Warning: %s", plan->warnings.entries[i].text);
        y = put_wrapped(out, MARGIN, y + 3, width, "warning", 11, text_of(&text));
        text_fini(&text);
    }
    return y;
}

static double put_title(const struct canvas *canvas, FILE *out)
{
    const struct info *info = canvas->info;
    const char *machine = lp_reasons_find(&info->plan.reasons, "machine");
    const char *budget = lp_reasons_find(&info->plan.reasons, "budget");
    double width = canvas->width - 2 * MARGIN;
    struct text text = {0};
    double y = put_wrapped(out, MARGIN, MARGIN - 12, width, "title", title_size, info->host.name);
    text_add(&text, "%s%s%s", info->host.cpu_model, *info->host.cpu_model && machine ? ": " : "",
             machine ? machine : "");
    y = put_wrapped(out, MARGIN, y + 3, width, "subtitle", text_size, text_of(&text));
    text_fini(&text);
    text_add(&text, "Budget: %s", budget ? budget : "");
    y = put_wrapped(out, MARGIN, y, width, "subtitle", text_size, text_of(&text));
    text_fini(&text);
    return y + 16;
}

static void put_head(const struct canvas *canvas, double height)
{
    fprintf(canvas->out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" "
            "viewBox=\"0 0 %g %g\" font-family=\"DejaVu Sans, Verdana, Arial, sans-serif\">\n"
            "<style>\n"
            "text { fill: #1f2937; }\n"
            ".title { font-weight: bold; }\n"
            ".subtitle { fill: #4b5563; }\n"
            ".label { fill: #374151; }\n"
            ".warning { fill: #9b1c1c; font-weight: bold; }\n"
            ".package { fill: #f1f3f6; stroke: #aab2bd; stroke-width: 1.2; }\n"
            ".node { fill: #e6eaf0; stroke: #b4bdc9; }\n"
            ".cache { fill: #f8f9fb; stroke: #c4ccd6; }\n"
            ".core { fill: #eef1f5; stroke: #c4ccd6; }\n"
            ".cpu { stroke: #b3bcc8; }\n"
            ".used { stroke: #5d6b7c; }\n"
            ".offline { fill: none; stroke: #9aa4b1; stroke-dasharray: 3 3; }\n"
            ".place { font-weight: bold; text-anchor: middle; }\n"
            ".number { text-anchor: middle; fill: #2f3b4a; }\n"
            ".idle { fill: #5f6b7a; }\n"
            ".device { fill: #ffffff; stroke: #7c8896; }\n"
            ".gpu { fill: #e9f5d8; stroke: #6d8f3a; }\n"
            ".chosen { stroke: #3f6212; stroke-width: 2.4; }\n"
            ".hidden { fill: #f1f3f6; stroke: #9aa4b1; stroke-dasharray: 3 3; }\n"
            ".device-name { text-anchor: middle; }\n"
            "</style>\n"
            "<rect width=\"%g\" height=\"%g\" fill=\"#fdfdfc\"/>\n",
            canvas->width, height, canvas->width, height, canvas->width, height);
}

int info_print_svg(const struct info *info, FILE *out)
{
    struct drawing_box machine;
    int err = drawing_make(&machine, &info->survey.topology.machine, &info->survey.devices,
                           label_box, (void *)(uintptr_t)info);
    if (err) {
        return err;
    }
    struct canvas canvas = {.out = out, .info = info};
    canvas.width = fmax(machine.width + 2 * MARGIN, narrowest);
    canvas.y = put_title(&canvas, NULL);
    canvas.x = MARGIN;
    double height = canvas.y + machine.height;
    height = put_legend(&canvas, NULL, put_offline(&canvas, NULL, height)) + MARGIN;
    put_head(&canvas, height);
    define_mixes(&canvas);
    put_title(&canvas, out);
    put_box(&canvas, &machine);
    put_legend(&canvas, out, put_offline(&canvas, out, canvas.y + machine.height));
    fputs("</svg>\n", out);
    drawing_fini(&machine);
    return ferror(out) ? lp_fail(-EIO, "cannot write the drawing: %s", strerror(errno)) : 0;
}
