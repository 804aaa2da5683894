/*
 * bearer.h - what a request shows of who asks: its token, or its password.
 *
 * Three places, the first of which that holds one counts: Sec-WebSocket-Protocol: bearer, TOKEN (a page
 * cannot set other fields of a WebSocket), Authorization: Bearer TOKEN, and token=TOKEN in the query, which
 * is the worst one, since proxies log it. Pure; nothing is judged here.
 */
#ifndef CHAT_BRIDGE_BEARER_H
#define CHAT_BRIDGE_BEARER_H

#include "bridge/http_head.h"

#include <stddef.h>

#define BEARER_MAX 8192 /* bytes */

enum bearer {
	BEARER_NONE,
	BEARER_FOUND,
	BEARER_BAD, /* longer, badly percent-encoded, or with a NUL in it */
};

/* Writes it to out, not terminated, and its length to *len (0 unless it is found). */
enum bearer bearer_find(const struct http_head *head, char out[BEARER_MAX], size_t *len);

#endif
