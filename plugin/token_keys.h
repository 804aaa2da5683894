/*
 * token_keys.h - the keys that tokens are verified with.
 *
 * The kind of a key decides which algorithms it is good for:
 *
 *   secret         HS256; HS384 from 48 bytes on, HS512 from 64 on (RFC 7518, 3.2)
 *   RSA            RS256, RS384, RS512, PS256, PS384, PS512
 *   EC P-256       ES256
 *   EC P-384       ES384
 *   EC P-521       ES512
 *
 * and a key set may narrow that down further (alg). So a public key never serves as a secret.
 *
 * No I/O: files are the caller's. The keys are read once and owned by struct token_keys; nothing changes them
 * afterwards. For one thread at a time, for the library counts references without locks.
 */
#ifndef CHAT_TOKEN_KEYS_H
#define CHAT_TOKEN_KEYS_H

#include <stddef.h>

#define TOKEN_KEYS_MAX 16
#define TOKEN_KEYS_BYTES_MAX 65536 /* of a file with keys */
#define TOKEN_KID_MAX 256          /* bytes of a key's name */
#define TOKEN_SECRET_MIN 32        /* bytes */
#define TOKEN_SECRET_MAX 1024
#define TOKEN_RSA_BITS_MIN 2048
#define TOKEN_RSA_BITS_MAX 8192 /* what one verification may cost */

struct token_keys;

enum token_keys_format {
	/* One or more "PUBLIC KEY" blocks of PEM with any text between them; or, where there is no PEM in it, one
	 * secret: text of one line, whose line end is not part of it, or any bytes. What looks like a key of
	 * another kind (DER, base64 of it, SSH, JSON) is never taken for a secret: public keys are public. */
	TOKEN_KEYS_FILE,
	/* A JSON Web Key Set (RFC 7517). Keys that are not for verifying or of a kind not known here are passed
	 * over. Keys with a kid answer to that name. */
	TOKEN_KEYS_JWKS,
};

/* The keys in the len bytes at bytes, owned by the caller; or NULL and in *why what is wrong, a static text
 * that fits behind a file's name and a colon. All or nothing: one key too weak, private or broken refuses the
 * file. */
struct token_keys *token_keys_load(enum token_keys_format format, const void *bytes, size_t len,
                                   const char **why);

/* How many there are, and how many of a key set were passed over. */
size_t token_keys_count(const struct token_keys *keys);
size_t token_keys_passed_over(const struct token_keys *keys);

/* NULL is fine. */
void token_keys_free(struct token_keys *keys);

#endif
