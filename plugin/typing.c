/*
 * typing.c - at most one typing event a second from one author to one target.
 */
#include "typing.h"

#include "common/topic.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define KEY_MAX (IDENTITY_MAX + 1 + TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32)
#define TIDY_AT_ONCE 1024

struct entry {
	UT_hash_handle hh;
	struct entry *prev, *next; /* oldest first */
	uint64_t passed_ms;
	char key[]; /* address, NUL, topic */
};

static struct {
	struct entry *all;
	struct entry *by_age;
} state;

void typing_start(void)
{
	state.all = NULL;
	state.by_age = NULL;
}

static void forget(struct entry *entry)
{
	DL_DELETE(state.by_age, entry);
	HASH_DEL(state.all, entry);
	free(entry);
}

void typing_stop(void)
{
	while (state.by_age)
		forget(state.by_age);
}

bool typing_pass(const struct identity *author, const char *target, size_t len, uint64_t now_ms)
{
	char key[KEY_MAX];
	size_t n = (size_t)author->len + 1 + len;
	struct entry *entry;

	if (n > sizeof(key))
		return false;
	memcpy(key, author->text, (size_t)author->len + 1);
	memcpy(key + author->len + 1, target, len);
	HASH_FIND(hh, state.all, key, n, entry);
	if (entry) {
		if (now_ms - entry->passed_ms < TYPING_MS)
			return false;
		forget(entry);
	}
	if (HASH_COUNT(state.all) >= TYPING_REMEMBERED)
		forget(state.by_age);
	entry = calloc(1, sizeof(*entry) + n);
	if (!entry)
		return false;
	memcpy(entry->key, key, n);
	entry->passed_ms = now_ms;
	HASH_ADD_KEYPTR(hh, state.all, entry->key, n, entry);
	if (!TABLE_HAS(entry)) {
		free(entry);
		return false;
	}
	DL_APPEND(state.by_age, entry);
	return true;
}

void typing_tidy(uint64_t now_ms)
{
	unsigned n;

	for (n = 0; n < TIDY_AT_ONCE && state.by_age && now_ms - state.by_age->passed_ms >= TYPING_MS; n++)
		forget(state.by_age);
}
