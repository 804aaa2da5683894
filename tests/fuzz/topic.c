/* topic.c - topics taken apart and put together again. */
#include "common/topic.h"

#include "tests/fuzz/fuzz.h"

static void check_level(const char *s, size_t n)
{
	struct identity strict, lenient;
	if (topic_level_identity(s, n, &strict)) {
		MUST(topic_level_identity_lenient(s, n, &lenient) && identity_equal(&strict, &lenient));
		MUST(topic_level_equals(s, n, strict.text, strict.len));
	}
	char *level = malloc(3 * n + 1);
	MUST(level != NULL);
	size_t len = topic_level_encode(s, n, level, 3 * n);
	MUST(n == 0 ? len == 0 : len >= n && topic_level_equals(level, len, s, n));
	for (size_t i = 0; i < len; i++)
		MUST(strchr("/+#", level[i]) == NULL);
	free(level);
}

/* What is canonical comes out as it went in. */
static void check_parts(const struct topic *t, const char *root, const char *topic, size_t n)
{
	char out[TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 1024];
	struct identity id;
	size_t len = 0;
	switch (t->kind) {
	case TOPIC_ROOM:
	case TOPIC_ROOM_SEND:
	case TOPIC_ROOM_TYPING:
	case TOPIC_ROOM_EVENTS:
		if (!room_name_valid(t->name, t->name_len))
			return;
		len = topic_format(t->kind, root, t->name, t->name_len, NULL, 0, out, sizeof out);
		break;
	case TOPIC_INBOX:
	case TOPIC_USER_SEND:
	case TOPIC_PRESENCE:
	case TOPIC_USER_TYPING:
	case TOPIC_USER_EVENTS:
		if (!topic_level_identity(t->name, t->name_len, &id))
			return;
		len = topic_format(t->kind, root, id.text, id.len, NULL, 0, out, sizeof out);
		break;
	case TOPIC_NODE:
		if (!node_name_valid(t->name, t->name_len))
			return;
		len = topic_format(t->kind, root, t->name, t->name_len, NULL, 0, out, sizeof out);
		break;
	case TOPIC_SYNC:
	case TOPIC_EVENTS:
		len = topic_format(t->kind, root, NULL, 0, NULL, 0, out, sizeof out);
		break;
	default:
		return;
	}
	MUST(len == n && memcmp(out, topic, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const roots[] = {"chat", "a/b", "x"};
	struct fuzz_input in = {data, size};
	const char *root = roots[fuzz_byte(&in) % 3];
	const char *topic = (const char *)in.at;
	size_t n = in.left;
	struct topic t = topic_parse(root, strlen(root), topic, n);
	MUST((t.kind == TOPIC_OUTSIDE) == (n < strlen(root) || memcmp(topic, root, strlen(root)) != 0 ||
	                                   (n > strlen(root) && topic[strlen(root)] != '/')));
	if (t.name != NULL) {
		MUST(fuzz_inside(t.name, t.name_len, topic, n));
		check_level(t.name, t.name_len);
	}
	if (t.client != NULL)
		MUST(fuzz_inside(t.client, t.client_len, topic, n));
	check_parts(&t, root, topic, n);
	check_level(topic, n);
	if (topic_root_valid(topic, n)) {
		struct topic own = topic_parse(topic, n, topic, n);
		MUST(own.kind == TOPIC_UNKNOWN && memchr(topic, '#', n) == NULL && memchr(topic, '+', n) == NULL);
	}
	return 0;
}
