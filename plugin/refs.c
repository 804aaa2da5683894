/*
 * refs.c - what each author has sent under a reference of its own.
 */
#include "refs.h"

#include "compat.h"
#include "log.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

#define TIDY_AT_ONCE 1024
#define KEY_MAX (IDENTITY_MAX + 1 + REPLY_REF_MAX)

struct sent {
	struct table_entry entry;
	uint64_t added_ms;
	struct ref_answer answer;
	char key[]; /* address, NUL, reference */
};

static struct {
	struct table all;
} state;

static void forget(struct sent *sent)
{
	table_remove(&state.all, sent);
	free(sent);
}

void refs_stop(void)
{
	struct sent *sent;

	while ((sent = table_oldest(&state.all)))
		forget(sent);
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

static struct sent *find(const char *key, size_t len)
{
	return table_find(&state.all, key, len);
}

const struct ref_answer *refs_find(const struct identity *author, const char *ref, size_t len,
                                   uint64_t now_ms)
{
	char key[KEY_MAX];
	size_t n = key_of(author, ref, len, key);
	const struct sent *sent = n ? find(key, n) : NULL;

	return sent && now_ms - sent->added_ms < REFS_MS ? &sent->answer : NULL;
}

void refs_add(const struct identity *author, const char *ref, size_t len, const struct ref_answer *answer,
              uint64_t now_ms)
{
	char key[KEY_MAX];
	size_t n = key_of(author, ref, len, key);
	struct sent *sent, *oldest;

	if (n == 0)
		return;
	sent = find(key, n);
	if (sent)
		forget(sent);
	if (table_count(&state.all) >= REFS_REMEMBERED) {
		oldest = table_oldest(&state.all);
		if (now_ms - oldest->added_ms < REFS_MS)
			log_limited(LOG_CAUSE_REFS, MOSQ_LOG_WARNING,
			            "more than %d messages with a reference in five minutes: the oldest references are "
			            "forgotten, and sending one of them again delivers it again",
			            REFS_REMEMBERED);
		forget(oldest);
	}
	sent = calloc(1, sizeof(*sent) + n);
	if (!sent)
		return;
	memcpy(sent->key, key, n);
	sent->answer = *answer;
	sent->added_ms = now_ms;
	if (!table_add(&state.all, sent, sent->key, n))
		free(sent);
}

void refs_tidy(uint64_t now_ms)
{
	struct sent *oldest;
	unsigned n;

	for (n = 0; n < TIDY_AT_ONCE; n++) {
		oldest = table_oldest(&state.all);
		if (!oldest || now_ms - oldest->added_ms < REFS_MS)
			return;
		forget(oldest);
	}
}
