/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share: a check that ends the program, and taking an input to pieces.
 *
 * An input is text as far as possible, so that its beginnings in corpus/ can be read: lines, and
 * where a number of choices is wanted, one character for each. A target checks what the function
 * promises for every input; the sanitizers see the rest. One thread. */
#ifndef LP_FUZZ_H
#define LP_FUZZ_H

#include "base/log.h"
#include "placement/cpuset.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program, which is how libFuzzer learns of a broken promise; it then keeps the input. */
__attribute__((format(printf, 4, 5))) static inline void
fuzz_broken(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: not so: %s: ", file, line, condition);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

/* FUZZ_CHECK(condition, format, ...): the rest is printed if it does not hold. */
#define FUZZ_CHECK(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fuzz_broken(__FILE__, __LINE__, #condition, __VA_ARGS__);                              \
        }                                                                                          \
    } while (0)

/* Lines of the log are formatted, which is part of what is tested, and go nowhere. */
static inline void fuzz_drop_line(void *arg, int32_t level, const char *line)
{
    (void)arg;
    FUZZ_CHECK(level > LOOMP_LOG_NONE && *line, "an empty line of the log");
}

/* Makes the log new, so that no input's lines are dropped as known from an earlier one. */
static inline void fuzz_log(void)
{
    loomp_set_log(fuzz_drop_line, NULL);
    lp_log_reset();
}

/* After a failure: it must be one of two errors, and have a sentence. 0 for no second one. */
#define FUZZ_CHECK_FAILED(err, first, second)                                                      \
    do {                                                                                           \
        FUZZ_CHECK((err) == (first) || (err) == (second), "error %d, %s", (err), loomp_error());   \
        FUZZ_CHECK(*loomp_error(), "error %d without a sentence", (err));                          \
    } while (0)

static inline void *fuzz_have(void *memory)
{
    FUZZ_CHECK(memory, "no memory");
    return memory;
}

/* What is left of an input. */
struct fuzz_input {
    const char *at;
    size_t size;
};

/* A text of its own with the bytes up to the first zero, in a block of just that size, so that
 * reading past its end is seen. The caller frees it. */
static inline char *fuzz_text(struct fuzz_input input)
{
    size_t bytes = strnlen(input.at, input.size);
    char *text = fuzz_have(malloc(bytes + 1));
    memcpy(text, input.at, bytes);
    text[bytes] = '\0';
    return text;
}

/* Takes the next line off, without its end. */
static inline struct fuzz_input fuzz_line(struct fuzz_input *input)
{
    const char *end = input->size > 0 ? memchr(input->at, '\n', input->size) : NULL;
    struct fuzz_input line = {input->at, end ? (size_t)(end - input->at) : input->size};
    size_t taken = line.size + (end != NULL);
    input->at += taken;
    input->size -= taken;
    return line;
}

/* Takes a choice off: 0 to count - 1, which is '0' and what follows it; 0 if nothing is left. */
static inline unsigned fuzz_choice(struct fuzz_input *input, unsigned count)
{
    if (input->size == 0) {
        return 0;
    }
    unsigned char c = (unsigned char)*input->at;
    input->at++;
    input->size--;
    return (unsigned char)(c - '0') % count;
}

#endif
