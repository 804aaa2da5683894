/*
 * table.h - a hash table whose entries also stand in an order: oldest first.
 *
 * One layer over uthash, for what all tables of this plugin have in common. Keys are chosen by
 * remote clients (addresses, references, room names), so hashing is keyed with random bytes of
 * this process: nobody outside can aim many keys at one bucket. Running out of memory ends nothing.
 *
 * An element is a struct of the caller's whose first member is a struct table_entry; the table
 * neither allocates nor frees it. A struct table of zeros is empty.
 */
#ifndef CHAT_TABLE_H
#define CHAT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How uthash is used here: keyed hash, and an element that does not fit is left out. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((void)(element))
#define HASH_FUNCTION(key, len, hash) ((hash) = table_hash((key), (size_t)(len)))
#include <uthash.h>

struct table_entry {
	UT_hash_handle hh;
	struct table_entry *prev, *next; /* as utlist wants it: the oldest's prev is the newest */
};

struct table {
	struct table_entry *entries;
	struct table_entry *oldest; /* NULL when empty */
};

/* Draws the key of the hash; before the first table is used. False: the kernel gives no random bytes. */
bool table_key_draw(void);

/* 32 bits of SipHash-1-3 (common/siphash.h) under that key. */
uint32_t table_hash(const void *key, size_t len);

/* The element with these len bytes as its key, or NULL. */
void *table_find(const struct table *table, const void *key, size_t len);

/* Adds an element, as the newest. Its key must not be in the table yet, must not move or change, and
 * usually stands in the element itself. False when out of memory: then it is not in the table. */
bool table_add(struct table *table, void *element, const void *key, size_t len);

/* Takes an element out; it is the caller's again. */
void table_remove(struct table *table, void *element);

/* Makes an element the newest. */
void table_renew(struct table *table, void *element);

/* NULL when the table is empty. */
void *table_oldest(const struct table *table);

/* The next newer one, or NULL. */
void *table_after(const void *element);

size_t table_count(const struct table *table);

#endif
