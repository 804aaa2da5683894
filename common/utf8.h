/*
 * utf8.h - UTF-8 by RFC 3629 (no surrogates, no overlong forms, at most U+10FFFF). Pure.
 */
#ifndef CHAT_UTF8_H
#define CHAT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the character at s (n bytes left, n > 0). Returns its length 1 to 4, or 0 when ill-formed. */
size_t utf8_decode(const char *s, size_t n, uint32_t *code);

/* Encodes a Unicode scalar value. Returns 1 to 4; 0 for a surrogate or a value beyond U+10FFFF. */
size_t utf8_encode(uint32_t code, char out[4]);

/* True when all n bytes are well-formed; *chars (may be NULL) gets the number of scalar values. */
bool utf8_valid(const char *s, size_t n, size_t *chars);

/* The Unicode property White_Space (25 code points, Unicode 15 PropList.txt). */
bool unicode_white_space(uint32_t code);

#endif
