/* acceptor.c - see acceptor.h */
#include "bridge/acceptor.h"
#include "bridge/bridge.h"
#include "bridge/http_head.h"
#include "bridge/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#define OPEN_AFTER_MS 2000 /* no broker by then: sessions are told so (4003) instead of waiting */
#define TIMER_MS 100
#define FINISH_MS 2000 /* for the peer to take an answer and close */
#define HEAD_FIRST_BYTES 1024
#define ANSWER_MAX 1024
#define DESCRIPTORS_SPARE 32    /* for what is neither session nor visitor */
#define ADDRESSES_MAX 20000     /* buckets kept before the full ones are forgotten */
#define UNSENT_BYTES_MAX 131072 /* kernel memory that one slow reader may hold before the outbox counts */

enum visitor_state { VISITOR_READING, VISITOR_ANSWERING, VISITOR_FINISHING };

/* An accepted connection that is no session (yet). */
struct visitor {
	struct watcher watcher;
	struct acceptor *acceptor;
	struct visitor *prev, *next;
	enum visitor_state state;
	uint64_t deadline_ms;
	char *head;
	uint32_t head_len, head_cap;
	char *answer;
	uint32_t answer_len, answer_off;
	bool on_spare; /* holds the descriptor that is kept for refusing */
	char address[46];
};

/* Token bucket of one client address. */
struct address_bucket {
	UT_hash_handle hh;
	uint8_t key[16];
	uint64_t updated_ms;
	double tokens;
};

/* ---- visitors --------------------------------------------------------------------------- */

static void visitor_free(struct visitor *v, bool keep_fd)
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
	v->deadline_ms = v->acceptor->bridge->loop.now_ms + FINISH_MS;
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

/* ---- accepting ------------------------------------------------------------------------------- */

/* IPv4 as a mapped address; IPv6 by its /64, which is what one customer usually holds. */
static void address_key(const struct sockaddr_storage *from, uint8_t key[16])
{
	memset(key, 0, 16);
	if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
		memcpy(key, in6->sin6_addr.s6_addr, mapped ? 16 : 8);
	} else if (from->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)from;
		key[10] = key[11] = 0xff;
		memcpy(key + 12, &in->sin_addr, 4);
	}
}

static void forget_full_buckets(struct acceptor *a)
{
	const struct bridge_settings *s = &a->bridge->settings;
	uint64_t refill_ms = 1000ull * s->connect_burst / s->connect_rate + 1;
	struct address_bucket *bucket, *next;
	HASH_ITER(hh, a->addresses, bucket, next)
	{
		if (a->bridge->loop.now_ms - bucket->updated_ms < refill_ms)
			continue;
		HASH_DEL(a->addresses, bucket);
		free(bucket);
		a->address_count--;
	}
}

static bool take_token(struct acceptor *a, const struct sockaddr_storage *from)
{
	const struct bridge_settings *s = &a->bridge->settings;
	if (s->connect_rate == 0)
		return true;
	uint8_t key[16];
	struct address_bucket *bucket;
	uint64_t now = a->bridge->loop.now_ms;
	address_key(from, key);
	HASH_FIND(hh, a->addresses, key, sizeof key, bucket);
	if (bucket == NULL) {
		if (a->address_count >= ADDRESSES_MAX)
			forget_full_buckets(a);
		if (a->address_count >= ADDRESSES_MAX || (bucket = calloc(1, sizeof *bucket)) == NULL)
			return false;
		memcpy(bucket->key, key, sizeof key);
		bucket->updated_ms = now;
		bucket->tokens = s->connect_burst;
		HASH_ADD(hh, a->addresses, key, sizeof bucket->key, bucket);
		if (bucket->hh.tbl == NULL) { /* HASH_NONFATAL_OOM: not added */
			free(bucket);
			return false;
		}
		a->address_count++;
	}
	bucket->tokens += (double)(now - bucket->updated_ms) * s->connect_rate / 1000.0;
	if (bucket->tokens > s->connect_burst)
		bucket->tokens = s->connect_burst;
	bucket->updated_ms = now;
	if (bucket->tokens < 1.0)
		return false;
	bucket->tokens -= 1.0;
	return true;
}

/* NULL: it is refused or gone already. */
static struct visitor *welcome(struct acceptor *a, int fd, const struct sockaddr_storage *from)
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
	a->accepted_total++;
	if (from->ss_family == AF_INET6)
		(void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)from)->sin6_addr, v->address,
		                sizeof v->address);
	else if (from->ss_family == AF_INET)
		(void)inet_ntop(AF_INET, &((const struct sockaddr_in *)from)->sin_addr, v->address,
		                sizeof v->address);
	const struct bridge_settings *s = &a->bridge->settings;
	int one = 1, unsent = UNSENT_BYTES_MAX;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
	/* a peer that has vanished with bytes on their way to it answers no ping that could be sent behind them
	 */
	unsigned dead_ms = s->ping_interval_ms + s->ping_timeout_ms + s->outbox_ms;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
	if (!take_token(a, from)) {
		static struct log_limit limit;
		log_limited(&limit, a->bridge->loop.now_ms, LOG_LEVEL_WARNING,
		            "too many connections from %s (rate_connects)", v->address);
		refuse(v, &too_many_requests);
		return NULL;
	}
	return v; /* the edge of what has arrived already comes with the registration */
}

/* Out of descriptors: a spare one serves to tell those who wait, one after the other.
 * True when somebody may still wait (accept() does not say: it wants a descriptor first). */
static bool turn_away(struct acceptor *a)
{
	static struct log_limit limit;
	log_limited(&limit, a->bridge->loop.now_ms, LOG_LEVEL_ERROR,
	            "out of file descriptors, new connections get 503 (raise LimitNOFILE)");
	if (a->spare_fd < 0)
		return true;
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof from;
	(void)close(a->spare_fd);
	a->spare_fd = -1;
	int fd = accept4(a->listener.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	bool nobody = fd < 0 && errno == EAGAIN;
	struct visitor *v = fd >= 0 ? welcome(a, fd, &from) : NULL;
	if (v != NULL) {
		v->on_spare = true;
		refuse(v, &overloaded);
	} else {
		a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	return !nobody;
}

static void accept_all(struct acceptor *a)
{
	for (;;) {
		struct sockaddr_storage from = {0};
		socklen_t len = sizeof from;
		int fd = accept4(a->listener.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			(void)welcome(a, fd, &from);
			continue;
		}
		switch (errno) {
		case EMFILE:
		case ENFILE:
			a->short_of = turn_away(a);
			return;
		case ENOBUFS:
		case ENOMEM:
			a->short_of = true;
			return;
		case EAGAIN:
			a->short_of = false;
			return;
		default: /* that one connection has failed: EINTR, ECONNABORTED, network errors */
			break;
		}
	}
}

static void on_listener(struct watcher *w, uint32_t events)
{
	(void)events;
	accept_all((struct acceptor *)((char *)w - offsetof(struct acceptor, listener)));
}

void acceptor_open(struct acceptor *a)
{
	if (a->open || a->bridge->stopping)
		return;
	a->open = loop_watch(&a->bridge->loop, &a->listener);
	if (!a->open)
		log_line(LOG_LEVEL_ERROR, "cannot watch the listening socket: %s", strerror(errno));
}

static void on_timer(uv_timer_t *timer)
{
	struct acceptor *a = timer->data;
	uint64_t now = a->bridge->loop.now_ms;
	for (struct visitor *v = a->first, *next; v != NULL; v = next) {
		next = v->next;
		if (now >= v->deadline_ms)
			visitor_free(v, false);
	}
	if (!a->open && now >= a->started_ms + OPEN_AFTER_MS)
		acceptor_open(a);
	else if (a->short_of)
		accept_all(a); /* no edge would come for those who wait already */
}

bool acceptor_start(struct acceptor *a, struct bridge *b, int listen_fd)
{
	memset(a, 0, sizeof *a);
	a->bridge = b;
	a->listener.fd = listen_fd;
	a->listener.on_ready = on_listener;
	a->started_ms = b->loop.now_ms;
	a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fcntl(listen_fd, F_SETFL, O_NONBLOCK) != 0 || uv_timer_init(&b->loop.uv, &a->timer) != 0)
		return false;
	a->timer.data = a;
	return uv_timer_start(&a->timer, on_timer, TIMER_MS, TIMER_MS) == 0;
}

void acceptor_stop(struct acceptor *a)
{
	if (a->open)
		loop_unwatch(&a->bridge->loop, &a->listener);
	a->open = false;
	uv_close((uv_handle_t *)&a->timer, NULL);
	while (a->first != NULL)
		visitor_free(a->first, false);
	struct address_bucket *bucket, *next;
	HASH_ITER(hh, a->addresses, bucket, next)
	{
		HASH_DEL(a->addresses, bucket);
		free(bucket);
	}
	if (a->spare_fd >= 0)
		(void)close(a->spare_fd);
}
