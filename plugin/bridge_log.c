/*
 * bridge_log.c - what a bridge process writes, line by line into the broker's log.
 */
#include "bridge_log.h"

#include "common/log_object.h"
#include "compat.h"
#include "log.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define READ_MAX 65536 /* bytes at once, so that a talkative bridge cannot hold the broker up */

void bridge_log_open(struct bridge_log *log, int fd)
{
	log->fd = fd;
	log->len = 0;
}

int bridge_log_fd(const struct bridge_log *log)
{
	return log->fd;
}

static void pass_line(struct bridge_log *log, const char *name)
{
	static const int levels[] = {
	    ['3' - '3'] = MOSQ_LOG_ERR,  ['4' - '3'] = MOSQ_LOG_WARNING, ['5' - '3'] = MOSQ_LOG_NOTICE,
	    ['6' - '3'] = MOSQ_LOG_INFO, ['7' - '3'] = MOSQ_LOG_DEBUG,
	};
	int level = MOSQ_LOG_WARNING;
	char *text = log->line, *fields;
	size_t i, part, left;

	log->line[log->len] = '\0';
	fields = memchr(log->line, LOG_FIELDS_MARK, log->len);
	if (fields) {
		log->len = (size_t)(fields - log->line);
		*fields++ = '\0';
	}
	for (i = 0; i < log->len; i++)
		if ((unsigned char)log->line[i] < 0x20 || log->line[i] == 0x7f)
			log->line[i] = '?';
	if (log->len >= 2 && text[0] >= '3' && text[0] <= '7' && text[1] == ' ') {
		level = levels[text[0] - '3'];
		text += 2;
	}
	left = log->len - (size_t)(text - log->line);
	for (; left > 0; left -= part, text += part) {
		part = left < BRIDGE_TEXT_MAX ? left : BRIDGE_TEXT_MAX;
		log_record(level, name, text, part, fields ? fields : "");
		fields = NULL;
	}
	log->len = 0;
}

static void take(struct bridge_log *log, const char *name, const char *bytes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (bytes[i] == '\n' || log->len == BRIDGE_LINE_MAX)
			pass_line(log, name);
		if (bytes[i] != '\n')
			log->line[log->len++] = bytes[i];
	}
}

void bridge_log_pass(struct bridge_log *log, const char *name)
{
	char bytes[4096];
	size_t all = 0;
	ssize_t n;

	while (log->fd >= 0 && all < READ_MAX) {
		n = read(log->fd, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		take(log, name, bytes, (size_t)n);
		all += (size_t)n;
	}
}

void bridge_log_close(struct bridge_log *log, const char *name)
{
	if (log->fd < 0)
		return;
	bridge_log_pass(log, name);
	if (log->len > 0)
		pass_line(log, name);
	close(log->fd);
	log->fd = -1;
}
