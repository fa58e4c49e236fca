/* SPDX-License-Identifier: MIT */
/* Tests of the example's Matrix Market parser: what it reads, and that every fault is told with its
 * line and without a large allocation. */
#define SUITE "matrix_market"
#include "harness.h"

#include "matrix_market.h"

#include <errno.h>
#include <stdlib.h>

static const struct matrix_market_limits limits = {.max_rows = 1000000, .max_entries = 5000000};
static struct matrix_market_error error;

static int parse(struct csr *a, const char *text)
{
    memset(a, 0, sizeof *a);
    memset(&error, 0, sizeof error);
    return matrix_market_parse(a, text, strlen(text), &limits, &error);
}

/* A text that must be refused with that line and, somewhere in the sentence, those words. */
static void refused(const char *text, long line, const char *words)
{
    struct csr a;
    int err = parse(&a, text);

    if (!CHECK(err == -EINVAL || err == -E2BIG)) {
        printf("    not refused: %s\n", text);
        csr_fini(&a);
        return;
    }
    CHECK(a.start == NULL);
    if (!CHECK(error.line == line) || !CHECK(strstr(error.text, words) != NULL)) {
        printf("    line %ld: %s\n", error.line, error.text);
    }
}

static double at(const struct csr *a, int64_t i, int32_t j)
{
    for (int64_t k = a->start[i]; k < a->start[i + 1]; k++) {
        if (a->column[k] == j) {
            return a->value[k];
        }
    }
    return 0.0;
}

#define REAL "%%MatrixMarket matrix coordinate real general\n"
#define SYMMETRIC "%%MatrixMarket matrix coordinate real symmetric\n"

TEST(a_general_matrix_is_read_with_its_rows_sorted)
{
    struct csr a;
    if (!CHECK(parse(&a, REAL "3 3 5\n3 3 9\n1 3 -2.5e-1\n1 1 1\n2 2 +4\n3 1 .5\n") == 0)) {
        return;
    }
    CHECK(a.n == 3 && a.entries == 5 && a.start[3] == 5 && !a.symmetric);
    CHECK(a.column[0] == 0 && a.column[1] == 2 && a.value[1] == -0.25);
    CHECK(at(&a, 1, 1) == 4.0 && at(&a, 2, 0) == 0.5 && at(&a, 2, 2) == 9.0);
    csr_fini(&a);
}

TEST(a_symmetric_matrix_gets_both_triangles)
{
    struct csr a;
    if (!CHECK(parse(&a, SYMMETRIC "2 2 3\n1 1 2\n2 1 -1\n2 2 2\n") == 0)) {
        return;
    }
    CHECK(a.entries == 4 && a.symmetric);
    CHECK(at(&a, 0, 1) == -1.0 && at(&a, 1, 0) == -1.0);
    CHECK(csr_is_symmetric(&a));
    csr_fini(&a);
}

TEST(integer_and_pattern_fields_are_read)
{
    struct csr a;
    if (CHECK(parse(&a, "%%MatrixMarket matrix coordinate integer general\n1 1 1\n1 1 -7\n") ==
              0)) {
        CHECK(a.value[0] == -7.0);
        csr_fini(&a);
    }
    if (CHECK(parse(&a, "%%MatrixMarket matrix coordinate pattern general\n1 1 1\n1 1\n") == 0)) {
        CHECK(a.value[0] == 1.0);
        csr_fini(&a);
    }
}

TEST(comments_blank_lines_crlf_tabs_and_letter_case_do_not_matter)
{
    struct csr a;
    if (!CHECK(parse(&a,
                     "%%matrixmarket MATRIX Coordinate Real General\r\n% a comment\r\n\r\n"
                     "\t2 2  2 \r\n% another\r\n1\t1\t1.5\r\n\r\n  2 2 2.5  \r\n\r\n%\r\n") == 0)) {
        return;
    }
    CHECK(at(&a, 0, 0) == 1.5 && at(&a, 1, 1) == 2.5);
    csr_fini(&a);
}

TEST(the_last_line_needs_no_newline)
{
    struct csr a;
    if (CHECK(parse(&a, REAL "1 1 1\n1 1 1") == 0)) {
        csr_fini(&a);
    }
}

TEST(duplicates_add_up)
{
    struct csr a;
    if (!CHECK(parse(&a, REAL "2 2 5\n1 1 1\n2 2 1\n1 1 2\n2 1 3\n1 1 4\n") == 0)) {
        return;
    }
    CHECK(a.entries == 3 && a.start[1] == 1 && a.start[2] == 3);
    CHECK(at(&a, 0, 0) == 7.0 && at(&a, 1, 0) == 3.0 && at(&a, 1, 1) == 1.0);
    csr_fini(&a);
}

TEST(a_fortran_exponent_is_read)
{
    struct csr a;
    if (CHECK(parse(&a, REAL "1 1 1\n1 1 -1.5D+02\n") == 0)) {
        CHECK(a.value[0] == -150.0);
        csr_fini(&a);
    }
}

TEST(a_dense_row_is_sorted_too)
{
    struct csr a;
    char text[16384];
    size_t length = (size_t)snprintf(text, sizeof text, "%s", REAL "500 500 999\n");
    for (int j = 500; j >= 1; j--) {
        length += (size_t)snprintf(text + length, sizeof text - length, "1 %d %d\n", j, j);
    }
    for (int i = 2; i <= 500; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "%d %d 1\n", i, i);
    }
    if (!CHECK(parse(&a, text) == 0)) {
        printf("    line %ld: %s\n", error.line, error.text);
        return;
    }
    int wrong = 0;
    for (int j = 0; j < 500; j++) {
        wrong += a.column[j] != j || a.value[j] != j + 1;
    }
    CHECK(wrong == 0);
    csr_fini(&a);
}

TEST(banners_that_are_not_read_are_refused)
{
    refused("", 1, "empty");
    refused("\n", 1, "does not begin");
    refused("hello\n", 1, "does not begin");
    refused("%%MatrixMarket vector coordinate real general\n1 1 1\n", 1, "'vector'");
    refused("%%MatrixMarket matrix array real general\n1 1\n1\n", 1, "'array'");
    refused("%%MatrixMarket matrix coordinate complex general\n", 1, "'complex'");
    refused("%%MatrixMarket matrix coordinate real skew-symmetric\n", 1, "'skew-symmetric'");
    refused("%%MatrixMarket matrix coordinate real\n1 1 1\n", 1, "symmetry");
    refused("%%MatrixMarket matrix coordinate real general indeed\n1 1 1\n", 1, "'indeed'");
}

TEST(sizes_that_cannot_be_are_refused)
{
    refused(REAL, 1, "before the line with the sizes");
    refused(REAL "% nothing\n\n", 3, "before the line with the sizes");
    refused(REAL "1 1\n", 2, "the number of entries");
    refused(REAL "1 1 1 1\n1 1 1\n", 2, "after the sizes");
    refused(REAL "x 1 1\n", 2, "'x'");
    refused(REAL "1.0 1 1\n", 2, "'1.0'");
    refused(REAL "0 0 0\n", 2, "no linear system");
    refused(REAL "-1 -1 1\n", 2, "no linear system");
    refused(REAL "2 3 2\n1 1 1\n2 2 1\n", 2, "not square");
    refused(REAL "- 1 1\n", 2, "'-'");
}

TEST(counts_beyond_the_limits_the_types_or_the_bytes_are_refused)
{
    refused(REAL "2000000 2000000 2000000\n", 2, "over the limit");
    refused(REAL "1000 1000 6000000\n", 2, "over the limit");
    refused(REAL "99999999999999999999 1 1\n", 2, "too large");
    refused(REAL "9223372036854775807 9223372036854775807 9223372036854775807\n", 2, "too large");
    refused(REAL "1000 1000 4000000\n1 1 1\n", 2, "cannot be in the 6 bytes");
    refused(REAL "1000000 1000000 2\n1 1 1\n2 2 2\n", 2, "a row is empty");
}

TEST(a_truncated_file_is_told_where_it_ends)
{
    refused(REAL "2 2 2\n1 1 1.000000\n", 3, "after 1 of 2 entries");
    refused(REAL "2 2 2\n1 1 1.000000\n2 2", 4, "the line ends where the value should be");
    refused(REAL "2 2 2\n1 1 1.000000\n2", 4, "the line ends where a column index should be");
}

TEST(entries_that_cannot_be_are_refused_with_their_line)
{
    refused(REAL "2 2 2\n1 1 1\n3 1 1\n", 4, "(3, 1) is outside of 1 to 2");
    refused(REAL "2 2 2\n1 0 1\n2 2 1\n", 3, "outside");
    refused(REAL "2 2 2\n1 -1 1\n2 2 1\n", 3, "outside");
    refused(REAL "2 2 2\n% one\n\n1 1 nan\n2 2 1\n", 5, "not a finite number");
    refused(REAL "2 2 2\n1 1 -Inf\n2 2 1\n", 3, "not a finite number");
    refused(REAL "2 2 2\n1 1 1e400\n2 2 1\n", 3, "too large");
    refused(REAL "2 2 2\n1 1 0x10\n2 2 1\n", 3, "not a number");
    refused(REAL "2 2 2\n1 1 1.5abc\n2 2 1\n", 3, "not a number");
    refused(REAL "2 2 2\n1 1 --1\n2 2 1\n", 3, "not a number");
    refused(REAL "2 2 2\n1 1 1 1\n2 2 1\n", 3, "after the entry");
    refused(REAL "2 2 2\n1 1 1\n2 2 1\n1 2 1\n", 5, "after the last of 2 entries");
    refused(SYMMETRIC "2 2 2\n1 2 1\n2 2 1\n", 3, "above the diagonal");
    refused("%%MatrixMarket matrix coordinate integer general\n1 1 1\n1 1 1.5\n", 3, "'1.5'");
    refused("%%MatrixMarket matrix coordinate pattern general\n1 1 1\n1 1 1\n", 3,
            "after the entry");
    refused(REAL "1 1 2\n1 1 1e308\n1 1 1e308\n", 0, "duplicates");
}

TEST(bytes_that_are_no_text_are_refused)
{
    struct csr a = {0};
    static const char text[] = REAL "2 2 2\n1 1 \0\xff\n2 2 1\n";
    CHECK(matrix_market_parse(&a, text, sizeof text - 1, &limits, &error) == -EINVAL);
    CHECK(error.line == 3);
}

/* Whatever a good file is cut down to or altered to, parsing ends, and within the text. The copy
 * has no byte to spare, so that the address sanitizer sees a step too far. */
TEST(every_prefix_and_every_altered_byte_ends_in_an_answer)
{
    static const char good[] = SYMMETRIC "% c\n3 3 4\n1 1 2.5D0\n2 1 -1e-3\r\n2 2 2\n3 3 7\n";
    static const char bytes[] = "\n\r \t%-+.9eDx\x01\xff";
    size_t size = sizeof good - 1;
    for (size_t cut = 0; cut < size; cut++) {
        char *copy = malloc(cut + 1);
        if (!CHECK(copy != NULL)) {
            return;
        }
        memcpy(copy, good, cut);
        copy[cut] = '\0';
        struct csr a = {0};
        /* All but the last newline may be missing. */
        CHECK((matrix_market_parse(&a, copy, cut, &limits, &error) == 0) == (cut == size - 1));
        csr_fini(&a);
        free(copy);
    }
    for (size_t k = 0; k < size; k++) {
        for (const char *byte = bytes; *byte != '\0'; byte++) {
            char *copy = malloc(size + 1);
            if (!CHECK(copy != NULL)) {
                return;
            }
            memcpy(copy, good, size + 1);
            copy[k] = *byte;
            struct csr a = {0};
            if (matrix_market_parse(&a, copy, size, &limits, &error) == 0) {
                CHECK(a.n >= 1 && a.start[a.n] == a.entries);
            }
            csr_fini(&a);
            free(copy);
        }
    }
}

TEST(an_outline_tells_the_counts_of_the_first_lines)
{
    static const char general[] = REAL "%c\n\n3 3 5\n3 3 9\n";
    static const char symmetric[] = SYMMETRIC "4 4 4\n1 1 1\n";
    struct matrix_market_outline o;

    CHECK(matrix_market_outline(&o, general, strlen(general)) == 0);
    CHECK(o.n == 3 && o.entries == 5 && !o.symmetric);
    CHECK(matrix_market_outline(&o, symmetric, strlen(symmetric)) == 0);
    CHECK(o.n == 4 && o.entries == 8 && o.symmetric);
}

TEST(what_has_no_matrix_has_no_outline)
{
    static const char *const texts[] = {
        "",
        "no banner\n3 3 5\n",
        REAL,
        REAL "3 3\n",
        REAL "3 4 5\n",
        REAL "3 3 x\n",
        REAL "3 3 1000\n1 1 1\n", /* more entries than bytes */
        REAL "9 9 5\n1 1 1\n",    /* an empty row */
        REAL "-1 -1 5\n1 1 1\n",
    };
    struct matrix_market_outline o;

    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        if (!CHECK(matrix_market_outline(&o, texts[k], strlen(texts[k])) == -EINVAL)) {
            printf("    %s\n", texts[k]);
        }
    }
}

/* Comments of 4 KiB: the line with the sizes may end anywhere around what is looked at, and is
 * never read in part. */
TEST(an_outline_never_has_half_a_number)
{
    struct matrix_market_outline o;
    int found = 0;

    for (int comment = 3900; comment < 4200; comment++) {
        char text[8192];
        int size =
            snprintf(text, sizeof text, "%s%%%0*d\n12 12 4567\n%*s", REAL, comment, 0, 3000, "");
        if (matrix_market_outline(&o, text, (size_t)size) == 0) {
            CHECK(o.n == 12 && o.entries == 4567);
            found++;
        }
    }
    CHECK(found > 0 && found < 300);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
