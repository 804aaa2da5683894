/*
 * uthash.h - for clang-tidy alone, in place of the real one, never compiled in: the same macros, but opaque.
 *
 * The analyzer cannot follow uthash's buckets: it forgets that an element which was removed is in none of them
 * any more, and then finds "use after free" in each loop that removes and frees. It also counts the branches
 * inside the macros as ours. With these it sees what the macros mean, and goes on finding real mistakes around
 * them.
 */
#ifndef UTHASH_H
#define UTHASH_H

#include <stddef.h>

typedef struct UT_hash_handle {
	void *tbl; /* NULL: not in a table (out of memory, with HASH_NONFATAL_OOM) */
	void *prev;
	void *next;
	const void *key;
	unsigned keylen;
	unsigned hashv;
} UT_hash_handle;

void *analyzer_uthash_find(const void *head, const void *key, size_t len);
void *analyzer_uthash_add(void *head, void *element, const void *key, size_t len);
void *analyzer_uthash_remove(void *head, void *element);
void *analyzer_uthash_next(const void *element);
unsigned analyzer_uthash_count(const void *head);

#define HASH_FIND(hh, head, key_at, len, out) ((out) = analyzer_uthash_find((head), (key_at), (len)))
#define HASH_ADD_KEYPTR(hh, head, key_at, len, element)                                                       \
	((head) = analyzer_uthash_add((head), (element), (key_at), (len)))
#define HASH_ADD(hh, head, field, len, element) HASH_ADD_KEYPTR(hh, head, &(element)->field, len, element)
#define HASH_DELETE(hh, head, element) ((head) = analyzer_uthash_remove((head), (element)))
#define HASH_DEL(head, element) HASH_DELETE(hh, head, element)
#define HASH_CLEAR(hh, head) ((head) = NULL)
#define HASH_COUNT(head) analyzer_uthash_count(head)
#define HASH_CNT(hh, head) analyzer_uthash_count(head)
#define HASH_ITER(hh, head, element, later)                                                                   \
	for ((element) = (head), (later) = analyzer_uthash_next(element); (element) != NULL;                       \
	     (element) = (later), (later) = analyzer_uthash_next(element))

#endif
