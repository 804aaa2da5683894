/*
 * token.c - three parts, the header, the signature, the claims; in that order, for whoever sends a token may
 * write anything into it, and only a good signature says that somebody who may has written the claims.
 */
#include "token_keys_inner.h"

#include "base64url.h"

#include <string.h>
#include <strings.h>

#define TIME_MAX INT64_C(253402300799) /* the last second of the year 9999: milliseconds lie beyond */
#define EXPONENT_MAX 100000 /* beyond which no more digits are read: a token has not as many of its own */
#define TYPE_MAX (6 * sizeof("application/at+jwt")) /* the longest typ there is, each character as \u00xx */

/* The parts of a token as they are written. */
struct parts {
	const char *header, *claims, *signature;
	size_t header_len, claims_len, signature_len;
};

/* A part decoded. */
struct bytes {
	size_t len;
	char text[BASE64URL_BYTES(TOKEN_MAX)];
};

static bool split(const char *text, size_t len, struct parts *out)
{
	const char *end = text + len;
	const char *first = memchr(text, '.', len);
	const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;

	if (!second)
		return false;
	*out = (struct parts){.header = text,
	                      .claims = first + 1,
	                      .signature = second + 1,
	                      .header_len = (size_t)(first - text),
	                      .claims_len = (size_t)(second - first - 1),
	                      .signature_len = (size_t)(end - second - 1)};
	return true;
}

static bool decode(const char *part, size_t part_len, struct bytes *out)
{
	return base64url_decode(part, part_len, out->text, &out->len);
}

/* Is it the type of a JWT, in the letters of either case? */
static bool is_token_type(const struct json_member *typ)
{
	static const char *const types[] = {"JWT", "at+jwt", "application/jwt", "application/at+jwt"};
	char plain[TYPE_MAX + 1];
	size_t len;

	if (typ->value_len > TYPE_MAX)
		return false;
	len = json_unescape(typ->value, typ->value_len, plain);
	plain[len] = '\0';
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strlen(types[i]) == len && strcasecmp(types[i], plain) == 0)
			return true;
	}
	return false;
}

static enum token_fault check_header(const struct json_object *header, enum token_alg *alg,
                                     const struct json_member **kid)
{
	const struct json_member *alg_member = json_object_get(header, "alg");
	const struct json_member *typ = json_object_get(header, "typ");

	*kid = json_object_get(header, "kid");
	if (!alg_member || alg_member->type != JSON_STRING)
		return TOKEN_MALFORMED;
	if ((typ && typ->type != JSON_STRING) || (*kid && (*kid)->type != JSON_STRING))
		return TOKEN_MALFORMED;
	/* b64 stands in crit as well where it is used as its RFC 7797 says */
	if (json_object_get(header, "crit") || json_object_get(header, "b64") || (typ && !is_token_type(typ)))
		return TOKEN_UNSUPPORTED;
	*alg = token_alg_of(alg_member);
	return *alg == TOKEN_ALGS ? TOKEN_ALGORITHM_NOT_ALLOWED : TOKEN_GOOD;
}

static bool is_digit(const char *at, const char *end)
{
	return at < end && *at >= '0' && *at <= '9';
}

/* A decimal number: its digits, a point among them, and how many of them stand before the point once the
 * exponent has moved it. */
struct decimal {
	const char *digits, *end;
	int64_t before_point;
	bool negative;
};

static struct decimal read_decimal(const struct json_member *m)
{
	const char *end = m->value + m->value_len;
	struct decimal d = {.digits = m->value, .end = end, .negative = m->value[0] == '-'};
	int64_t exponent = 0;
	const char *at;
	bool minus;

	d.digits += d.negative;
	for (at = d.digits; is_digit(at, end); at++)
		d.before_point++;
	if (at < end && *at == '.') {
		for (at++; is_digit(at, end); at++)
			;
	}
	d.end = at;
	if (at < end) { /* on its e */
		at++;
		minus = *at == '-';
		at += *at == '-' || *at == '+';
		for (; is_digit(at, end); at++)
			exponent = exponent < EXPONENT_MAX ? exponent * 10 + (*at - '0') : exponent;
		d.before_point += minus ? -exponent : exponent;
	}
	return d;
}

/* The JSON number rounded down, exactly. False beyond TIME_MAX. Not strtod(): its point is the locale's, and
 * a fraction of a second must not make one more or less. */
static bool round_down(const struct json_member *m, int64_t *out)
{
	struct decimal d = read_decimal(m);
	bool fraction = false;
	int64_t value = 0, place = 0;

	for (const char *at = d.digits; at < d.end && value <= TIME_MAX; at++) {
		if (*at == '.')
			continue;
		if (place++ < d.before_point)
			value = value * 10 + (*at - '0');
		else
			fraction = fraction || *at != '0';
	}
	for (; place < d.before_point && value > 0 && value <= TIME_MAX; place++)
		value *= 10;
	*out = d.negative ? -value - fraction : value;
	return value <= TIME_MAX;
}

/* A NumericDate in whole seconds, rounded down. *out is untouched where there is no such claim. */
static enum token_fault read_time(const struct json_object *claims, const char *name, int64_t *out)
{
	const struct json_member *m = json_object_get(claims, name);

	if (!m)
		return TOKEN_MISSING_CLAIM;
	return m->type == JSON_NUMBER && round_down(m, out) ? TOKEN_GOOD : TOKEN_MALFORMED;
}

static enum token_fault check_times(const struct json_object *claims, int64_t now_s, int64_t *expires_s)
{
	static const char *const beginnings[] = {"nbf", "iat"};
	enum token_fault fault = read_time(claims, "exp", expires_s);

	if (fault)
		return fault;
	if (now_s >= *expires_s + TOKEN_LEEWAY_S)
		return TOKEN_EXPIRED;
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
		int64_t begins_s = 0;

		fault = read_time(claims, beginnings[i], &begins_s);
		if (fault == TOKEN_MISSING_CLAIM)
			continue;
		if (fault)
			return fault;
		if (begins_s > now_s + TOKEN_LEEWAY_S)
			return TOKEN_NOT_YET_VALID;
	}
	return TOKEN_GOOD;
}

static enum token_fault check_issuer(const struct json_object *claims, const char *issuer)
{
	const struct json_member *iss = json_object_get(claims, "iss");

	if (!issuer)
		return TOKEN_GOOD;
	if (!iss)
		return TOKEN_MISSING_CLAIM;
	return json_member_is(iss, issuer) ? TOKEN_GOOD : TOKEN_WRONG_ISSUER;
}

static enum token_fault check_audience(const struct json_object *claims, const char *audience)
{
	const struct json_member *aud = json_object_get(claims, "aud");
	struct json_reader reader;
	struct json_member one;
	bool meant = false;

	if (!aud)
		return audience ? TOKEN_MISSING_CLAIM : TOKEN_GOOD;
	if (aud->type == JSON_STRING)
		return audience && json_member_is(aud, audience) ? TOKEN_GOOD : TOKEN_WRONG_AUDIENCE;
	if (aud->type != JSON_ARRAY)
		return TOKEN_MALFORMED;
	json_array_start(&reader, aud->value, aud->value_len);
	while (json_array_next(&reader, &one) == JSON_MEMBER) {
		if (one.type != JSON_STRING)
			return TOKEN_MALFORMED;
		meant = meant || (audience && json_member_is(&one, audience));
	}
	return meant ? TOKEN_GOOD : TOKEN_WRONG_AUDIENCE;
}

/* Some issuers write the word as a string. */
static bool is_true(const struct json_member *m)
{
	return m->type == JSON_TRUE || json_member_is(m, "true");
}

static enum token_fault check_address(const struct json_object *claims, const char *name,
                                      struct identity *who)
{
	const struct json_member *address = json_object_get(claims, name);
	const struct json_member *verified = json_object_get(claims, "email_verified");
	char plain[6 * IDENTITY_MAX]; /* each character as \u00xx */

	if (!address)
		return TOKEN_MISSING_CLAIM;
	if (address->type != JSON_STRING || address->value_len > sizeof(plain))
		return TOKEN_NOT_AN_ADDRESS;
	/* It speaks of this claim and of no other (OpenID Connect Core 1.0, 5.1). */
	if (verified && strcmp(name, TOKEN_EMAIL) == 0 && !is_true(verified))
		return TOKEN_UNVERIFIED_ADDRESS;
	if (!identity_parse(plain, json_unescape(address->value, address->value_len, plain), who))
		return TOKEN_NOT_AN_ADDRESS;
	return TOKEN_GOOD;
}

/* A role of another kind than text is nobody's: it gives nothing, and the token stays a good one. */
static bool has_role(const struct json_object *claims, const char *name, const char *role)
{
	const struct json_member *m = name ? json_object_get(claims, name) : NULL;
	struct json_reader reader;
	struct json_member one;
	bool has = false;

	if (!m || m->type != JSON_ARRAY)
		return m && json_member_is(m, role);
	json_array_start(&reader, m->value, m->value_len);
	while (json_array_next(&reader, &one) == JSON_MEMBER)
		has = has || json_member_is(&one, role);
	return has;
}

static enum token_fault check_claims(const struct json_object *claims, const struct token_rules *rules,
                                     int64_t now_s, struct token *out)
{
	enum token_fault fault = check_times(claims, now_s, &out->expires_s);

	if (!fault)
		fault = check_issuer(claims, rules->issuer);
	if (!fault)
		fault = check_audience(claims, rules->audience);
	if (!fault)
		fault = check_address(claims, rules->email_claim ? rules->email_claim : TOKEN_EMAIL, &out->who);
	out->moderator = has_role(claims, rules->role_claim, TOKEN_MODERATOR);
	return fault;
}

enum token_fault token_verify(const struct token_keys *keys, const struct token_rules *rules, int64_t now_s,
                              const char *text, size_t len, struct token *out)
{
	struct bytes header, claims, signature;
	const struct json_member *kid;
	struct json_object object;
	enum token_fault fault;
	enum token_alg alg;
	struct parts parts;
	struct token token;

	/* All three, before the library sees any: it does not bear everything as base64. */
	if (len > TOKEN_MAX || !split(text, len, &parts) || !decode(parts.header, parts.header_len, &header) ||
	    !decode(parts.claims, parts.claims_len, &claims) ||
	    !decode(parts.signature, parts.signature_len, &signature) ||
	    !json_object_read(&object, header.text, header.len))
		return TOKEN_MALFORMED;
	fault = check_header(&object, &alg, &kid);
	if (!fault)
		fault = token_keys_check(keys, alg, kid, text, len, signature.len);
	if (fault)
		return fault;

	if (!json_object_read(&object, claims.text, claims.len))
		return TOKEN_MALFORMED;
	fault = check_claims(&object, rules, now_s, &token);
	if (!fault)
		*out = token;
	return fault;
}

const char *token_fault_name(enum token_fault fault)
{
	static const char *const names[TOKEN_FAULTS] = {
	    [TOKEN_GOOD] = "good",
	    [TOKEN_MALFORMED] = "malformed",
	    [TOKEN_UNSUPPORTED] = "unsupported",
	    [TOKEN_ALGORITHM_NOT_ALLOWED] = "algorithm_not_allowed",
	    [TOKEN_UNKNOWN_KEY] = "unknown_key",
	    [TOKEN_BAD_SIGNATURE] = "bad_signature",
	    [TOKEN_MISSING_CLAIM] = "missing_claim",
	    [TOKEN_EXPIRED] = "expired",
	    [TOKEN_NOT_YET_VALID] = "not_yet_valid",
	    [TOKEN_WRONG_ISSUER] = "wrong_issuer",
	    [TOKEN_WRONG_AUDIENCE] = "wrong_audience",
	    [TOKEN_NOT_AN_ADDRESS] = "not_an_address",
	    [TOKEN_UNVERIFIED_ADDRESS] = "unverified_address",
	};

	return names[fault];
}
