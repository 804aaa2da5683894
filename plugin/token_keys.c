/*
 * token_keys.c - the table of keys, and the one place that asks the JOSE library (cjose) anything.
 *
 * What the library does not see to is seen to before it is asked: it takes any algorithm of a family with any
 * key of it (ES256 with a P-521 key), reads a short HMAC to the length it should have, ignores a last odd
 * byte of an ECDSA signature, leaves OpenSSL's errors in their queue, and up to 0.6.2.1 it aborts over
 * padding in the wrong place of base64. Hence one algorithm for each curve, one exact length for each
 * signature, and no text that has not been decoded before, strictly.
 */
#include "token_keys_inner.h"

#include <cjose/cjose.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define BIT(alg) (1U << (alg))
#define HMAC_ALGS (BIT(HS256) | BIT(HS384) | BIT(HS512))
#define RSA_ALGS (BIT(RS256) | BIT(RS384) | BIT(RS512) | BIT(PS256) | BIT(PS384) | BIT(PS512))
#define RSA_E_BYTES_MAX 8 /* 65537 in practice */

static const char *const alg_names[TOKEN_ALGS] = {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
                                                  "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"};

struct key {
	cjose_jwk_t *jwk;
	unsigned algs;
	size_t signature_len; /* RSA and EC; an HMAC's is its algorithm's */
	bool named;
	char kid[TOKEN_KID_MAX + 1];
};

struct token_keys {
	size_t count;
	size_t passed_over;
	struct key keys[TOKEN_KEYS_MAX];
};

enum token_alg token_alg_of(const struct json_member *name)
{
	int alg = 0;

	while (alg < TOKEN_ALGS && !json_member_is(name, alg_names[alg]))
		alg++;
	return (enum token_alg)alg;
}

struct token_keys *token_keys_load(enum token_keys_format format, const void *bytes, size_t len,
                                   const char **why)
{
	struct token_keys *keys;

	*why = NULL;
	if (len == 0)
		*why = "empty";
	else if (len > TOKEN_KEYS_BYTES_MAX)
		*why = "more than 65536 bytes";
	if (*why)
		return NULL;
	keys = calloc(1, sizeof(*keys));
	if (!keys) {
		*why = TOKEN_KEYS_NO_MEMORY;
		return NULL;
	}

	(void)ERR_set_mark(); /* the queue can always be marked but when it is empty, which comes to the same */
	if (format == TOKEN_KEYS_JWKS)
		*why = token_keys_read_jwks(keys, bytes, len);
	else
		*why = token_keys_read_file(keys, bytes, len);
	(void)ERR_pop_to_mark();

	if (!*why && keys->count == 0)
		*why = "no key in it that tokens can be verified with";
	if (!*why)
		return keys;
	token_keys_free(keys);
	return NULL;
}

size_t token_keys_count(const struct token_keys *keys)
{
	return keys->count;
}

size_t token_keys_passed_over(const struct token_keys *keys)
{
	return keys->passed_over;
}

void token_keys_pass_over(struct token_keys *keys)
{
	keys->passed_over++;
}

void token_keys_free(struct token_keys *keys)
{
	if (!keys)
		return;
	for (size_t i = 0; i < keys->count; i++)
		(void)cjose_jwk_release(keys->keys[i].jwk); /* true when it was the last reference, which it is */
	free(keys);
}

/* Takes jwk, NULL where the library could not make one. */
static const char *add(struct token_keys *keys, cjose_jwk_t *jwk, unsigned algs, size_t signature_len,
                       const struct token_key_use *use)
{
	const char *why = NULL;
	struct key *key;

	if (!jwk)
		return "the numbers of a key are not a key's";
	if (!(algs & use->algs))
		why = "the alg of a key is none for keys of its kind or length";
	else if (keys->count == TOKEN_KEYS_MAX)
		why = "more than 16 keys";
	if (why) {
		(void)cjose_jwk_release(jwk); /* the only reference */
		return why;
	}
	key = &keys->keys[keys->count++];
	key->jwk = jwk;
	key->algs = algs & use->algs;
	key->signature_len = signature_len;
	key->named = use->kid != NULL;
	if (use->kid)
		memcpy(key->kid, use->kid, strlen(use->kid) + 1);
	return NULL;
}

const char *token_keys_add_secret(struct token_keys *keys, const uint8_t *secret, size_t len,
                                  const struct token_key_use *use)
{
	unsigned algs = BIT(HS256);

	if (len < TOKEN_SECRET_MIN)
		return "the secret has less than 32 bytes";
	if (len > TOKEN_SECRET_MAX)
		return "the secret has more than 1024 bytes";
	if (len >= 48)
		algs |= BIT(HS384);
	if (len >= 64)
		algs |= BIT(HS512);
	return add(keys, cjose_jwk_create_oct_spec(secret, len, NULL), algs, 0, use);
}

static void skip_zeros(uint8_t **n, size_t *len)
{
	while (*len > 0 && **n == 0) {
		(*n)++;
		(*len)--;
	}
}

static size_t bits_of(const uint8_t *n, size_t len)
{
	size_t bits = len * 8;

	for (unsigned top = 0x80; len > 0 && !(n[0] & top); top >>= 1)
		bits--;
	return bits;
}

const char *token_keys_add_rsa(struct token_keys *keys, uint8_t *n, size_t n_len, uint8_t *e, size_t e_len,
                               const struct token_key_use *use)
{
	cjose_jwk_rsa_keyspec spec;

	skip_zeros(&n, &n_len);
	skip_zeros(&e, &e_len);
	if (bits_of(n, n_len) < TOKEN_RSA_BITS_MIN)
		return "an RSA key of less than 2048 bits";
	if (bits_of(n, n_len) > TOKEN_RSA_BITS_MAX)
		return "an RSA key of more than 8192 bits";
	/* with 1 every text is its own signature */
	if (!(n[n_len - 1] & 1) || e_len == 0 || e_len > RSA_E_BYTES_MAX || !(e[e_len - 1] & 1) ||
	    (e_len == 1 && e[0] == 1))
		return "the numbers of an RSA key are not a key's";
	memset(&spec, 0, sizeof(spec));
	spec.n = n;
	spec.nlen = n_len;
	spec.e = e;
	spec.elen = e_len;
	return add(keys, cjose_jwk_create_RSA_spec(&spec, NULL), RSA_ALGS, n_len, use);
}

/* The library answers NULL for a point that is not on the curve. */
const char *token_keys_add_ec(struct token_keys *keys, int curve_bits, uint8_t *x, uint8_t *y,
                              const struct token_key_use *use)
{
	cjose_jwk_ec_keyspec spec;
	unsigned algs;

	memset(&spec, 0, sizeof(spec));
	switch (curve_bits) {
	case 256:
		spec.crv = CJOSE_JWK_EC_P_256;
		algs = BIT(ES256);
		break;
	case 384:
		spec.crv = CJOSE_JWK_EC_P_384;
		algs = BIT(ES384);
		break;
	default:
		spec.crv = CJOSE_JWK_EC_P_521;
		algs = BIT(ES512);
		break;
	}
	spec.x = x;
	spec.y = y;
	spec.xlen = spec.ylen = TOKEN_EC_BYTES(curve_bits);
	return add(keys, cjose_jwk_create_EC_spec(&spec, NULL), algs, 2 * spec.xlen, use);
}

static size_t signature_length(const struct key *key, enum token_alg alg)
{
	switch (alg) {
	case HS256:
		return 32;
	case HS384:
		return 48;
	case HS512:
		return 64;
	default:
		return key->signature_len;
	}
}

static bool is_called(const struct key *key, const struct json_member *kid)
{
	return key->named && json_member_is(kid, key->kid);
}

enum token_fault token_keys_check(const struct token_keys *keys, enum token_alg alg,
                                  const struct json_member *kid, const char *text, size_t len,
                                  size_t signature_len)
{
	const struct key *tried[TOKEN_KEYS_MAX];
	enum token_fault fault = TOKEN_BAD_SIGNATURE;
	size_t named = 0, nameless = 0, count = 0;
	cjose_jws_t *jws;

	for (size_t i = 0; kid && i < keys->count; i++) {
		named += is_called(&keys->keys[i], kid);
		nameless += !keys->keys[i].named;
	}
	if (kid && named + nameless == 0)
		return TOKEN_UNKNOWN_KEY;
	for (size_t i = 0; i < keys->count; i++) {
		const struct key *key = &keys->keys[i];

		if (kid && (named ? !is_called(key, kid) : key->named))
			continue;
		if (key->algs & BIT(alg))
			tried[count++] = key;
	}
	if (count == 0)
		return TOKEN_ALGORITHM_NOT_ALLOWED;

	(void)ERR_set_mark(); /* as above */
	jws = cjose_jws_import(text, len, NULL);
	if (!jws)
		fault = TOKEN_MALFORMED;
	for (size_t i = 0; jws && fault != TOKEN_GOOD && i < count; i++) {
		if (signature_length(tried[i], alg) == signature_len && cjose_jws_verify(jws, tried[i]->jwk, NULL))
			fault = TOKEN_GOOD;
	}
	cjose_jws_release(jws);
	(void)ERR_pop_to_mark();
	return fault;
}
