/* cidr.c - addresses, lists of networks, and whose connection it is behind proxies. */
#include "common/cidr.h"

#include "tests/fuzz/fuzz.h"

#define LINES_MAX 8

static bool same(const struct address *a, const struct address *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void check_address(const struct address *a)
{
	struct address again;
	char text[ADDRESS_TEXT_MAX];
	address_format(a, text);
	MUST(strlen(text) < sizeof text && address_parse(text, strlen(text), &again) && same(a, &again));
	MUST(address_is_v4(a) == (strchr(text, ':') == NULL));
}

static void check_list(const struct cidr_list *list)
{
	MUST(list->count <= CIDR_LIST_MAX);
	for (size_t i = 0; i < list->count; i++) {
		const struct cidr *c = &list->ranges[i];
		char text[ADDRESS_TEXT_MAX + 8], base[ADDRESS_TEXT_MAX];
		struct cidr_list one;
		MUST(c->prefix <= 128 && cidr_list_has(list, &c->base));
		address_format(&c->base, base);
		bool v4 = address_is_v4(&c->base) && c->prefix >= 96;
		int n = snprintf(text, sizeof text, "%s/%d", base, v4 ? c->prefix - 96 : c->prefix);
		if (v4 || !address_is_v4(&c->base)) {
			MUST(cidr_list_parse(text, (size_t)n, &one) && one.count == 1);
			MUST(same(&one.ranges[0].base, &c->base) && one.ranges[0].prefix == c->prefix);
		}
	}
}

/* A list of proxies, the peer, and lines of X-Forwarded-For, with line ends between. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct address_line parts[2 + LINES_MAX] = {{NULL, 0}};
	const char *text = (const char *)data;
	size_t count = 0;
	for (size_t at = 0; at <= size && count < 2 + LINES_MAX; count++) {
		const char *end = at < size ? memchr(text + at, '\n', size - at) : NULL;
		size_t n = end != NULL ? (size_t)(end - text) - at : size - at;
		parts[count] = (struct address_line){text + at, n};
		at += n + 1;
	}
	static struct cidr_list list;
	struct address peer = {{0}};
	for (size_t i = 0; i < count; i++) {
		struct address a;
		if (address_parse(parts[i].at, parts[i].len, &a))
			check_address(&a);
	}
	if (!cidr_list_parse(parts[0].at, parts[0].len, &list))
		list.count = 0;
	check_list(&list);
	if (count < 2 || !address_parse(parts[1].at, parts[1].len, &peer))
		return 0;
	struct address client = cidr_client(&list, &peer, parts + 2, count - 2);
	check_address(&client);
	MUST(cidr_list_has(&list, &peer) || same(&client, &peer));
	return 0;
}
