/*
 * table.c - a hash table whose entries also stand in an order.
 */
#include "table.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

static struct {
	uint64_t key[2];
} state;

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
	return (x << bits) | (x >> (64 - bits));
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

uint32_t table_hash(const void *key, size_t len)
{
	struct sip s = {
	    state.key[0] ^ 0x736f6d6570736575ull,
	    state.key[1] ^ 0x646f72616e646f6dull,
	    state.key[0] ^ 0x6c7967656e657261ull,
	    state.key[1] ^ 0x7465646279746573ull,
	};
	const unsigned char *at = key;
	uint64_t word;
	size_t left = len;

	for (; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sip_word(&s, word);
	}
	word = 0;
	memcpy(&word, at, left);
	sip_word(&s, word | (uint64_t)(len & 0xff) << 56);
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	word = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
	return (uint32_t)(word ^ word >> 32);
}

void table_key_draw(void)
{
	struct timespec now;

	if (getrandom(state.key, sizeof(state.key), 0) == (ssize_t)sizeof(state.key))
		return;
	/* No randomness: the tables still work, only less surely under attack. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	state.key[0] = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec;
	state.key[1] = (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)&now;
}

/* The bodies of these are macros of uthash: what is said of their size and of pointers is about them. */
/* NOLINTBEGIN(readability-function-size,clang-analyzer-core.NullDereference,clang-analyzer-unix.Malloc) */

void *table_find(const struct table *table, const void *key, size_t len)
{
	struct table_entry *entry;

	HASH_FIND(hh, table->entries, key, len, entry);
	return entry;
}

bool table_add(struct table *table, void *element, const void *key, size_t len)
{
	struct table_entry *entry = element;

	HASH_ADD_KEYPTR(hh, table->entries, key, len, entry);
	if (!entry->hh.tbl)
		return false;
	DL_APPEND(table->oldest, entry);
	return true;
}

void table_remove(struct table *table, void *element)
{
	struct table_entry *entry = element;

	DL_DELETE(table->oldest, entry);
	HASH_DELETE(hh, table->entries, entry);
}

void table_renew(struct table *table, void *element)
{
	struct table_entry *entry = element;

	/* Often it is the newest already. */
	if (!entry->next)
		return;
	DL_DELETE(table->oldest, entry);
	DL_APPEND(table->oldest, entry);
}

/* NOLINTEND(readability-function-size,clang-analyzer-core.NullDereference,clang-analyzer-unix.Malloc) */

void *table_oldest(const struct table *table)
{
	return table->oldest;
}

size_t table_count(const struct table *table)
{
	return HASH_COUNT(table->entries);
}

void *table_after(const void *element)
{
	const struct table_entry *entry = element; /* its first member */

	return entry->next;
}
