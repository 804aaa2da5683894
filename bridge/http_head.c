/* http_head.c - see http_head.h */
#include "bridge/http_head.h"
#include "common/hex.h"

#include <string.h>
#include <strings.h>

/* tchar of RFC 9110 5.6.2 */
static bool is_token_char(unsigned char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_value_char(unsigned char c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static bool span_iequals(const char *at, size_t len, const char *text)
{
	return len == strlen(text) && strncasecmp(at, text, len) == 0;
}

bool http_span_is(struct http_span s, const char *text)
{
	return s.at != NULL && s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

/* The next entry of a comma-separated list without the blanks around it; *at goes on behind it. */
static bool next_entry(struct http_span list, size_t *at, struct http_span *entry)
{
	if (*at >= list.len)
		return false;
	size_t start = *at, end = start;
	while (end < list.len && list.at[end] != ',')
		end++;
	*at = end + 1;
	while (start < end && (list.at[start] == ' ' || list.at[start] == '\t'))
		start++;
	while (end > start && (list.at[end - 1] == ' ' || list.at[end - 1] == '\t'))
		end--;
	*entry = (struct http_span){list.at + start, end - start};
	return true;
}

bool http_list_has(struct http_span list, const char *token)
{
	struct http_span entry;
	for (size_t at = 0; next_entry(list, &at, &entry);)
		if (span_iequals(entry.at, entry.len, token))
			return true;
	return false;
}

const char *http_list_first(struct http_span list, const char *const *names)
{
	struct http_span entry;
	for (size_t at = 0; next_entry(list, &at, &entry);)
		for (size_t i = 0; names[i] != NULL; i++)
			if (http_span_is(entry, names[i]))
				return names[i];
	return NULL;
}

/* [ W/ ] DQUOTE etagc* DQUOTE (RFC 9110 8.8.3): the tag at *at without W/, and *at behind it. At NULL: none
 * is there. */
static struct http_span next_etag(struct http_span field, size_t *at)
{
	size_t i = *at;
	if (field.len - i >= 2 && field.at[i] == 'W' && field.at[i + 1] == '/')
		i += 2;
	size_t start = i;
	if (i == field.len || field.at[i++] != '"')
		return (struct http_span){NULL, 0};
	while (i < field.len && field.at[i] != '"' && (unsigned char)field.at[i] > 0x20)
		i++;
	if (i == field.len || field.at[i++] != '"')
		return (struct http_span){NULL, 0};
	*at = i;
	return (struct http_span){field.at + start, i - start};
}

bool http_etag_listed(struct http_span field, const char *etag)
{
	if (http_span_is(field, "*"))
		return true;
	for (size_t i = 0; i < field.len;) {
		while (i < field.len && (field.at[i] == ' ' || field.at[i] == '\t' || field.at[i] == ','))
			i++;
		struct http_span tag = next_etag(field, &i);
		if (tag.at == NULL)
			return false;
		if (http_span_is(tag, etag))
			return true;
		while (i < field.len && (field.at[i] == ' ' || field.at[i] == '\t'))
			i++;
		if (i < field.len && field.at[i] != ',')
			return false;
	}
	return false;
}

long http_percent_decode(const char *raw, size_t n, char *out)
{
	size_t o = 0;
	for (size_t i = 0; i < n; i++) {
		if (raw[i] != '%') {
			out[o++] = raw[i];
			continue;
		}
		if (n - i < 3)
			return -1;
		int high = hex_value(raw[i + 1]);
		int low = hex_value(raw[i + 2]);
		if (high < 0 || low < 0)
			return -1;
		out[o++] = (char)(high * 16 + low);
		i += 2;
	}
	return (long)o;
}

/* Of a name in an authority: unreserved and sub-delims of RFC 3986. */
static bool is_host_char(unsigned char c)
{
	return c != 0 && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	                  strchr("-._~!$&'()*+,;=", c) != NULL);
}

/* uri-host [ ":" port ] of RFC 9110 7.2, or nothing. */
static bool host_valid(struct http_span host)
{
	size_t i = 0;
	if (host.len > 0 && host.at[0] == '[') {
		i++;
		while (i < host.len && (hex_value(host.at[i]) >= 0 || host.at[i] == ':' || host.at[i] == '.'))
			i++;
		if (i == host.len || host.at[i++] != ']')
			return false;
	}
	while (i < host.len && host.at[0] != '[' && host.at[i] != ':') {
		if (host.at[i] == '%') {
			if (host.len - i < 3 || hex_value(host.at[i + 1]) < 0 || hex_value(host.at[i + 2]) < 0)
				return false;
			i += 2;
		} else if (!is_host_char((unsigned char)host.at[i])) {
			return false;
		}
		i++;
	}
	if (i < host.len && host.at[i++] != ':')
		return false;
	while (i < host.len && host.at[i] >= '0' && host.at[i] <= '9')
		i++;
	return i == host.len;
}

/* The four forms of RFC 9112 3.2; of an absolute URI its path and query are left. False: it is none of them.
 */
static bool take_target(struct http_head *out)
{
	struct http_span t = out->target;
	size_t scheme = t.len > 7 && strncasecmp(t.at, "http://", 7) == 0    ? 7
	                : t.len > 8 && strncasecmp(t.at, "https://", 8) == 0 ? 8
	                                                                     : 0;
	if (t.at[0] == '/' || http_span_is(out->method, "CONNECT"))
		return true;
	if (scheme == 0)
		return http_span_is(t, "*") && http_span_is(out->method, "OPTIONS");
	size_t end = scheme;
	while (end < t.len && t.at[end] != '/' && t.at[end] != '?')
		end++;
	struct http_span authority = {t.at + scheme, end - scheme};
	out->target = (struct http_span){t.at + end, t.len - end};
	return authority.len > 0 && authority.at[0] != ':' && host_valid(authority);
}

/* GET SP target SP HTTP/1.1, without its line end. */
static enum http_head_result parse_request_line(const char *line, size_t len, struct http_head *out)
{
	size_t i = 0;
	while (i < len && is_token_char((unsigned char)line[i]))
		i++;
	if (i == 0 || i == len || line[i] != ' ')
		return HTTP_HEAD_BAD;
	out->method = (struct http_span){line, i};
	size_t target = ++i;
	while (i < len && (unsigned char)line[i] > 0x20 && line[i] != 0x7f)
		i++;
	if (i == target || i == len || line[i] != ' ')
		return HTTP_HEAD_BAD;
	out->target = (struct http_span){line + target, i - target};
	const char *version = line + i + 1;
	size_t version_len = len - i - 1;
	if (version_len != 8 || memcmp(version, "HTTP/", 5) != 0 || version[6] != '.')
		return HTTP_HEAD_BAD;
	if (version[5] < '0' || version[5] > '9' || version[7] < '0' || version[7] > '9')
		return HTTP_HEAD_BAD;
	if (version[5] != '1')
		return HTTP_HEAD_VERSION;
	out->minor = version[7] != '0'; /* a later 1.x is understood as the latest known: RFC 9110 2.5 */
	return HTTP_HEAD_DONE;
}

/* Fields of which a second one is refused, since two readers could pick different ones. */
static bool keep_once(struct http_span *slot, struct http_span value)
{
	if (slot->at != NULL)
		return false;
	*slot = value;
	return true;
}

struct head_lists {
	bool upgrade_seen;
	bool upgrade_names_websocket;
	bool connection_names_upgrade;
	bool length_seen;
};

/* Proxies add behind what there is, so the last ones say most. */
static void keep_forwarded(struct http_head *out, struct http_span value)
{
	if (out->forwarded_count == HTTP_FORWARDED_MAX) {
		memmove(out->forwarded_for, out->forwarded_for + 1,
		        (HTTP_FORWARDED_MAX - 1) * sizeof out->forwarded_for[0]);
		out->forwarded_count--;
	}
	out->forwarded_for[out->forwarded_count++] = value;
}

static bool take_field(const char *name, size_t name_len, struct http_span value, struct http_head *out,
                       struct head_lists *lists)
{
	if (span_iequals(name, name_len, "host"))
		return keep_once(&out->host, value);
	if (span_iequals(name, name_len, "origin"))
		return keep_once(&out->origin, value);
	if (span_iequals(name, name_len, "authorization"))
		return keep_once(&out->authorization, value);
	if (span_iequals(name, name_len, "sec-websocket-key"))
		return keep_once(&out->websocket_key, value);
	if (span_iequals(name, name_len, "sec-websocket-version"))
		return keep_once(&out->websocket_version, value);
	if (span_iequals(name, name_len, "if-none-match")) {
		if (out->if_none_match.at == NULL)
			out->if_none_match = value;
	} else if (span_iequals(name, name_len, "x-forwarded-for")) {
		keep_forwarded(out, value);
	} else if (span_iequals(name, name_len, "sec-websocket-protocol")) {
		if (out->websocket_protocol.at == NULL)
			out->websocket_protocol = value;
	} else if (span_iequals(name, name_len, "upgrade")) {
		lists->upgrade_seen = true;
		if (http_list_has(value, "websocket"))
			lists->upgrade_names_websocket = true;
	} else if (span_iequals(name, name_len, "connection")) {
		if (http_list_has(value, "upgrade"))
			lists->connection_names_upgrade = true;
	} else if (span_iequals(name, name_len, "content-length")) {
		if (lists->length_seen || value.len == 0)
			return false;
		lists->length_seen = true;
		for (size_t i = 0; i < value.len; i++) {
			if (value.at[i] < '0' || value.at[i] > '9')
				return false;
			if (value.at[i] != '0')
				out->has_body = true;
		}
	} else if (span_iequals(name, name_len, "transfer-encoding")) {
		out->has_body = true;
	}
	return true;
}

static bool parse_field(const char *line, size_t len, struct http_head *out, struct head_lists *lists)
{
	size_t colon = 0;
	while (colon < len && is_token_char((unsigned char)line[colon]))
		colon++;
	if (colon == 0 || colon == len || line[colon] != ':')
		return false;
	size_t start = colon + 1;
	size_t end = len;
	while (start < end && (line[start] == ' ' || line[start] == '\t'))
		start++;
	while (end > start && (line[end - 1] == ' ' || line[end - 1] == '\t'))
		end--;
	for (size_t i = start; i < end; i++)
		if (!is_value_char((unsigned char)line[i]))
			return false;
	return take_field(line, colon, (struct http_span){line + start, end - start}, out, lists);
}

enum http_head_result http_head_parse(const char *bytes, size_t n, struct http_head *out)
{
	struct head_lists lists = {0};
	memset(out, 0, sizeof *out);
	size_t limit = n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX;
	/* one empty line may come before: RFC 9112 2.2 */
	size_t at = n >= 2 && memcmp(bytes, "\r\n", 2) == 0 ? 2 : 0;
	for (int line_number = 0;; line_number++) {
		const char *end = memchr(bytes + at, '\n', limit - at);
		if (end == NULL)
			return n >= HTTP_HEAD_MAX ? HTTP_HEAD_TOO_LARGE : HTTP_HEAD_PARTIAL;
		size_t len = (size_t)(end - (bytes + at));
		if (len == 0 || bytes[at + len - 1] != '\r')
			return HTTP_HEAD_BAD;
		const char *line = bytes + at;
		at += len + 1;
		len--;
		if (line_number == 0) {
			enum http_head_result r = parse_request_line(line, len, out);
			if (r != HTTP_HEAD_DONE)
				return r;
		} else if (len == 0) {
			break;
		} else if (line_number > HTTP_FIELDS_MAX) {
			return HTTP_HEAD_TOO_LARGE;
		} else if (!parse_field(line, len, out, &lists)) {
			return HTTP_HEAD_BAD;
		}
	}
	if (out->host.at == NULL ? out->minor == 1 : !host_valid(out->host))
		return HTTP_HEAD_BAD; /* RFC 9112 3.2 */
	if (!take_target(out))
		return HTTP_HEAD_BAD;
	out->size = at;
	/* in HTTP/1.0 it is ignored: RFC 9110 7.8 */
	out->upgrade_websocket =
	    out->minor == 1 && lists.upgrade_names_websocket && lists.connection_names_upgrade;
	out->upgrade_other = lists.upgrade_seen && !lists.upgrade_names_websocket;
	return HTTP_HEAD_DONE;
}
