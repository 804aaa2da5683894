/*
 * topic.c - taking topics apart and putting them together.
 */
#include "topic.h"
#include "common/hex.h"

#include <string.h>

/* Bytes that stand for themselves in a topic level. */
static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_' || c == '.' || c == '~' || c == '@';
}

static bool span_is(const char *s, size_t n, const char *text)
{
	size_t len = strlen(text);

	return n == len && memcmp(s, text, len) == 0;
}

/* Cuts the next level off: *level, *level_len get it, *rest what follows its '/'. NULL in
 * *rest when it was the last one. */
static void cut_level(const char **rest, const char *end, const char **level, size_t *level_len)
{
	const char *slash = memchr(*rest, '/', (size_t)(end - *rest));

	*level = *rest;
	*level_len = (size_t)((slash ? slash : end) - *rest);
	*rest = slash ? slash + 1 : NULL;
}

/* What follows rooms/<name>/; rest is NULL when nothing does. */
static enum topic_kind room_kind(const char *rest, const char *end)
{
	size_t n;

	if (!rest)
		return TOPIC_ROOM;
	n = (size_t)(end - rest);
	if (span_is(rest, n, "send"))
		return TOPIC_ROOM_SEND;
	if (span_is(rest, n, "typing"))
		return TOPIC_ROOM_TYPING;
	if (span_is(rest, n, "events"))
		return TOPIC_ROOM_EVENTS;
	return TOPIC_UNKNOWN;
}

/* What follows users/<name>/. */
static enum topic_kind user_kind(const char *rest, const char *end, struct topic *t)
{
	static const char notices[] = "notices/";
	size_t n;

	if (!rest)
		return TOPIC_UNKNOWN;
	n = (size_t)(end - rest);
	if (span_is(rest, n, "inbox"))
		return TOPIC_INBOX;
	if (span_is(rest, n, "send"))
		return TOPIC_USER_SEND;
	if (span_is(rest, n, "presence"))
		return TOPIC_PRESENCE;
	if (span_is(rest, n, "typing"))
		return TOPIC_USER_TYPING;
	if (span_is(rest, n, "events"))
		return TOPIC_USER_EVENTS;
	if (n < sizeof(notices) || memcmp(rest, notices, sizeof(notices) - 1) != 0)
		return TOPIC_UNKNOWN;
	rest += sizeof(notices) - 1;
	n -= sizeof(notices) - 1;
	if (memchr(rest, '/', n))
		return TOPIC_UNKNOWN;
	t->client = rest;
	t->client_len = n;
	return TOPIC_NOTICES;
}

struct topic topic_parse(const char *root, size_t root_len, const char *topic, size_t len)
{
	struct topic t = {.kind = TOPIC_OUTSIDE};
	const char *end = topic + len;
	const char *rest, *level;
	size_t level_len;

	if (len < root_len || memcmp(topic, root, root_len) != 0)
		return t;
	if (len > root_len && topic[root_len] != '/')
		return t;
	t.kind = TOPIC_UNKNOWN;
	if (len == root_len)
		return t;

	rest = topic + root_len + 1;
	cut_level(&rest, end, &level, &level_len);
	if (!rest) {
		if (span_is(level, level_len, "sync"))
			t.kind = TOPIC_SYNC;
		if (span_is(level, level_len, "events"))
			t.kind = TOPIC_EVENTS;
		return t;
	}
	if (span_is(level, level_len, "rooms")) {
		cut_level(&rest, end, &t.name, &t.name_len);
		t.kind = room_kind(rest, end);
	} else if (span_is(level, level_len, "users")) {
		cut_level(&rest, end, &t.name, &t.name_len);
		t.kind = user_kind(rest, end, &t);
	} else if (span_is(level, level_len, "bridges")) {
		cut_level(&rest, end, &t.name, &t.name_len);
		if (!rest)
			t.kind = TOPIC_BRIDGE;
	} else if (span_is(level, level_len, "nodes")) {
		cut_level(&rest, end, &t.name, &t.name_len);
		if (!rest)
			t.kind = TOPIC_NODE;
	}
	if (t.kind == TOPIC_UNKNOWN) {
		t.name = NULL;
		t.name_len = 0;
	}
	return t;
}

bool room_name_valid(const char *s, size_t n)
{
	if (n == 0 || n > ROOM_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-' || s[i] == '_' ||
		      s[i] == '.'))
			return false;
	}
	return true;
}

bool node_name_valid(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_plain((unsigned char)s[i]) || s[i] == '~' || s[i] == '@')
			return false;
	return n > 0;
}

bool topic_root_valid(const char *s, size_t n)
{
	if (n == 0 || n > TOPIC_ROOT_MAX || s[0] == '/' || s[n - 1] == '/')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '/') {
			if (s[i - 1] == '/') /* i > 0: the first byte is none */
				return false;
			continue;
		}
		/* '$' is not among these, so no level starts with it */
		if (!is_plain((unsigned char)s[i]) || s[i] == '~' || s[i] == '@')
			return false;
	}
	return true;
}

size_t topic_level_encode(const char *s, size_t n, char *out, size_t cap)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (is_plain(c)) {
			if (used == cap)
				return 0;
			out[used++] = (char)c;
			continue;
		}
		if (cap - used < 3)
			return 0;
		out[used++] = '%';
		out[used++] = hex[c >> 4];
		out[used++] = hex[c & 15];
	}
	return used;
}

bool topic_level_identity_lenient(const char *level, size_t n, struct identity *out)
{
	char plain[IDENTITY_MAX];
	size_t used = 0;
	size_t i = 0;

	while (i < n) {
		if (used == sizeof(plain))
			return false;
		if (level[i] == '%') {
			int high = n - i < 3 ? -1 : hex_value(level[i + 1]);
			int low = n - i < 3 ? -1 : hex_value(level[i + 2]);

			if (high < 0 || low < 0)
				return false;
			plain[used++] = (char)(high << 4 | low);
			i += 3;
		} else {
			plain[used++] = level[i++];
		}
	}
	return identity_parse(plain, used, out);
}

bool topic_level_identity(const char *level, size_t n, struct identity *out)
{
	struct identity id;

	/* Parsing brings the address to its canonical form, so encoding it again gives
	 * the same bytes only where the level was canonical throughout. */
	if (!topic_level_identity_lenient(level, n, &id) || !topic_level_equals(level, n, id.text, id.len))
		return false;
	*out = id;
	return true;
}

bool topic_level_equals(const char *level, size_t level_len, const char *s, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		char encoded[3];
		size_t len = topic_level_encode(s + i, 1, encoded, sizeof(encoded));

		if (level_len - at < len || memcmp(level + at, encoded, len) != 0)
			return false;
		at += len;
	}
	return at == level_len;
}

/* Where topic_format writes. Once something did not fit, all that follows does not either. */
struct out {
	char *at;
	size_t left;
	bool failed;
};

static void put_bytes(struct out *o, const char *s, size_t n)
{
	if (o->failed || n > o->left) {
		o->failed = true;
		return;
	}
	memcpy(o->at, s, n);
	o->at += n;
	o->left -= n;
}

static void put_text(struct out *o, const char *s)
{
	put_bytes(o, s, strlen(s));
}

static void put_level(struct out *o, const char *s, size_t n)
{
	size_t len;

	if (o->failed)
		return;
	len = topic_level_encode(s, n, o->at, o->left);
	if (len == 0) {
		o->failed = true;
		return;
	}
	o->at += len;
	o->left -= len;
}

size_t topic_format(enum topic_kind kind, const char *root, const char *name, size_t name_len,
                    const char *client, size_t client_len, char *out, size_t cap)
{
	static const char *const tails[] = {
	    [TOPIC_ROOM_SEND] = "/send",   [TOPIC_ROOM_TYPING] = "/typing", [TOPIC_INBOX] = "/inbox",
	    [TOPIC_USER_SEND] = "/send",   [TOPIC_PRESENCE] = "/presence",  [TOPIC_USER_TYPING] = "/typing",
	    [TOPIC_NOTICES] = "/notices/", [TOPIC_ROOM_EVENTS] = "/events", [TOPIC_USER_EVENTS] = "/events",
	};
	struct out o = {.at = out, .left = cap};

	put_text(&o, root);
	switch (kind) {
	case TOPIC_ROOM:
		put_text(&o, "/rooms/");
		put_bytes(&o, name, name_len);
		break;
	case TOPIC_ROOM_SEND:
	case TOPIC_ROOM_TYPING:
	case TOPIC_ROOM_EVENTS:
		put_text(&o, "/rooms/");
		put_bytes(&o, name, name_len);
		put_text(&o, tails[kind]);
		break;
	case TOPIC_INBOX:
	case TOPIC_USER_SEND:
	case TOPIC_PRESENCE:
	case TOPIC_USER_TYPING:
	case TOPIC_USER_EVENTS:
	case TOPIC_NOTICES:
		put_text(&o, "/users/");
		put_level(&o, name, name_len);
		put_text(&o, tails[kind]);
		if (kind == TOPIC_NOTICES)
			put_level(&o, client, client_len);
		break;
	case TOPIC_BRIDGE:
		put_text(&o, "/bridges/");
		put_level(&o, name, name_len);
		break;
	case TOPIC_NODE:
		put_text(&o, "/nodes/");
		put_bytes(&o, name, name_len);
		break;
	case TOPIC_SYNC:
		put_text(&o, "/sync");
		break;
	case TOPIC_EVENTS:
		put_text(&o, "/events");
		break;
	case TOPIC_OUTSIDE:
	case TOPIC_UNKNOWN:
	default:
		return 0;
	}
	put_bytes(&o, "", 1);
	return o.failed ? 0 : (size_t)(o.at - out) - 1;
}
