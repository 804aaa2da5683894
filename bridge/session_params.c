/* session_params.c - see session_params.h */
#include "bridge/session_params.h"
#include "bridge/http_head.h"

#include <string.h>

#define PREFIX "/ws/"
#define PREFIX_LEN 4
#define VALUE_MAX 4096 /* bytes of one raw parameter; the longest known one is a list of rooms */

enum parameter { ROOM, DEVICE, SINCE, EVENTS, ECHO, PARAMETER_COUNT };

static const char *const parameter_names[PARAMETER_COUNT] = {"room", "device", "since", "events", "echo"};

bool session_params_is_session(const char *target, size_t len)
{
	return len >= PREFIX_LEN && memcmp(target, PREFIX, PREFIX_LEN) == 0;
}

static bool device_valid(const char *s, size_t n)
{
	if (n == 0 || n > DEVICE_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		      c == '_'))
			return false;
	}
	return true;
}

static const char *take_rooms(const char *s, size_t n, struct session_params *out)
{
	size_t start = 0;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && s[i] != ',')
			continue;
		size_t len = i - start;
		if (!room_name_valid(s + start, len))
			return "room: not a valid room name";
		bool known = false;
		for (size_t k = 0; k < out->room_count; k++)
			known |= strlen(out->rooms[k]) == len && memcmp(out->rooms[k], s + start, len) == 0;
		if (!known) {
			if (out->room_count == SESSION_ROOMS_MAX)
				return "room: more than 32 rooms";
			memcpy(out->rooms[out->room_count], s + start, len);
			out->rooms[out->room_count++][len] = '\0';
		}
		start = i + 1;
	}
	return NULL;
}

static const char *take_events(const char *s, size_t n, struct session_params *out)
{
	size_t start = 0;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && s[i] != ',')
			continue;
		size_t len = i - start;
		if (len == 8 && memcmp(s + start, "presence", 8) == 0)
			out->wants_presence = true;
		else if (len == 6 && memcmp(s + start, "typing", 6) == 0)
			out->wants_typing = true;
		else if (len == 7 && memcmp(s + start, "deleted", 7) == 0)
			out->wants_deleted = true;
		else
			return "events: presence, typing and deleted are known";
		start = i + 1;
	}
	return NULL;
}

static const char *take_value(enum parameter which, const char *s, size_t n, struct session_params *out)
{
	switch (which) {
	case ROOM:
		return take_rooms(s, n, out);
	case DEVICE:
		if (!device_valid(s, n))
			return "device: 1 to 64 of A-Z a-z 0-9 - _";
		memcpy(out->device, s, n);
		out->device[n] = '\0';
		return NULL;
	case SINCE:
		if (!ulid_valid(s, n))
			return "since: not a message id";
		memcpy(out->since, s, n);
		out->since[n] = '\0';
		return NULL;
	case EVENTS:
		return take_events(s, n, out);
	case ECHO:
		if (n != 1 || (s[0] != '0' && s[0] != '1'))
			return "echo: 0 or 1";
		out->echo = s[0] == '1';
		return NULL;
	case PARAMETER_COUNT:
		break;
	}
	return NULL;
}

static const char *parse_query(const char *query, size_t len, struct session_params *out)
{
	bool seen[PARAMETER_COUNT] = {false};
	char value[VALUE_MAX];
	size_t at = 0;
	while (at < len) {
		const char *pair = query + at;
		const char *amp = memchr(pair, '&', len - at);
		size_t pair_len = amp != NULL ? (size_t)(amp - pair) : len - at;
		at += pair_len + 1;
		const char *equals = memchr(pair, '=', pair_len);
		size_t name_len = equals != NULL ? (size_t)(equals - pair) : pair_len;
		for (int i = 0; i < PARAMETER_COUNT; i++) {
			if (strlen(parameter_names[i]) != name_len || memcmp(parameter_names[i], pair, name_len) != 0)
				continue;
			if (seen[i])
				return "a parameter is given twice";
			seen[i] = true;
			size_t raw_len = equals != NULL ? pair_len - name_len - 1 : 0;
			if (raw_len > VALUE_MAX)
				return "a parameter is too long";
			long n = raw_len > 0 ? http_percent_decode(equals + 1, raw_len, value) : 0;
			if (n < 0)
				return "a parameter is badly percent-encoded";
			const char *fault = take_value((enum parameter)i, value, (size_t)n, out);
			if (fault != NULL)
				return fault;
		}
	}
	return NULL;
}

const char *session_params_parse(const char *target, size_t len, struct session_params *out)
{
	memset(out, 0, sizeof *out);
	if (!session_params_is_session(target, len))
		return "not a session";
	const char *raw = target + PREFIX_LEN;
	size_t rest = len - PREFIX_LEN;
	const char *mark = memchr(raw, '?', rest);
	size_t raw_len = mark != NULL ? (size_t)(mark - raw) : rest;
	/* an address of 254 bytes is at most three times as long when encoded */
	char address[3 * IDENTITY_MAX];
	if (raw_len == 0 || raw_len > sizeof address || memchr(raw, '/', raw_len) != NULL)
		return "the path does not end with a valid address";
	long n = http_percent_decode(raw, raw_len, address);
	if (n < 0 || !identity_parse(address, (size_t)n, &out->identity))
		return "the path does not end with a valid address";
	return mark != NULL ? parse_query(mark + 1, rest - raw_len - 1, out) : NULL;
}
