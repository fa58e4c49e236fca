/* SPDX-License-Identifier: MIT */
/* Owns the error sentence of each thread and the words for error codes. Any thread enters; nothing
 * here blocks, allocates or fails. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SENTENCE_BYTES = 512 };

static _Thread_local char sentence[SENTENCE_BYTES];

int lp_fail(int err, const char *format, ...)
{
    /* The arguments may point into the old sentence, so it is replaced only when the new one is
     * complete. */
    char text[SENTENCE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(sentence, text, sizeof sentence);
    return err;
}

int lp_fail_with(int err, const char *text)
{
    return lp_fail(err, "%s", text);
}

const char *loomp_error(void)
{
    return sentence;
}

const char *loomp_strerror(int err)
{
    switch (err < 0 ? -err : err) {
    case 0:
        return "success";
    case EAGAIN:
        return "queue limit reached, try again later";
    case EALREADY:
        return "already done, running or attached";
    case EBUSY:
        return "already under way";
    case ECANCELED:
        return "canceled";
    case EDEADLK:
        return "waiting here could never end";
    case EINPROGRESS:
        return "has started already";
    case ESHUTDOWN:
        return "the runtime is shut down";
    case EOWNERDEAD:
        return "the runtime belongs to the parent process";
    case ETIMEDOUT:
        return "time limit reached";
    default: {
        static _Thread_local char buffer[64];
        const char *text = strerrordesc_np(err < 0 ? -err : err);
        if (text) {
            return text;
        }
        snprintf(buffer, sizeof buffer, "unknown error %d", err);
        return buffer;
    }
    }
}
