/*
 * cidr.c - see cidr.h
 */
#include "cidr.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void trim(const char **s, size_t *n)
{
	while (*n > 0 && is_blank(**s)) {
		(*s)++;
		(*n)--;
	}
	while (*n > 0 && is_blank((*s)[*n - 1]))
		(*n)--;
}

/* The address alone. *v4: it was written as one of IPv4. */
static bool parse_plain(const char *s, size_t n, struct address *out, bool *v4)
{
	char text[ADDRESS_TEXT_MAX];

	if (n == 0 || n >= sizeof(text) || memchr(s, '\0', n))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	memcpy(out->bytes, mapped, sizeof(mapped));
	*v4 = inet_pton(AF_INET, text, out->bytes + 12) == 1;
	return *v4 || inet_pton(AF_INET6, text, out->bytes) == 1;
}

static bool digits(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return n > 0 && n <= 5;
}

bool address_parse(const char *s, size_t n, struct address *out)
{
	const char *bracket, *colon;
	size_t inner;
	bool v4;

	if (n > 0 && s[0] == '[') {
		bracket = memchr(s, ']', n);
		inner = bracket ? (size_t)(bracket - s) - 1 : 0;
		if (!bracket || !parse_plain(s + 1, inner, out, &v4) || v4)
			return false;
		n -= inner + 2;
		return n == 0 || (bracket[1] == ':' && digits(bracket + 2, n - 1));
	}
	colon = memchr(s, ':', n);
	if (colon && !memchr(colon + 1, ':', n - (size_t)(colon - s) - 1)) {
		/* one colon: IPv4 with a port */
		inner = (size_t)(colon - s);
		return parse_plain(s, inner, out, &v4) && v4 && digits(colon + 1, n - inner - 1);
	}
	return parse_plain(s, n, out, &v4);
}

struct address address_from_v4(const struct in_addr *v4)
{
	struct address a;

	memcpy(a.bytes, mapped, sizeof(mapped));
	memcpy(a.bytes + sizeof(mapped), v4, 4);
	return a;
}

bool address_is_v4(const struct address *a)
{
	return memcmp(a->bytes, mapped, sizeof(mapped)) == 0;
}

bool address_is_loopback(const struct address *a)
{
	static const struct address six = {.bytes = {[15] = 1}};

	return address_is_v4(a) ? a->bytes[12] == 127 : memcmp(a, &six, sizeof(six)) == 0;
}

void address_format(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
	bool v4 = address_is_v4(a);

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, a->bytes + (v4 ? 12 : 0), out, ADDRESS_TEXT_MAX))
		out[0] = '\0'; /* cannot happen: there is room */
}

/* Is everything behind the first `prefix` bits zero? */
static bool clean_behind(const struct address *a, unsigned prefix)
{
	unsigned i;

	for (i = prefix; i < 128; i++)
		if (a->bytes[i / 8] & (0x80u >> i % 8))
			return false;
	return true;
}

static bool parse_range(const char *s, size_t n, struct cidr *out)
{
	const char *slash = memchr(s, '/', n);
	size_t len = slash ? (size_t)(slash - s) : n, rest = slash ? n - len - 1 : 0, i;
	unsigned bits = 0, most;
	bool v4;

	if (!parse_plain(s, len, &out->base, &v4))
		return false;
	most = v4 ? 32 : 128;
	if (slash && (!digits(slash + 1, rest) || rest > 3))
		return false;
	for (i = 0; i < rest; i++)
		bits = bits * 10 + (unsigned)(slash[1 + i] - '0');
	if (!slash)
		bits = most;
	if (bits > most)
		return false;
	out->prefix = (uint8_t)(v4 ? bits + 96 : bits);
	return clean_behind(&out->base, out->prefix);
}

bool cidr_list_parse(const char *s, size_t n, struct cidr_list *out)
{
	size_t at = 0;

	out->count = 0;
	trim(&s, &n);
	while (at < n || (at == n && n > 0)) {
		const char *comma = memchr(s + at, ',', n - at);
		const char *item = s + at;
		size_t len = comma ? (size_t)(comma - item) : n - at;

		at += len + 1;
		trim(&item, &len);
		if (out->count == CIDR_LIST_MAX || !parse_range(item, len, &out->ranges[out->count]))
			return false;
		out->count++;
		if (!comma)
			break;
	}
	return true;
}

static bool contains(const struct cidr *range, const struct address *a)
{
	unsigned whole = range->prefix / 8, rest = range->prefix % 8;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	return memcmp(range->base.bytes, a->bytes, whole) == 0 &&
	       (rest == 0 || (a->bytes[whole] & mask) == range->base.bytes[whole]);
}

bool cidr_list_has(const struct cidr_list *list, const struct address *a)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (contains(&list->ranges[i], a))
			return true;
	return false;
}

struct address cidr_client(const struct cidr_list *proxies, const struct address *peer,
                           const struct address_line *lines, size_t count)
{
	struct address client = *peer;

	while (count > 0 && cidr_list_has(proxies, &client)) {
		const struct address_line *line = &lines[--count];
		size_t end = line->len;

		while (cidr_list_has(proxies, &client)) {
			size_t start = end;
			const char *item;
			struct address next;

			while (start > 0 && line->at[start - 1] != ',')
				start--;
			item = line->at + start;
			end -= start;
			trim(&item, &end);
			if (!address_parse(item, end, &next))
				return client;
			client = next;
			if (start == 0)
				break;
			end = start - 1;
		}
	}
	return client;
}
