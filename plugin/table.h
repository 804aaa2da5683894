/*
 * table.h - uthash as this plugin uses it: include this instead of uthash.h.
 *
 * Keys are chosen by remote clients (addresses, references, room names), so hashing is keyed
 * with random bytes of this process: nobody outside can aim many keys at one bucket. Running out
 * of memory ends nothing: after HASH_ADD…, TABLE_HAS(element) tells whether it went in.
 *
 * Elements come out of HASH_ITER in the order in which they were added, so "delete and add
 * again" at each use makes the first element the least recently used one.
 */
#ifndef CHAT_TABLE_H
#define CHAT_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-1-3 under the process's key, folded to 32 bits. */
uint32_t table_hash(const void *key, size_t len);

/* Draws the key; before the first table is used. */
void table_key_draw(void);

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((void)(element))
#define HASH_FUNCTION(key, len, hash) ((hash) = table_hash((key), (size_t)(len)))
#include <uthash.h>

#define TABLE_HAS(element) ((element)->hh.tbl != NULL)

#endif
