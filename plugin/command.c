/*
 * command.c - see command.h
 */
#include "command.h"

#include "common/json_object.h"
#include "common/utf8.h"

#include <string.h>

enum member {
	MEMBER_USER,
	MEMBER_ROOM,
	MEMBER_TO,
	MEMBER_ID,
	MEMBER_SECONDS,
	MEMBER_REASON,
	MEMBER_MESSAGE,
	MEMBER_COUNT,
	MEMBER_OFFSET,
	MEMBERS
};

#define USER (1u << MEMBER_USER)
#define ROOM (1u << MEMBER_ROOM)
#define TO (1u << MEMBER_TO)
#define ID (1u << MEMBER_ID)
#define SECONDS (1u << MEMBER_SECONDS)
#define REASON (1u << MEMBER_REASON)
#define MESSAGE (1u << MEMBER_MESSAGE)
#define COUNT (1u << MEMBER_COUNT)
#define OFFSET (1u << MEMBER_OFFSET)

static const struct {
	const char *name;
	unsigned may, must;
} commands[COMMAND_COUNT] = {
#define X(id, name, may, must) [COMMAND_##id] = {name, may, must},
    COMMANDS(X)
#undef X
};

/* ---- members ------------------------------------------------------------------------------ */

static const char *read_number(const struct json_member *m, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;
	size_t i;

	if (m->type != JSON_NUMBER)
		return "wrong_type";
	for (i = 0; i < m->value_len; i++) {
		if (m->value[i] < '0' || m->value[i] > '9')
			return "out_of_range"; /* negative, or with a fraction */
		n = n * 10 + (uint64_t)(m->value[i] - '0');
		if (n > max)
			return "out_of_range";
	}
	if (n < min)
		return "out_of_range";
	*out = (uint32_t)n;
	return NULL;
}

/* Text of max bytes at most, in one line. */
static const char *read_text(const struct json_member *m, size_t max, char *out)
{
	char plain[6 * COMMAND_MESSAGE_MAX];
	size_t len, i;

	if (m->type != JSON_STRING)
		return "wrong_type";
	if (m->value_len > 6 * max)
		return "too_long";
	len = json_unescape(m->value, m->value_len, plain);
	if (len > max)
		return "too_long";
	for (i = 0; i < len; i++)
		if ((unsigned char)plain[i] < 0x20 || plain[i] == 0x7f)
			return "invalid_character";
	memcpy(out, plain, len);
	out[len] = '\0';
	return NULL;
}

static const char *read_user(const struct json_member *m, struct command *out)
{
	char plain[6 * IDENTITY_MAX];

	if (m->type != JSON_STRING)
		return "wrong_type";
	if (m->value_len > sizeof(plain) ||
	    !identity_parse(plain, json_unescape(m->value, m->value_len, plain), &out->user))
		return "invalid_email";
	out->has_user = true;
	return NULL;
}

static const char *read_name_of_room(const struct json_member *m, char out[ROOM_MAX + 1])
{
	char plain[6 * ROOM_MAX];
	size_t len;

	if (m->type != JSON_STRING)
		return "wrong_type";
	len = m->value_len <= sizeof(plain) ? json_unescape(m->value, m->value_len, plain) : 0;
	if (!room_name_valid(plain, len))
		return "invalid_room";
	memcpy(out, plain, len);
	out[len] = '\0';
	return NULL;
}

static const char *read_room(const struct json_member *m, struct command *out)
{
	const char *error = read_name_of_room(m, out->room);

	out->has_room = !error;
	return error;
}

static const char *read_to(const struct json_member *m, struct command *out)
{
	return read_name_of_room(m, out->to);
}

static const char *read_id(const struct json_member *m, struct command *out)
{
	if (m->type != JSON_STRING)
		return "wrong_type";
	if (m->value_escaped || !ulid_valid(m->value, m->value_len))
		return "invalid_id";
	memcpy(out->id, m->value, ULID_LEN);
	out->id[ULID_LEN] = '\0';
	return NULL;
}

static const char *read_reason(const struct json_member *m, struct command *out)
{
	return read_text(m, COMMAND_REASON_MAX, out->text);
}

static const char *read_message(const struct json_member *m, struct command *out)
{
	const char *error = read_text(m, COMMAND_MESSAGE_MAX, out->text);

	return !error && out->text[strspn(out->text, " ")] == '\0' ? "empty_message" : error;
}

static const char *read_seconds(const struct json_member *m, struct command *out)
{
	out->has_seconds = true;
	return read_number(m, 1, COMMAND_SECONDS_MAX, &out->seconds);
}

static const char *read_count(const struct json_member *m, struct command *out)
{
	return read_number(m, 1, COMMAND_PAGE_MAX, &out->count);
}

static const char *read_offset(const struct json_member *m, struct command *out)
{
	return read_number(m, 0, 100000000, &out->offset);
}

static const struct {
	const char *name;
	const char *(*read)(const struct json_member *m, struct command *out);
} members[MEMBERS] = {
    [MEMBER_USER] = {"user", read_user},
    [MEMBER_ROOM] = {"room", read_room},
    [MEMBER_TO] = {"to", read_to},
    [MEMBER_ID] = {"id", read_id},
    [MEMBER_SECONDS] = {"seconds", read_seconds},
    [MEMBER_REASON] = {"reason", read_reason},
    [MEMBER_MESSAGE] = {"message", read_message},
    [MEMBER_COUNT] = {"count", read_count},
    [MEMBER_OFFSET] = {"offset", read_offset},
};

/* ---- a command ---------------------------------------------------------------------------- */

/* Which member of the table this one is, or MEMBERS. */
static int member_of(const struct json_member *m)
{
	int i;

	for (i = 0; i < MEMBERS; i++)
		if (json_span_equals(m->key, m->key_len, m->key_escaped, members[i].name))
			break;
	return i;
}

static bool key_is(const struct json_member *m, const char *name)
{
	return json_span_equals(m->key, m->key_len, m->key_escaped, name);
}

/* Its name where it can be shown, and which one it is. */
static const char *read_name(const struct json_object *o, struct command *out)
{
	const struct json_member *m = json_object_get(o, "command");
	size_t i;

	if (!m)
		return "missing_field";
	if (m->type != JSON_STRING)
		return "wrong_type";
	for (i = 0; i < m->value_len && m->value[i] > 0x20 && m->value[i] < 0x7f; i++)
		;
	if (!m->value_escaped && i == m->value_len && i <= COMMAND_NAME_MAX) {
		memcpy(out->name, m->value, i);
		out->name[i] = '\0';
	}
	for (i = 0; i < COMMAND_COUNT; i++)
		if (json_member_is(m, commands[i].name))
			break;
	out->which = (enum command_which)i;
	return i < COMMAND_COUNT ? NULL : COMMAND_UNKNOWN;
}

static const char *read_correlation(const struct json_object *o, struct command *out)
{
	const struct json_member *m = json_object_get(o, "correlationData");

	if (!m)
		return NULL;
	if (m->type != JSON_STRING)
		return "wrong_type";
	if (m->value_len > COMMAND_CORRELATION_MAX)
		return "too_long";
	out->correlation = m->value;
	out->correlation_len = m->value_len;
	return NULL;
}

static const char *read_members(const struct json_object *o, struct command *out, const char **field)
{
	unsigned seen = 0;
	const char *error;
	size_t i;
	int which;

	for (i = 0; i < o->count; i++) {
		if (key_is(&o->members[i], "command") || key_is(&o->members[i], "correlationData"))
			continue;
		which = member_of(&o->members[i]);
		*field = which < MEMBERS ? members[which].name : NULL;
		if (which == MEMBERS || !(commands[out->which].may & (1u << which)))
			return "unknown_field";
		error = members[which].read(&o->members[i], out);
		if (error)
			return error;
		seen |= 1u << which;
	}
	for (which = 0; which < MEMBERS; which++) {
		*field = members[which].name;
		if (commands[out->which].must & ~seen & (1u << which))
			return "missing_field";
	}
	*field = NULL;
	return NULL;
}

const char *command_read(const char *text, size_t len, struct command *out, const char **field)
{
	struct json_object object;
	const char *error;

	*field = NULL;
	memset(out, 0, sizeof(*out));
	out->which = COMMAND_COUNT;
	out->count = COMMAND_PAGE;
	if (!json_object_read(&object, text, len))
		return COMMAND_INVALID;
	*field = "correlationData";
	error = read_correlation(&object, out);
	if (error)
		return error;
	*field = "command";
	error = read_name(&object, out);
	return error ? error : read_members(&object, out, field);
}

bool command_changes(enum command_which which)
{
	switch (which) {
	case COMMAND_LIST_SESSIONS:
	case COMMAND_LIST_BANS:
	case COMMAND_LIST_MUTES:
	case COMMAND_LIST_CLOSED_ROOMS:
	case COMMAND_LIST_RENAMED_ROOMS:
	case COMMAND_GET_AUDIT:
	case COMMAND_COUNT:
		return false;
	default:
		return true;
	}
}
