/*
 * typing.c - at most one typing event a second from one author to one target.
 */
#include "typing.h"

#include "common/topic.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MAX (IDENTITY_MAX + 1 + TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32)
#define TIDY_AT_ONCE 1024

struct passed {
	struct table_entry entry;
	uint64_t passed_ms;
	char key[]; /* address, NUL, topic */
};

static struct {
	struct table all;
} state;

static void forget(struct passed *passed)
{
	table_remove(&state.all, passed);
	free(passed);
}

void typing_stop(void)
{
	struct passed *passed;

	while ((passed = table_oldest(&state.all)))
		forget(passed);
}

bool typing_pass(const struct identity *author, const char *target, size_t len, uint64_t now_ms)
{
	char key[KEY_MAX];
	size_t n = (size_t)author->len + 1 + len;
	struct passed *passed;

	if (n > sizeof(key))
		return false;
	memcpy(key, author->text, (size_t)author->len + 1);
	memcpy(key + author->len + 1, target, len);
	passed = table_find(&state.all, key, n);
	if (passed) {
		if (now_ms - passed->passed_ms < TYPING_MS)
			return false;
		passed->passed_ms = now_ms;
		table_renew(&state.all, passed);
		return true;
	}
	if (table_count(&state.all) >= TYPING_REMEMBERED)
		forget(table_oldest(&state.all));
	passed = calloc(1, sizeof(*passed) + n);
	if (!passed)
		return false;
	memcpy(passed->key, key, n);
	passed->passed_ms = now_ms;
	if (table_add(&state.all, passed, passed->key, n))
		return true;
	free(passed);
	return false;
}

void typing_tidy(uint64_t now_ms)
{
	struct passed *oldest;
	unsigned n;

	for (n = 0; n < TIDY_AT_ONCE; n++) {
		oldest = table_oldest(&state.all);
		if (!oldest || now_ms - oldest->passed_ms < TYPING_MS)
			return;
		forget(oldest);
	}
}
