/*
 * token.h - is this token good, for whom, until when.
 *
 * A token is a JWT (RFC 7519) in the compact form of JWS (RFC 7515), three parts joined by dots. Which
 * algorithms may sign one is decided by the operator's keys (token_keys.h) and never by the token. Nothing of
 * the claims is looked at before the signature is good.
 *
 * Pure: no I/O, no clock; time is passed in. For one thread at a time. OpenSSL's error queue is left as it
 * was, which the broker's own TLS connections depend on.
 */
#ifndef CHAT_TOKEN_H
#define CHAT_TOKEN_H

#include "common/identity.h"
#include "token_keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_MAX 8192    /* bytes of a token */
#define TOKEN_LEEWAY_S 30 /* by how much clocks may differ */
#define TOKEN_MODERATOR "moderator"
#define TOKEN_EMAIL "email" /* the claim that says who, where the rules name no other */

/* Why a token is refused. The first fault in the order of the checks is the one that is named. */
enum token_fault {
	TOKEN_GOOD,
	TOKEN_MALFORMED,   /* no JWS of three parts, no strict base64url or JSON, a member twice, too long; or a
	                    * claim or header that is read here is of a wrong type */
	TOKEN_UNSUPPORTED, /* its header asks for what is not done here: crit, b64, a typ other than a JWT's */
	TOKEN_ALGORITHM_NOT_ALLOWED, /* no key (of that name) is one for its alg; also none and unknown ones */
	TOKEN_UNKNOWN_KEY,           /* its kid is the name of no key */
	TOKEN_BAD_SIGNATURE,
	TOKEN_MISSING_CLAIM, /* exp, the address, or iss or aud where they are required */
	TOKEN_EXPIRED,
	TOKEN_NOT_YET_VALID, /* nbf or iat are ahead */
	TOKEN_WRONG_ISSUER,
	TOKEN_WRONG_AUDIENCE,
	TOKEN_NOT_AN_ADDRESS,
	TOKEN_UNVERIFIED_ADDRESS, /* email_verified says so */
	TOKEN_FAULTS
};

/* What is asked of the claims. Texts are NUL-terminated and borrowed for the call. */
struct token_rules {
	const char *issuer;      /* iss must be this; NULL: iss is not looked at */
	const char *audience;    /* aud must be this or hold it; NULL: a token with an aud is refused, for it is
	                            somebody else's */
	const char *email_claim; /* the claim that holds the address; NULL: TOKEN_EMAIL */
	const char *role_claim;  /* the claim that holds a role, or an array of them; NULL: none is looked at */
};

/* What a good token says. */
struct token {
	struct identity who; /* normalised */
	int64_t expires_s;   /* exp, in seconds since 1970 and rounded down; it is good for TOKEN_LEEWAY_S more */
	bool moderator;      /* TOKEN_MODERATOR is the role, or among them */
};

/* TOKEN_GOOD and *out filled when the len bytes at text are a good token at the time now_s (seconds since
 * 1970); else why not, and *out untouched. Takes memory in proportion to len, and none before len is within
 * TOKEN_MAX; gives all of it back. */
enum token_fault token_verify(const struct token_keys *keys, const struct token_rules *rules, int64_t now_s,
                              const char *text, size_t len, struct token *out);

/* "bad_signature" and so on: for logs, answers and counters. Static, and nothing of any token's text. */
const char *token_fault_name(enum token_fault fault);

#endif
