/* keyed_hash.c - see keyed_hash.h */
#include "bridge/keyed_hash.h"
#include "common/siphash.h"

#include <sys/random.h>
#include <sys/types.h>

static uint8_t hash_key[SIPHASH_KEY];

bool keyed_hash_draw(void)
{
	return getrandom(hash_key, sizeof hash_key, 0) == (ssize_t)sizeof hash_key;
}

uint32_t keyed_hash(const void *bytes, size_t len)
{
	return (uint32_t)siphash_13(hash_key, bytes, len);
}
