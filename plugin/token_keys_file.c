/*
 * token_keys_file.c - public keys in PEM, or one secret.
 *
 * OpenSSL reads the PEM and says what the numbers of a key are; whether they will do, and what for,
 * token_keys.c decides, as for key sets.
 */
#include "token_keys_inner.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(TOKEN_KEYS_BYTES_MAX < INT_MAX, "OpenSSL counts in int");

static const struct token_key_use any_use = {.kid = NULL, .algs = TOKEN_ALGS_ALL};

static bool holds(const uint8_t *bytes, size_t len, const char *text)
{
	return memmem(bytes, len, text, strlen(text)) != NULL;
}

/* The number of that name as bytes: exactly len of them, or where len is 0 as many as it takes. Returns how
 * many, 0 when there is no such number or it does not fit. */
static size_t number(const EVP_PKEY *key, const char *name, uint8_t *out, size_t room, size_t len)
{
	BIGNUM *n = NULL;
	size_t size = 0;

	if (EVP_PKEY_get_bn_param(key, name, &n) != 1)
		return 0;
	size = len > 0 ? len : (size_t)BN_num_bytes(n);
	if (size > room || BN_bn2binpad(n, out, (int)size) < 0)
		size = 0;
	BN_free(n);
	return size;
}

static const char *add_rsa(struct token_keys *keys, const EVP_PKEY *key)
{
	uint8_t n[TOKEN_RSA_BITS_MAX / 8], e[TOKEN_RSA_BITS_MAX / 8];
	size_t n_len, e_len;

	if (EVP_PKEY_get_bits(key) > TOKEN_RSA_BITS_MAX)
		return "an RSA key of more than 8192 bits";
	n_len = number(key, OSSL_PKEY_PARAM_RSA_N, n, sizeof(n), 0);
	e_len = number(key, OSSL_PKEY_PARAM_RSA_E, e, sizeof(e), 0);
	return token_keys_add_rsa(keys, n, n_len, e, e_len, &any_use);
}

static const char *add_ec(struct token_keys *keys, const EVP_PKEY *key)
{
	uint8_t x[TOKEN_EC_BYTES_MAX], y[TOKEN_EC_BYTES_MAX];
	char group[80];
	size_t bytes;
	int bits;

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
		group[0] = '\0';
	if (strcmp(group, "prime256v1") == 0)
		bits = 256;
	else if (strcmp(group, "secp384r1") == 0)
		bits = 384;
	else if (strcmp(group, "secp521r1") == 0)
		bits = 521;
	else
		return "an EC key on a curve other than P-256, P-384 and P-521";
	bytes = TOKEN_EC_BYTES(bits);
	if (number(key, OSSL_PKEY_PARAM_EC_PUB_X, x, sizeof(x), bytes) == 0 ||
	    number(key, OSSL_PKEY_PARAM_EC_PUB_Y, y, sizeof(y), bytes) == 0)
		return "the numbers of a key are not a key's";
	return token_keys_add_ec(keys, bits, x, y, &any_use);
}

/* What PEM has between the lines of "PUBLIC KEY". */
static const char *add_public_key(struct token_keys *keys, const uint8_t *der, long len)
{
	const uint8_t *at = der;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, len);
	const char *why;

	if (!key || at != der + len)
		why = "a PEM block that is not a public key";
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		why = add_rsa(keys, key);
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)
		why = add_ec(keys, key);
	else
		why = "a public key that is neither RSA nor EC";
	EVP_PKEY_free(key);
	return why;
}

static const char *add_block(struct token_keys *keys, const char *name, const uint8_t *der, long len)
{
	if (strcmp(name, "PUBLIC KEY") == 0)
		return add_public_key(keys, der, len);
	if (strcmp(name, "CERTIFICATE") == 0)
		return "a certificate; take its key out of it: openssl x509 -noout -pubkey";
	if (strcmp(name, "RSA PUBLIC KEY") == 0)
		return "PEM of PKCS #1; rewrite it: openssl rsa -RSAPublicKey_in -pubout";
	return "a PEM block that is not a public key";
}

static const char *read_pem(struct token_keys *keys, const uint8_t *bytes, size_t len)
{
	const char *why = NULL;
	BIO *bio;

	/* whether or not it can be read otherwise */
	if (holds(bytes, len, "PRIVATE KEY-----"))
		return TOKEN_KEYS_PRIVATE;
	bio = BIO_new_mem_buf(bytes, (int)len);
	if (!bio)
		return TOKEN_KEYS_NO_MEMORY;
	while (!why) {
		char *name = NULL, *header = NULL;
		uint8_t *der = NULL;
		long der_len = 0;

		if (PEM_read_bio(bio, &name, &header, &der, &der_len) != 1) {
			unsigned long error = ERR_peek_last_error();

			if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
				why = "broken PEM";
			break;
		}
		why = add_block(keys, name, der, der_len);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	(void)BIO_free(bio); /* memory: nothing to fail */
	return why;
}

/* DER of a public key, a certificate or a private key. */
static bool is_der(const uint8_t *bytes, size_t len)
{
	const uint8_t *public_at = bytes, *certificate_at = bytes, *private_at = bytes;
	EVP_PKEY *public_key = d2i_PUBKEY(NULL, &public_at, (long)len);
	X509 *certificate = d2i_X509(NULL, &certificate_at, (long)len);
	EVP_PKEY *private_key = d2i_AutoPrivateKey(NULL, &private_at, (long)len);
	bool is_one = public_key || certificate || private_key;

	EVP_PKEY_free(public_key);
	X509_free(certificate);
	EVP_PKEY_free(private_key);
	return is_one;
}

/* The same in base64: PEM without its first and last line. */
static bool is_der_in_base64(const uint8_t *bytes, size_t len)
{
	uint8_t *der = malloc(len / 4 * 3 + 3);
	int n = der ? EVP_DecodeBlock(der, bytes, (int)len) : -1;
	bool is_one = n > 0 && is_der(der, (size_t)n);

	free(der);
	return is_one;
}

static bool begins(const uint8_t *bytes, size_t len, const char *text)
{
	return len >= strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static bool is_text(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((bytes[i] < ' ' || bytes[i] > '~') && bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\t')
			return false;
	}
	return true;
}

static const char *read_secret(struct token_keys *keys, const uint8_t *bytes, size_t len)
{
	if (is_text(bytes, len)) {
		/* What an editor or echo adds is no part of the secret. */
		if (bytes[len - 1] == '\n')
			len--;
		if (len > 0 && bytes[len - 1] == '\r')
			len--;
		if (begins(bytes, len, "{") || begins(bytes, len, "["))
			return "looks like JSON, not like a key or a secret";
		if (holds(bytes, len, "\n") || holds(bytes, len, "\r"))
			return "text of several lines that is no PEM; a secret is one line";
		if (begins(bytes, len, "ssh-") || begins(bytes, len, "ecdsa-sha2-") || begins(bytes, len, "sk-"))
			return "a key for SSH; keys are taken in PEM";
		if (is_der_in_base64(bytes, len))
			return "a key without the lines around it that make it PEM";
	} else if (is_der(bytes, len)) {
		return "a key in DER; keys are taken in PEM";
	}
	return token_keys_add_secret(keys, bytes, len, &any_use);
}

const char *token_keys_read_file(struct token_keys *keys, const uint8_t *bytes, size_t len)
{
	if (holds(bytes, len, "-----BEGIN"))
		return read_pem(keys, bytes, len);
	return read_secret(keys, bytes, len);
}
