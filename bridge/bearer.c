/* bearer.c - see bearer.h */
#include "bridge/bearer.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const char scheme[] = "bearer";
static const char parameter[] = "token=";

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* What stands behind the entry `bearer` of the list. */
static struct http_span of_subprotocols(struct http_span list)
{
	const struct http_span none = {NULL, 0};
	bool next = false;
	for (size_t at = 0; at < list.len;) {
		const char *comma = memchr(list.at + at, ',', list.len - at);
		size_t start = at, end = comma != NULL ? (size_t)(comma - list.at) : list.len;
		at = end + 1;
		while (start < end && is_blank(list.at[start]))
			start++;
		while (end > start && is_blank(list.at[end - 1]))
			end--;
		struct http_span entry = {list.at + start, end - start};
		if (next)
			return entry.len > 0 ? entry : none;
		next = http_span_is(entry, scheme);
	}
	return none;
}

static struct http_span of_authorization(struct http_span field)
{
	size_t at = sizeof scheme - 1;
	if (field.len <= at || strncasecmp(field.at, scheme, at) != 0 || !is_blank(field.at[at]))
		return (struct http_span){NULL, 0};
	while (at < field.len && is_blank(field.at[at]))
		at++;
	return (struct http_span){field.at + at, field.len - at};
}

static struct http_span of_query(struct http_span target)
{
	const char *mark = target.len > 0 ? memchr(target.at, '?', target.len) : NULL;
	size_t at = mark != NULL ? (size_t)(mark - target.at) + 1 : target.len;
	while (at < target.len) {
		const char *pair = target.at + at;
		const char *amp = memchr(pair, '&', target.len - at);
		size_t len = amp != NULL ? (size_t)(amp - pair) : target.len - at;
		if (len >= sizeof parameter - 1 && memcmp(pair, parameter, sizeof parameter - 1) == 0)
			return (struct http_span){pair + sizeof parameter - 1, len - (sizeof parameter - 1)};
		at += len + 1;
	}
	return (struct http_span){NULL, 0};
}

static enum bearer copy(struct http_span found, char out[BEARER_MAX], size_t *len)
{
	if (found.len > BEARER_MAX || memchr(found.at, '\0', found.len) != NULL)
		return BEARER_BAD;
	memcpy(out, found.at, found.len);
	*len = found.len;
	return found.len > 0 ? BEARER_FOUND : BEARER_NONE;
}

enum bearer bearer_find(const struct http_head *head, char out[BEARER_MAX], size_t *len)
{
	*len = 0;
	struct http_span found = of_subprotocols(head->websocket_protocol);
	if (found.at == NULL)
		found = of_authorization(head->authorization);
	if (found.at != NULL)
		return copy(found, out, len);
	found = of_query(head->target);
	if (found.at == NULL || found.len == 0)
		return BEARER_NONE;
	if (found.len > BEARER_MAX)
		return BEARER_BAD;
	long n = http_percent_decode(found.at, found.len, out);
	if (n <= 0 || memchr(out, '\0', (size_t)n) != NULL)
		return BEARER_BAD;
	*len = (size_t)n;
	return BEARER_FOUND;
}
