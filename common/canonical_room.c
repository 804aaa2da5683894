/*
 * canonical_room.c - see canonical_room.h
 */
#include "canonical_room.h"

#include "ulid.h"

#include <string.h>

/* Takes text off the front. */
static bool skip(const char **at, const char *end, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0)
		return false;
	*at += len;
	return true;
}

/* {"id":"…","sender":"…","room":"…": addresses and names of rooms are never escaped. */
bool canonical_room_find(const char *body, size_t len, size_t *at, size_t *room_len)
{
	const char *here = body, *end = body + len, *quote;

	if (len == 0 || !skip(&here, end, "{\"id\":\"") || (size_t)(end - here) < ULID_LEN)
		return false;
	here += ULID_LEN;
	if (!skip(&here, end, "\",\"sender\":\""))
		return false;
	quote = memchr(here, '"', (size_t)(end - here));
	if (!quote)
		return false;
	here = quote;
	if (!skip(&here, end, "\",\"room\":\""))
		return false;
	quote = memchr(here, '"', (size_t)(end - here));
	if (!quote)
		return false;
	*at = (size_t)(here - body);
	*room_len = (size_t)(quote - here);
	return true;
}

bool canonical_room_differs(const char *body, size_t len, const char *room, size_t room_len)
{
	size_t at, own;

	return canonical_room_find(body, len, &at, &own) &&
	       (own != room_len || memcmp(body + at, room, room_len) != 0);
}

size_t canonical_room_put(const char *body, size_t len, const char *room, size_t room_len, char *out)
{
	size_t at, own;

	if (!canonical_room_find(body, len, &at, &own))
		return 0;
	memcpy(out, body, at);
	memcpy(out + at, room, room_len);
	memcpy(out + at + room_len, body + at + own, len - at - own);
	return len - own + room_len;
}
