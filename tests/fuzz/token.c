/*
 * token.c - tokens and the keys that they are verified with.
 *
 * First byte of an input: 0, a file of keys; 1, a key set; 2, a token as it is; 3, header and claims of a
 * token, a line each, which is signed with the right key here.
 */
#include "plugin/token.h"

#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define NOW 1795700000
#define SECRET "0123456789abcdef0123456789abcdef"

static void check_keys(enum token_keys_format format, const uint8_t *bytes, size_t n)
{
	const char *why = NULL;
	struct token_keys *keys = token_keys_load(format, bytes, n, &why);
	if (keys == NULL) {
		MUST(why != NULL && why[0] != '\0');
		return;
	}
	MUST(token_keys_count(keys) >= 1 && token_keys_count(keys) <= TOKEN_KEYS_MAX);
	token_keys_free(keys);
}

static size_t encode(const uint8_t *bytes, size_t n, char *out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t len = 0;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) |
		             (i + 2 < n ? bytes[i + 2] : 0);
		size_t chars = n - i >= 3 ? 4 : n - i + 1;
		for (size_t k = 0; k < chars; k++)
			out[len++] = alphabet[v >> (18 - 6 * k) & 63];
	}
	return len;
}

/* header.claims.signature; the caller frees it. */
static char *sign(const uint8_t *text, size_t n, size_t *len)
{
	const uint8_t *end = n > 0 ? memchr(text, '\n', n) : NULL;
	size_t header = end != NULL ? (size_t)(end - text) : n;
	size_t rest = end != NULL ? n - header - 1 : 0;
	char *token = malloc(2 * n + 128);
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;
	MUST(token != NULL);
	*len = encode(text, header, token);
	token[(*len)++] = '.';
	*len += encode(end != NULL ? end + 1 : text, rest, token + *len);
	MUST(HMAC(EVP_sha256(), SECRET, sizeof SECRET - 1, (const uint8_t *)token, *len, mac, &mac_len) != NULL);
	token[(*len)++] = '.';
	*len += encode(mac, mac_len, token + *len);
	return token;
}

static void check_token(const char *text, size_t n)
{
	static const struct token_rules rules[] = {{.issuer = NULL},
	                                           {.issuer = "https://issuer.example"},
	                                           {.audience = "chat"},
	                                           {.email_claim = "sub", .role_claim = "sub"}};
	static struct token_keys *keys; /* of all calls */
	const char *why;
	if (keys == NULL)
		keys = token_keys_load(TOKEN_KEYS_FILE, SECRET, sizeof SECRET - 1, &why);
	MUST(keys != NULL);
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		struct token token;
		memset(&token, 0xee, sizeof token);
		enum token_fault fault = token_verify(keys, &rules[i], NOW, text, n, &token);
		MUST(fault < TOKEN_FAULTS && token_fault_name(fault)[0] != '\0');
		if (fault != TOKEN_GOOD) {
			MUST(token.who.len == 0xee);
			continue;
		}
		MUST(n > 4 && n <= TOKEN_MAX);
		struct identity who;
		MUST(identity_parse(token.who.text, token.who.len, &who) && identity_equal(&who, &token.who));
		MUST(token.expires_s + TOKEN_LEEWAY_S >= NOW);
		/* any other byte in it, and it is good no more */
		char *other = malloc(n);
		MUST(other != NULL);
		memcpy(other, text, n);
		other[n / 2] = (char)(other[n / 2] ^ 1);
		MUST(token_verify(keys, &rules[i], NOW, other, n, &token) != TOKEN_GOOD);
		free(other);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	uint8_t what = fuzz_byte(&in) % 4;
	size_t n;
	uint8_t *bytes = fuzz_copy(&in, in.left, &n);
	if (what < 2) {
		check_keys(what == 0 ? TOKEN_KEYS_FILE : TOKEN_KEYS_JWKS, bytes, n);
	} else if (what == 2) {
		check_token((const char *)bytes, n);
	} else {
		size_t len;
		char *token = sign(bytes, n, &len);
		check_token(token, len);
		free(token);
	}
	free(bytes);
	return 0;
}
