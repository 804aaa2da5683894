/*
 * token_maker.h - keys and tokens for tests, straight from OpenSSL: nothing here is what the plugin verifies
 * with.
 */
#ifndef TEST_TOKEN_MAKER_H
#define TEST_TOKEN_MAKER_H

#include "tests/unit/guarded.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define MADE_MAX ((size_t)1 << 18)

/* A key pair, or a secret where key is NULL. */
struct signer {
	EVP_PKEY *key;
	const char *secret;
	size_t secret_len;
};

static inline EVP_PKEY *make_rsa(size_t bits)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);

	assert_non_null(key);
	return key;
}

static inline EVP_PKEY *make_ec(const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);

	assert_non_null(key);
	return key;
}

/* What BIO has gathered, NUL-terminated and the caller's. */
static inline char *text_of(BIO *bio)
{
	char *data, *text;
	long n = BIO_get_mem_data(bio, &data);

	assert_true(n > 0);
	text = calloc(1, (size_t)n + 1);
	assert_non_null(text);
	memcpy(text, data, (size_t)n);
	assert_int_equal(BIO_free(bio), 1);
	return text;
}

static inline char *public_pem(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
	return text_of(bio);
}

static inline char *private_pem(EVP_PKEY *key, bool traditional)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (traditional)
		assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	else
		assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	return text_of(bio);
}

static inline size_t base64url(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t *at = bytes;
	uint32_t bits = 0;
	unsigned have = 0;
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | at[i];
		for (have += 8; have >= 6; have -= 6)
			out[used++] = digits[bits >> (have - 6) & 63];
	}
	if (have > 0)
		out[used++] = digits[bits << (6 - have) & 63];
	out[used] = '\0';
	return used;
}

/* r and s of the DER that OpenSSL makes, each as long as the curve's field. */
static inline size_t raw_of(const uint8_t *der, size_t der_len, const EVP_PKEY *key, uint8_t *out)
{
	size_t half = ((size_t)EVP_PKEY_get_bits(key) + 7) / 8;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)der_len);

	assert_non_null(sig);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, (int)half), (int)half);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + half, (int)half), (int)half);
	ECDSA_SIG_free(sig);
	return 2 * half;
}

/* The signature of the n bytes at input by the algorithm of that name, which need not fit the key's length.
 */
static inline size_t sign(const struct signer *s, const char *alg, const char *input, size_t n, uint8_t *out)
{
	const EVP_MD *md = alg[2] == '2' ? EVP_sha256() : alg[2] == '3' ? EVP_sha384() : EVP_sha512();
	EVP_MD_CTX *ctx;
	EVP_PKEY_CTX *key_ctx;
	uint8_t der[2048];
	size_t len = sizeof(der);
	unsigned hmac_len;

	if (!s->key) {
		assert_non_null(HMAC(md, s->secret, (int)s->secret_len, (const uint8_t *)input, n, out, &hmac_len));
		return hmac_len;
	}
	ctx = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestSignInit(ctx, &key_ctx, md, NULL, s->key), 1);
	if (alg[0] == 'P') {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST), 1);
	}
	assert_int_equal(EVP_DigestSign(ctx, der, &len, (const uint8_t *)input, n), 1);
	EVP_MD_CTX_free(ctx);
	if (EVP_PKEY_get_base_id(s->key) == EVP_PKEY_EC)
		return raw_of(der, len, s->key, out);
	memcpy(out, der, len);
	return len;
}

/* A token: header and claims are bytes of any kind, alg says how it is signed, whatever the header says.
 * NUL-terminated, the caller's. */
static inline char *make_token_of(const struct signer *s, const char *alg, const void *header,
                                  size_t header_len, const void *claims, size_t claims_len)
{
	char *token = malloc(MADE_MAX);
	uint8_t signature[2048];
	size_t n, signature_len;

	assert_non_null(token);
	assert_true((header_len + claims_len) * 2 < MADE_MAX);
	n = base64url(header, header_len, token);
	token[n++] = '.';
	n += base64url(claims, claims_len, token + n);
	signature_len = sign(s, alg, token, n, signature);
	token[n++] = '.';
	(void)base64url(signature, signature_len, token + n); /* its length is the NUL's place */
	return token;
}

static inline char *make_token(const struct signer *s, const char *alg, const char *header,
                               const char *claims)
{
	return make_token_of(s, alg, header, strlen(header), claims, strlen(claims));
}

#endif
