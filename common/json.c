/*
 * json.c - the strict reader and the string writer of json.h.
 *
 * The reader checks while it walks and keeps nothing but its place. Nested values are
 * scanned without recursion: one bit for each open container says what it is.
 */
#include "json.h"

#include "common/hex.h"
#include "utf8.h"

#include <stdint.h>
#include <string.h>

_Static_assert(JSON_DEPTH_MAX == 64, "one bit of a uint64_t for each level");

/* Values of json_reader.state; from FINAL on it is FINAL + the status that stays. */
enum { STATE_START, STATE_MEMBERS, STATE_FINAL };

/* The text that is left, and what was wrong with it. */
struct scan {
	const char *at;
	const char *end;
	enum json_status fault; /* set where a scan_ function answers false */
};

static bool invalid(struct scan *s)
{
	s->fault = JSON_INVALID;
	return false;
}

static bool bad_utf8(struct scan *s)
{
	s->fault = JSON_BAD_UTF8;
	return false;
}

static void skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

/* Steps over c where it is next. */
static bool take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* The four hex digits at p as a number; -1 where there are no four. */
static int32_t hex_quad(const char *p, const char *end)
{
	int32_t value = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_value(p[i]);

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

static bool is_high_surrogate(int32_t unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(int32_t unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

/* An escape; at stands on its backslash and then behind it. */
static bool scan_escape(struct scan *s)
{
	int32_t unit;

	if (s->end - s->at < 2)
		return invalid(s);
	switch (s->at[1]) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		s->at += 2;
		return true;
	case 'u':
		break;
	default:
		return invalid(s);
	}
	unit = hex_quad(s->at + 2, s->end);
	if (unit < 0)
		return invalid(s);
	s->at += 6;
	if (is_low_surrogate(unit))
		return bad_utf8(s);
	if (!is_high_surrogate(unit))
		return true;
	if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u' ||
	    !is_low_surrogate(hex_quad(s->at + 2, s->end)))
		return bad_utf8(s);
	s->at += 6;
	return true;
}

/* True when none of the eight bytes is '"', '\\', a control or beyond ASCII. */
static bool eight_plain(const char *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t tops = UINT64_C(0x8080808080808080);
	uint64_t w, quote, slash;

	memcpy(&w, p, sizeof(w));
	quote = w ^ ones * '"';
	slash = w ^ ones * '\\';
	/* x - 1 borrows into the top bit of a byte only where the byte (or one below) is zero */
	return (((quote - ones) | (slash - ones) | (w - ones * 0x20) | w) & tops) == 0;
}

/* A string; at stands behind its opening quote and then behind the closing one. */
static bool scan_string(struct scan *s, bool *escaped)
{
	*escaped = false;
	while (s->at < s->end) {
		unsigned char c;
		uint32_t code;
		size_t n;

		if (s->end - s->at >= 8 && eight_plain(s->at)) {
			s->at += 8;
			continue;
		}
		c = (unsigned char)*s->at;
		if (c == '"') {
			s->at++;
			return true;
		}
		if (c == '\\') {
			*escaped = true;
			if (!scan_escape(s))
				return false;
		} else if (c < 0x20) {
			return invalid(s);
		} else if (c < 0x80) {
			s->at++;
		} else {
			n = utf8_decode(s->at, (size_t)(s->end - s->at), &code);
			if (n == 0)
				return bad_utf8(s);
			s->at += n;
		}
	}
	return invalid(s);
}

/* At least one digit. */
static bool scan_digits(struct scan *s)
{
	const char *start = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	if (s->at == start)
		return invalid(s);
	return true;
}

static bool scan_number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return false;
	if (take(s, '.') && !scan_digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			(void)take(s, '-');
		return scan_digits(s);
	}
	return true;
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return invalid(s);
	s->at += n;
	return true;
}

/* A string, number or word; *type says which. */
static bool scan_scalar(struct scan *s, enum json_type *type, bool *escaped)
{
	switch (*s->at) {
	case '"':
		s->at++;
		*type = JSON_STRING;
		return scan_string(s, escaped);
	case 't':
		*type = JSON_TRUE;
		return scan_word(s, "true");
	case 'f':
		*type = JSON_FALSE;
		return scan_word(s, "false");
	case 'n':
		*type = JSON_NULL;
		return scan_word(s, "null");
	default:
		*type = JSON_NUMBER;
		return scan_number(s);
	}
}

/* A key and its colon; at stands on the quote and then on the value. *len gets the bytes
 * between the quotes. */
static bool scan_key(struct scan *s, size_t *len, bool *escaped)
{
	const char *start;

	if (!take(s, '"'))
		return invalid(s);
	start = s->at;
	if (!scan_string(s, escaped))
		return false;
	*len = (size_t)(s->at - start) - 1;
	skip_space(s);
	if (!take(s, ':'))
		return invalid(s);
	skip_space(s);
	return true;
}

/* A container with all that is in it; at stands on its bracket and then behind the closing one.
 * outer is how many containers are open around it. */
static bool scan_container(struct scan *s, int outer)
{
	enum json_type type;
	uint64_t objects = 0; /* lowest bit: the innermost open container is an object */
	int depth = 0;
	bool escaped;
	size_t len;

	for (;;) {
		/* a value begins here */
		if (s->at == s->end)
			return invalid(s);
		if (*s->at == '{' || *s->at == '[') {
			if (outer + depth == JSON_DEPTH_MAX)
				return invalid(s);
			objects = objects << 1 | (*s->at == '{');
			depth++;
			s->at++;
			skip_space(s);
			if (s->at == s->end || *s->at != ((objects & 1) ? '}' : ']')) {
				if ((objects & 1) && !scan_key(s, &len, &escaped))
					return false;
				continue;
			}
		} else if (!scan_scalar(s, &type, &escaped)) {
			return false;
		}

		/* and has ended: close what closes with it */
		skip_space(s);
		while (take(s, (objects & 1) ? '}' : ']')) {
			objects >>= 1;
			if (--depth == 0)
				return true;
			skip_space(s);
		}
		if (!take(s, ','))
			return invalid(s);
		skip_space(s);
		if ((objects & 1) && !scan_key(s, &len, &escaped))
			return false;
	}
}

static bool scan_value(struct scan *s, int outer, enum json_type *type, bool *escaped)
{
	*escaped = false;
	if (s->at == s->end)
		return invalid(s);
	if (*s->at != '{' && *s->at != '[')
		return scan_scalar(s, type, escaped);
	*type = *s->at == '{' ? JSON_OBJECT : JSON_ARRAY;
	return scan_container(s, outer);
}

void json_reader_start(struct json_reader *r, const char *text, size_t len)
{
	r->at = text;
	r->end = text + len;
	r->state = STATE_START;
}

static enum json_status settle(struct json_reader *r, enum json_status status)
{
	r->state = STATE_FINAL + (int)status;
	return status;
}

/* Nothing but white space may follow. */
static enum json_status settle_at_end(struct json_reader *r, struct scan *s, enum json_status status)
{
	skip_space(s);
	return settle(r, s->at == s->end ? status : JSON_INVALID);
}

/* The value that ends here is what began at out->value; strings without their quotes. */
static void take_span(const struct scan *s, struct json_member *out)
{
	out->value_len = (size_t)(s->at - out->value);
	if (out->type == JSON_STRING) {
		out->value++;
		out->value_len -= 2;
	}
}

enum json_status json_reader_next(struct json_reader *r, struct json_member *out)
{
	struct scan s = {.at = r->at, .end = r->end, .fault = JSON_INVALID};
	enum json_type type;
	bool escaped;

	if (r->state >= STATE_FINAL)
		return (enum json_status)(r->state - STATE_FINAL);

	skip_space(&s);
	if (r->state == STATE_START) {
		if (!take(&s, '{')) {
			if (!scan_value(&s, 0, &type, &escaped))
				return settle(r, s.fault);
			return settle_at_end(r, &s, JSON_NOT_OBJECT);
		}
		r->state = STATE_MEMBERS;
		skip_space(&s);
		if (take(&s, '}'))
			return settle_at_end(r, &s, JSON_END);
	} else {
		if (take(&s, '}'))
			return settle_at_end(r, &s, JSON_END);
		if (!take(&s, ','))
			return settle(r, JSON_INVALID);
		skip_space(&s);
	}

	out->key = s.at == s.end ? s.at : s.at + 1; /* behind the quote, if it is one */
	if (!scan_key(&s, &out->key_len, &out->key_escaped))
		return settle(r, s.fault);
	out->value = s.at;
	if (!scan_value(&s, 1, &out->type, &out->value_escaped))
		return settle(r, s.fault);
	take_span(&s, out);
	r->at = s.at;
	return JSON_MEMBER;
}

void json_array_start(struct json_reader *r, const char *span, size_t len)
{
	json_reader_start(r, span, len);
}

enum json_status json_array_next(struct json_reader *r, struct json_member *out)
{
	struct scan s = {.at = r->at, .end = r->end, .fault = JSON_INVALID};

	if (r->state >= STATE_FINAL)
		return (enum json_status)(r->state - STATE_FINAL);

	skip_space(&s);
	if (r->state == STATE_START) {
		if (!take(&s, '['))
			return settle(r, JSON_INVALID);
		r->state = STATE_MEMBERS;
		skip_space(&s);
		if (take(&s, ']'))
			return settle_at_end(r, &s, JSON_END);
	} else {
		if (take(&s, ']'))
			return settle_at_end(r, &s, JSON_END);
		if (!take(&s, ','))
			return settle(r, JSON_INVALID);
		skip_space(&s);
	}

	*out = (struct json_member){.key = s.at, .value = s.at};
	if (!scan_value(&s, 1, &out->type, &out->value_escaped))
		return settle(r, s.fault);
	take_span(&s, out);
	r->at = s.at;
	return JSON_MEMBER;
}

/* The one or more bytes that the character or escape at *p stands for; moves *p behind it. The
 * span was checked by the reader, so whatever an escape needs is there. */
static size_t unescape_one(const char **p, char out[4])
{
	const char *s = *p;
	int32_t unit, low;

	if (s[0] != '\\') {
		out[0] = s[0];
		*p = s + 1;
		return 1;
	}
	*p = s + 2;
	switch (s[1]) {
	case 'b':
		out[0] = '\b';
		return 1;
	case 'f':
		out[0] = '\f';
		return 1;
	case 'n':
		out[0] = '\n';
		return 1;
	case 'r':
		out[0] = '\r';
		return 1;
	case 't':
		out[0] = '\t';
		return 1;
	case 'u':
		break;
	default: /* '"', '\\' and '/' stand for themselves */
		out[0] = s[1];
		return 1;
	}
	unit = hex_quad(s + 2, s + 6);
	*p = s + 6;
	if (!is_high_surrogate(unit))
		return utf8_encode((uint32_t)unit, out);
	low = hex_quad(s + 8, s + 12);
	*p = s + 12;
	return utf8_encode(0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00), out);
}

size_t json_unescape(const char *raw, size_t n, char *out)
{
	const char *end = raw + n;
	size_t used = 0;

	while (raw < end) {
		const char *slash = memchr(raw, '\\', (size_t)(end - raw));
		size_t plain = (size_t)((slash ? slash : end) - raw);
		char bytes[4];
		size_t len;

		memmove(out + used, raw, plain);
		used += plain;
		raw += plain;
		if (slash) {
			len = unescape_one(&raw, bytes);
			memcpy(out + used, bytes, len);
			used += len;
		}
	}
	return used;
}

bool json_span_equals(const char *raw, size_t n, bool escaped, const char *text)
{
	size_t len = strlen(text);
	const char *end = raw + n;

	if (!escaped)
		return n == len && memcmp(raw, text, n) == 0;
	while (raw < end) {
		char bytes[4];
		size_t step = unescape_one(&raw, bytes);

		if (step > len || memcmp(text, bytes, step) != 0)
			return false;
		text += step;
		len -= step;
	}
	return len == 0;
}

/* The letter of a two-byte escape, or 0 where c has none. */
static char short_escape(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return 0;
	}
}

static bool needs_escape(unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\';
}

size_t json_escaped_size(const char *s, size_t n)
{
	size_t size = n;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (needs_escape(c))
			size += short_escape(c) ? 1 : 5;
	}
	return size;
}

char *json_escape(const char *s, size_t n, char *out)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		char letter;

		if (!needs_escape(c)) {
			*out++ = (char)c;
			continue;
		}
		letter = short_escape(c);
		*out++ = '\\';
		if (letter) {
			*out++ = letter;
			continue;
		}
		*out++ = 'u';
		*out++ = '0';
		*out++ = '0';
		*out++ = hex[c >> 4];
		*out++ = hex[c & 15];
	}
	return out;
}

void json_member_text(const char *text, size_t len, const char *name, char *out, size_t cap)
{
	struct json_reader reader;
	struct json_member m = {.key = text, .value = text}; /* for the analyzer: each member sets all of it */

	out[0] = '\0';
	json_reader_start(&reader, text, len);
	while (json_reader_next(&reader, &m) == JSON_MEMBER) {
		if (m.type != JSON_STRING || m.value_escaped || m.value_len >= cap ||
		    !json_span_equals(m.key, m.key_len, m.key_escaped, name))
			continue;
		memcpy(out, m.value, m.value_len);
		out[m.value_len] = '\0';
	}
}
