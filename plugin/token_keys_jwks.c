/*
 * token_keys_jwks.c - JSON Web Key Sets (RFC 7517), with the strict reader.
 *
 * A set lists whatever its issuer has, so what is for something else or of a kind not known here is passed
 * over, as the RFC says. What claims to be a key for us must be one.
 */
#include "token_keys_inner.h"

#include "base64url.h"

#include <string.h>

#define MALFORMED "no JSON Web Key Set: it is an object with a list \"keys\" of objects"
#define BAD_MEMBER "a member of a key is missing, not a string or not base64url"

/* Base64url of a member, at most: an RSA modulus of 8192 bits with room to see that a longer one is too long.
 */
#define NUMBER_MAX 1536

struct number {
	size_t len;
	uint8_t bytes[BASE64URL_BYTES(NUMBER_MAX)];
};

static bool read_number(const struct json_object *key, const char *name, struct number *out)
{
	const struct json_member *m = json_object_get(key, name);

	/* base64url has nothing to escape */
	return m && m->type == JSON_STRING && !m->value_escaped && m->value_len > 0 &&
	       m->value_len <= NUMBER_MAX && base64url_decode(m->value, m->value_len, out->bytes, &out->len);
}

/* The key's name in out; NULL in use->kid where it has none. */
static bool read_kid(const struct json_object *key, char out[TOKEN_KID_MAX + 1], struct token_key_use *use)
{
	const struct json_member *m = json_object_get(key, "kid");
	size_t len;

	use->kid = NULL;
	if (!m)
		return true;
	if (m->type != JSON_STRING || m->value_len > TOKEN_KID_MAX)
		return false;
	len = json_unescape(m->value, m->value_len, out);
	out[len] = '\0';
	use->kid = out;
	return strlen(out) == len;
}

/* Does the list hold "verify"? */
static bool may_verify(const struct json_member *key_ops)
{
	struct json_reader reader;
	struct json_member op;
	bool may = false;

	json_array_start(&reader, key_ops->value, key_ops->value_len);
	while (json_array_next(&reader, &op) == JSON_MEMBER)
		may = may || json_member_is(&op, "verify");
	return may;
}

/* False where the key is for something else; else which algorithms it is narrowed down to. */
static bool is_for_tokens(const struct json_object *key, struct token_key_use *use)
{
	const struct json_member *purpose = json_object_get(key, "use");
	const struct json_member *key_ops = json_object_get(key, "key_ops");
	const struct json_member *alg = json_object_get(key, "alg");
	enum token_alg one;

	if (purpose && !json_member_is(purpose, "sig"))
		return false;
	if (key_ops && !may_verify(key_ops))
		return false;
	use->algs = TOKEN_ALGS_ALL;
	if (alg) {
		one = token_alg_of(alg);
		if (one == TOKEN_ALGS)
			return false;
		use->algs = 1U << one;
	}
	return true;
}

/* Is there anything in it that only its owner should know? */
static bool is_private(const struct json_object *key)
{
	static const char *const members[] = {"d", "p", "q", "dp", "dq", "qi", "oth"};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (json_object_get(key, members[i]))
			return true;
	}
	return false;
}

static const char *add_secret(struct token_keys *keys, const struct json_object *key,
                              const struct token_key_use *use)
{
	struct number k;
	const char *why = BAD_MEMBER;

	if (read_number(key, "k", &k))
		why = token_keys_add_secret(keys, k.bytes, k.len, use);
	explicit_bzero(&k, sizeof(k));
	return why;
}

static const char *add_rsa(struct token_keys *keys, const struct json_object *key,
                           const struct token_key_use *use)
{
	struct number n, e;

	if (!read_number(key, "n", &n) || !read_number(key, "e", &e))
		return BAD_MEMBER;
	return token_keys_add_rsa(keys, n.bytes, n.len, e.bytes, e.len, use);
}

static const char *add_ec(struct token_keys *keys, const struct json_object *key,
                          const struct token_key_use *use)
{
	static const struct {
		const char *name;
		int bits;
	} curves[] = {{"P-256", 256}, {"P-384", 384}, {"P-521", 521}};
	const struct json_member *crv = json_object_get(key, "crv");
	struct number x, y;

	for (size_t i = 0; crv && i < sizeof(curves) / sizeof(curves[0]); i++) {
		size_t bytes = TOKEN_EC_BYTES(curves[i].bits);

		if (!json_member_is(crv, curves[i].name))
			continue;
		if (!read_number(key, "x", &x) || !read_number(key, "y", &y) || x.len != bytes || y.len != bytes)
			return BAD_MEMBER;
		return token_keys_add_ec(keys, curves[i].bits, x.bytes, y.bytes, use);
	}
	token_keys_pass_over(keys);
	return NULL;
}

static const char *add_key(struct token_keys *keys, const char *text, size_t len)
{
	char kid[TOKEN_KID_MAX + 1];
	struct token_key_use use;
	struct json_object key;
	const struct json_member *kty;

	if (!json_object_read(&key, text, len))
		return "a key is no JSON object, has a member twice or more than 64 members";
	kty = json_object_get(&key, "kty");
	if (!kty || kty->type != JSON_STRING)
		return "a key without kty";
	if (!json_member_is(kty, "oct") && is_private(&key))
		return TOKEN_KEYS_PRIVATE;
	if (is_for_tokens(&key, &use)) {
		if (!read_kid(&key, kid, &use))
			return "the kid of a key is no text of at most 256 bytes";
		if (json_member_is(kty, "oct"))
			return add_secret(keys, &key, &use);
		if (json_member_is(kty, "RSA"))
			return add_rsa(keys, &key, &use);
		if (json_member_is(kty, "EC"))
			return add_ec(keys, &key, &use);
	}
	token_keys_pass_over(keys);
	return NULL;
}

const char *token_keys_read_jwks(struct token_keys *keys, const char *text, size_t len)
{
	const struct json_member *list;
	struct json_object set;
	struct json_reader reader;
	struct json_member element;
	const char *why = NULL;

	if (!json_object_read(&set, text, len))
		return MALFORMED;
	list = json_object_get(&set, "keys");
	if (!list || list->type != JSON_ARRAY)
		return MALFORMED;
	json_array_start(&reader, list->value, list->value_len);
	while (!why && json_array_next(&reader, &element) == JSON_MEMBER)
		why = element.type == JSON_OBJECT ? add_key(keys, element.value, element.value_len) : MALFORMED;
	return why;
}
