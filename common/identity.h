/*
 * identity.h - who somebody is: an e-mail address.
 *
 * The rule is the one of <input type=email> in the WHATWG HTML standard
 * (ASCII only), with the limits of RFC 5321: local part at most 64 bytes, the
 * whole at most 254. The domain is stored in lower case, the local part as
 * given; two identities are equal when their stored bytes are.
 *
 * Pure: no allocation, no I/O. Borrows its input, which needs no NUL.
 */
#ifndef CHAT_IDENTITY_H
#define CHAT_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDENTITY_LOCAL_MAX 64 /* bytes, RFC 5321 4.5.3.1.1 */
#define IDENTITY_MAX 254      /* bytes, RFC 5321 4.5.3.1.3 less the angle brackets */

struct identity {
	uint8_t len;                 /* bytes in text, without the NUL */
	char text[IDENTITY_MAX + 1]; /* NUL-terminated */
};

/* True and *out filled when the n bytes at s are an address; else false and *out untouched. */
bool identity_parse(const char *s, size_t n, struct identity *out);

bool identity_equal(const struct identity *a, const struct identity *b);

/* Most are much shorter than the longest. What is kept by the thousand is kept short: identity_put writes the
 * first identity_size bytes alone, and such a one is read through the pointer and copied with identity_copy,
 * never by assignment. */
static inline size_t identity_size(const struct identity *who)
{
	return offsetof(struct identity, text) + who->len + 1u;
}

/* room: identity_size(who) bytes, which the answer points to. */
const struct identity *identity_put(unsigned char *room, const struct identity *who);

void identity_copy(struct identity *to, const struct identity *from);

#endif
