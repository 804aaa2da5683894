/* identity.c - addresses: read twice they are the same, and so they are after a way through a topic. */
#include "common/identity.h"
#include "common/history_schema.h"
#include "common/topic.h"

#include "tests/fuzz/fuzz.h"

static void check(const struct identity *id)
{
	struct identity again, back;
	char level[TOPIC_LEVEL_MAX + 1];
	MUST(id->len > 2 && id->text[id->len] == '\0' && strlen(id->text) == id->len);
	MUST(identity_parse(id->text, id->len, &again) && identity_equal(id, &again));
	size_t n = topic_level_encode(id->text, id->len, level, sizeof level - 1);
	level[n] = '\0';
	MUST(n >= id->len && strcspn(level, "/+#") == n);
	MUST(topic_level_equals(level, n, id->text, id->len));
	MUST(topic_level_identity(level, n, &back) && identity_equal(id, &back));
	MUST(topic_level_identity_lenient(level, n, &back) && identity_equal(id, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct identity first, second;
	const char *bar = size > 0 ? memchr(text, '\n', size) : NULL;
	size_t n = bar != NULL ? (size_t)(bar - text) : size;
	memset(&first, 0xee, sizeof first);
	if (!identity_parse(text, n, &first)) {
		MUST(first.len == 0xee);
		return 0;
	}
	check(&first);
	/* of two: the name of their place in history names them, whoever comes first */
	if (bar == NULL || !identity_parse(bar + 1, size - n - 1, &second))
		return 0;
	check(&second);
	char name[HISTORY_PLACE_MAX + 1], other[HISTORY_PLACE_MAX + 1];
	size_t len = history_pair_name(&first, &second, name);
	MUST(history_pair_name(&second, &first, other) == len && strcmp(name, other) == 0 && strlen(name) == len);
	size_t at = history_pair_second(name, len);
	MUST(at > 1 && at < len);
	struct identity a, b;
	MUST(identity_parse(name, at - 1, &a) && identity_parse(name + at, len - at, &b));
	MUST((identity_equal(&a, &first) && identity_equal(&b, &second)) ||
	     (identity_equal(&a, &second) && identity_equal(&b, &first)));
	return 0;
}
