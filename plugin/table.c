/*
 * table.c - a hash table whose entries also stand in an order.
 */
#include "table.h"

#include "common/siphash.h"

#include <sys/random.h>
#include <sys/types.h>
#include <utlist.h>

static struct {
	uint8_t key[SIPHASH_KEY];
} state;

uint32_t table_hash(const void *key, size_t len)
{
	return (uint32_t)siphash_13(state.key, key, len);
}

bool table_key_draw(void)
{
	return getrandom(state.key, sizeof(state.key), 0) == (ssize_t)sizeof(state.key);
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
