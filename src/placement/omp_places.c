/* SPDX-License-Identifier: MIT */
/* Owns the syntax of explicit OMP_PLACES lists. Pure; any thread enters. */
#include "placement/omp_places.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CPU_MAX = 1048575,
    /* A short text can ask for a huge list, like {0:1048576}:65536:0. This many steps (a CPU that
     * is added, 64 CPU numbers that are copied) take tenths of a second and at most 128 MiB. */
    STEPS_MAX = 1 << 24
};

struct reader {
    const char *text;
    const char *at;
    struct lp_omp_places *places;
    unsigned capacity;
    uint64_t steps;
};

static int fail_at(const struct reader *reader, const char *at, int err, const char *what)
{
    return lp_fail(err, "places `%.200s': %s at character %zu, `%.20s'", reader->text, what,
                   (size_t)(at - reader->text) + 1, at);
}

static int fail_memory(void)
{
    return lp_fail(-ENOMEM, "no memory for a list of places");
}

static void skip_blanks(struct reader *reader)
{
    while (isspace((unsigned char)*reader->at)) {
        reader->at++;
    }
}

/* Takes the character if it is next. */
static bool take(struct reader *reader, char character)
{
    skip_blanks(reader);
    if (*reader->at != character) {
        return false;
    }
    reader->at++;
    return true;
}

static int spend(struct reader *reader, uint64_t steps)
{
    reader->steps += steps;
    return reader->steps > STEPS_MAX ? fail_at(reader, reader->at, -E2BIG, "the list is too large")
                                     : 0;
}

/* A number from 0 to max; `what` is the complaint about anything else than digits. */
static int read_number(struct reader *reader, long max, const char *what, long *number)
{
    skip_blanks(reader);
    const char *start = reader->at;
    if (!isdigit((unsigned char)*start)) {
        return fail_at(reader, start, -EINVAL, what);
    }
    long value = 0;
    for (; isdigit((unsigned char)*reader->at); reader->at++) {
        value = value * 10 + (*reader->at - '0');
        if (value > max) {
            return fail_at(reader, start, -E2BIG, "the number is too large");
        }
    }
    *number = value;
    return 0;
}

/* The optional ":length" and ":length:stride" after a CPU or a place. */
static int read_interval(struct reader *reader, long length_max, long *length, long *stride)
{
    *length = 1;
    *stride = 1;
    if (!take(reader, ':')) {
        return 0;
    }
    skip_blanks(reader);
    const char *start = reader->at;
    int err = read_number(reader, length_max, "expected a length", length);
    if (err == 0 && *length == 0) {
        err = fail_at(reader, start, -EINVAL, "a length is at least 1");
    }
    if (err != 0 || !take(reader, ':')) {
        return err;
    }
    bool negative = take(reader, '-');
    if (!negative) {
        take(reader, '+');
    }
    err = read_number(reader, CPU_MAX, "expected a stride", stride);
    *stride = negative ? -*stride : *stride;
    return err;
}

/* "3", "0:4", "0:4:2" or "!3" */
static int read_cpus(struct reader *reader, lp_cpuset *place)
{
    bool out = take(reader, '!');
    skip_blanks(reader);
    const char *start = reader->at;
    long first, length = 1, stride = 1;
    int err = read_number(reader, CPU_MAX, "expected the number of a CPU", &first);
    if (err == 0 && !out) {
        err = read_interval(reader, CPU_MAX + 1L, &length, &stride);
    }
    if (err != 0) {
        return err;
    }
    long long last = first + (long long)(length - 1) * stride;
    if (last < 0) {
        return fail_at(reader, start, -EINVAL, "the CPUs run below 0");
    }
    if (last > CPU_MAX) {
        return fail_at(reader, start, -E2BIG, "the number of a CPU is too large");
    }
    err = spend(reader, (uint64_t)length);
    if (err != 0) {
        return err;
    }
    if (!out) {
        for (long i = 0; i < length; i++) {
            lp_cpuset_add(place, (unsigned)(first + i * stride));
        }
        return 0;
    }
    if (!lp_cpuset_has(place, (unsigned)first)) {
        return fail_at(reader, start, -EINVAL, "the place has no such CPU to take out");
    }
    lp_cpuset *gone = lp_cpuset_new();
    if (!gone) {
        return -ENOMEM;
    }
    lp_cpuset_add(gone, (unsigned)first);
    lp_cpuset_remove(place, gone);
    lp_cpuset_free(gone);
    return spend(reader, (uint64_t)first / 64);
}

/* "{...}"; the caller frees *place on success. */
static int read_place(struct reader *reader, lp_cpuset **place)
{
    skip_blanks(reader);
    const char *start = reader->at;
    if (!take(reader, '{')) {
        return fail_at(reader, start, -EINVAL, "expected a place like {0,1} or {0:4}");
    }
    lp_cpuset *set = lp_cpuset_new();
    if (!set) {
        return -ENOMEM;
    }
    int err;
    do {
        err = read_cpus(reader, set);
    } while (err == 0 && take(reader, ','));
    if (err == 0 && !take(reader, '}')) {
        err = fail_at(reader, reader->at, -EINVAL, "expected , or }");
    }
    if (err == 0 && lp_cpuset_first(set) < 0) {
        err = fail_at(reader, start, -EINVAL, "the place has no CPU");
    }
    if (err != 0) {
        lp_cpuset_free(set);
        return err;
    }
    *place = set;
    return 0;
}

/* Takes the set over, also when it fails. */
static int append(struct reader *reader, lp_cpuset *place)
{
    struct lp_omp_places *places = reader->places;
    if (places->count == LP_OMP_PLACES_MAX) {
        lp_cpuset_free(place);
        return fail_at(reader, reader->at, -E2BIG, "there are too many places");
    }
    if (places->count == reader->capacity) {
        unsigned capacity = reader->capacity ? 2 * reader->capacity : 16;
        lp_cpuset **grown = realloc(places->places, capacity * sizeof *grown);
        if (!grown) {
            lp_cpuset_free(place);
            return fail_memory();
        }
        places->places = grown;
        reader->capacity = capacity;
    }
    places->places[places->count++] = place;
    return 0;
}

static int last_of(const lp_cpuset *set)
{
    int last = -1;
    for (int cpu = lp_cpuset_first(set); cpu >= 0; cpu = lp_cpuset_next(set, cpu)) {
        last = cpu;
    }
    return last;
}

/* Appends the place, moved by `shift` CPUs; the caller has seen that it stays in range. */
static int append_moved(struct reader *reader, const lp_cpuset *place, long shift)
{
    lp_cpuset *moved = lp_cpuset_new();
    if (!moved) {
        return -ENOMEM;
    }
    for (int cpu = lp_cpuset_first(place); cpu >= 0; cpu = lp_cpuset_next(place, cpu)) {
        lp_cpuset_add(moved, (unsigned)(cpu + shift));
    }
    return append(reader, moved);
}

/* "!{3}": takes the places that are {3} out. */
static int take_out(struct reader *reader, const char *start, const lp_cpuset *place)
{
    struct lp_omp_places *places = reader->places;
    unsigned before = places->count;
    places->count = 0;
    for (unsigned i = 0; i < before; i++) {
        if (lp_cpuset_equal(places->places[i], place)) {
            lp_cpuset_free(places->places[i]);
        } else {
            places->places[places->count++] = places->places[i];
        }
    }
    if (places->count == before) {
        return fail_at(reader, start, -EINVAL, "there is no such place to take out");
    }
    return spend(reader, before);
}

/* "{0,1}:4:2" has been read: appends the place and its copies, each `stride` CPUs further. */
static int append_row(struct reader *reader, const char *start, const lp_cpuset *place, long length,
                      long stride)
{
    long long way = (long long)(length - 1) * stride;
    long long lowest = lp_cpuset_first(place) + (way < 0 ? way : 0);
    long long highest = last_of(place) + (way > 0 ? way : 0);
    if (lowest < 0) {
        return fail_at(reader, start, -EINVAL, "the places run below CPU 0");
    }
    if (highest > CPU_MAX) {
        return fail_at(reader, start, -E2BIG, "the number of a CPU is too large");
    }
    /* Sets are stored from CPU 0 on, so a high number costs as much as many CPUs. */
    uint64_t steps_each = (uint64_t)lp_cpuset_count(place) + (uint64_t)highest / 64 + 1;
    int err = spend(reader, (uint64_t)length * steps_each);
    for (long i = 0; err == 0 && i < length; i++) {
        err = append_moved(reader, place, i * stride);
    }
    return err;
}

/* A place, a row of places, or a place that is taken out. */
static int read_places(struct reader *reader)
{
    skip_blanks(reader);
    const char *start = reader->at;
    bool out = take(reader, '!');
    lp_cpuset *place = NULL;
    int err = read_place(reader, &place);
    if (err != 0) {
        return err;
    }
    long length, stride;
    if (out) {
        err = take_out(reader, start, place);
    } else {
        err = read_interval(reader, LP_OMP_PLACES_MAX, &length, &stride);
        if (err == 0) {
            err = append_row(reader, start, place, length, stride);
        }
    }
    lp_cpuset_free(place);
    return err;
}

int lp_omp_places_parse(struct lp_omp_places *places, const char *text)
{
    struct lp_omp_places result = {0};
    struct reader reader = {.text = text, .at = text, .places = &result};
    int err;
    do {
        err = read_places(&reader);
    } while (err == 0 && take(&reader, ','));
    if (err == 0 && *reader.at) {
        err = fail_at(&reader, reader.at, -EINVAL, "expected , or the end");
    }
    if (err == 0 && result.count == 0) {
        err = lp_fail(-EINVAL, "places `%.200s': no place is left", text);
    }
    if (err != 0) {
        lp_omp_places_fini(&result);
        return err;
    }
    *places = result;
    return 0;
}

void lp_omp_places_fini(struct lp_omp_places *places)
{
    for (unsigned i = 0; i < places->count; i++) {
        lp_cpuset_free(places->places[i]);
    }
    free(places->places);
    *places = (struct lp_omp_places){0};
}

/* A text that grows; once it failed, what is written is dropped. */
struct writer {
    char *text;
    size_t bytes, capacity;
    bool failed;
};

static void write_piece(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void write_piece(struct writer *writer, const char *format, ...)
{
    char piece[64];
    va_list arguments;
    va_start(arguments, format);
    size_t bytes = (size_t)vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (!writer->failed && writer->bytes + bytes + 1 > writer->capacity) {
        size_t capacity = 2 * writer->capacity + sizeof piece;
        char *grown = realloc(writer->text, capacity);
        writer->failed = !grown;
        writer->text = grown ? grown : writer->text;
        writer->capacity = grown ? capacity : writer->capacity;
    }
    if (!writer->failed) {
        memcpy(writer->text + writer->bytes, piece, bytes + 1);
        writer->bytes += bytes;
    }
}

/* Three CPUs in a row and more are a range; two read better as they are. */
static void write_place(struct writer *writer, const lp_cpuset *place)
{
    const char *separator = "{";
    int cpu = lp_cpuset_first(place);
    while (cpu >= 0) {
        int length = 1;
        int next = lp_cpuset_next(place, cpu);
        while (next == cpu + length) {
            length++;
            next = lp_cpuset_next(place, next);
        }
        if (length < 3) {
            next = lp_cpuset_next(place, cpu);
            write_piece(writer, "%s%d", separator, cpu);
        } else {
            write_piece(writer, "%s%d:%d", separator, cpu, length);
        }
        separator = ",";
        cpu = next;
    }
    write_piece(writer, "}");
}

char *lp_omp_places_text(lp_cpuset *const *places, unsigned count)
{
    struct writer writer = {0};
    write_piece(&writer, "%s", "");
    for (unsigned i = 0; i < count; i++) {
        write_piece(&writer, "%s", i > 0 ? "," : "");
        write_place(&writer, places[i]);
    }
    if (writer.failed) {
        free(writer.text);
        fail_memory();
        return NULL;
    }
    return writer.text;
}
