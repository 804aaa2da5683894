/*
 * log.h - lines in the broker's log. Main thread only.
 *
 * Each line starts with "chat: ". What a remote client can set off goes through log_limited, so
 * that nobody fills a disk from outside; text that came from outside goes through log_text.
 */
#ifndef CHAT_LOG_H
#define CHAT_LOG_H

#include <stddef.h>

#define LOG_TEXT_MAX 128 /* bytes of foreign text in a line, NUL included */

/* level: one of MOSQ_LOG_ERR, _WARNING, _NOTICE, _INFO, _DEBUG. */
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Causes of lines that remote clients, or a disk, can set off again and again; one line a minute for each. */
enum log_cause {
	LOG_CAUSE_RESERVED,   /* a client id or user name kept for the bridges */
	LOG_CAUSE_CREDENTIAL, /* a stranger on the bridges' listener, where it takes none */
	LOG_CAUSE_TOKEN,      /* a refused token; one for each reason */
	LOG_CAUSE_TOKEN_LAST = LOG_CAUSE_TOKEN + 19,
	LOG_CAUSE_ANONYMOUS,       /* a publish without an address as user name */
	LOG_CAUSE_MEMORY,          /* out of memory while serving a client */
	LOG_CAUSE_NOTICE,          /* a notice that could not be sent */
	LOG_CAUSE_QUESTION,        /* a bridge that asks what is not understood */
	LOG_CAUSE_REFS,            /* references that are forgotten too early */
	LOG_CAUSE_HISTORY_FULL,    /* a message refused, since history cannot take it */
	LOG_CAUSE_HISTORY_WRITE,   /* messages that cannot be written */
	LOG_CAUSE_HISTORY_OVER,    /* and that they are now */
	LOG_CAUSE_HISTORY_ROW,     /* a message that history will never hold */
	LOG_CAUSE_HISTORY_MISSING, /* its file is gone */
	LOG_CAUSE_HISTORY_TRIM,    /* its old messages cannot be removed */
	LOG_CAUSE_COUNT
};

/* As log_line, at most once a minute for each cause; the next line says how many were left out. */
void log_limited(enum log_cause cause, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A printable copy of foreign text in out: control characters and bytes that are no ASCII become
 * '?', what does not fit ends in "...". NULL gives "(none)". Returns out. */
const char *log_text(const char *s, size_t len, char out[LOG_TEXT_MAX]);

/* Forgets what was counted. */
void log_reset(void);

#endif
