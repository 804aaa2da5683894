/*
 * base64url.h - the one way to write bytes in base64url that JOSE allows (RFC 7515, 2): no padding, no white
 * space, no other alphabet.
 *
 * Pure, no allocation.
 */
#ifndef CHAT_BASE64URL_H
#define CHAT_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that n characters can stand for, at most. */
#define BASE64URL_BYTES(n) ((n) / 4 * 3 + 2)

/* True, the bytes in out (BASE64URL_BYTES(n) of room) and their number in *len, when the n characters at s
 * are base64url. False for anything else, also where bits that stand for nothing are not zero: two texts
 * never mean the same bytes. out then holds rubbish. */
bool base64url_decode(const char *s, size_t n, void *out, size_t *len);

#endif
