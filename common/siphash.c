/* siphash.c - see siphash.h */
#include "common/siphash.h"

#include <endian.h>
#include <string.h>

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

/* The little-endian number in up to eight bytes. */
static inline uint64_t word_at(const unsigned char *at, size_t len)
{
	uint64_t word = 0;

	memcpy(&word, at, len);
	return le64toh(word);
}

uint64_t siphash_13(const uint8_t key[SIPHASH_KEY], const void *bytes, size_t len)
{
	const uint64_t k0 = word_at(key, 8), k1 = word_at(key + 8, 8);
	struct sip s = {
	    k0 ^ 0x736f6d6570736575u,
	    k1 ^ 0x646f72616e646f6du,
	    k0 ^ 0x6c7967656e657261u,
	    k1 ^ 0x7465646279746573u,
	};
	const unsigned char *at = bytes;
	size_t left = len;

	for (; left >= 8; left -= 8, at += 8)
		sip_word(&s, word_at(at, 8));
	sip_word(&s, word_at(at, left) | (uint64_t)(len & 0xff) << 56);
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
