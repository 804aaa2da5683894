/*
 * Verification of tokens: what is good, and all that is not.
 */
#include "plugin/token.h"

#include "tests/unit/token_maker.h"
#include "tests/unit/token_vectors.h"

#include <openssl/err.h>

#define NOW 1800000000
#define SECRET "0123456789abcdefghijklmnopqrstuv"             /* 32 bytes */
#define LONG_SECRET SECRET "wxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_" /* 64 */
#define HS "{\"alg\":\"HS256\"}"
#define CLAIMS "{\"exp\":1800000100,\"email\":\"alice@x.org\"}"
#define ADDRESS ",\"email\":\"alice@x.org\""

static const struct signer secret = {.secret = SECRET, .secret_len = 32};
static const struct token_rules no_rules;

static struct {
	EVP_PKEY *rsa, *other_rsa, *p256, *p384, *p521;
	struct token_keys *secret; /* SECRET alone */
	struct token_keys *all;    /* LONG_SECRET and one of each public kind, no names */
} is;

/* The keys of a file or set, which must be fine. */
static struct token_keys *load(enum token_keys_format format, const char *text)
{
	const char *why;
	struct token_keys *keys = token_keys_load(format, text, strlen(text), &why);

	if (!keys)
		fail_msg("%s: %s", text, why);
	return keys;
}

static enum token_fault verify_bytes(const struct token_keys *keys, const struct token_rules *rules,
                                     const char *token, size_t len, struct token *out)
{
	struct token before;
	enum token_fault fault;

	memset(out, 0x5a, sizeof(*out));
	memset(&before, 0x5a, sizeof(before));
	fault = token_verify(keys, rules, NOW, guarded(0, token, len), len, out);
	if (fault != TOKEN_GOOD)
		assert_memory_equal(out, &before, sizeof(before));
	assert_int_equal(ERR_peek_error(), 0);
	return fault;
}

static enum token_fault verify(const struct token_keys *keys, const char *token)
{
	struct token out;

	return verify_bytes(keys, &no_rules, token, strlen(token), &out);
}

/* Takes the token. */
static void gives(const struct token_keys *keys, const char *what, char *token, enum token_fault expected)
{
	enum token_fault fault = verify(keys, token);

	if (fault != expected)
		fail_msg("%.200s: %s instead of %s", what, token_fault_name(fault), token_fault_name(expected));
	free(token);
}

/* A header of any kind over good claims, signed with the secret by HS256. */
static void header_gives(const char *header, enum token_fault expected)
{
	gives(is.secret, header, make_token(&secret, "HS256", header, CLAIMS), expected);
}

static void claims_give_by(const struct token_rules *rules, const char *claims, enum token_fault expected)
{
	char *token = make_token(&secret, "HS256", HS, claims);
	struct token out;
	enum token_fault fault = verify_bytes(is.secret, rules, token, strlen(token), &out);

	if (fault != expected)
		fail_msg("%.200s: %s instead of %s", claims, token_fault_name(fault), token_fault_name(expected));
	free(token);
}

static void claims_give(const char *claims, enum token_fault expected)
{
	claims_give_by(&no_rules, claims, expected);
}

static const struct {
	const char *alg;
	const char *header;
	EVP_PKEY **key; /* NULL: LONG_SECRET */
} ways[] = {
    {"HS256", "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", NULL},
    {"HS384", "{\"alg\":\"HS384\"}", NULL},
    {"HS512", "{\"alg\":\"HS512\"}", NULL},
    {"RS256", "{\"alg\":\"RS256\"}", &is.rsa},
    {"RS384", "{\"alg\":\"RS384\"}", &is.rsa},
    {"RS512", "{\"alg\":\"RS512\"}", &is.rsa},
    {"PS256", "{\"alg\":\"PS256\"}", &is.rsa},
    {"PS384", "{\"alg\":\"PS384\"}", &is.rsa},
    {"PS512", "{\"alg\":\"PS512\"}", &is.rsa},
    {"ES256", "{\"alg\":\"ES256\"}", &is.p256},
    {"ES384", "{\"alg\":\"ES384\"}", &is.p384},
    {"ES512", "{\"alg\":\"ES512\"}", &is.p521},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static struct signer signer_of(size_t way)
{
	struct signer s = {.secret = LONG_SECRET, .secret_len = 64};

	if (ways[way].key)
		s.key = *ways[way].key;
	return s;
}

static int set_up(void **state)
{
	char text[16384] = "", *pem;
	EVP_PKEY **keys[] = {&is.rsa, &is.p256, &is.p384, &is.p521};
	char modulus[2048], exponent[16], x[3][128], y[3][128];
	uint8_t number[256];
	BIGNUM *n = NULL;

	(void)state;
	is.rsa = make_rsa(2048);
	is.other_rsa = make_rsa(2048);
	is.p256 = make_ec("P-256");
	is.p384 = make_ec("P-384");
	is.p521 = make_ec("P-521");
	is.secret = load(TOKEN_KEYS_FILE, SECRET);

	assert_int_equal(EVP_PKEY_get_bn_param(is.rsa, "n", &n), 1);
	(void)base64url(number, (size_t)BN_bn2bin(n, number), modulus);
	assert_int_equal(EVP_PKEY_get_bn_param(is.rsa, "e", &n), 1);
	(void)base64url(number, (size_t)BN_bn2bin(n, number), exponent);
	for (int i = 0; i < 3; i++) {
		int half = (EVP_PKEY_get_bits(*keys[i + 1]) + 7) / 8;

		assert_int_equal(EVP_PKEY_get_bn_param(*keys[i + 1], "qx", &n), 1);
		(void)base64url(number, (size_t)BN_bn2binpad(n, number, half), x[i]);
		assert_int_equal(EVP_PKEY_get_bn_param(*keys[i + 1], "qy", &n), 1);
		(void)base64url(number, (size_t)BN_bn2binpad(n, number, half), y[i]);
	}
	BN_free(n);
	(void)base64url(LONG_SECRET, 64, text);
	pem = strdup(text);
	(void)snprintf(text, sizeof(text),
	               "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\"},{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"},"
	               "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"},"
	               "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"%s\",\"y\":\"%s\"},"
	               "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"%s\",\"y\":\"%s\"}]}",
	               pem, modulus, exponent, x[0], y[0], x[1], y[1], x[2], y[2]);
	free(pem);
	is.all = load(TOKEN_KEYS_JWKS, text);
	assert_int_equal(token_keys_count(is.all), 5);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	token_keys_free(is.secret);
	token_keys_free(is.all);
	EVP_PKEY_free(is.rsa);
	EVP_PKEY_free(is.other_rsa);
	EVP_PKEY_free(is.p256);
	EVP_PKEY_free(is.p384);
	EVP_PKEY_free(is.p521);
	return 0;
}

static void good_by_every_algorithm(void **state)
{
	(void)state;
	for (size_t i = 0; i < WAYS; i++) {
		struct signer s = signer_of(i);
		char *token = make_token(
		    &s, ways[i].alg, ways[i].header,
		    "{\"exp\":1800000100.75,\"email\":\"Alice@X.Org\",\"email_verified\":true,\"more\":[{}]}");
		struct token out;

		assert_int_equal(verify_bytes(is.all, &no_rules, token, strlen(token), &out), TOKEN_GOOD);
		assert_string_equal(out.who.text, "Alice@x.org");
		assert_int_equal(out.who.len, 11);
		assert_int_equal(out.expires_s, 1800000100);
		free(token);
	}
}

/* From PEM, the same. */
static void good_by_keys_in_pem(void **state)
{
	EVP_PKEY *pairs[] = {is.rsa, is.p256, is.p384, is.p521};
	char text[8192] = "staging and production\n";
	struct token_keys *keys;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		char *pem = public_pem(pairs[i]);

		(void)strcat(text, pem);
		(void)strcat(text, "\r\nbetween them\n");
		free(pem);
	}
	keys = load(TOKEN_KEYS_FILE, text);
	assert_int_equal(token_keys_count(keys), 4);
	for (size_t i = 3; i < WAYS; i++) {
		struct signer s = signer_of(i);

		gives(keys, ways[i].alg, make_token(&s, ways[i].alg, ways[i].header, CLAIMS), TOKEN_GOOD);
	}
	token_keys_free(keys);
}

static void vectors_of_the_rfcs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(token_vectors) / sizeof(token_vectors[0]); i++) {
		struct token_keys *keys = load(TOKEN_KEYS_JWKS, token_vectors[i].keys);
		char *token = strdup(token_vectors[i].token);
		struct token out;

		/* RFC 7515's claims expired in 2011 */
		assert_int_equal(token_verify(keys, &no_rules, 1300819000, token, strlen(token), &out),
		                 token_vectors[i].fault);
		*(strchr(token, '.') + 1) ^= 1; /* in the payload */
		assert_int_equal(token_verify(keys, &no_rules, 1300819000, token, strlen(token), &out),
		                 TOKEN_BAD_SIGNATURE);
		free(token);
		token_keys_free(keys);
	}
	/* RFC 7515, A.5 and RFC 8037, A.4 */
	gives(is.all, "unsecured",
	      strdup("eyJhbGciOiJub25lIn0."
	             "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
	             "cnVlfQ."),
	      TOKEN_ALGORITHM_NOT_ALLOWED);
	gives(is.all, "Ed25519",
	      strdup("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
	             "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
	      TOKEN_ALGORITHM_NOT_ALLOWED);
}

/* The public key, in each form somebody may have it, as the secret of an HMAC. */
static void public_key_as_secret(void **state)
{
	EVP_PKEY *pairs[] = {is.rsa, is.p256};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char *pem = public_pem(pairs[i]);
		struct token_keys *keys = load(TOKEN_KEYS_FILE, pem);
		uint8_t *der = NULL;
		int der_len = i2d_PUBKEY(pairs[i], &der);
		struct signer forms[] = {
		    {.secret = pem, .secret_len = strlen(pem)},
		    {.secret = pem, .secret_len = strlen(pem) - 1},
		    {.secret = (char *)der, .secret_len = (size_t)der_len},
		    {.secret = "", .secret_len = 0},
		};

		for (size_t f = 0; f < 4; f++) {
			gives(keys, "HS256", make_token(&forms[f], "HS256", HS, CLAIMS), TOKEN_ALGORITHM_NOT_ALLOWED);
			gives(keys, "HS512", make_token(&forms[f], "HS512", "{\"alg\":\"HS512\"}", CLAIMS),
			      TOKEN_ALGORITHM_NOT_ALLOWED);
			/* by its header it is RSA, by its making an HMAC */
			gives(keys, "RS256", make_token(&forms[f], "HS256", ways[i ? 9 : 3].header, CLAIMS),
			      TOKEN_BAD_SIGNATURE);
		}
		OPENSSL_free(der);
		free(pem);
		token_keys_free(keys);
	}
}

static void algorithms_that_are_none(void **state)
{
	static const char *const spellings[] = {
	    "none",  "None",   "NONE",          "nOnE",         "\\u006eone", "none ",  "",
	    "hs256", "HS256 ", " HS256",        "HS256\\u0000", "HS2560",     "HS1",    "MD5",
	    "EdDSA", "ES256K", "HS256\\u0000x", "dir",          "RSA-OAEP",   "A256GCM"};
	static const char *const members[] = {"null", "1", "true", "[\"HS256\"]", "{\"HS256\":1}"};
	char header[64];

	(void)state;
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		char *token;

		(void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", spellings[i]);
		token = make_token(&secret, "HS256", header, CLAIMS);
		gives(is.all, header, strdup(token), TOKEN_ALGORITHM_NOT_ALLOWED);
		*(strrchr(token, '.') + 1) = '\0';
		gives(is.all, header, token, TOKEN_ALGORITHM_NOT_ALLOWED);
	}
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		(void)snprintf(header, sizeof(header), "{\"alg\":%s}", members[i]);
		header_gives(header, TOKEN_MALFORMED);
	}
	header_gives("{}", TOKEN_MALFORMED);
	header_gives("{\"typ\":\"JWT\"}", TOKEN_MALFORMED);
	header_gives("{\"\\u0061lg\":\"HS25\\u0036\"}", TOKEN_GOOD);
}

/* Every algorithm's header over every way of signing: only its own is good. */
static void every_algorithm_as_every_other(void **state)
{
	(void)state;
	for (size_t made = 0; made < WAYS; made++) {
		struct signer s = signer_of(made);

		for (size_t said = 0; said < WAYS; said++) {
			if (said != made)
				gives(is.all, ways[said].header, make_token(&s, ways[made].alg, ways[said].header, CLAIMS),
				      TOKEN_BAD_SIGNATURE);
		}
	}
}

/* A right signature by an algorithm that is for keys of another length. */
static void algorithm_of_another_length(void **state)
{
	EVP_PKEY *curves[] = {is.p256, is.p384, is.p521};
	struct token_keys *keys;

	(void)state;
	for (size_t key = 0; key < 3; key++) {
		char *pem = public_pem(curves[key]);
		struct signer s = {.key = curves[key]};

		keys = load(TOKEN_KEYS_FILE, pem);
		for (size_t alg = 0; alg < 3; alg++)
			gives(keys, ways[9 + alg].alg, make_token(&s, ways[9 + alg].alg, ways[9 + alg].header, CLAIMS),
			      alg == key ? TOKEN_GOOD : TOKEN_ALGORITHM_NOT_ALLOWED);
		free(pem);
		token_keys_free(keys);
	}
	for (size_t len = 32; len <= 64; len++) {
		struct signer s = {.secret = LONG_SECRET, .secret_len = len};
		char text[65];

		(void)snprintf(text, sizeof(text), "%.*s", (int)len, LONG_SECRET);
		keys = load(TOKEN_KEYS_FILE, text);
		gives(keys, "HS256", make_token(&s, "HS256", ways[0].header, CLAIMS), TOKEN_GOOD);
		gives(keys, "HS384", make_token(&s, "HS384", ways[1].header, CLAIMS),
		      len >= 48 ? TOKEN_GOOD : TOKEN_ALGORITHM_NOT_ALLOWED);
		gives(keys, "HS512", make_token(&s, "HS512", ways[2].header, CLAIMS),
		      len >= 64 ? TOKEN_GOOD : TOKEN_ALGORITHM_NOT_ALLOWED);
		token_keys_free(keys);
	}
}

/* The token with another signature, which is n bytes. */
static char *with_signature(const char *token, const uint8_t *signature, size_t n)
{
	char *other = malloc(strlen(token) + 4 * n + 1);

	assert_non_null(other);
	(void)strcpy(other, token);
	(void)base64url(signature, n, strrchr(other, '.') + 1);
	return other;
}

static void signatures_of_another_length(void **state)
{
	uint8_t signature[2048] = {0}, longer[2049] = {0};

	(void)state;
	for (size_t i = 0; i < WAYS; i++) {
		struct signer s = signer_of(i);
		char *token = make_token(&s, ways[i].alg, ways[i].header, CLAIMS);
		size_t len = sign(&s, ways[i].alg, token, (size_t)(strrchr(token, '.') - token), signature);

		gives(is.all, "the same", with_signature(token, signature, len), TOKEN_GOOD);
		for (size_t n = 0; n < len; n++)
			gives(is.all, "shorter", with_signature(token, signature, n), TOKEN_BAD_SIGNATURE);
		for (size_t n = len + 1; n < len + 4; n++)
			gives(is.all, "longer", with_signature(token, signature, n), TOKEN_BAD_SIGNATURE);
		memcpy(longer + 1, signature, len); /* behind a zero */
		gives(is.all, "zero before it", with_signature(token, longer, len + 1), TOKEN_BAD_SIGNATURE);
		memset(signature, 0, sizeof(signature));
		gives(is.all, "zeros", with_signature(token, signature, len), TOKEN_BAD_SIGNATURE);
		memset(signature, 1, sizeof(signature));
		gives(is.all, "ones in its bytes", with_signature(token, signature, len), TOKEN_BAD_SIGNATURE);
		memset(signature, 0xff, sizeof(signature));
		gives(is.all, "all bits", with_signature(token, signature, len), TOKEN_BAD_SIGNATURE);
		free(token);
	}
}

static void signature_of_another_key(void **state)
{
	struct signer other_rsa = {.key = is.other_rsa};
	struct signer other_ec = {.key = make_ec("P-256")};
	struct signer other_secret = {.secret = "1" LONG_SECRET, .secret_len = 64};

	(void)state;
	gives(is.all, "RS256", make_token(&other_rsa, "RS256", ways[3].header, CLAIMS), TOKEN_BAD_SIGNATURE);
	gives(is.all, "PS256", make_token(&other_rsa, "PS256", ways[6].header, CLAIMS), TOKEN_BAD_SIGNATURE);
	gives(is.all, "ES256", make_token(&other_ec, "ES256", ways[9].header, CLAIMS), TOKEN_BAD_SIGNATURE);
	gives(is.all, "HS256", make_token(&other_secret, "HS256", HS, CLAIMS), TOKEN_BAD_SIGNATURE);
	EVP_PKEY_free(other_ec.key);
}

/* A header can ask for less, never for more. */
static void headers(void **state)
{
	(void)state;
	header_gives(
	    "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"},\"jku\":\"https://evil.example/keys\","
	    "\"x5u\":\"https://evil.example/x\",\"x5c\":[\"MIIB\"],\"x5t\":\"AA\"}",
	    TOKEN_GOOD);
	header_gives("{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1800000100}", TOKEN_UNSUPPORTED);
	header_gives("{\"alg\":\"HS256\",\"crit\":[]}", TOKEN_UNSUPPORTED);
	header_gives("{\"alg\":\"HS256\",\"\\u0063rit\":null}", TOKEN_UNSUPPORTED);
	header_gives("{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", TOKEN_UNSUPPORTED);
	header_gives("{\"alg\":\"HS256\",\"b64\":true}", TOKEN_UNSUPPORTED);
	header_gives("{\"alg\":\"HS256\",\"typ\":\"jwt\"}", TOKEN_GOOD);
	header_gives("{\"alg\":\"HS256\",\"typ\":\"at+JWT\"}", TOKEN_GOOD);
	header_gives("{\"alg\":\"HS256\",\"typ\":\"application\\/jwt\"}", TOKEN_GOOD);
	header_gives("{\"alg\":\"HS256\",\"typ\":\"application/at+jwt\"}", TOKEN_GOOD);
	header_gives("{\"alg\":\"HS256\",\"typ\":"
	             "\"\\u0061\\u0070\\u0070\\u006c\\u0069\\u0063\\u0061\\u0074\\u0069\\u006f\\u006e"
	             "\\u002f\\u0061\\u0074\\u002b\\u006a\\u0077\\u0074\"}",
	             TOKEN_GOOD);
	header_gives("{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\"}", TOKEN_UNSUPPORTED);
	header_gives("{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", TOKEN_UNSUPPORTED);
	header_gives("{\"alg\":\"HS256\",\"typ\":\"JWT\\u0000\"}", TOKEN_UNSUPPORTED);
	header_gives("{\"alg\":\"HS256\",\"typ\":\"\"}", TOKEN_UNSUPPORTED);
	header_gives("{\"alg\":\"HS256\",\"typ\":\"JWTJWTJWTJWTJWTJWTJWTJWTJWTJWTJWTJWTJWT\"}",
	             TOKEN_UNSUPPORTED);
	header_gives("{\"alg\":\"HS256\",\"typ\":1}", TOKEN_MALFORMED);
	header_gives("{\"alg\":\"HS256\",\"kid\":1}", TOKEN_MALFORMED);
	header_gives("{\"alg\":\"HS256\",\"kid\":null}", TOKEN_MALFORMED);
	header_gives("{\"alg\":\"HS256\",\"alg\":\"HS256\"}", TOKEN_MALFORMED);
	header_gives("{\"alg\":\"none\",\"alg\":\"HS256\"}", TOKEN_MALFORMED);
	header_gives("{\"alg\":\"HS256\",\"\\u0061lg\":\"HS256\"}", TOKEN_MALFORMED);
	header_gives("{\"alg\":\"HS256\",\"x\":1,\"x\":1}", TOKEN_MALFORMED);
	header_gives("[\"alg\",\"HS256\"]", TOKEN_MALFORMED);
	header_gives("\"HS256\"", TOKEN_MALFORMED);
	header_gives("", TOKEN_MALFORMED);
	header_gives("{\"alg\":\"HS256\"", TOKEN_MALFORMED);
	header_gives("{\"alg\":\"HS256\"}x", TOKEN_MALFORMED);
	header_gives("{'alg':'HS256'}", TOKEN_MALFORMED);
	header_gives("\xef\xbb\xbf{\"alg\":\"HS256\"}", TOKEN_MALFORMED);
	header_gives("{\"alg\":\"HS256\",\"x\":\"\xff\"}", TOKEN_MALFORMED);
	header_gives(" {\r\n\"alg\" :\t\"HS256\" } ", TOKEN_GOOD);
}

/* The attacker's own key in the header, and a right signature by it. */
static void key_in_the_header(void **state)
{
	struct signer other = {.key = is.other_rsa};
	char header[2048], modulus[512];
	uint8_t number[256];
	BIGNUM *n = NULL;

	(void)state;
	assert_int_equal(EVP_PKEY_get_bn_param(is.other_rsa, "n", &n), 1);
	(void)base64url(number, (size_t)BN_bn2bin(n, number), modulus);
	BN_free(n);
	(void)snprintf(header, sizeof(header),
	               "{\"alg\":\"RS256\",\"jwk\":{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}}", modulus);
	gives(is.all, "jwk", make_token(&other, "RS256", header, CLAIMS), TOKEN_BAD_SIGNATURE);
}

static void names_of_keys(void **state)
{
	static const struct signer first = {.secret = "the first secret is thirty-two b", .secret_len = 32};
	static const struct signer second = {.secret = "the second secret is thirty-2 by", .secret_len = 32};
	static const struct signer nameless = {.secret = "and this one goes without a name", .secret_len = 32};
	char text[1024], k[3][64];
	struct token_keys *keys;

	(void)state;
	(void)base64url(first.secret, 32, k[0]);
	(void)base64url(second.secret, 32, k[1]);
	(void)base64url(nameless.secret, 32, k[2]);
	(void)snprintf(text, sizeof(text),
	               "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"1\",\"k\":\"%s\"},{\"kty\":\"oct\",\"kid\":"
	               "\"two\\n\",\"k\":\"%s\"},"
	               "{\"kty\":\"oct\",\"kid\":\"two\\n\",\"k\":\"%s\"}]}",
	               k[0], k[1], k[0]);
	keys = load(TOKEN_KEYS_JWKS, text);
#define BY(signer, kid, fault)                                                                               \
	gives(keys, kid, make_token(signer, "HS256", "{\"alg\":\"HS256\"" kid "}", CLAIMS), fault)
	BY(&first, "", TOKEN_GOOD);
	BY(&second, "", TOKEN_GOOD);
	BY(&nameless, "", TOKEN_BAD_SIGNATURE);
	BY(&first, ",\"kid\":\"1\"", TOKEN_GOOD);
	BY(&first, ",\"kid\":\"\\u0031\"", TOKEN_GOOD);
	BY(&second, ",\"kid\":\"1\"", TOKEN_BAD_SIGNATURE);
	BY(&second, ",\"kid\":\"two\\u000a\"", TOKEN_GOOD);
	BY(&first, ",\"kid\":\"two\\n\"", TOKEN_GOOD); /* two keys of one name */
	BY(&first, ",\"kid\":\"\"", TOKEN_UNKNOWN_KEY);
	BY(&first, ",\"kid\":\"1\\u0000\"", TOKEN_UNKNOWN_KEY);
	BY(&first, ",\"kid\":\"../../../../dev/null\"", TOKEN_UNKNOWN_KEY);
	BY(&first, ",\"kid\":\"' OR 1=1 --\"", TOKEN_UNKNOWN_KEY);
	token_keys_free(keys);

	(void)snprintf(text, sizeof(text),
	               "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"1\",\"k\":\"%s\"},{\"kty\":\"oct\",\"k\":\"%s\"}]}",
	               k[0], k[2]);
	keys = load(TOKEN_KEYS_JWKS, text);
	BY(&nameless, "", TOKEN_GOOD);
	BY(&nameless, ",\"kid\":\"of another\"", TOKEN_GOOD);
	BY(&first, ",\"kid\":\"of another\"", TOKEN_BAD_SIGNATURE);
	BY(&nameless, ",\"kid\":\"1\"", TOKEN_BAD_SIGNATURE);
#undef BY
	token_keys_free(keys);
	/* a key narrowed down by its alg */
	(void)snprintf(text, sizeof(text), "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":\"%.86s\"}]}",
	               "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVotXw");
	keys = load(TOKEN_KEYS_JWKS, text);
	for (size_t i = 0; i < 3; i++) {
		struct signer s = signer_of(i);

		gives(keys, ways[i].alg, make_token(&s, ways[i].alg, ways[i].header, CLAIMS),
		      i == 2 ? TOKEN_GOOD : TOKEN_ALGORITHM_NOT_ALLOWED);
	}
	token_keys_free(keys);
}

static void every_prefix(void **state)
{
	char *token = make_token(&secret, "HS256", HS, CLAIMS);
	struct token out;

	(void)state;
	for (size_t n = 0; n < strlen(token); n++)
		assert_int_not_equal(verify_bytes(is.secret, &no_rules, token, n, &out), TOKEN_GOOD);
	assert_int_equal(verify(is.secret, token), TOKEN_GOOD);
	free(token);
}

static void every_bit(void **state)
{
	static const size_t which[] = {0, 3, 6, 9, 11};

	(void)state;
	for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
		struct signer s = signer_of(which[i]);
		char *token = make_token(&s, ways[which[i]].alg, ways[which[i]].header, CLAIMS);
		size_t len = strlen(token);
		struct token out;

		for (size_t bit = 0; bit < len * 8; bit++) {
			token[bit / 8] = (char)(token[bit / 8] ^ 1 << bit % 8);
			if (verify_bytes(is.all, &no_rules, token, len, &out) == TOKEN_GOOD)
				fail_msg("%s: good with bit %zu turned: %s", ways[which[i]].alg, bit, token);
			token[bit / 8] = (char)(token[bit / 8] ^ 1 << bit % 8);
		}
		assert_int_equal(verify(is.all, token), TOKEN_GOOD);
		free(token);
	}
}

/* Every byte at every place, put in or instead. */
static void every_byte(void **state)
{
	char *token = make_token(&secret, "HS256", HS, CLAIMS), bent[512];
	size_t len = strlen(token);
	struct token out;

	(void)state;
	for (size_t at = 0; at <= len; at++) {
		for (int byte = 0; byte < 256; byte++) {
			memcpy(bent, token, at);
			bent[at] = (char)byte;
			memcpy(bent + at + 1, token + at, len - at);
			assert_int_not_equal(verify_bytes(is.secret, &no_rules, bent, len + 1, &out), TOKEN_GOOD);
			if (at == len || token[at] == (char)byte)
				continue;
			memcpy(bent, token, len);
			bent[at] = (char)byte;
			assert_int_not_equal(verify_bytes(is.secret, &no_rules, bent, len, &out), TOKEN_GOOD);
		}
	}
	free(token);
}

static void not_three_parts(void **state)
{
	char *token = make_token(&secret, "HS256", HS, CLAIMS), text[1024];
	const char *first = strchr(token, '.'), *second = strrchr(token, '.');

	(void)state;
	gives(is.secret, "nothing", strdup(""), TOKEN_MALFORMED);
	gives(is.secret, "a dot", strdup("."), TOKEN_MALFORMED);
	gives(is.secret, "two dots", strdup(".."), TOKEN_MALFORMED);
	gives(is.secret, "four parts", strdup("...."), TOKEN_MALFORMED);
	(void)snprintf(text, sizeof(text), "%s.", token);
	gives(is.secret, text, strdup(text), TOKEN_MALFORMED);
	(void)snprintf(text, sizeof(text), ".%s", token);
	gives(is.secret, text, strdup(text), TOKEN_MALFORMED);
	(void)snprintf(text, sizeof(text), "%.*s", (int)(second - token), token);
	gives(is.secret, text, strdup(text), TOKEN_MALFORMED);
	(void)snprintf(text, sizeof(text), "%.*s.", (int)(second - token), token);
	gives(is.secret, text, strdup(text), TOKEN_BAD_SIGNATURE);
	(void)snprintf(text, sizeof(text), "%.*s.%s", (int)(first - token), token, second);
	gives(is.secret, text, strdup(text), TOKEN_BAD_SIGNATURE);
	(void)snprintf(text, sizeof(text), "Bearer %s", token);
	gives(is.secret, text, strdup(text), TOKEN_MALFORMED);
	(void)snprintf(text, sizeof(text), "%s=", token);
	gives(is.secret, text, strdup(text), TOKEN_MALFORMED);
	(void)snprintf(text, sizeof(text), "%s\n", token);
	gives(is.secret, text, strdup(text), TOKEN_MALFORMED);
	free(token);
	gives(is.secret, "JSON serialization",
	      strdup("{\"payload\":\"e30\",\"signatures\":[{\"protected\":\"eyJhbGciOiJIUzI1NiJ9\",\"signature\":"
	             "\"AA\"}]}"),
	      TOKEN_MALFORMED);
}

/* A token of exactly that many bytes, good but for its length. */
static char *token_of_length(size_t len)
{
	char *claims = malloc(len), *token = NULL;

	for (size_t n = len * 3 / 4 - 200; n < len; n++) {
		int used = snprintf(claims, len, "{\"exp\":1800000100" ADDRESS ",\"x\":\"");

		memset(claims + used, 'x', n - (size_t)used);
		(void)strcpy(claims + n, "\"}");
		token = make_token(&secret, "HS256", HS, claims);
		if (strlen(token) >= len)
			break;
		free(token);
	}
	free(claims);
	return token;
}

static void lengths(void **state)
{
	char *token = token_of_length(TOKEN_MAX);

	(void)state;
	assert_int_equal(strlen(token), TOKEN_MAX);
	gives(is.secret, "as long as allowed", token, TOKEN_GOOD);
	token = token_of_length(TOKEN_MAX + 1);
	assert_true(strlen(token) <= TOKEN_MAX + 2);
	gives(is.secret, "one too many", token, TOKEN_MALFORMED);
	gives(is.secret, "far too many", token_of_length(100000), TOKEN_MALFORMED);
	token = malloc(100001);
	memset(token, '.', 100000);
	token[100000] = '\0';
	gives(is.secret, "dots", token, TOKEN_MALFORMED);
}

/* The claims count only where somebody who may has written them. */
static void signature_before_claims(void **state)
{
	static const struct signer nobody = {.secret = "nobody knows whose secret this i", .secret_len = 32};
	static const char *const claims[] = {"{\"exp\":1}", "{}", "", "{", CLAIMS};

	(void)state;
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
		gives(is.secret, claims[i], make_token(&nobody, "HS256", HS, claims[i]), TOKEN_BAD_SIGNATURE);
}

static void claims_that_are_no_object(void **state)
{
	static const char *const texts[] = {
	    "",
	    "{",
	    "[]",
	    "null",
	    "\"exp\"",
	    "{\"exp\":1800000100" ADDRESS,
	    "{\"exp\":1800000100" ADDRESS "}x",
	    "{\"exp\":1800000100" ADDRESS ",}",
	    "{\"exp\":1800000100" ADDRESS "}{}",
	    "{\"exp\":1800000100" ADDRESS ",\"x\":tru}",
	    "{\"exp\":1800000100" ADDRESS ",\"x\":NaN}",
	    "{\"exp\":1800000100" ADDRESS ",\"x\":\"\xff\"}",
	    "{\"exp\":1800000100" ADDRESS ",\"x\":\"\xed\xa0\x80\"}",
	    "{\"exp\":1800000100" ADDRESS ",\"x\":\"\xc0\x80\"}",
	    "{\"exp\":1800000100" ADDRESS ",\"x\":\"\\ud800\"}",
	    "{\"exp\":1800000100" ADDRESS ",\"x\":\"\n\"}",
	    "\xef\xbb\xbf{\"exp\":1800000100" ADDRESS "}",
	    "{\"exp\":1,\"exp\":1800000100" ADDRESS "}",
	    "{\"exp\":1800000100" ADDRESS ADDRESS "}",
	    "{\"exp\":1800000100" ADDRESS ",\"e\\u006dail\":\"bob@x.org\"}",
	    "{\"exp\":1800000100" ADDRESS ",\"x\":1,\"x\":2}",
	};
	char deep[200];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		claims_give(texts[i], TOKEN_MALFORMED);
	for (size_t depth = 62; depth <= 66; depth++) {
		int n = snprintf(deep, sizeof(deep), "{\"exp\":1800000100" ADDRESS ",\"x\":");

		memset(deep + n, '[', depth);
		memset(deep + n + depth, ']', depth);
		(void)strcpy(deep + (size_t)n + 2 * depth, "}");
		claims_give(deep, depth <= 63 ? TOKEN_GOOD : TOKEN_MALFORMED);
	}
	{
		static const char nul[] = "{\"exp\":1800000100" ADDRESS "}\0";
		char *token = make_token_of(&secret, "HS256", HS, strlen(HS), nul, sizeof(nul) - 1);

		gives(is.secret, "a NUL behind it", token, TOKEN_MALFORMED);
	}
}

static void members_at_the_bound(void **state)
{
	(void)state;
	for (int members = 62; members <= 66; members++) {
		char claims[4096] = "{\"exp\":1800000100" ADDRESS;
		size_t n = strlen(claims);

		for (int i = 2; i < members; i++)
			n += (size_t)snprintf(claims + n, sizeof(claims) - n, ",\"c%d\":%d", i, i);
		(void)strcpy(claims + n, "}");
		claims_give(claims, members <= 64 ? TOKEN_GOOD : TOKEN_MALFORMED);
	}
	for (int len = 254; len <= 258; len++) {
		char claims[512];

		(void)snprintf(claims, sizeof(claims), "{\"exp\":1800000100" ADDRESS ",\"%0*d\":1}", len, 0);
		claims_give(claims, len <= 256 ? TOKEN_GOOD : TOKEN_MALFORMED);
	}
}

static void times(void **state)
{
	static const struct {
		const char *claims; /* without the address */
		enum token_fault fault;
	} cases[] = {
	    /* exp: required, good for 30 seconds more */
	    {"\"x\":1", TOKEN_MISSING_CLAIM},
	    {"\"exp\":1800000000", TOKEN_GOOD},
	    {"\"exp\":1799999971", TOKEN_GOOD},
	    {"\"exp\":1799999970", TOKEN_EXPIRED},
	    {"\"exp\":1799999970.999", TOKEN_EXPIRED},
	    {"\"exp\":1799999971.0", TOKEN_GOOD},
	    {"\"exp\":0", TOKEN_EXPIRED},
	    {"\"exp\":-0", TOKEN_EXPIRED},
	    {"\"exp\":-1", TOKEN_EXPIRED},
	    {"\"exp\":-1.5", TOKEN_EXPIRED},
	    {"\"exp\":1.8000001e9", TOKEN_GOOD},
	    {"\"exp\":1.8000001E+09", TOKEN_GOOD},
	    {"\"exp\":18000001000000e-4", TOKEN_GOOD},
	    {"\"exp\":0.18000001e0000000000000000000000000000000000000000010", TOKEN_GOOD},
	    {"\"exp\":1800000100.00000000000000000000000000000000000000000000000000000000000000001", TOKEN_GOOD},
	    {"\"exp\":253402300799", TOKEN_GOOD},
	    {"\"exp\":253402300800", TOKEN_MALFORMED},
	    {"\"exp\":1800000100000", TOKEN_MALFORMED}, /* milliseconds */
	    {"\"exp\":1e400", TOKEN_MALFORMED},
	    {"\"exp\":-1e400", TOKEN_MALFORMED},
	    {"\"exp\":1e99999999999999999999", TOKEN_MALFORMED},
	    {"\"exp\":1e-99999999999999999999", TOKEN_EXPIRED},
	    {"\"exp\":0e99999999999999999999", TOKEN_EXPIRED},
	    {"\"exp\":9223372036854775808", TOKEN_MALFORMED},
	    {"\"exp\":18446744073709551616", TOKEN_MALFORMED},
	    {"\"exp\":99999999999999999999999999999999999999999999999999999999999999999999999999999",
	     TOKEN_MALFORMED},
	    {"\"exp\":\"1800000100\"", TOKEN_MALFORMED},
	    {"\"exp\":null", TOKEN_MALFORMED},
	    {"\"exp\":true", TOKEN_MALFORMED},
	    {"\"exp\":[1800000100]", TOKEN_MALFORMED},
	    {"\"exp\":{}", TOKEN_MALFORMED},
	    {"\"exp\":NaN", TOKEN_MALFORMED},
	    {"\"exp\":Infinity", TOKEN_MALFORMED},
	    {"\"exp\":01800000100", TOKEN_MALFORMED},
	    {"\"exp\":+1800000100", TOKEN_MALFORMED},
	    {"\"exp\":0x7fffffff", TOKEN_MALFORMED},
	    {"\"exp\":1800000100.", TOKEN_MALFORMED},
	    {"\"EXP\":1800000100", TOKEN_MISSING_CLAIM},
	    /* nbf and iat: optional, 30 seconds ahead at most */
	    {"\"exp\":1800000100,\"nbf\":1800000000,\"iat\":1800000000", TOKEN_GOOD},
	    {"\"exp\":1800000100,\"nbf\":1800000030", TOKEN_GOOD},
	    {"\"exp\":1800000100,\"nbf\":1800000030.5", TOKEN_GOOD},
	    {"\"exp\":1800000100,\"nbf\":1800000031", TOKEN_NOT_YET_VALID},
	    {"\"exp\":1800000100,\"nbf\":-5", TOKEN_GOOD},
	    {"\"exp\":1800000100,\"nbf\":1e400", TOKEN_MALFORMED},
	    {"\"exp\":1800000100,\"nbf\":\"0\"", TOKEN_MALFORMED},
	    {"\"exp\":1800000100,\"nbf\":null", TOKEN_MALFORMED},
	    {"\"exp\":1800000100,\"iat\":1800000030", TOKEN_GOOD},
	    {"\"exp\":1800000100,\"iat\":1800000031", TOKEN_NOT_YET_VALID},
	    {"\"exp\":1800000100,\"iat\":\"0\"", TOKEN_MALFORMED},
	    {"\"exp\":1800000100,\"iat\":1e400", TOKEN_MALFORMED},
	    {"\"exp\":1,\"nbf\":1900000000", TOKEN_EXPIRED},
	};
	static const struct {
		const char *exp;
		int64_t expires_s;
	} exact[] = {
	    {"1827209213e0", 1827209213},
	    {"1.827209213E9", 1827209213},
	    {"1.8272092139e9", 1827209213},
	    {"18272092139e-1", 1827209213},
	    {"1827209213000000000e-9", 1827209213},
	    {"1827209213.999999999999999999999999", 1827209213},
	    {"0.00000000000000000001827209213e29", 1827209213},
	    {"253402300799.999999999999", INT64_C(253402300799)},
	    {"2534023007e2", INT64_C(253402300700)},
	    {"0", 0},
	    {"0.5e0", 0},
	    {"0e5", 0},
	    {"-0", 0},
	    {"-0.0", 0},
	    {"-0.01e1", -1},
	    {"-10", -10},
	    {"-10.000", -10},
	    {"-10.0001", -11},
	    {"-1e1", -10},
	};
	char claims[256];
	struct token out;
	char *token;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(claims, sizeof(claims), "{%s" ADDRESS "}", cases[i].claims);
		claims_give(claims, cases[i].fault);
	}
	/* rounded down, exactly, and below zero too */
	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
		(void)snprintf(claims, sizeof(claims), "{\"exp\":%s" ADDRESS "}", exact[i].exp);
		token = make_token(&secret, "HS256", HS, claims);
		assert_int_equal(token_verify(is.secret, &no_rules, -100, token, strlen(token), &out), TOKEN_GOOD);
		assert_int_equal(out.expires_s, exact[i].expires_s);
		free(token);
	}
	token = make_token(&secret, "HS256", HS, "{\"exp\":-0.25" ADDRESS "}");
	assert_int_equal(token_verify(is.secret, &no_rules, 20, token, strlen(token), &out), TOKEN_GOOD);
	assert_int_equal(out.expires_s, -1);
	assert_int_equal(token_verify(is.secret, &no_rules, 29, token, strlen(token), &out), TOKEN_EXPIRED);
	free(token);
}

static void issuers(void **state)
{
	static const struct token_rules rules = {.issuer = "https://id.example/a"};

	(void)state;
#define ISS(text, fault) claims_give_by(&rules, "{\"exp\":1800000100" ADDRESS text "}", fault)
	ISS(",\"iss\":\"https://id.example/a\"", TOKEN_GOOD);
	ISS(",\"iss\":\"https:\\/\\/id.example\\/\\u0061\"", TOKEN_GOOD);
	ISS("", TOKEN_MISSING_CLAIM);
	ISS(",\"iss\":\"https://id.example/\"", TOKEN_WRONG_ISSUER);
	ISS(",\"iss\":\"https://id.example/a/\"", TOKEN_WRONG_ISSUER);
	ISS(",\"iss\":\"HTTPS://id.example/a\"", TOKEN_WRONG_ISSUER);
	ISS(",\"iss\":\"https://id.example/a\\u0000\"", TOKEN_WRONG_ISSUER);
	ISS(",\"iss\":\"\"", TOKEN_WRONG_ISSUER);
	ISS(",\"iss\":[\"https://id.example/a\"]", TOKEN_WRONG_ISSUER);
	ISS(",\"iss\":null", TOKEN_WRONG_ISSUER);
#undef ISS
	claims_give("{\"exp\":1800000100" ADDRESS ",\"iss\":\"anybody\"}", TOKEN_GOOD);
}

static void audiences(void **state)
{
	static const struct token_rules rules = {.audience = "chat"};

	(void)state;
#define AUD(text, asked, not_asked)                                                                          \
	claims_give_by(&rules, "{\"exp\":1800000100" ADDRESS text "}", asked);                                   \
	claims_give("{\"exp\":1800000100" ADDRESS text "}", not_asked)
	AUD("", TOKEN_MISSING_CLAIM, TOKEN_GOOD);
	AUD(",\"aud\":\"chat\"", TOKEN_GOOD, TOKEN_WRONG_AUDIENCE);
	AUD(",\"aud\":\"ch\\u0061t\"", TOKEN_GOOD, TOKEN_WRONG_AUDIENCE);
	AUD(",\"aud\":[\"chat\"]", TOKEN_GOOD, TOKEN_WRONG_AUDIENCE);
	AUD(",\"aud\":[\"mail\", \"chat\" ]", TOKEN_GOOD, TOKEN_WRONG_AUDIENCE);
	AUD(",\"aud\":[\"mail\",\"wiki\"]", TOKEN_WRONG_AUDIENCE, TOKEN_WRONG_AUDIENCE);
	AUD(",\"aud\":[]", TOKEN_WRONG_AUDIENCE, TOKEN_WRONG_AUDIENCE);
	AUD(",\"aud\":\"chatter\"", TOKEN_WRONG_AUDIENCE, TOKEN_WRONG_AUDIENCE);
	AUD(",\"aud\":\"Chat\"", TOKEN_WRONG_AUDIENCE, TOKEN_WRONG_AUDIENCE);
	AUD(",\"aud\":\"\"", TOKEN_WRONG_AUDIENCE, TOKEN_WRONG_AUDIENCE);
	AUD(",\"aud\":[[\"chat\"]]", TOKEN_MALFORMED, TOKEN_MALFORMED);
	AUD(",\"aud\":[\"chat\",1]", TOKEN_MALFORMED, TOKEN_MALFORMED);
	AUD(",\"aud\":{\"chat\":1}", TOKEN_MALFORMED, TOKEN_MALFORMED);
	AUD(",\"aud\":null", TOKEN_MALFORMED, TOKEN_MALFORMED);
#undef AUD
}

static void addresses(void **state)
{
	static const struct token_rules upn = {.email_claim = "upn"};
	static const struct token_rules url = {.email_claim = "https://x.org/email"};

	(void)state;
#define EMAIL(text, fault) claims_give("{\"exp\":1800000100" text "}", fault)
	EMAIL("", TOKEN_MISSING_CLAIM);
	EMAIL(",\"Email\":\"alice@x.org\"", TOKEN_MISSING_CLAIM);
	EMAIL(",\"sub\":\"alice@x.org\"", TOKEN_MISSING_CLAIM);
	EMAIL(",\"x\":{\"email\":\"alice@x.org\"}", TOKEN_MISSING_CLAIM);
	EMAIL(",\"email\":\"al\\u0069ce\\u0040x.org\"", TOKEN_GOOD);
	EMAIL(",\"email\":\"\"", TOKEN_NOT_AN_ADDRESS);
	EMAIL(",\"email\":\"alice\"", TOKEN_NOT_AN_ADDRESS);
	EMAIL(",\"email\":\"alice@x.org \"", TOKEN_NOT_AN_ADDRESS);
	EMAIL(",\"email\":\"Alice <alice@x.org>\"", TOKEN_NOT_AN_ADDRESS);
	EMAIL(",\"email\":\"alice@x.org\\u0000\"", TOKEN_NOT_AN_ADDRESS);
	EMAIL(",\"email\":\"alice@x.org\\u0000@evil.example\"", TOKEN_NOT_AN_ADDRESS);
	EMAIL(",\"email\":\"\xc3\xa9@x.org\"", TOKEN_NOT_AN_ADDRESS);
	EMAIL(",\"email\":[\"alice@x.org\"]", TOKEN_NOT_AN_ADDRESS);
	EMAIL(",\"email\":null", TOKEN_NOT_AN_ADDRESS);
	EMAIL(",\"email\":1", TOKEN_NOT_AN_ADDRESS);
	EMAIL(ADDRESS ",\"email_verified\":true", TOKEN_GOOD);
	EMAIL(ADDRESS ",\"email_verified\":\"true\"", TOKEN_GOOD);
	EMAIL(ADDRESS ",\"email_verified\":false", TOKEN_UNVERIFIED_ADDRESS);
	EMAIL(ADDRESS ",\"email_verified\":\"false\"", TOKEN_UNVERIFIED_ADDRESS);
	EMAIL(ADDRESS ",\"email_verified\":null", TOKEN_UNVERIFIED_ADDRESS);
	EMAIL(ADDRESS ",\"email_verified\":1", TOKEN_UNVERIFIED_ADDRESS);
#undef EMAIL
	claims_give_by(&upn, "{\"exp\":1800000100,\"upn\":\"bob@x.org\",\"email_verified\":false}", TOKEN_GOOD);
	claims_give_by(&upn, "{\"exp\":1800000100" ADDRESS "}", TOKEN_MISSING_CLAIM);
	claims_give_by(&url, "{\"exp\":1800000100,\"https:\\/\\/x.org\\/email\":\"bob@x.org\"}", TOKEN_GOOD);
	{
		char claims[4096], address[2048] = "";
		size_t n = 0;

		/* the longest there is, written in the longest way there is, and one more */
		for (int i = 0; i < 254; i++)
			n += (size_t)snprintf(address + n, sizeof(address) - n, "\\u00%02x",
			                      i == 2         ? '@'
			                      : i % 50 == 49 ? '.'
			                                     : 'a');
		(void)snprintf(claims, sizeof(claims), "{\"exp\":1800000100,\"email\":\"%s\"}", address);
		claims_give(claims, TOKEN_GOOD);
		(void)snprintf(claims, sizeof(claims), "{\"exp\":1800000100,\"email\":\"%sa\"}", address);
		claims_give(claims, TOKEN_NOT_AN_ADDRESS);
		(void)snprintf(claims, sizeof(claims), "{\"exp\":1800000100,\"email\":\"%s%s\"}", address, address);
		claims_give(claims, TOKEN_NOT_AN_ADDRESS);
	}
}

/* The broker's TLS connections look into the same queue. */
static void errors_of_others_stay(void **state)
{
	struct signer other = {.key = is.other_rsa};
	char *token = make_token(&other, "RS256", ways[3].header, CLAIMS);
	const char *why;
	struct token out;
	unsigned long before;

	(void)state;
	ERR_raise(ERR_LIB_USER, 123);
	before = ERR_peek_last_error();
	assert_int_equal(token_verify(is.all, &no_rules, NOW, token, strlen(token), &out), TOKEN_BAD_SIGNATURE);
	assert_null(token_keys_load(TOKEN_KEYS_FILE, "-----BEGIN PUBLIC KEY-----\nAAAA\n", 33, &why));
	assert_int_equal(ERR_peek_last_error(), before);
	assert_int_equal(ERR_get_error(), before);
	assert_int_equal(ERR_get_error(), 0);
	free(token);
}

static void names_of_faults(void **state)
{
	(void)state;
	for (int i = 0; i < TOKEN_FAULTS; i++) {
		assert_non_null(token_fault_name((enum token_fault)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(token_fault_name((enum token_fault)i),
			                        token_fault_name((enum token_fault)j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_by_every_algorithm),
	    cmocka_unit_test(good_by_keys_in_pem),
	    cmocka_unit_test(vectors_of_the_rfcs),
	    cmocka_unit_test(public_key_as_secret),
	    cmocka_unit_test(algorithms_that_are_none),
	    cmocka_unit_test(every_algorithm_as_every_other),
	    cmocka_unit_test(algorithm_of_another_length),
	    cmocka_unit_test(signatures_of_another_length),
	    cmocka_unit_test(signature_of_another_key),
	    cmocka_unit_test(headers),
	    cmocka_unit_test(key_in_the_header),
	    cmocka_unit_test(names_of_keys),
	    cmocka_unit_test(every_prefix),
	    cmocka_unit_test(every_bit),
	    cmocka_unit_test(every_byte),
	    cmocka_unit_test(not_three_parts),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(signature_before_claims),
	    cmocka_unit_test(claims_that_are_no_object),
	    cmocka_unit_test(members_at_the_bound),
	    cmocka_unit_test(times),
	    cmocka_unit_test(issuers),
	    cmocka_unit_test(audiences),
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(errors_of_others_stay),
	    cmocka_unit_test(names_of_faults),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
