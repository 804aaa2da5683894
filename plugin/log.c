/*
 * log.c - lines in the broker's log.
 */
#include "log.h"

#include "clock.h"
#include "compat.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 960 /* the broker cuts lines at 1000 bytes, time stamp included */
#define LIMIT_MS 60000

static struct {
	struct {
		bool logged;
		uint64_t at_ms;
		unsigned long left_out;
	} causes[LOG_CAUSE_COUNT];
} state;

void log_line(int level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	mosquitto_log_printf(level, "chat: %s", line);
}

void log_limited(enum log_cause cause, int level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	uint64_t now = clock_monotonic_ms();
	va_list args;

	if (state.causes[cause].logged && now - state.causes[cause].at_ms < LIMIT_MS) {
		state.causes[cause].left_out++;
		return;
	}
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (state.causes[cause].left_out > 0)
		mosquitto_log_printf(level, "chat: %s (%lu more such lines left out)", line,
		                     state.causes[cause].left_out);
	else
		mosquitto_log_printf(level, "chat: %s", line);
	state.causes[cause].logged = true;
	state.causes[cause].at_ms = now;
	state.causes[cause].left_out = 0;
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

void log_reset(void)
{
	memset(&state, 0, sizeof(state));
}
