/*
 * keyed_hash.h - uthash as the bridge uses it: with a hash under a secret key.
 *
 * The keys of its tables are addresses and room names, which clients choose: under uthash's own hash, which
 * everybody can compute, somebody could choose thousands that meet in one bucket, and each look-up would then
 * walk along all of them. So this header is included wherever uthash.h would be (a test sees to it).
 *
 * The key is drawn once, before the first table is used, and never leaves the process. Out of memory an
 * element is not added, and its hh.tbl is NULL: whoever adds looks.
 */
#ifndef CHAT_BRIDGE_KEYED_HASH_H
#define CHAT_BRIDGE_KEYED_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(key, len, hash) ((hash) = keyed_hash((key), (size_t)(len)))
#include <uthash.h>

/* False: the kernel gives no random bytes. */
bool keyed_hash_draw(void);

/* 32 bits of SipHash-1-3 under the key. */
uint32_t keyed_hash(const void *bytes, size_t len);

#endif
