/*
 * moderation_text.c - see moderation_text.h
 */
#include "moderation_text.h"

#include "audit.h"
#include "common/json_object.h"
#include "moderation.h"

#include <string.h>

#define VERSION 1
#define TEXT_MAX IDENTITY_MAX /* bytes of the longest text of a line */
#define DIGITS_MAX 15         /* of a time in milliseconds, far beyond the year 9999 */

static const char *const kind_names[SANCTION_KINDS] = {
    [SANCTION_BAN] = "ban", [SANCTION_MUTE] = "mute", [SANCTION_ROOM] = "room", [SANCTION_NAME] = "rename"};
/* Words of their own: a version that does not know them must not read a ban. */
static const char *const lifted_names[SANCTION_KINDS] = {[SANCTION_BAN] = "unban",
                                                         [SANCTION_MUTE] = "unmute",
                                                         [SANCTION_ROOM] = "open",
                                                         [SANCTION_NAME] = "unrename"};

/* ---- writing ------------------------------------------------------------------------------ */

static void put_some(struct text_buffer *out, const char *name, const char *text)
{
	if (*text != '\0')
		text_put_member(out, name, text);
}

void moderation_text_put(struct text_buffer *out, const struct sanction *s)
{
	text_puts(out, "{");
	text_put_member(out, "kind", (s->lifted ? lifted_names : kind_names)[s->kind]);
	put_some(out, "user", s->user);
	put_some(out, "room", s->room);
	put_some(out, "to", s->to);
	text_put_count(out, "since", s->since_ms);
	text_put_count(out, "until", s->until_ms);
	put_some(out, "by", s->by);
	put_some(out, "reason", s->reason);
	text_puts(out, "}\n");
}

static void write_entry(struct text_buffer *out, const struct audit_entry *e)
{
	text_puts(out, "{");
	text_put_member(out, "kind", "audit");
	text_put_count(out, "at", e->at_ms);
	put_some(out, "by", e->by);
	put_some(out, "command", e->command);
	put_some(out, "user", e->user);
	put_some(out, "room", e->room);
	put_some(out, "to", e->to);
	put_some(out, "id", e->id);
	text_put_count(out, "seconds", e->seconds);
	put_some(out, "text", e->text);
	put_some(out, "result", e->result);
	text_puts(out, "}\n");
}

void moderation_text_write(struct text_buffer *out)
{
	const struct sanction *s;
	int kind;
	size_t i;

	text_puts(out, "{");
	text_put_member(out, "mosquitto-chat", "moderation");
	text_put_count(out, "version", VERSION);
	text_puts(out, "}\n");
	for (kind = 0; kind < SANCTION_KINDS; kind++) {
		for (s = moderation_next((enum sanction_kind)kind, NULL); s;
		     s = moderation_next((enum sanction_kind)kind, s))
			moderation_text_put(out, s);
		for (s = moderation_next_lifted((enum sanction_kind)kind, NULL); s;
		     s = moderation_next_lifted((enum sanction_kind)kind, s))
			moderation_text_put(out, s);
	}
	for (i = audit_count(); i > 0; i--)
		write_entry(out, audit_get(i - 1));
}

/* ---- reading ------------------------------------------------------------------------------ */

/* A string member, "" where there is none. False: no string, too long, or not fit for one line. */
static bool read_text(const struct json_object *o, const char *name, char *out, size_t max)
{
	const struct json_member *m = json_object_get(o, name);
	char plain[6 * TEXT_MAX];
	size_t len, i;

	out[0] = '\0';
	if (!m)
		return true;
	if (m->type != JSON_STRING || m->value_len > sizeof(plain))
		return false;
	len = json_unescape(m->value, m->value_len, plain);
	if (len > max)
		return false;
	for (i = 0; i < len; i++)
		if ((unsigned char)plain[i] < 0x20 || plain[i] == 0x7f)
			return false;
	memcpy(out, plain, len);
	out[len] = '\0';
	return true;
}

static bool read_number(const struct json_object *o, const char *name, uint64_t *out)
{
	const struct json_member *m = json_object_get(o, name);
	size_t i;

	*out = 0;
	if (!m || m->type != JSON_NUMBER || m->value_len == 0 || m->value_len > DIGITS_MAX)
		return false;
	for (i = 0; i < m->value_len; i++) {
		if (m->value[i] < '0' || m->value[i] > '9')
			return false;
		*out = *out * 10 + (uint64_t)(m->value[i] - '0');
	}
	return true;
}

static bool is_address(const char *text)
{
	struct identity who;

	return identity_parse(text, strlen(text), &who) && strcmp(who.text, text) == 0;
}

/* Which kind it is of; SANCTION_KINDS: none. */
static enum sanction_kind kind_of(const struct json_object *o, bool *lifted)
{
	const struct json_member *word = json_object_get(o, "kind");
	int i;

	for (i = 0; word && i < SANCTION_KINDS; i++) {
		*lifted = json_member_is(word, lifted_names[i]);
		if (*lifted || json_member_is(word, kind_names[i]))
			return (enum sanction_kind)i;
	}
	return SANCTION_KINDS;
}

/* Which members a kind has. */
static bool fits(const struct sanction *s)
{
	bool about_room = s->kind == SANCTION_ROOM || s->kind == SANCTION_NAME;

	if (about_room ? s->user[0] != '\0' : !is_address(s->user))
		return false;
	if (s->kind == SANCTION_NAME) {
		/* a name leads somewhere else, and for good */
		if (s->until_ms != 0 || strcmp(s->room, s->to) == 0 || !room_name_valid(s->to, strlen(s->to)))
			return false;
	} else if (s->to[0] != '\0') {
		return false;
	}
	return s->room[0] != '\0' ? s->kind != SANCTION_BAN && room_name_valid(s->room, strlen(s->room))
	                          : !about_room;
}

static bool read_sanction(const struct json_object *o, struct sanction *s)
{
	memset(s, 0, sizeof(*s));
	s->kind = kind_of(o, &s->lifted);
	if (s->kind == SANCTION_KINDS || !read_text(o, "user", s->user, IDENTITY_MAX) ||
	    !read_text(o, "room", s->room, ROOM_MAX) || !read_text(o, "to", s->to, ROOM_MAX) ||
	    !read_text(o, "by", s->by, IDENTITY_MAX) ||
	    !read_text(o, "reason", s->reason, MODERATION_REASON_MAX) || !read_number(o, "since", &s->since_ms) ||
	    !read_number(o, "until", &s->until_ms))
		return false;
	return fits(s);
}

bool moderation_text_take(const char *line, size_t len, struct sanction *out)
{
	struct json_object object;

	return json_object_read(&object, line, len) && read_sanction(&object, out);
}

static bool read_entry(const struct json_object *o)
{
	struct audit_entry e;

	memset(&e, 0, sizeof(e));
	return read_text(o, "by", e.by, IDENTITY_MAX) && read_text(o, "command", e.command, AUDIT_WORD_MAX) &&
	       read_text(o, "result", e.result, AUDIT_WORD_MAX) && read_text(o, "user", e.user, IDENTITY_MAX) &&
	       read_text(o, "room", e.room, ROOM_MAX) && read_text(o, "to", e.to, ROOM_MAX) &&
	       read_text(o, "id", e.id, ULID_LEN) && read_text(o, "text", e.text, AUDIT_TEXT_MAX) &&
	       read_number(o, "at", &e.at_ms) && read_number(o, "seconds", &e.seconds) && audit_add(&e);
}

static bool read_line(const struct json_object *o, bool first)
{
	const struct json_member *kind;
	struct sanction s;
	uint64_t version;

	if (first)
		return json_object_get(o, "mosquitto-chat") &&
		       json_member_is(json_object_get(o, "mosquitto-chat"), "moderation") &&
		       read_number(o, "version", &version) && version == VERSION;
	kind = json_object_get(o, "kind");
	if (!kind)
		return false;
	if (json_member_is(kind, "audit"))
		return read_entry(o);
	return read_sanction(o, &s) && moderation_set(&s) == MODERATION_OK;
}

bool moderation_text_read(const char *text, size_t len, unsigned *line)
{
	const char *end = text + len, *next;
	struct json_object object;

	*line = 1;
	if (len == 0)
		return false;
	for (; text < end; text = next + 1, (*line)++) {
		next = memchr(text, '\n', (size_t)(end - text));
		/* a file that was cut off does not end with a line */
		if (!next || !json_object_read(&object, text, (size_t)(next - text)) ||
		    !read_line(&object, *line == 1))
			return false;
	}
	return true;
}
