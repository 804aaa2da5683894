/*
 * session_history.c - pages of history that a client asks for with {"type":"history"}.
 *
 * Who may read what needs no policy here: a room is anybody's, and of direct messages a session can
 * only name the other one of the two.
 */
#include "bridge/bridge.h"
#include "common/json.h"
#include "common/reply.h"

#include <stdlib.h>
#include <string.h>

enum field { FIELD_TYPE, FIELD_ROOM, FIELD_WITH, FIELD_BEFORE, FIELD_AFTER, FIELD_LIMIT, FIELD_REF, FIELDS };

static const char *const field_names[FIELDS] = {"type", "room", "with", "before", "after", "limit", "ref"};

#define VALUE_MAX IDENTITY_MAX /* bytes of the longest text */

struct history_asked {
	struct history_asked *next;
	struct session *session;
	struct history_question *question;
	char with[IDENTITY_MAX + 1]; /* empty: it is about a room */
	size_t ref_len;              /* 0: none */
	char ref[REPLY_REF_MAX];
};

/* ---- the question -------------------------------------------------------------------------- */

struct asked_for {
	struct history_page page;
	char with[IDENTITY_MAX + 1];
	const char *fault_field;           /* NULL: none can be named */
	char unknown[REPLY_FIELD_MAX + 1]; /* where fault_field may point */
};

struct values {
	bool present[FIELDS];
	struct json_member member[FIELDS];
};

static enum chat_error read_members(const char *text, size_t len, struct values *v, struct asked_for *out)
{
	struct json_reader reader;
	struct json_member m;
	enum chat_error error = CHAT_OK;
	json_reader_start(&reader, text, len);
	while (json_reader_next(&reader, &m) == JSON_MEMBER) {
		int i = 0;
		while (i < FIELDS && !json_span_equals(m.key, m.key_len, m.key_escaped, field_names[i]))
			i++;
		if (i == FIELDS) {
			if (error == CHAT_OK) {
				error = CHAT_ERROR_UNKNOWN_FIELD;
				if (reply_field_name(m.key, m.key_len, m.key_escaped, out->unknown))
					out->fault_field = out->unknown;
			}
		} else if (v->present[i]) {
			error = CHAT_ERROR_DUPLICATE_KEY;
			out->fault_field = field_names[i];
		} else {
			v->present[i] = true;
			v->member[i] = m;
		}
	}
	return error;
}

/* The text of a member, NUL-terminated. False when it does not fit or holds a NUL. */
static bool text_of(const struct json_member *m, char out[VALUE_MAX + 1])
{
	char decoded[6 * VALUE_MAX];
	if (m->value_len > sizeof decoded)
		return false;
	size_t n = json_unescape(m->value, m->value_len, decoded);
	if (n > VALUE_MAX || memchr(decoded, '\0', n) != NULL)
		return false;
	memcpy(out, decoded, n);
	out[n] = '\0';
	return true;
}

static bool take_limit(const struct json_member *m, uint32_t *out)
{
	uint32_t n = 0;
	if (m->type != JSON_NUMBER || m->value_len > 3)
		return false;
	for (size_t i = 0; i < m->value_len; i++) {
		if (m->value[i] < '0' || m->value[i] > '9')
			return false;
		n = n * 10 + (uint32_t)(m->value[i] - '0');
	}
	*out = n;
	return n >= 1 && n <= HISTORY_LIMIT_MAX;
}

static bool take_id(const struct values *v, enum field which, char out[ULID_LEN + 1])
{
	char text[VALUE_MAX + 1];
	if (!v->present[which])
		return true;
	if (!text_of(&v->member[which], text) || !ulid_valid(text, strlen(text)))
		return false;
	memcpy(out, text, ULID_LEN + 1);
	return true;
}

static enum chat_error take_place(const struct session *s, const struct values *v, struct asked_for *out)
{
	struct history_place *place = &out->page.place;
	char text[VALUE_MAX + 1];
	struct identity with;
	out->fault_field = "with";
	if (v->present[FIELD_ROOM] && v->present[FIELD_WITH])
		return CHAT_ERROR_ADDRESS_MISMATCH;
	if (v->present[FIELD_WITH]) {
		if (!text_of(&v->member[FIELD_WITH], text) || !identity_parse(text, strlen(text), &with))
			return CHAT_ERROR_INVALID_EMAIL;
		memcpy(out->with, with.text, (size_t)with.len + 1);
		place->kind = VIEW_PAIR;
		(void)history_pair_name(s->who->identity, &with, place->name); /* it always fits */
		return CHAT_OK;
	}
	out->fault_field = "room";
	if (!v->present[FIELD_ROOM])
		return CHAT_ERROR_MISSING_FIELD;
	if (!text_of(&v->member[FIELD_ROOM], text) || !room_name_valid(text, strlen(text)))
		return CHAT_ERROR_INVALID_ROOM;
	place->kind = VIEW_ROOM;
	memcpy(place->name, text, strlen(text) + 1);
	return CHAT_OK;
}

/* The first thing that is wrong, in the order in which messages are judged. */
static enum chat_error read_question(const struct session *s, const char *text, size_t len,
                                     struct asked_for *out)
{
	struct values v = {.present = {false}};
	enum chat_error error = read_members(text, len, &v, out);
	if (error != CHAT_OK)
		return error;
	for (int i = 0; i < FIELDS; i++) {
		out->fault_field = field_names[i];
		if (v.present[i] && i != FIELD_LIMIT && v.member[i].type != JSON_STRING)
			return CHAT_ERROR_WRONG_TYPE;
	}
	char ref[VALUE_MAX + 1];
	out->fault_field = "ref";
	if (v.present[FIELD_REF] &&
	    (!text_of(&v.member[FIELD_REF], ref) || ref[0] == '\0' || strlen(ref) > REPLY_REF_MAX))
		return CHAT_ERROR_INVALID_REF;
	error = take_place(s, &v, out);
	if (error != CHAT_OK)
		return error;
	out->fault_field = "before";
	if (!take_id(&v, FIELD_BEFORE, out->page.before))
		return CHAT_ERROR_INVALID_REF;
	out->fault_field = "after";
	if (!take_id(&v, FIELD_AFTER, out->page.after))
		return CHAT_ERROR_INVALID_REF;
	out->fault_field = "limit";
	out->page.limit = HISTORY_LIMIT_DEFAULT;
	if (v.present[FIELD_LIMIT] && !take_limit(&v.member[FIELD_LIMIT], &out->page.limit))
		return CHAT_ERROR_WRONG_TYPE;
	return CHAT_OK;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void unlist(struct history_asked *asked)
{
	struct history_asked **at = &asked->session->asked;
	while (*at != asked)
		at = &(*at)->next;
	*at = asked->next;
}

static void send_page(struct session *s, const struct history_asked *asked, const struct history_page *page)
{
	const char *name = asked->with[0] != '\0' ? asked->with : page->place.name;
	char *frame = malloc(page->len + 6 * (strlen(name) + asked->ref_len) + 128);
	if (frame == NULL) {
		session_send_error(s, CHAT_ERROR_UNAVAILABLE, NULL, asked->ref, asked->ref_len);
		return;
	}
	char *at = stpcpy(frame, "{\"type\":\"history\",\"");
	at = stpcpy(at, asked->with[0] != '\0' ? "with\":\"" : "room\":\"");
	at = json_escape(name, strlen(name), at);
	at = stpcpy(at, "\",\"messages\":[");
	if (page->len > 0)
		memcpy(at, page->messages, page->len);
	at = stpcpy(at + page->len, page->complete ? "],\"complete\":true" : "],\"complete\":false");
	if (asked->ref_len > 0) {
		at = stpcpy(at, ",\"ref\":\"");
		at = json_escape(asked->ref, asked->ref_len, at);
		*at++ = '"';
	}
	*at++ = '}';
	session_send_text(s, frame, (size_t)(at - frame));
	free(frame);
}

static void on_answer(struct history_question *q)
{
	struct history_asked *asked = q->owner;
	struct session *s = asked->session;
	unlist(asked);
	if (q->status == HISTORY_DONE)
		send_page(s, asked, &q->page);
	else
		session_send_error(s, CHAT_ERROR_UNAVAILABLE, NULL, asked->ref_len > 0 ? asked->ref : NULL,
		                   asked->ref_len);
	free(asked);
}

void session_history_frame(struct session *s, const char *text, size_t len, const char *ref, size_t ref_len)
{
	struct asked_for want = {.fault_field = NULL};
	enum chat_error error = read_question(s, text, len, &want);
	if (error != CHAT_OK) {
		session_send_error(s, error, want.fault_field, ref, ref_len);
		return;
	}
	uint32_t under_way = 0;
	for (const struct history_asked *at = s->asked; at != NULL; at = at->next)
		under_way++;
	if (under_way >= HISTORY_ASKED_MAX) {
		session_send_error(s, CHAT_ERROR_RATE_LIMITED, NULL, ref, ref_len);
		return;
	}
	struct history_asked *asked = s->bridge->history.on ? calloc(1, sizeof *asked) : NULL;
	struct history_question *q = asked != NULL ? history_question_new(asked, on_answer) : NULL;
	if (q == NULL) {
		free(asked);
		session_send_error(s, CHAT_ERROR_UNAVAILABLE, NULL, ref, ref_len);
		return;
	}
	asked->session = s;
	asked->question = q;
	memcpy(asked->with, want.with, sizeof asked->with);
	asked->ref_len = ref_len;
	if (ref_len > 0)
		memcpy(asked->ref, ref, ref_len);
	asked->next = s->asked;
	s->asked = asked;
	q->page = want.page;
	history_submit(&s->bridge->history, q);
}

void session_history_cancel(struct session *s)
{
	while (s->asked != NULL) {
		struct history_asked *asked = s->asked;
		s->asked = asked->next;
		history_cancel(asked->question);
		free(asked);
	}
}
