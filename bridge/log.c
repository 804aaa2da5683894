/* log.c - see log.h */
#include "bridge/log.h"
#include "bridge/counters.h"
#include "common/log_object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1000

static uint64_t lost_lines;
static struct log_limit *limits; /* all that have been used */
static uint64_t look_ms;         /* no minute of any of them is over before */

void log_start(void)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);
	if (flags >= 0)
		(void)fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
}

/* Whole lines or nothing: PIPE_BUF (4096) makes a short write to a pipe atomic. */
static int write_line(const char *line, size_t len)
{
	ssize_t n;
	do
		n = write(STDERR_FILENO, line, len);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : -1;
}

/* fields: "" for none. */
static void put(enum log_level level, const char *text, const char *fields)
{
	char line[LINE_MAX_BYTES + LOG_FIELDS_MAX + 8];
	if (lost_lines > 0) {
		int n = snprintf(line, sizeof line, "4 %llu log lines were lost here, the log pipe was full\n",
		                 (unsigned long long)lost_lines);
		if (write_line(line, (size_t)n) == 0)
			lost_lines = 0;
	}
	int n = snprintf(line, LINE_MAX_BYTES, "%d %s", (int)level, text);
	size_t len = n < LINE_MAX_BYTES ? (size_t)n : LINE_MAX_BYTES - 1;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	if (fields[0] != '\0')
		len += (size_t)snprintf(line + len, sizeof line - len - 1, "%c%s", LOG_FIELDS_MARK, fields);
	line[len++] = '\n';
	if (write_line(line, len) != 0) {
		lost_lines++;
		count(COUNTER_DROP_LOG);
	}
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	put(level, text, "");
}

void log_event(enum log_level level, const struct log_fields *fields, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	put(level, text, fields->text);
}

void log_limited(struct log_limit *limit, uint64_t now_ms, enum log_level level, const char *format, ...)
{
	if (now_ms < limit->next_ms) {
		limit->held_back++;
		return;
	}
	char text[LINE_MAX_BYTES];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (limit->held_back > 0)
		log_line(level, "%.*s (%llu more since)", LOG_LIMIT_TEXT, text, (unsigned long long)limit->held_back);
	else
		put(level, text, "");
	limit->held_back = 0;
	limit->next_ms = now_ms + LOG_LIMIT_MS;
	limit->level = level;
	(void)snprintf(limit->text, sizeof limit->text, "%.*s", LOG_LIMIT_TEXT - 1, text);
	if (!limit->listed) {
		limit->listed = true;
		limit->next = limits;
		limits = limit;
	}
	if (look_ms == 0)
		look_ms = limit->next_ms;
}

/* What was held back until then. */
static void put_held_back(uint64_t until_ms)
{
	for (struct log_limit *limit = limits; limit != NULL; limit = limit->next) {
		if (limit->held_back == 0 || until_ms < limit->next_ms)
			continue;
		log_line(limit->level, "%s (%llu more since)", limit->text, (unsigned long long)limit->held_back);
		limit->held_back = 0;
		limit->next_ms = until_ms + LOG_LIMIT_MS;
	}
}

void log_tick(uint64_t now_ms)
{
	if (look_ms == 0 || now_ms < look_ms)
		return;
	put_held_back(now_ms);
	look_ms = 0;
	for (const struct log_limit *limit = limits; limit != NULL; limit = limit->next)
		if (limit->next_ms > now_ms && (look_ms == 0 || limit->next_ms < look_ms))
			look_ms = limit->next_ms;
}

void log_stop(void)
{
	put_held_back(UINT64_MAX - LOG_LIMIT_MS);
}
