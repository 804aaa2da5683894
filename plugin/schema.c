/*
 * schema.c - one walk over the payload that collects its members, then the checks in their order.
 */
#include "schema.h"

#include "common/json.h"
#include "common/utf8.h"

#include <string.h>

/* The known fields, in the order in which their faults are named. */
enum field { MESSAGE, TO, ROOM, FROM, TIMESTAMP, REF, TYPE, FIELDS };

static const char *const field_names[FIELDS] = {"message", "to", "room", "from", "timestamp", "ref", "type"};

#define BIT(field) (1U << (field))

struct span {
	const char *s;
	size_t len;
};

struct value {
	struct span text; /* strings only, escapes undone */
	enum json_type type;
	bool escaped; /* there were some */
};

/* What the walk has found. Entries of value are good where seen has their bit. */
struct members {
	unsigned seen;
	unsigned twice;
	size_t count;
	struct value value[FIELDS];
	size_t unknown_count;                    /* all of them */
	struct span unknown[SCHEMA_MEMBERS_MAX]; /* the keys of the first ones */
	bool duplicate;                          /* some key came twice */
	enum field duplicate_field;              /* the first that did, FIELDS for an unknown one */
};

static bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

/* Undoes escapes into the scratch memory at *scratch and moves that on. What it takes stands in
 * the payload once and is longer there, so the payload's length is room enough for all. */
static struct span unescape(const char *raw, size_t len, char **scratch)
{
	struct span plain = {.s = *scratch, .len = json_unescape(raw, len, *scratch)};

	*scratch += plain.len;
	return plain;
}

static enum field field_of(struct span key)
{
	enum field f;

	switch (key.len) {
	case 2:
		f = TO;
		break;
	case 3:
		f = REF;
		break;
	case 4:
		f = key.s[0] == 'r' ? ROOM : key.s[0] == 'f' ? FROM : TYPE;
		break;
	case 7:
		f = MESSAGE;
		break;
	case 9:
		f = TIMESTAMP;
		break;
	default:
		return FIELDS;
	}
	return memcmp(key.s, field_names[f], key.len) == 0 ? f : FIELDS;
}

static void note_duplicate(struct members *m, enum field f)
{
	if (!m->duplicate)
		m->duplicate_field = f;
	m->duplicate = true;
}

/* Keys behind the first SCHEMA_MEMBERS_MAX unknown ones are not compared with each other, which bounds
 * the work: such an object is refused whatever they are. */
static void collect_unknown(struct members *m, struct span key)
{
	size_t kept = m->unknown_count < SCHEMA_MEMBERS_MAX ? m->unknown_count : SCHEMA_MEMBERS_MAX;

	for (size_t i = 0; i < kept; i++) {
		if (span_equal(m->unknown[i], key)) {
			note_duplicate(m, FIELDS);
			return;
		}
	}
	if (kept < SCHEMA_MEMBERS_MAX)
		m->unknown[kept] = key;
	m->unknown_count++;
}

static void collect_member(struct members *m, const struct json_member *member, char **scratch)
{
	struct span key = {.s = member->key, .len = member->key_len};
	struct value *value;
	enum field f;

	if (member->key_escaped)
		key = unescape(member->key, member->key_len, scratch);
	m->count++;
	f = field_of(key);
	if (f == FIELDS) {
		collect_unknown(m, key);
		return;
	}
	if (m->seen & BIT(f)) {
		m->twice |= BIT(f);
		note_duplicate(m, f);
		return;
	}
	m->seen |= BIT(f);
	value = &m->value[f];
	value->type = member->type;
	value->escaped = member->value_escaped;
	if (member->value_escaped) {
		value->text = unescape(member->value, member->value_len, scratch);
	} else {
		value->text.s = member->value;
		value->text.len = member->value_len;
	}
}

/* The whole walk. */
static enum chat_error collect(const char *payload, size_t len, struct members *m, char *scratch)
{
	struct json_reader reader;
	struct json_member member;

	m->seen = 0;
	m->twice = 0;
	m->count = 0;
	m->unknown_count = 0;
	m->duplicate = false;

	if (len == 0) /* perhaps NULL */
		return CHAT_ERROR_INVALID_JSON;
	json_reader_start(&reader, payload, len);
	for (;;) {
		switch (json_reader_next(&reader, &member)) {
		case JSON_MEMBER:
			collect_member(m, &member, &scratch);
			break;
		case JSON_END:
			return CHAT_OK;
		case JSON_BAD_UTF8:
			return CHAT_ERROR_INVALID_UTF8;
		case JSON_NOT_OBJECT:
			return CHAT_ERROR_NOT_AN_OBJECT;
		case JSON_INVALID:
		default:
			return CHAT_ERROR_INVALID_JSON;
		}
	}
}

static bool ref_valid(const char *s, size_t n)
{
	return n >= 1 && n <= REPLY_REF_MAX && !memchr(s, '\0', n);
}

static void set_text(char *out, const char *s, size_t n)
{
	memcpy(out, s, n);
	out[n] = '\0';
}

static enum chat_error fail(struct schema_fault *fault, enum chat_error error, enum field f)
{
	if (f < FIELDS)
		set_text(fault->field, field_names[f], strlen(field_names[f]));
	return error;
}

/* An unknown key is repeated to its author where that is short and harmless to show. */
static void name_unknown(struct schema_fault *fault, struct span key)
{
	if (key.len > REPLY_FIELD_MAX)
		return;
	for (size_t i = 0; i < key.len; i++) {
		if (key.s[i] < 0x20 || key.s[i] > 0x7e)
			return;
	}
	set_text(fault->field, key.s, key.len);
}

static bool has(const struct members *m, enum field f)
{
	return (m->seen & BIT(f)) != 0;
}

static bool text_is(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.s, text, s.len) == 0;
}

/* Keys and types, steps 3 to 5 of schema.h. */
static enum chat_error check_members(const struct members *m, const struct schema_limits *limits,
                                     struct schema_fault *fault)
{
	if (m->duplicate)
		return fail(fault, CHAT_ERROR_DUPLICATE_KEY, m->duplicate_field);
	if (m->unknown_count > 0 && (!limits->drop_unknown || m->count > SCHEMA_MEMBERS_MAX)) {
		name_unknown(fault, m->unknown[0]);
		return CHAT_ERROR_UNKNOWN_FIELD;
	}
	for (enum field f = MESSAGE; f < FIELDS; f++) {
		if (has(m, f) && m->value[f].type != JSON_STRING)
			return fail(fault, CHAT_ERROR_WRONG_TYPE, f);
	}
	return CHAT_OK;
}

/* Each value for itself, steps 6 to 9 as far as invalid_timestamp. */
static enum chat_error check_values(const struct members *m, enum schema_type *type, struct identity *to,
                                    struct identity *from, struct schema_fault *fault)
{
	const struct value *v = m->value;

	*type = SCHEMA_MESSAGE;
	if (has(m, TYPE)) {
		if (text_is(v[TYPE].text, "typing"))
			*type = SCHEMA_TYPING;
		else if (!text_is(v[TYPE].text, "message"))
			return fail(fault, CHAT_ERROR_UNKNOWN_TYPE, TYPE);
	}
	if (has(m, REF) && !ref_valid(v[REF].text.s, v[REF].text.len))
		return fail(fault, CHAT_ERROR_INVALID_REF, REF);
	for (enum field f = MESSAGE; f <= TIMESTAMP; f++) {
		/* only an escape can have put it there */
		if (has(m, f) && v[f].escaped && memchr(v[f].text.s, '\0', v[f].text.len))
			return fail(fault, CHAT_ERROR_INVALID_CHARACTER, f);
	}
	if (has(m, TO) && !identity_parse(v[TO].text.s, v[TO].text.len, to))
		return fail(fault, CHAT_ERROR_INVALID_EMAIL, TO);
	if (has(m, ROOM) && !room_name_valid(v[ROOM].text.s, v[ROOM].text.len))
		return fail(fault, CHAT_ERROR_INVALID_ROOM, ROOM);
	if (has(m, FROM) && !identity_parse(v[FROM].text.s, v[FROM].text.len, from))
		return fail(fault, CHAT_ERROR_INVALID_EMAIL, FROM);
	if (has(m, TIMESTAMP) && !timestamp_valid(v[TIMESTAMP].text.s, v[TIMESTAMP].text.len))
		return fail(fault, CHAT_ERROR_INVALID_TIMESTAMP, TIMESTAMP);
	return CHAT_OK;
}

/* The address fields against the topic; the rest of step 9. */
static enum chat_error check_addresses(const struct members *m, const struct identity *to,
                                       const struct identity *from, const struct identity *author,
                                       const struct schema_target *target, struct schema_fault *fault)
{
	if (has(m, FROM) && !identity_equal(from, author))
		return fail(fault, CHAT_ERROR_SENDER_MISMATCH, FROM);
	if (has(m, TO) && (!target->recipient || !identity_equal(to, target->recipient)))
		return fail(fault, CHAT_ERROR_ADDRESS_MISMATCH, TO);
	if (has(m, ROOM)) {
		struct span room = {.s = target->room, .len = target->room_len};

		if (target->recipient || !span_equal(m->value[ROOM].text, room))
			return fail(fault, CHAT_ERROR_ADDRESS_MISMATCH, ROOM);
	}
	return CHAT_OK;
}

bool schema_blank(const char *s, size_t len)
{
	struct span text = {.s = s, .len = len};

	while (text.len > 0) {
		uint32_t code = 0;
		size_t n = utf8_decode(text.s, text.len, &code); /* never 0: the walk has checked */

		if (!unicode_white_space(code))
			return false;
		text.s += n;
		text.len -= n;
	}
	return true;
}

/* True when well-formed text has more than max characters. */
static bool longer_than(struct span text, uint32_t max)
{
	size_t chars = 0;

	if (text.len <= max) /* no character is shorter than a byte */
		return false;
	for (size_t i = 0; i < text.len; i++)
		chars += ((unsigned char)text.s[i] & 0xc0) != 0x80;
	return chars > max;
}

/* Step 10. */
static enum chat_error check_content(const struct members *m, enum schema_type type,
                                     const struct schema_limits *limits, struct schema_fault *fault)
{
	if (type == SCHEMA_TYPING) {
		if (has(m, MESSAGE))
			return fail(fault, CHAT_ERROR_UNKNOWN_FIELD, MESSAGE);
		if (has(m, TIMESTAMP))
			return fail(fault, CHAT_ERROR_UNKNOWN_FIELD, TIMESTAMP);
		return CHAT_OK;
	}
	if (!has(m, MESSAGE))
		return fail(fault, CHAT_ERROR_MISSING_FIELD, MESSAGE);
	if (schema_blank(m->value[MESSAGE].text.s, m->value[MESSAGE].text.len))
		return fail(fault, CHAT_ERROR_EMPTY_MESSAGE, MESSAGE);
	if (longer_than(m->value[MESSAGE].text, limits->max_message_chars))
		return fail(fault, CHAT_ERROR_TOO_LONG, MESSAGE);
	return CHAT_OK;
}

enum chat_error schema_parse(const char *payload, size_t len, const struct schema_limits *limits,
                             const struct identity *author, const struct schema_target *target, char *scratch,
                             size_t scratch_cap, struct schema_message *out, struct schema_fault *fault)
{
	struct members m;
	struct identity to, from;
	const struct value *v = m.value;
	enum schema_type type;
	enum chat_error error;

	fault->field[0] = '\0';
	fault->ref[0] = '\0';
	if (len > SCHEMA_PAYLOAD_MAX || len > scratch_cap)
		return CHAT_ERROR_TOO_LONG;
	error = collect(payload, len, &m, scratch);
	if (error)
		return error;
	if (has(&m, REF) && !(m.twice & BIT(REF)) && v[REF].type == JSON_STRING &&
	    ref_valid(v[REF].text.s, v[REF].text.len))
		set_text(fault->ref, v[REF].text.s, v[REF].text.len);

	error = check_members(&m, limits, fault);
	if (!error)
		error = check_values(&m, &type, &to, &from, fault);
	if (!error)
		error = check_addresses(&m, &to, &from, author, target, fault);
	if (!error)
		error = check_content(&m, type, limits, fault);
	if (error)
		return error;

	*out = (struct schema_message){.type = type};
	if (type == SCHEMA_MESSAGE) {
		out->message = v[MESSAGE].text.s;
		out->message_len = v[MESSAGE].text.len;
		out->message_plain = !v[MESSAGE].escaped;
	}
	if (has(&m, REF)) {
		out->ref = v[REF].text.s;
		out->ref_len = v[REF].text.len;
	}
	return CHAT_OK;
}

void schema_find_ref(const char *payload, size_t len, char ref[REPLY_REF_MAX + 1])
{
	struct json_reader reader;
	struct json_member member, found = {.type = JSON_NULL};
	enum json_status status;
	char text[6 * REPLY_REF_MAX]; /* an escape is at most six times as long as what it means */
	size_t count = 0;
	size_t n;

	ref[0] = '\0';
	if (len == 0 || len > SCHEMA_PAYLOAD_MAX)
		return;
	json_reader_start(&reader, payload, len);
	while ((status = json_reader_next(&reader, &member)) == JSON_MEMBER) {
		if (json_span_equals(member.key, member.key_len, member.key_escaped, field_names[REF])) {
			found = member;
			count++;
		}
	}
	if (status != JSON_END || count != 1 || found.type != JSON_STRING || found.value_len > sizeof(text))
		return;
	n = json_unescape(found.value, found.value_len, text);
	if (ref_valid(text, n))
		set_text(ref, text, n);
}

static char *put(char *out, const char *s, size_t n)
{
	memcpy(out, s, n);
	return out + n;
}

#define PUT(out, literal) put((out), (literal), sizeof(literal) - 1)

/* Addresses, rooms, ids and times are made of characters that no JSON string escapes. */
#define HEAD "{\"id\":\""
#define SENDER "\",\"sender\":\""
#define ROOM_KEY "\",\"room\":\""
#define TO_KEY "\",\"to\":\""
#define MESSAGE_KEY "\",\"message\":\""
#define TIMESTAMP_KEY "\",\"timestamp\":\""
#define TAIL "\"}"

size_t schema_canonical_size(const struct schema_message *m, const struct identity *author,
                             const struct schema_target *target)
{
	size_t fixed =
	    sizeof(HEAD SENDER MESSAGE_KEY TIMESTAMP_KEY TAIL) - 1 + ULID_LEN + TIMESTAMP_LEN + author->len;
	size_t address = target->recipient ? sizeof(TO_KEY) - 1 + target->recipient->len
	                                   : sizeof(ROOM_KEY) - 1 + target->room_len;

	return fixed + address +
	       (m->message_plain ? m->message_len : json_escaped_size(m->message, m->message_len));
}

char *schema_canonical_write(const struct schema_message *m, const struct identity *author,
                             const struct schema_target *target, const char *id, const char *timestamp,
                             char *out)
{
	out = PUT(out, HEAD);
	out = put(out, id, ULID_LEN);
	out = PUT(out, SENDER);
	out = put(out, author->text, author->len);
	if (target->recipient) {
		out = PUT(out, TO_KEY);
		out = put(out, target->recipient->text, target->recipient->len);
	} else {
		out = PUT(out, ROOM_KEY);
		out = put(out, target->room, target->room_len);
	}
	out = PUT(out, MESSAGE_KEY);
	out = m->message_plain ? put(out, m->message, m->message_len)
	                       : json_escape(m->message, m->message_len, out);
	out = PUT(out, TIMESTAMP_KEY);
	out = put(out, timestamp, TIMESTAMP_LEN);
	return PUT(out, TAIL);
}

size_t schema_typing_write(const struct identity *author, const struct schema_target *target,
                           char out[SCHEMA_TYPING_MAX])
{
	char *at = PUT(out, "{\"type\":\"typing\",\"sender\":\"");

	at = put(at, author->text, author->len);
	if (!target->recipient) {
		at = PUT(at, ROOM_KEY);
		at = put(at, target->room, target->room_len);
	}
	at = PUT(at, TAIL);
	*at = '\0';
	return (size_t)(at - out);
}
