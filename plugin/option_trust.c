/*
 * option_trust.c - the readers of the options that say whom this broker trusts.
 */
#include "option_trust.h"

#include "common/cidr.h"
#include "common/identity.h"

#include <string.h>

/* Kept as identities are compared. */
const char *option_read_moderators(const char *v, struct options *o)
{
	char *out = o->moderators;
	struct identity who;
	const char *end;
	size_t n;

	if (strlen(v) > MODERATORS_BYTES)
		return "at most 4096 bytes are expected";
	*out = '\0';
	if (strcmp(v, "none") == 0)
		return NULL;
	for (;; v = end + 1) {
		v += strspn(v, " \t");
		end = strchr(v, ',');
		if (!end)
			end = v + strlen(v);
		n = (size_t)(end - v);
		while (n > 0 && (v[n - 1] == ' ' || v[n - 1] == '\t'))
			n--;
		if (!identity_parse(v, n, &who))
			return "`none`, or addresses joined by commas are expected, such as "
			       "alice@example.com,bob@example.com";
		if (out != o->moderators)
			*out++ = ',';
		memcpy(out, who.text, (size_t)who.len + 1);
		out += who.len;
		if (*end == '\0')
			return NULL;
	}
}

const char *option_read_moderation_file(const char *v, struct options *o)
{
	if (v[0] != '/' || strlen(v) >= sizeof(o->moderation_file))
		return "an absolute path is expected";
	memcpy(o->moderation_file, v, strlen(v) + 1);
	return NULL;
}

/* scheme://host or scheme://host:port as a browser sends it: lower case, no path. */
static bool origin_valid(const char *s, size_t n)
{
	static const char *const schemes[] = {"http://", "https://"};
	size_t i, skip = 0;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (n > strlen(schemes[i]) && strncmp(s, schemes[i], strlen(schemes[i])) == 0)
			skip = strlen(schemes[i]);
	if (skip == 0)
		return false;
	for (i = skip; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || memchr("-._:[]", s[i], 6)))
			return false;
	return true;
}

const char *option_read_allowed_origins(const char *v, struct options *o)
{
	static const char expected[] = "`*`, `none`, or exact origins joined by commas are expected, such as "
	                               "https://chat.example.org (lower case, no path)";
	char *out = o->allowed_origins;
	const char *end;
	size_t n;

	if (strlen(v) > ORIGINS_MAX)
		return "at most 4096 bytes are expected";
	*out = '\0';
	if (strcmp(v, "none") == 0)
		return NULL;
	if (strcmp(v, "*") == 0) {
		memcpy(out, "*", 2);
		return NULL;
	}
	for (;; v = end + 1) {
		v += strspn(v, " \t");
		end = strchr(v, ',');
		if (!end)
			end = v + strlen(v);
		n = (size_t)(end - v);
		while (n > 0 && (v[n - 1] == ' ' || v[n - 1] == '\t'))
			n--;
		if (!origin_valid(v, n))
			return expected;
		if (out != o->allowed_origins)
			*out++ = ',';
		memcpy(out, v, n);
		out += n;
		*out = '\0';
		if (*end == '\0')
			return NULL;
	}
}

static const char *read_ranges(const char *v, char out[PROXIES_MAX + 1])
{
	struct cidr_list list;

	if (strlen(v) > PROXIES_MAX || !cidr_list_parse(v, strlen(v), &list) || list.count == 0)
		return "addresses or ranges of them are expected, with commas between, such as 127.0.0.1,10.0.0.0/8";
	memcpy(out, v, strlen(v) + 1);
	return NULL;
}

const char *option_read_trusted_proxies(const char *v, struct options *o)
{
	return read_ranges(v, o->trusted_proxies);
}

const char *option_read_metrics_allow(const char *v, struct options *o)
{
	return read_ranges(v, o->metrics_allow);
}

static bool link_name_valid(const char *s, size_t n, size_t max)
{
	/* No '@' and no '$': never an address, never the bridges' own. */
	return n > 0 && n <= max && node_name_valid(s, n);
}

const char *option_read_node(const char *v, struct options *o)
{
	if (!link_name_valid(v, strlen(v), NODE_NAME_MAX))
		return "a name of 1 to 32 of A-Z a-z 0-9 - _ . is expected, another one for each node";
	memcpy(o->node, v, strlen(v) + 1);
	return NULL;
}

const char *option_read_peers(const char *v, struct options *o)
{
	static const char expected[] =
	    "1 to 64 different user names of links are expected, of 1 to 64 of A-Z a-z 0-9 - _ . "
	    "each, with commas between";
	uint32_t i;
	size_t n;

	for (o->peer_count = 0;; o->peer_count++) {
		v += strspn(v, " \t");
		n = strcspn(v, ", \t");
		if (o->peer_count == PEERS_MAX || !link_name_valid(v, n, PEER_NAME_MAX))
			return expected;
		memcpy(o->peers[o->peer_count], v, n);
		o->peers[o->peer_count][n] = '\0';
		for (i = 0; i < o->peer_count; i++)
			if (strcmp(o->peers[i], o->peers[o->peer_count]) == 0)
				return expected;
		v += n;
		v += strspn(v, " \t");
		if (*v == '\0')
			break;
		if (*v++ != ',')
			return expected;
	}
	o->peer_count++;
	return NULL;
}
