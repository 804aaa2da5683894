/*
 * Keys for tokens: what is taken, what is passed over, what is refused and why.
 */
#include "plugin/token_keys.h"

#include "tests/unit/token_maker.h"

#include <openssl/err.h>

#define K32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define OCT(more) "{\"kty\":\"oct\",\"k\":\"" K32 "\"" more "}"
#define SET(keys) "{\"keys\":[" keys "]}"
/* RFC 7515, A.3 */
#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC(more) "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\"" more "}"

/* Loads; refused where part is given, which the reason holds. */
static void gives_bytes(enum token_keys_format format, const void *bytes, size_t len, const char *part,
                        size_t count, size_t passed_over)
{
	const char *why = NULL;
	struct token_keys *keys = token_keys_load(format, guarded(0, bytes, len), len, &why);

	assert_int_equal(ERR_peek_error(), 0);
	if (part) {
		if (keys || !strstr(why, part))
			fail_msg("%.100s: %s instead of %s", (const char *)bytes, keys ? "taken" : why, part);
		return;
	}
	if (!keys)
		fail_msg("%.100s: %s", (const char *)bytes, why);
	assert_null(why);
	assert_int_equal(token_keys_count(keys), count);
	assert_int_equal(token_keys_passed_over(keys), passed_over);
	token_keys_free(keys);
}

static void file_is_taken(const char *text, size_t count)
{
	gives_bytes(TOKEN_KEYS_FILE, text, strlen(text), NULL, count, 0);
}

static void file_is_refused(const char *text, const char *part)
{
	gives_bytes(TOKEN_KEYS_FILE, text, strlen(text), part, 0, 0);
}

static void set_is_taken(const char *text, size_t count, size_t passed_over)
{
	gives_bytes(TOKEN_KEYS_JWKS, text, strlen(text), NULL, count, passed_over);
}

static void set_is_refused(const char *text, const char *part)
{
	gives_bytes(TOKEN_KEYS_JWKS, text, strlen(text), part, 0, 0);
}

static void secrets(void **state)
{
	uint8_t bytes[2048];

	(void)state;
	file_is_taken("0123456789abcdef0123456789abcdef", 1);
	file_is_taken("0123456789abcdef0123456789abcdef\n", 1);
	file_is_taken("0123456789abcdef0123456789abcdef\r\n", 1);
	file_is_taken("a pass phrase of more than 32 bytes, with blanks", 1);
	file_is_refused("0123456789abcdef0123456789abcde", "less than 32 bytes");
	file_is_refused("0123456789abcdef0123456789abcde\n", "less than 32 bytes");
	file_is_refused("0123456789abcdef0123456789abcde\r\n", "less than 32 bytes");
	file_is_refused("\n", "less than 32 bytes");
	file_is_refused("", "empty");
	file_is_refused("0123456789abcdef0123456789abcdef\n\n", "several lines");
	file_is_refused("0123456789abcdef0123456789abcdef\n0123456789abcdef0123456789abcdef\n", "several lines");
	/* any bytes, of which no line end is taken away */
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + 3);
	bytes[31] = '\n';
	gives_bytes(TOKEN_KEYS_FILE, bytes, 32, NULL, 1, 0);
	gives_bytes(TOKEN_KEYS_FILE, bytes, 31, "less than 32 bytes", 0, 0);
	gives_bytes(TOKEN_KEYS_FILE, bytes, 1024, NULL, 1, 0);
	gives_bytes(TOKEN_KEYS_FILE, bytes, 1025, "more than 1024 bytes", 0, 0);
}

static void not_secrets(void **state)
{
	EVP_PKEY *rsa = make_rsa(2048), *ec = make_ec("P-256");
	EVP_PKEY *pairs[] = {rsa, ec};
	char text[8192];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint8_t *der = NULL;
		int len = i2d_PUBKEY(pairs[i], &der);

		gives_bytes(TOKEN_KEYS_FILE, der, (size_t)len, "DER", 0, 0);
		len = EVP_EncodeBlock((uint8_t *)text, der, len);
		file_is_refused(text, "without the lines");
		text[len] = '\n';
		text[len + 1] = '\0';
		file_is_refused(text, "without the lines");
		OPENSSL_free(der);
		der = NULL;
		len = i2d_PrivateKey(pairs[i], &der);
		gives_bytes(TOKEN_KEYS_FILE, der, (size_t)len, "DER", 0, 0);
		(void)EVP_EncodeBlock((uint8_t *)text, der, len);
		file_is_refused(text, "without the lines");
		OPENSSL_free(der);
	}
	file_is_refused("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJXz alice@x.org\n", "SSH");
	file_is_refused("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAA alice@x.org\n", "SSH");
	file_is_refused(SET(OCT("")), "JSON");
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
}

/* A key that says of itself that it is for PSS only. */
static EVP_PKEY *make_rsa_pss(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static void pem(void **state)
{
	EVP_PKEY *rsa = make_rsa(2048), *small = make_rsa(1024), *ec = make_ec("P-256"),
	         *k1 = make_ec("secp256k1");
	EVP_PKEY *ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *pss = make_rsa_pss();
	char *of_rsa = public_pem(rsa), *text, many[16384] = "";
	uint8_t *der = NULL;
	int len;
	BIO *bio;

	(void)state;
	file_is_taken(of_rsa, 1);
	text = public_pem(small);
	file_is_refused(text, "less than 2048 bits");
	/* one bad key refuses the file */
	(void)snprintf(many, sizeof(many), "%s%s", of_rsa, text);
	file_is_refused(many, "less than 2048 bits");
	free(text);
	text = public_pem(k1);
	file_is_refused(text, "other than P-256");
	free(text);
	text = public_pem(ed25519);
	file_is_refused(text, "neither RSA nor EC");
	free(text);
	text = public_pem(pss);
	file_is_refused(text, "neither RSA nor EC");
	free(text);

	for (int traditional = 0; traditional < 2; traditional++) {
		text = private_pem(rsa, traditional);
		file_is_refused(text, "a private key");
		(void)snprintf(many, sizeof(many), "%s%s", of_rsa, text);
		file_is_refused(many, "a private key");
		free(text);
		text = private_pem(ec, traditional);
		file_is_refused(text, "a private key");
		free(text);
	}
	file_is_refused("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
	                "a private key");
	file_is_refused("-----BEGIN OPENSSH PRIVATE KEY-----\n", "a private key");
	file_is_refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a certificate");
	file_is_refused("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key");
	file_is_refused("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
	                "not a public key");
	file_is_refused("-----BEGIN PUBLIC KEY-----\nAAAA\n", "broken PEM");
	file_is_refused("-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n", "broken PEM");
	file_is_refused("a secret of 32 bytes or more -----BEGIN of something", "no key in it");
	/* bytes behind the key, in its block */
	len = i2d_PUBKEY(ec, &der);
	der = OPENSSL_realloc(der, (size_t)len + 1);
	der[len] = 0;
	bio = BIO_new(BIO_s_mem());
	assert_true(PEM_write_bio(bio, "PUBLIC KEY", "", der, len + 1) > 0);
	OPENSSL_free(der);
	der = NULL;
	text = text_of(bio);
	file_is_refused(text, "not a public key");
	free(text);
	/* a NUL in the middle */
	text = strdup(of_rsa);
	text[strlen(text) / 2] = '\0';
	file_is_refused(text, "broken PEM");
	free(text);
	bio = BIO_new(BIO_s_mem());
	len = i2d_PublicKey(rsa, &der);
	assert_true(PEM_write_bio(bio, "RSA PUBLIC KEY", "", der, len) > 0);
	OPENSSL_free(der);
	text = text_of(bio);
	file_is_refused(text, "PKCS #1");
	free(text);

	many[0] = '\0';
	free(of_rsa);
	of_rsa = public_pem(ec);
	for (int i = 0; i < 16; i++)
		(void)strcat(many, of_rsa);
	file_is_taken(many, 16);
	(void)strcat(many, of_rsa);
	file_is_refused(many, "more than 16");
	free(of_rsa);
	text = calloc(1, TOKEN_KEYS_BYTES_MAX + 2);
	memset(text, ' ', TOKEN_KEYS_BYTES_MAX + 1);
	file_is_refused(text, "more than 65536");
	free(text);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(small);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(k1);
	EVP_PKEY_free(ed25519);
	EVP_PKEY_free(pss);
}

static void sets(void **state)
{
	(void)state;
	set_is_taken(SET(OCT("")), 1, 0);
	set_is_taken(
	    SET(OCT(",\"use\":\"sig\",\"alg\":\"HS256\",\"kid\":\"1\",\"key_ops\":[\"sign\",\"verify\"]")), 1, 0);
	set_is_taken(SET(EC("") "," OCT("")), 2, 0);
	set_is_taken("{ \"x\" : [] , \"keys\" : [ " EC(",\"x5c\":[\"AAAA\"]") " ] }", 1, 0);
	/* not for us */
	set_is_taken(SET(OCT("") "," EC(",\"use\":\"enc\"")), 1, 1);
	set_is_taken(SET(OCT("") "," EC(",\"use\":null")), 1, 1);
	set_is_taken(SET(OCT("") "," EC(",\"key_ops\":[\"sign\"]")), 1, 1);
	set_is_taken(SET(OCT("") "," EC(",\"key_ops\":\"verify\"")), 1, 1);
	set_is_taken(SET(OCT("") "," EC(",\"alg\":\"ECDH-ES\"")), 1, 1);
	set_is_taken(SET(OCT("") ",{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
	                         "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"),
	             1, 1);
	set_is_taken(
	    SET(OCT("") ",{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"},{\"kty\":\"EC\"}"), 1,
	    2);
	set_is_taken(SET(OCT("") ",{\"kty\":\"rsa\"}"), 1, 1);
	set_is_refused(SET(EC(",\"use\":\"enc\"")), "no key in it");
	set_is_refused(SET(""), "no key in it");
}

static void broken_sets(void **state)
{
	static const char *const texts[] = {"",
	                                    "{",
	                                    "[]",
	                                    "null",
	                                    "{\"keys\":{}}",
	                                    "{}",
	                                    "{\"keys\":[}",
	                                    "{\"keys\":[1]}",
	                                    OCT(""),
	                                    "{\"keys\":[" OCT("") "]}x",
	                                    "{\"keys\":[[]]}",
	                                    "{\"keys\":[],\"keys\":[" OCT("") "]}"};
	char text[4096];

	(void)state;
	for (size_t i = 1; i < sizeof(texts) / sizeof(texts[0]); i++)
		set_is_refused(texts[i], "no JSON Web Key Set");
	set_is_refused(SET("{}"), "without kty");
	set_is_refused(SET("{\"kty\":1}"), "without kty");
	set_is_refused(SET(OCT(",\"k\":\"" K32 "\"")), "twice");
	set_is_refused(SET(OCT(",\"\\u006b\":\"" K32 "\"")), "twice");
	set_is_refused(SET(OCT(",\"kid\":1")), "kid");
	set_is_refused(SET(OCT(",\"kid\":\"a\\u0000b\"")), "kid");
	(void)snprintf(text, sizeof(text), SET(OCT(",\"kid\":\"%0256d\"")), 0);
	set_is_taken(text, 1, 0);
	(void)snprintf(text, sizeof(text), SET(OCT(",\"kid\":\"%0257d\"")), 0);
	set_is_refused(text, "kid");
	set_is_refused(SET("{\"kty\":\"oct\"}"), "missing");
	set_is_refused(SET("{\"kty\":\"oct\",\"k\":1}"), "not a string");
	set_is_refused(SET("{\"kty\":\"oct\",\"k\":\"" K32 "=\"}"), "base64url");
	set_is_refused(SET("{\"kty\":\"oct\",\"k\":\"" K32 " \"}"), "base64url");
	set_is_refused(SET("{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9\"}"),
	               "base64url");
	set_is_refused(SET("{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg\"}"),
	               "less than 32 bytes");
	set_is_refused(SET(OCT(",\"alg\":\"HS512\"")), "alg");
	set_is_refused(SET(OCT(",\"alg\":\"RS256\"")), "alg");
	set_is_refused(SET(EC(",\"alg\":\"ES384\"")), "alg");
	set_is_refused(SET(EC(",\"alg\":\"HS256\"")), "alg");
	set_is_refused(SET(EC(",\"d\":\"AA\"")), "a private key");
	set_is_refused(SET(EC(",\"use\":\"enc\",\"d\":null")), "a private key");
	set_is_refused(SET("{\"kty\":\"OKP\",\"d\":\"AA\"}," OCT("")), "a private key");
	/* a point that is not on the curve, or not as long as it should be */
	set_is_refused(SET("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" Y "\",\"y\":\"" X "\"}"), "not a key's");
	set_is_refused(SET("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X "\",\"y\":\"" Y "\"}"), "missing");
	set_is_refused(SET("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\"}"), "missing");
	set_is_refused(SET("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"), "less than 2048 bits");
	set_is_refused(SET("{\"kty\":\"RSA\",\"n\":\"AQAB\"}"), "missing");
}

/* RSA numbers of so many bytes, 0xc0 in front and the given last one, and an exponent. */
static void rsa_gives(size_t bytes, int last, const char *exponent, const char *part)
{
	static uint8_t n[4096];
	static char modulus[8192], text[16384];

	memset(n, 0x55, sizeof(n));
	n[0] = 0;
	n[1] = 0xc0;
	n[bytes] = (uint8_t)last;
	(void)base64url(n, bytes + 1, modulus); /* with a zero in front, as some write it */
	(void)snprintf(text, sizeof(text), SET("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}"), modulus, exponent);
	if (part)
		set_is_refused(text, part);
	else
		set_is_taken(text, 1, 0);
}

static void numbers_of_rsa(void **state)
{
	(void)state;
	rsa_gives(256, 1, "AQAB", NULL);
	rsa_gives(256, 1, "AAAAAQAB", NULL);
	rsa_gives(256, 1, "Aw", NULL);
	rsa_gives(1024, 1, "AQAB", NULL);
	rsa_gives(255, 1, "AQAB", "less than 2048 bits");
	rsa_gives(1025, 1, "AQAB", "more than 8192 bits");
	rsa_gives(1400, 1, "AQAB", "not a string");
	rsa_gives(256, 2, "AQAB", "not a key's");
	rsa_gives(256, 1, "AQ", "not a key's");           /* 1 */
	rsa_gives(256, 1, "AAAB", "not a key's");         /* 1 with zeros */
	rsa_gives(256, 1, "AA", "not a key's");           /* 0 */
	rsa_gives(256, 1, "Ag", "not a key's");           /* even */
	rsa_gives(256, 1, "AQAAAAAAAAAB", "not a key's"); /* 9 bytes */
	rsa_gives(256, 1, "", "missing");
}

/* Whatever is cut off or bent: an answer, and nothing read that is not there. */
static void cut_and_bent(void **state)
{
	static const char set[] = SET(EC(",\"kid\":\"\\u00e9\",\"key_ops\":[\"verify\"]") "," OCT(""));
	EVP_PKEY *ec = make_ec("P-256");
	char *of_ec = public_pem(ec), bent[1024];
	const char *why;

	(void)state;
	for (size_t n = 0; n < strlen(set); n++)
		gives_bytes(TOKEN_KEYS_JWKS, set, n, "", 0, 0);
	for (size_t n = 0; n + 1 < strlen(of_ec); n++)
		token_keys_free(token_keys_load(TOKEN_KEYS_FILE, guarded(0, of_ec, n), n, &why));
	for (size_t at = 0; at < strlen(set); at++) {
		for (int bit = 0; bit < 8; bit++) {
			(void)strcpy(bent, set);
			bent[at] = (char)(bent[at] ^ 1 << bit);
			token_keys_free(
			    token_keys_load(TOKEN_KEYS_JWKS, guarded(0, bent, strlen(set)), strlen(set), &why));
		}
	}
	for (size_t at = 0; at < strlen(of_ec); at++) {
		for (int bit = 0; bit < 8; bit++) {
			(void)strcpy(bent, of_ec);
			bent[at] = (char)(bent[at] ^ 1 << bit);
			token_keys_free(
			    token_keys_load(TOKEN_KEYS_FILE, guarded(0, bent, strlen(of_ec)), strlen(of_ec), &why));
		}
	}
	assert_int_equal(ERR_peek_error(), 0);
	token_keys_free(NULL);
	free(of_ec);
	EVP_PKEY_free(ec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(secrets),      cmocka_unit_test(not_secrets), cmocka_unit_test(pem),
	    cmocka_unit_test(sets),         cmocka_unit_test(broken_sets), cmocka_unit_test(numbers_of_rsa),
	    cmocka_unit_test(cut_and_bent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
