/*
 * http_answer.h - what a plain HTTP request is answered with: status, head fields, and a body
 * of any size that several answers may share.
 *
 * Here only the bytes before the body are made: pure, no allocation, no I/O. Spans and strings
 * are borrowed.
 */
#ifndef CHAT_HTTP_ANSWER_H
#define CHAT_HTTP_ANSWER_H

#include "bridge/http_head.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct chunk;

#define HTTP_ANSWER_HEAD_MAX 6144 /* bytes of head, and of the JSON of an error; an origin may take 4096 */

struct http_status {
	int code;
	const char *phrase;
	const char *error;   /* name in the JSON that stands for the body */
	const char *message; /* for people */
	const char *headers; /* further header lines, each with CRLF */
};

extern const struct http_status http_ok, http_no_content, http_not_modified, http_bad_request, http_no_body,
    http_no_subprotocol, http_unauthorized, http_forbidden, http_forbidden_origin, http_not_found,
    http_method_not_allowed, http_upgrade_required, http_too_many_requests, http_head_too_large,
    http_overloaded, http_broker_away, http_no_answer, http_starting, http_draining, http_unavailable,
    http_bad_version, http_timeout;

struct http_answer {
	const struct http_status *status;
	struct chunk *body;       /* NULL: the JSON of the status */
	const char *content_type; /* NULL: application/json */
	const char *fields;       /* header lines of its own, each with CRLF; NULL: it may not be stored */
	time_t now;               /* for Date */
	bool head_only;           /* to HEAD: the head that GET would get, no body */
	/* Which pages may read it: a list as in plugin_opt_allowed_origins. NULL: it says nothing of that. */
	const char *origins;
	struct http_span origin; /* of the request */
};

/* Exact comparison with each entry; "*" stands for all. Without an Origin it is no page that asks: true. */
bool http_origin_allowed(const char *list, struct http_span origin);

/* Writes the head, and after it the JSON where there is no body of its own; body_len: bytes of the body.
 * Returns the length, or 0 when it does not fit (HTTP_ANSWER_HEAD_MAX always does). */
size_t http_answer_format(const struct http_answer *a, size_t body_len, char *out, size_t cap);

#endif
