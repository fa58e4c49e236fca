/* SPDX-License-Identifier: MIT */
/* Merge sort: the halves are sorted by tasks, and so are the halves of each merge, whose second one
 * begins where a binary search says. Sorts the numbers 0 to n - 1 out of a scrambled order, so that
 * each has one place to be found at. Any thread may enter it, several at once. */
#include "kernels.h"

#include <errno.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SORT_LEAF = 2048, MERGE_LEAF = 4096, INSERTION = 24 };

static int bits_of(char size, int *bits)
{
    switch (size) {
    case 'S':
        *bits = 18;
        return 0;
    case 'W':
        *bits = 23;
        return 0;
    default:
        return -EINVAL;
    }
}

/* One-to-one among the numbers of so many bits: each step can be undone. */
static uint32_t scramble(uint32_t i, int bits)
{
    uint32_t mask = (UINT32_C(1) << bits) - 1;
    for (int round = 0; round < 3; round++) {
        i = (i * UINT32_C(2654435769) + UINT32_C(12345)) & mask;
        i ^= i >> (bits / 2);
    }
    return i;
}

static void merge_alone(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count,
                        uint32_t *to)
{
    while (a_count && b_count) {
        if (*b < *a) {
            *to++ = *b++;
            b_count--;
        } else {
            *to++ = *a++;
            a_count--;
        }
    }
    memcpy(to, a, a_count * sizeof *a);
    memcpy(to + a_count, b, b_count * sizeof *b);
}

/* How many of the sorted numbers are below a bound. */
static size_t count_below(const uint32_t *a, size_t count, uint32_t bound)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (a[middle] < bound) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return low;
}

static void merge(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count,
                  uint32_t *to)
{
    if (a_count < b_count) {
        merge(b, b_count, a, a_count, to);
        return;
    }
    if (a_count + b_count <= MERGE_LEAF) {
        merge_alone(a, a_count, b, b_count, to);
        return;
    }
    size_t a_low = a_count / 2, b_low = count_below(b, b_count, a[a_low]);
#pragma omp task
    merge(a, a_low, b, b_low, to);
    merge(a + a_low, a_count - a_low, b + b_low, b_count - b_low, to + a_low + b_low);
#pragma omp taskwait
}

static void sort_few(uint32_t *a, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint32_t value = a[i];
        size_t at = i;
        for (; at > 0 && a[at - 1] > value; at--) {
            a[at] = a[at - 1];
        }
        a[at] = value;
    }
}

/* Sorts a, by way of as many numbers of room. */
static void sort_alone(uint32_t *a, size_t count, uint32_t *room)
{
    if (count <= INSERTION) {
        sort_few(a, count);
        return;
    }
    size_t half = count / 2;
    sort_alone(a, half, room);
    sort_alone(a + half, count - half, room);
    memcpy(room, a, half * sizeof *a);
    /* What remains of the upper half is where it belongs. */
    const uint32_t *low = room, *high = a + half;
    while (low < room + half) {
        if (high < a + count && *high < *low) {
            *a++ = *high++;
            count--;
        } else {
            *a++ = *low++;
            count--;
        }
    }
}

/* The sorted numbers end in a, or in room if to_room. */
static void sort(uint32_t *a, size_t count, uint32_t *room, bool to_room)
{
    if (count <= SORT_LEAF) {
        sort_alone(a, count, room);
        if (to_room) {
            memcpy(room, a, count * sizeof *a);
        }
        return;
    }
    size_t half = count / 2;
    const uint32_t *from = to_room ? a : room;
#pragma omp task
    sort(a, half, room, !to_room);
#pragma omp task
    sort(a + half, count - half, room + half, !to_room);
#pragma omp taskwait
    merge(from, half, from + half, count - half, to_room ? room : a);
}

int sort_tasks(char size, struct kernel_result *result)
{
    int bits, err = bits_of(size, &bits);
    if (err) {
        return err;
    }
    size_t count = (size_t)1 << bits, misplaced = 0;
    uint32_t *a = malloc(2 * count * sizeof *a);
    if (!a) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        a[i] = scramble((uint32_t)i, bits);
        a[count + i] = 0; /* no page faults while the time is taken */
    }
    double start = kernel_clock();
    sort(a, count, a + count, false);
    double seconds = kernel_clock() - start;
    for (size_t i = 0; i < count; i++) {
        misplaced += a[i] != i;
    }
    free(a);
    *result = (struct kernel_result){.verified = misplaced == 0,
                                     .value = {(double)misplaced},
                                     .count = (int)count,
                                     .seconds = seconds,
                                     .threads = omp_get_num_threads()};
    snprintf(result->text, sizeof result->text, "%zu numbers, %zu misplaced", count, misplaced);
    return 0;
}

int sort_region(char size, struct kernel_result *result)
{
    int err = 0;
#pragma omp parallel
#pragma omp single
    err = sort_tasks(size, result);
    return err;
}
