/* log.c - see log.h */
#include "bridge/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1000
#define LIMIT_MS 60000

static uint64_t lost_lines;

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

static void put(enum log_level level, const char *text)
{
	char line[LINE_MAX_BYTES + 8];
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
	line[len++] = '\n';
	if (write_line(line, len) != 0)
		lost_lines++;
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	put(level, text);
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
	int n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (limit->held_back > 0 && n >= 0 && (size_t)n < sizeof text)
		(void)snprintf(text + n, sizeof text - (size_t)n, " (%llu more of these were not logged)",
		               (unsigned long long)limit->held_back);
	limit->held_back = 0;
	limit->next_ms = now_ms + LIMIT_MS;
	put(level, text);
}
