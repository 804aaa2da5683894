/*
 * refs.c - what each author has sent under a reference of its own.
 */
#include "refs.h"

#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define TIDY_AT_ONCE 1024
#define KEY_MAX (IDENTITY_MAX + 1 + REPLY_REF_MAX)

struct entry {
	UT_hash_handle hh;
	struct entry *prev, *next; /* oldest first */
	uint64_t added_ms;
	struct ref_answer answer;
	char key[]; /* address, NUL, reference */
};

static struct {
	struct entry *all;
	struct entry *by_age;
} state;

void refs_start(void)
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

void refs_stop(void)
{
	while (state.by_age)
		forget(state.by_age);
}

/* Returns the key's length, 0 for a reference that is too long. */
static size_t key_of(const struct identity *author, const char *ref, size_t len, char key[KEY_MAX])
{
	if (len > REPLY_REF_MAX)
		return 0;
	memcpy(key, author->text, (size_t)author->len + 1);
	memcpy(key + author->len + 1, ref, len);
	return (size_t)author->len + 1 + len;
}

static struct entry *find(const char *key, size_t len)
{
	struct entry *entry;

	HASH_FIND(hh, state.all, key, len, entry);
	return entry;
}

const struct ref_answer *refs_find(const struct identity *author, const char *ref, size_t len,
                                   uint64_t now_ms)
{
	char key[KEY_MAX];
	size_t n = key_of(author, ref, len, key);
	struct entry *entry = n ? find(key, n) : NULL;

	return entry && now_ms - entry->added_ms < REFS_MS ? &entry->answer : NULL;
}

void refs_add(const struct identity *author, const char *ref, size_t len, const struct ref_answer *answer,
              uint64_t now_ms)
{
	char key[KEY_MAX];
	size_t n = key_of(author, ref, len, key);
	struct entry *entry;

	if (n == 0)
		return;
	entry = find(key, n);
	if (entry)
		forget(entry);
	if (HASH_COUNT(state.all) >= REFS_REMEMBERED)
		forget(state.by_age);
	entry = calloc(1, sizeof(*entry) + n);
	if (!entry)
		return;
	memcpy(entry->key, key, n);
	entry->answer = *answer;
	entry->added_ms = now_ms;
	HASH_ADD_KEYPTR(hh, state.all, entry->key, n, entry);
	if (!TABLE_HAS(entry)) {
		free(entry);
		return;
	}
	DL_APPEND(state.by_age, entry);
}

void refs_tidy(uint64_t now_ms)
{
	unsigned n;

	for (n = 0; n < TIDY_AT_ONCE && state.by_age && now_ms - state.by_age->added_ms >= REFS_MS; n++)
		forget(state.by_age);
}
