/*
 * token_keys_inner.h - what token.c and the token_keys files share, and nobody else sees.
 */
#ifndef CHAT_TOKEN_KEYS_INNER_H
#define CHAT_TOKEN_KEYS_INNER_H

#include "common/json_object.h"
#include "token.h"
#include "token_keys.h"

#include <stdbool.h>
#include <stdint.h>

/* The algorithms there are. Bit 1 << n of a mask stands for number n. */
enum token_alg {
	HS256,
	HS384,
	HS512,
	RS256,
	RS384,
	RS512,
	PS256,
	PS384,
	PS512,
	ES256,
	ES384,
	ES512,
	TOKEN_ALGS
};

#define TOKEN_ALGS_ALL ((1U << TOKEN_ALGS) - 1)

/* The algorithm that the string is the name of (as it is written here, RFC 7518), or TOKEN_ALGS. */
enum token_alg token_alg_of(const struct json_member *name);

/* Is the signature of the token good, whose three parts are known to be strict base64url? One of TOKEN_GOOD,
 * TOKEN_MALFORMED (the library cannot read it all the same), TOKEN_ALGORITHM_NOT_ALLOWED, TOKEN_UNKNOWN_KEY,
 * TOKEN_BAD_SIGNATURE. kid is the header's or NULL, signature_len the decoded signature's. The keys of that
 * name are tried, or those without a name where none has it, or without kid all. */
enum token_fault token_keys_check(const struct token_keys *keys, enum token_alg alg,
                                  const struct json_member *kid, const char *text, size_t len,
                                  size_t signature_len);

/* What a key comes with. */
struct token_key_use {
	const char *kid; /* NUL-terminated and at most TOKEN_KID_MAX bytes; NULL: none */
	unsigned algs;   /* what it may be used for, where its kind allows that */
};

/* Further keys. Each answers NULL, or what is wrong: a static text. Numbers are big-endian, without or with
 * leading zeros; coordinates have as many bytes as the curve's field. */
const char *token_keys_add_secret(struct token_keys *keys, const uint8_t *secret, size_t len,
                                  const struct token_key_use *use);
const char *token_keys_add_rsa(struct token_keys *keys, uint8_t *n, size_t n_len, uint8_t *e, size_t e_len,
                               const struct token_key_use *use);
const char *token_keys_add_ec(struct token_keys *keys, int curve_bits, uint8_t *x, uint8_t *y,
                              const struct token_key_use *use);

/* Bytes of a coordinate on the curve of 256, 384 or 521 bits. */
#define TOKEN_EC_BYTES(bits) (((size_t)(bits) + 7) / 8)
#define TOKEN_EC_BYTES_MAX TOKEN_EC_BYTES(521)

#define TOKEN_KEYS_PRIVATE                                                                                   \
	"a private key; verifying takes the public one, and nothing else should be kept here"
#define TOKEN_KEYS_NO_MEMORY "out of memory"

/* The two formats. Each answers NULL, or what is wrong. */
const char *token_keys_read_file(struct token_keys *keys, const uint8_t *bytes, size_t len);
const char *token_keys_read_jwks(struct token_keys *keys, const char *text, size_t len);

/* One key of a set was passed over. */
void token_keys_pass_over(struct token_keys *keys);

#endif
