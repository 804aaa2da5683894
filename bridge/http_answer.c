/* http_answer.c - see http_answer.h */
#include "bridge/http_answer.h"

#include <stdio.h>
#include <string.h>

#define METHODS "GET, HEAD, OPTIONS"
#define JSON_MAX 256
#define LENGTH_MAX 48
#define DATE_MAX 40

const struct http_status http_ok = {200, "OK", "", "", ""};
/* Answers OPTIONS: what a page may ask, and for how long it may remember. */
const struct http_status http_no_content = {
    204, "No Content", "", "",
    "Allow: " METHODS "\r\nAccess-Control-Allow-Methods: " METHODS
    "\r\nAccess-Control-Allow-Headers: Authorization\r\nAccess-Control-Max-Age: 86400\r\n"};
const struct http_status http_not_modified = {304, "Not Modified", "", "", ""};
const struct http_status http_bad_request = {400, "Bad Request", "bad_request", "this is not a valid request",
                                             ""};
const struct http_status http_no_body = {400, "Bad Request", "bad_request", "a request has no body here", ""};
const struct http_status http_no_subprotocol = {400, "Bad Request", "no_subprotocol",
                                                "/mqtt wants Sec-WebSocket-Protocol: mqtt or mqttv3.1", ""};
const struct http_status http_forbidden_origin = {403, "Forbidden", "forbidden_origin",
                                                  "pages of this origin may not connect", ""};
const struct http_status http_unauthorized = {401, "Unauthorized", "invalid_token",
                                              "a token is needed that is accepted here",
                                              "WWW-Authenticate: Bearer\r\n"};
const struct http_status http_forbidden = {403, "Forbidden", "forbidden", "this is not for you", ""};
const struct http_status http_not_found = {404, "Not Found", "not_found", "there is nothing here", ""};
const struct http_status http_method_not_allowed = {405, "Method Not Allowed", "method_not_allowed",
                                                    "only GET, HEAD and OPTIONS", "Allow: " METHODS "\r\n"};
const struct http_status http_upgrade_required = {426, "Upgrade Required", "upgrade_required",
                                                  "this is a WebSocket, version 13",
                                                  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"};
const struct http_status http_too_many_requests = {
    429, "Too Many Requests", "rate_limited", "too many connections from this address", "Retry-After: 1\r\n"};
const struct http_status http_head_too_large = {431, "Request Header Fields Too Large", "too_long",
                                                "the request head is too large", ""};
const struct http_status http_overloaded = {503, "Service Unavailable", "overloaded",
                                            "the server has no room for more", "Retry-After: 5\r\n"};
const struct http_status http_broker_away = {503, "Service Unavailable", "broker_away",
                                             "the broker cannot be reached", "Retry-After: 1\r\n"};
const struct http_status http_no_answer = {503, "Service Unavailable", "no_answer",
                                           "the broker has not answered in time", "Retry-After: 1\r\n"};
const struct http_status http_draining = {503, "Service Unavailable", "draining",
                                          "the server is about to end", "Retry-After: 5\r\n"};
const struct http_status http_starting = {503, "Service Unavailable", "starting",
                                          "it is not known yet who is connected", "Retry-After: 1\r\n"};
const struct http_status http_unavailable = {503, "Service Unavailable", "unavailable",
                                             "this cannot be answered now", "Retry-After: 5\r\n"};
const struct http_status http_timeout = {408, "Request Timeout", "timeout",
                                         "the request has not come in time", ""};
const struct http_status http_bad_version = {505, "HTTP Version Not Supported", "bad_version",
                                             "HTTP/1.1 only", ""};

bool http_origin_allowed(const char *list, struct http_span origin)
{
	if (origin.at == NULL || strcmp(list, "*") == 0)
		return true;
	while (*list != '\0') {
		size_t len = strcspn(list, ",");
		if (len == origin.len && memcmp(list, origin.at, len) == 0)
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

/* The page that may read the answer; none: at NULL. An answer that depends on who asks must say so
 * (`varies`), or a cache could give it to somebody else. */
static struct http_span readable_by(const struct http_answer *a, bool *varies)
{
	bool all = a->origins != NULL && strcmp(a->origins, "*") == 0;
	*varies = a->origins != NULL && !all;
	if (all)
		return (struct http_span){"*", 1};
	if (a->origins != NULL && a->origin.at != NULL && http_origin_allowed(a->origins, a->origin))
		return a->origin;
	return (struct http_span){NULL, 0};
}

size_t http_answer_format(const struct http_answer *a, size_t body_len, char *out, size_t cap)
{
	const struct http_status *s = a->status;
	char json[JSON_MAX] = "", length[LENGTH_MAX] = "", date[DATE_MAX] = "";
	struct tm utc;
	const char *type = a->content_type != NULL ? a->content_type : "application/json";
	const char *fields = a->fields != NULL ? a->fields : "Cache-Control: no-store\r\n";
	bool varies,
	    has_body = s->code != 204 && s->code != 304; /* these two have no such fields: RFC 9110 8.6 */
	struct http_span page = readable_by(a, &varies);
	if (a->body == NULL && s->error[0] != '\0')
		body_len = (size_t)snprintf(json, sizeof json, "{\"error\":\"%s\",\"message\":\"%s\"}\n", s->error,
		                            s->message);
	if (has_body)
		(void)snprintf(length, sizeof length, "Content-Length: %zu\r\n", body_len);
	if (gmtime_r(&a->now, &utc) != NULL)
		(void)strftime(date, sizeof date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc); /* in the C locale */
	int n = snprintf(out, cap,
	                 "HTTP/1.1 %d %s\r\n%s%s%s%s%s%s"
	                 "X-Content-Type-Options: nosniff\r\n%s%s%s%.*s%s"
	                 "Connection: close%s\r\n\r\n%s",
	                 s->code, s->phrase, date, has_body ? "Content-Type: " : "", has_body ? type : "",
	                 has_body ? "\r\n" : "", length, fields, s->headers, varies ? "Vary: Origin\r\n" : "",
	                 page.at != NULL ? "Access-Control-Allow-Origin: " : "", (int)page.len,
	                 page.at != NULL ? page.at : "", page.at != NULL ? "\r\n" : "",
	                 s->code == 426 ? ", Upgrade" : "", /* wherever there is an Upgrade field: RFC 9110 7.8 */
	                 a->head_only ? "" : json);
	return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}
