/*
 * log.c - lines in the broker's log.
 */
#include "log.h"

#include "clock.h"
#include "common/log_object.h"
#include "compat.h"
#include "counters.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 960 /* the broker cuts lines at 1000 bytes, time stamp included */
#define KEPT_MAX 400       /* bytes of a line that are kept for later */

static struct {
	struct {
		uint64_t next_ms; /* before, lines are held back */
		unsigned long held_back;
		int level;
		char text[KEPT_MAX]; /* of the line that was written last */
	} causes[LOG_CAUSE_COUNT];
	uint64_t look_ms; /* no minute of any of them is over before; 0: none is running */
	bool json;
} state;

void log_use_json(bool json)
{
	state.json = json;
}

static const char *level_name(int level)
{
	return level == MOSQ_LOG_ERR       ? "error"
	       : level == MOSQ_LOG_WARNING ? "warning"
	       : level == MOSQ_LOG_NOTICE  ? "notice"
	       : level == MOSQ_LOG_INFO    ? "info"
	                                   : "debug";
}

void log_record(int level, const char *program, const char *text, size_t len, const char *fields)
{
	char object[LINE_MAX_BYTES];

	if (!state.json) {
		mosquitto_log_printf(level, "%s: %.*s", program, (int)len, text);
		return;
	}
	(void)log_object_write(program, level_name(level), text, len, fields, object, sizeof(object));
	mosquitto_log_printf(level, "%s", object);
}

void log_line(int level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	log_record(level, "chat", line, strlen(line), "");
}

static void put(int level, const char *text, unsigned long more)
{
	char line[KEPT_MAX + 48];
	struct log_fields fields = {0};

	if (more == 0) {
		log_record(level, "chat", text, strlen(text), "");
		return;
	}
	(void)snprintf(line, sizeof(line), "%.*s (%lu more since)", KEPT_MAX, text, more);
	log_field_number(&fields, "more", more);
	log_record(level, "chat", line, strlen(line), fields.text);
}

void log_limited(enum log_cause cause, int level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	uint64_t now = clock_monotonic_ms();
	va_list args;

	count(counter_of_cause(cause));
	if (now < state.causes[cause].next_ms) {
		state.causes[cause].held_back++;
		return;
	}
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	put(level, line, state.causes[cause].held_back);
	state.causes[cause].held_back = 0;
	state.causes[cause].next_ms = now + LOG_LIMIT_MS;
	state.causes[cause].level = level;
	(void)snprintf(state.causes[cause].text, KEPT_MAX, "%.*s", KEPT_MAX - 1, line);
	if (state.look_ms == 0)
		state.look_ms = state.causes[cause].next_ms;
}

/* What was held back until then. */
static void put_held_back(uint64_t until_ms)
{
	unsigned i;

	for (i = 0; i < LOG_CAUSE_COUNT; i++) {
		if (state.causes[i].held_back == 0 || until_ms < state.causes[i].next_ms)
			continue;
		put(state.causes[i].level, state.causes[i].text, state.causes[i].held_back);
		state.causes[i].held_back = 0;
		state.causes[i].next_ms = until_ms + LOG_LIMIT_MS;
	}
}

void log_tick(uint64_t now_ms)
{
	unsigned i;

	if (state.look_ms == 0 || now_ms < state.look_ms)
		return;
	put_held_back(now_ms);
	state.look_ms = 0;
	for (i = 0; i < LOG_CAUSE_COUNT; i++)
		if (state.causes[i].next_ms > now_ms &&
		    (state.look_ms == 0 || state.causes[i].next_ms < state.look_ms))
			state.look_ms = state.causes[i].next_ms;
}

void log_stop(void)
{
	put_held_back(UINT64_MAX - LOG_LIMIT_MS);
	memset(&state, 0, sizeof(state));
}

const char *log_text(const char *s, size_t len, char out[LOG_TEXT_MAX])
{
	size_t n, i;

	if (!s) {
		memcpy(out, "(none)", sizeof("(none)"));
		return out;
	}
	n = len < LOG_TEXT_MAX ? len : LOG_TEXT_MAX - 4;
	for (i = 0; i < n; i++)
		out[i] = (char)(s[i] >= 0x20 && s[i] < 0x7f ? s[i] : '?');
	if (n < len) {
		memcpy(out + n, "...", 3);
		n += 3;
	}
	out[n] = '\0';
	return out;
}
