/* visitor.c - see visitor.h */
#include "bridge/visitor.h"
#include "bridge/bridge.h"
#include "bridge/http_head.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_FIRST_BYTES 1024
#define ANSWER_MAX 1024
#define DESCRIPTORS_SPARE 32 /* for what is neither session nor visitor */

/* ---- connections and answers --------------------------------------------------------------------------- */

void visitor_free(struct visitor *v, bool keep_fd)
{
	struct acceptor *a = v->acceptor;
	loop_unwatch(&a->bridge->loop, &v->watcher);
	if (!keep_fd)
		(void)close(v->watcher.fd);
	if (v->prev != NULL)
		v->prev->next = v->next;
	else
		a->first = v->next;
	if (v->next != NULL)
		v->next->prev = v->prev;
	else
		a->last = v->prev;
	a->count--;
	if (v->on_spare) {
		a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		a->short_of = true;
	}
	free(v->head);
	free(v->answer);
	free(v);
}

/* Reads and forgets, so that closing does not reset the connection before the answer has arrived. */
static void finish(struct visitor *v)
{
	char sink[4096];
	for (;;) {
		ssize_t n = recv(v->watcher.fd, sink, sizeof sink, MSG_DONTWAIT);
		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		visitor_free(v, false);
		return;
	}
}

static void send_answer(struct visitor *v)
{
	while (v->answer_off < v->answer_len) {
		ssize_t n = send(v->watcher.fd, v->answer + v->answer_off, v->answer_len - v->answer_off,
		                 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			visitor_free(v, false);
			return;
		}
		v->answer_off += (uint32_t)n;
	}
	v->state = VISITOR_FINISHING;
	(void)shutdown(v->watcher.fd, SHUT_WR);
	finish(v);
}

struct status {
	int code;
	const char *phrase;
	const char *error;   /* name in the JSON body */
	const char *message; /* for people */
	const char *headers; /* further header lines, each with CRLF */
};

static const struct status bad_request = {400, "Bad Request", "bad_request", "this is not a valid request",
                                          ""};
static const struct status forbidden_origin = {403, "Forbidden", "forbidden_origin",
                                               "pages of this origin may not connect", ""};
static const struct status not_found = {404, "Not Found", "not_found", "there is nothing here", ""};
static const struct status method_not_allowed = {405, "Method Not Allowed", "method_not_allowed",
                                                 "only GET, HEAD and OPTIONS",
                                                 "Allow: GET, HEAD, OPTIONS\r\n"};
static const struct status upgrade_required = {426, "Upgrade Required", "upgrade_required",
                                               "this is a WebSocket, version 13",
                                               "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"};
static const struct status too_many_requests = {
    429, "Too Many Requests", "rate_limited", "too many connections from this address", "Retry-After: 1\r\n"};
static const struct status head_too_large = {431, "Request Header Fields Too Large", "too_long",
                                             "the request head is too large", ""};
static const struct status overloaded = {503, "Service Unavailable", "overloaded",
                                         "the server has no room for more sessions", "Retry-After: 5\r\n"};
static const struct status broker_away = {503, "Service Unavailable", "broker_away",
                                          "the broker cannot be reached", "Retry-After: 1\r\n"};
static const struct status bad_version = {505, "HTTP Version Not Supported", "bad_version", "HTTP/1.1 only",
                                          ""};

/* body NULL: the JSON of the status. head_only: a HEAD request. */
static int format_answer(char *out, size_t cap, const struct status *s, const char *body, bool head_only)
{
	char json[256];
	if (body == NULL) {
		(void)snprintf(json, sizeof json, "{\"error\":\"%s\",\"message\":\"%s\"}\n", s->error, s->message);
		body = json;
	}
	return snprintf(
	    out, cap,
	    "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%sConnection: close\r\n\r\n%s",
	    s->code, s->phrase, strlen(body), s->headers, head_only ? "" : body);
}

static void answer_with(struct visitor *v, const struct status *s, const char *body, bool head_only)
{
	v->answer = malloc(ANSWER_MAX);
	if (v->answer == NULL) {
		visitor_free(v, false);
		return;
	}
	if (s->code >= 400)
		v->acceptor->refused_total++;
	v->answer_len = (uint32_t)format_answer(v->answer, ANSWER_MAX, s, body, head_only);
	v->state = VISITOR_ANSWERING;
	v->deadline_ms = v->acceptor->bridge->loop.now_ms + VISITOR_FINISH_MS;
	send_answer(v);
}

static void refuse(struct visitor *v, const struct status *s)
{
	answer_with(v, s, NULL, false);
}

/* ---- requests ----------------------------------------------------------------------------- */

/* Exact comparison with each entry; "*" stands for all. */
static bool origin_allowed(const char *list, struct http_span origin)
{
	if (origin.at == NULL || strcmp(list, "*") == 0)
		return true; /* without Origin it is no page that asks */
	while (*list != '\0') {
		size_t len = strcspn(list, ",");
		if (len == origin.len && memcmp(list, origin.at, len) == 0)
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

/* 16 bytes in base64: 22 characters and "==". */
static bool key_valid(struct http_span key)
{
	if (key.at == NULL || key.len != 24 || memcmp(key.at + 22, "==", 2) != 0)
		return false;
	for (size_t i = 0; i < 22; i++) {
		char c = key.at[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
		      c == '/'))
			return false;
	}
	return true;
}

/* Would a session more leave enough descriptors for the others? */
static bool descriptors_left(const struct bridge *b)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return true;
	uint64_t used = 2ull * b->sessions.count + b->acceptor.count + DESCRIPTORS_SPARE;
	return used + 2 <= limit.rlim_cur;
}

static void upgrade(struct visitor *v, const struct http_head *head)
{
	struct bridge *b = v->acceptor->bridge;
	static struct log_limit full_limit;
	if (b->sessions.count >= b->settings.max_sessions || !descriptors_left(b)) {
		log_limited(&full_limit, b->loop.now_ms, LOG_LEVEL_WARNING,
		            "no room for more sessions (%u now; max_sessions and the limit of open files bound them)",
		            b->sessions.count);
		refuse(v, &overloaded);
		return;
	}
	struct upgrade *u = calloc(1, sizeof *u);
	if (u == NULL) {
		refuse(v, &overloaded);
		return;
	}
	u->fault = session_params_parse(head->target.at, head->target.len, &u->params);
	memcpy(u->address, v->address, sizeof u->address);
	u->early = v->head + head->size;
	u->early_len = v->head_len - head->size;
	char clean[512];
	int n = snprintf(clean, sizeof clean,
	                 "GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\n%s\r\n",
	                 (int)head->websocket_key.len, head->websocket_key.at,
	                 http_list_has(head->websocket_protocol, "bearer") ? "Sec-WebSocket-Protocol: bearer\r\n"
	                                                                   : "");
	size_t total = (size_t)n + u->early_len;
	char *bytes = malloc(total);
	if (bytes == NULL) {
		free(u);
		refuse(v, &overloaded);
		return;
	}
	memcpy(bytes, clean, (size_t)n);
	memcpy(bytes + n, u->early, u->early_len);
	u->early = bytes + n;
	int fd = v->watcher.fd;
	struct server *server = &b->server;
	visitor_free(v, true);
	server_adopt(server, fd, u, bytes, total);
	free(bytes);
}

static bool path_is(const struct http_head *head, const char *path)
{
	const char *mark = memchr(head->target.at, '?', head->target.len);
	size_t len = mark != NULL ? (size_t)(mark - head->target.at) : head->target.len;
	return len == strlen(path) && memcmp(head->target.at, path, len) == 0;
}

static void handle(struct visitor *v, const struct http_head *head)
{
	struct bridge *b = v->acceptor->bridge;
	bool get = http_span_is(head->method, "GET");
	bool head_only = http_span_is(head->method, "HEAD");
	bool session = session_params_is_session(head->target.at, head->target.len);
	if (!get && !head_only && !http_span_is(head->method, "OPTIONS")) {
		refuse(v, &method_not_allowed);
	} else if (head->has_body) {
		refuse(v, &bad_request);
	} else if (session && !get) {
		refuse(v, &method_not_allowed);
	} else if (session && !head->upgrade_websocket) {
		refuse(v, &upgrade_required);
	} else if (session && !http_span_is(head->websocket_version, "13")) {
		refuse(v, &upgrade_required);
	} else if (session && (head->minor != 1 || !key_valid(head->websocket_key))) {
		refuse(v, &bad_request);
	} else if (session && !origin_allowed(b->settings.allowed_origins, head->origin)) {
		refuse(v, &forbidden_origin);
	} else if (session) {
		upgrade(v, head);
	} else if (path_is(head, "/health") && rooms_ready(&b->rooms)) {
		static const struct status ok = {200, "OK", "", "", ""};
		answer_with(v, &ok, "{\"status\":\"ok\"}\n", head_only);
	} else if (path_is(head, "/health")) {
		answer_with(v, &broker_away, NULL, head_only);
	} else {
		answer_with(v, &not_found, NULL, head_only);
	}
}

static bool grow_head(struct visitor *v)
{
	if (v->head_len < v->head_cap)
		return true;
	uint32_t cap = v->head_cap > 0 ? v->head_cap * 2 : HEAD_FIRST_BYTES;
	char *head = realloc(v->head, cap);
	if (head == NULL)
		return false;
	v->head = head;
	v->head_cap = cap;
	return true;
}

static void read_head(struct visitor *v)
{
	for (;;) {
		if (!grow_head(v)) {
			visitor_free(v, false);
			return;
		}
		ssize_t n = recv(v->watcher.fd, v->head + v->head_len, v->head_cap - v->head_len, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			visitor_free(v, false);
			return;
		}
		v->head_len += (uint32_t)n;
		struct http_head head;
		switch (http_head_parse(v->head, v->head_len, &head)) {
		case HTTP_HEAD_PARTIAL:
			continue;
		case HTTP_HEAD_DONE:
			handle(v, &head);
			return;
		case HTTP_HEAD_BAD:
			refuse(v, &bad_request);
			return;
		case HTTP_HEAD_TOO_LARGE:
			refuse(v, &head_too_large);
			return;
		case HTTP_HEAD_VERSION:
			refuse(v, &bad_version);
			return;
		}
	}
}

static void on_visitor(struct watcher *w, uint32_t events)
{
	struct visitor *v = (struct visitor *)w; /* its first member */
	(void)events;
	switch (v->state) {
	case VISITOR_READING:
		read_head(v);
		break;
	case VISITOR_ANSWERING:
		send_answer(v);
		break;
	case VISITOR_FINISHING:
		finish(v);
		break;
	}
}

struct visitor *visitor_new(struct acceptor *a, int fd)
{
	struct visitor *v = calloc(1, sizeof *v);
	if (v == NULL) {
		(void)close(fd);
		return NULL;
	}
	v->watcher.fd = fd;
	v->watcher.on_ready = on_visitor;
	v->acceptor = a;
	v->deadline_ms = a->bridge->loop.now_ms + a->bridge->settings.header_timeout_ms;
	/* the edge of what has arrived already comes with the registration */
	if (!loop_watch(&a->bridge->loop, &v->watcher)) {
		free(v);
		(void)close(fd);
		return NULL;
	}
	v->prev = a->last;
	if (a->last != NULL)
		a->last->next = v;
	else
		a->first = v;
	a->last = v;
	a->count++;
	return v;
}

void visitor_refuse_busy(struct visitor *v)
{
	refuse(v, &too_many_requests);
}

void visitor_refuse_full(struct visitor *v)
{
	refuse(v, &overloaded);
}
