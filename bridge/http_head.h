/*
 * http_head.h - the head of an HTTP/1.1 request (RFC 9112): bytes in, spans out.
 *
 * Why not libwebsockets' own parser: it decodes and normalises the path before anybody
 * sees it ("+" becomes a space, "//" and "/../" vanish, "&" splits it), so that not
 * every address could be told from another; and versions before 4.3.7 have a use after
 * free on a second request with an unknown Upgrade. So the bridge reads the head, and
 * libwebsockets is handed a clean, short upgrade request and nothing else.
 *
 * Strict: CRLF line ends, no folded lines, no white space before the colon, no control
 * characters, a Host that is one. Pure, no allocation; spans point into the bytes given.
 */
#ifndef CHAT_HTTP_HEAD_H
#define CHAT_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_MAX 16384  /* bytes of a head, line ends included */
#define HTTP_FIELDS_MAX 100  /* header fields of a request */
#define HTTP_FORWARDED_MAX 8 /* X-Forwarded-For fields that are kept: the last ones */

struct http_span {
	const char *at; /* NULL: the field is absent */
	size_t len;
};

struct http_head {
	struct http_span method;
	/* As it came, nothing decoded: "/path?query", of which the path is empty where an absolute URI has none;
	 * "*" of OPTIONS; whatever CONNECT asks for. */
	struct http_span target;
	int minor;   /* HTTP/1.minor: 0, or 1 for any later one */
	size_t size; /* bytes of the head; what follows belongs to the connection */
	struct http_span host;
	struct http_span origin;
	struct http_span authorization;
	struct http_span if_none_match;                     /* the first such field */
	struct http_span forwarded_for[HTTP_FORWARDED_MAX]; /* in their order */
	size_t forwarded_count;
	struct http_span websocket_key;
	struct http_span websocket_version;
	struct http_span websocket_protocol; /* the first such field */
	bool upgrade_websocket;              /* Upgrade names websocket, and Connection names upgrade; HTTP/1.1 */
	bool upgrade_other;                  /* an Upgrade field that does not name websocket */
	bool has_body;                       /* Content-Length other than 0, or Transfer-Encoding */
};

enum http_head_result {
	HTTP_HEAD_DONE,
	HTTP_HEAD_PARTIAL,   /* well-formed so far */
	HTTP_HEAD_BAD,       /* 400 */
	HTTP_HEAD_TOO_LARGE, /* 431 */
	HTTP_HEAD_VERSION,   /* 505: not HTTP/1 */
};

/* Parses from the start each time: a head that comes in many pieces is bounded by HTTP_HEAD_MAX. Of one that
 * is refused, *out holds what stands before the fault. */
enum http_head_result http_head_parse(const char *bytes, size_t n, struct http_head *out);

/* Does a comma-separated list (ASCII case-insensitive tokens) hold the token? */
bool http_list_has(struct http_span list, const char *token);

/* The first entry of such a list that is one of the names (the last one is NULL), exactly; NULL: none is. */
const char *http_list_first(struct http_span list, const char *const *names);

/* Does an If-None-Match field ("*", or entity tags, weak ones too) hold the tag, which has its quotes? A
 * field that is malformed holds what stands before the fault. */
bool http_etag_listed(struct http_span field, const char *etag);

bool http_span_is(struct http_span s, const char *text);

/* Undoes %xx once; '+' stays '+'. n is the length of raw, which is at most the space at out.
 * Returns the length, or -1 for a broken escape. */
long http_percent_decode(const char *raw, size_t n, char *out);

#endif
