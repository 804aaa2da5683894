/* visitor.c - see visitor.h */
#include "bridge/visitor.h"
#include "bridge/bearer.h"
#include "bridge/bridge.h"
#include "bridge/counters.h"
#include "bridge/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_FIRST_BYTES 1024
#define SINK_MAX 65536       /* bytes that one who waits may send for nothing */
#define DESCRIPTORS_SPARE 32 /* for what is neither session nor visitor */

/* ---- connections and answers --------------------------------------------------------------------------- */

static void let_go(struct visitor *v)
{
	struct http_exchange *x = &v->exchange;
	void (*cancel)(struct http_exchange *) = x->cancel;
	x->cancel = NULL;
	if (cancel != NULL)
		cancel(x);
}

void visitor_free(struct visitor *v, bool keep_fd)
{
	struct acceptor *a = v->acceptor;
	let_go(v);
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
	a->answer_bytes -= v->body_len;
	chunk_release(v->body);
	free(v);
}

/* Reads and forgets, so that closing does not reset the connection before the answer has arrived. */
static void finish(struct visitor *v)
{
	static char sink[65536];
	for (;;) {
		ssize_t n = recv(v->watcher.fd, sink, sizeof sink, MSG_DONTWAIT);
		if (n > 0)
			v->sunk += (uint32_t)n;
		if ((n > 0 && v->sunk <= VISITOR_SINK_MAX) || (n < 0 && errno == EINTR))
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		visitor_free(v, false);
		return;
	}
}

/* The bytes that are to be sent next. */
static size_t unsent(const struct visitor *v, const char **at)
{
	bool head = v->answer_off < v->answer_len;
	*at = head ? v->answer + v->answer_off : (const char *)v->body->bytes + v->body_off;
	return head ? v->answer_len - v->answer_off : v->body_len - v->body_off;
}

static void send_answer(struct visitor *v)
{
	while (v->answer_off < v->answer_len || v->body_off < v->body_len) {
		const char *at;
		size_t left = unsent(v, &at);
		int more = v->answer_off < v->answer_len && v->body_len > 0 ? MSG_MORE : 0;
		ssize_t n = send(v->watcher.fd, at, left, MSG_NOSIGNAL | MSG_DONTWAIT | more);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			visitor_free(v, false);
			return;
		}
		if (v->answer_off < v->answer_len)
			v->answer_off += (uint32_t)n;
		else
			v->body_off += (uint32_t)n;
		uint64_t deadline = v->acceptor->bridge->loop.now_ms + VISITOR_FINISH_MS;
		v->deadline_ms = deadline < v->answer_by_ms ? deadline : v->answer_by_ms;
	}
	v->state = VISITOR_FINISHING;
	(void)shutdown(v->watcher.fd, SHUT_WR);
	finish(v);
}

static void keep_body(struct visitor *v, struct chunk *body)
{
	body->refs++;
	v->body = body;
	v->body_len = body->len;
	v->acceptor->answer_bytes += v->body_len;
}

static void answer_with(struct visitor *v, const struct http_answer *answer)
{
	static char text[HTTP_ANSWER_HEAD_MAX]; /* one thread, never kept */
	struct acceptor *a = v->acceptor;
	struct http_answer given = *answer;
	if (given.body != NULL && !given.head_only && a->answer_bytes + given.body->len > ANSWERS_BYTES_MAX) {
		static struct log_limit limit;
		count(COUNTER_REJECT_ANSWERS);
		log_limited(&limit, a->bridge->loop.now_ms, LOG_LEVEL_WARNING,
		            "%zu MB of answers are under way: further ones are 503", ANSWERS_BYTES_MAX / 1024 / 1024);
		given = (struct http_answer){
		    .status = &http_overloaded, .origins = answer->origins, .origin = answer->origin};
	}
	given.now = time(NULL);
	size_t len = http_answer_format(&given, given.body != NULL ? given.body->len : 0, text, sizeof text);
	v->answer = len > 0 ? malloc(len) : NULL;
	if (v->answer == NULL) {
		acceptor_short_of_memory(a);
		visitor_free(v, false);
		return;
	}
	memcpy(v->answer, text, len);
	v->answer_len = (uint32_t)len;
	if (given.body != NULL && !given.head_only)
		keep_body(v, given.body);
	count(counter_of_status(given.status->code));
	v->state = VISITOR_ANSWERING;
	v->deadline_ms = a->bridge->loop.now_ms + VISITOR_FINISH_MS;
	v->answer_by_ms = a->bridge->loop.now_ms + VISITOR_ANSWER_MS;
	send_answer(v);
}

/* Without a body of its own. head: of the request, as far as it is known; NULL: not at all. */
static void refuse(struct visitor *v, const struct http_status *s, const struct http_head *head)
{
	struct http_answer answer = {.status = s, .origins = v->acceptor->bridge->settings.allowed_origins};
	if (head != NULL) {
		answer.head_only = http_span_is(head->method, "HEAD");
		answer.origin = head->origin;
	}
	answer_with(v, &answer);
}

/* ---- requests ----------------------------------------------------------------------------- */

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

/* Sessions and tunnels cost the same: two descriptors here and one in the broker. */
static uint32_t websockets(const struct bridge *b)
{
	return b->sessions.count + b->tunnels.count;
}

/* Would a session more leave enough descriptors for the others? */
static bool descriptors_left(const struct bridge *b)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return true;
	uint64_t used = 2ull * websockets(b) + b->acceptor.count + DESCRIPTORS_SPARE;
	return used + 2 <= limit.rlim_cur;
}

/* False, and it is said and counted why not. */
static bool have_room(const struct bridge *b)
{
	static struct log_limit sessions_limit, descriptors_limit;
	bool few = websockets(b) < b->settings.max_sessions;
	if (few && descriptors_left(b))
		return true;
	count(few ? COUNTER_REJECT_DESCRIPTORS : COUNTER_REJECT_SESSIONS);
	if (few)
		log_limited(&descriptors_limit, b->loop.now_ms, LOG_LEVEL_WARNING,
		            "no room for more sessions: %u are all that the limit of open files allows (LimitNOFILE)",
		            websockets(b));
	else
		log_limited(&sessions_limit, b->loop.now_ms, LOG_LEVEL_WARNING,
		            "no room for more sessions: there are %u (max_sessions)", websockets(b));
	return false;
}

/* False, and it is said and counted: nobody new is let in. */
static bool is_open(const struct bridge *b)
{
	static struct log_limit limit;
	if (!b->drain.on)
		return true;
	count(COUNTER_REJECT_DRAINING);
	log_limited(&limit, b->loop.now_ms, LOG_LEVEL_INFO,
	            "a session or tunnel is refused: this node is drained");
	return false;
}

/* What the target is upgraded to, NULL: nothing. */
static const struct endpoint *endpoint_of(const struct bridge *b, const struct http_head *head)
{
	if (session_params_is_session(head->target.at, head->target.len))
		return &session_endpoint;
	if (b->settings.mqtt && tunnel_is_path(head->target.at, head->target.len))
		return &tunnel_endpoint;
	return NULL;
}

/* NULL: out of memory. */
static struct upgrade *make_upgrade(const struct http_head *head, const struct endpoint *endpoint)
{
	static char shown[BEARER_MAX]; /* one thread, wiped before it returns */
	size_t len = 0;
	enum bearer found = endpoint == &session_endpoint ? bearer_find(head, shown, &len) : BEARER_NONE;
	struct upgrade *u = calloc(1, sizeof *u + len);
	if (u != NULL) {
		u->endpoint = endpoint;
		if (endpoint == &session_endpoint)
			u->fault = session_params_parse(head->target.at, head->target.len, &u->params);
		if (u->fault == NULL && found == BEARER_BAD)
			u->fault = "token: too long or badly encoded";
		u->shown_len = len;
		memcpy(u->shown, shown, len);
	}
	explicit_bzero(shown, len);
	return u;
}

/* subprotocol: to answer with; NULL: none. */
static void upgrade(struct visitor *v, const struct http_head *head, const struct endpoint *endpoint,
                    const char *subprotocol)
{
	struct bridge *b = v->acceptor->bridge;
	if (!is_open(b)) {
		refuse(v, &http_draining, head);
		return;
	}
	if (!have_room(b)) {
		refuse(v, &http_overloaded, head);
		return;
	}
	struct upgrade *u = make_upgrade(head, endpoint);
	if (u == NULL) {
		acceptor_short_of_memory(&b->acceptor);
		refuse(v, &http_overloaded, head);
		return;
	}
	memcpy(u->address, v->address, sizeof u->address);
	u->early = v->head + head->size;
	u->early_len = v->head_len - head->size;
	char clean[512];
	int n = snprintf(clean, sizeof clean,
	                 "GET / HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\n%s%s%s\r\n",
	                 (int)head->websocket_key.len, head->websocket_key.at,
	                 subprotocol != NULL ? "Sec-WebSocket-Protocol: " : "",
	                 subprotocol != NULL ? subprotocol : "", subprotocol != NULL ? "\r\n" : "");
	size_t total = (size_t)n + u->early_len;
	char *bytes = malloc(total);
	if (bytes == NULL) {
		acceptor_short_of_memory(&b->acceptor);
		upgrade_free(u);
		refuse(v, &http_overloaded, head);
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

/* ---- requests that http_api.c answers --------------------------------------------------- */

static struct visitor *visitor_of(struct http_exchange *x)
{
	return (struct visitor *)((char *)x - offsetof(struct visitor, exchange));
}

static void take_answer(struct http_exchange *x, const struct http_answer *answer)
{
	answer_with(visitor_of(x), answer);
}

/* Only to learn of its end: a request has no body here, and its connection no second request. */
static void watch_waiting(struct visitor *v)
{
	char sink[4096];
	for (size_t total = 0; total < SINK_MAX;) {
		ssize_t n = recv(v->watcher.fd, sink, sizeof sink, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		total += n > 0 ? (size_t)n : 0;
	}
	visitor_free(v, false);
}

static void ask(struct visitor *v, const struct http_head *head)
{
	struct http_exchange *x = &v->exchange;
	x->bridge = v->acceptor->bridge;
	x->give = take_answer;
	x->head = *head;
	x->client = v->client;
	x->client_unsure = !v->by_proxy && head->forwarded_count > 0;
	v->state = VISITOR_WAITING;
	v->deadline_ms = x->bridge->loop.now_ms + VISITOR_WAIT_MS;
	if (!http_api_handle(x))
		watch_waiting(v); /* the edge of what has come behind the head is over */
}

/* Which time it has let pass, for there is one for each thing that somebody may be slow with. */
static void expire_reading(struct visitor *v)
{
	static struct log_limit limit, tls_limit;
	uint64_t now = v->acceptor->bridge->loop.now_ms;
	if (tls_opening(v->watcher.fd)) {
		count(COUNTER_REJECT_TLS_TIME);
		log_limited(&tls_limit, now, LOG_LEVEL_INFO, "TLS with %s was not made in time (header_timeout)",
		            v->address);
		visitor_free(v, false);
		return;
	}
	count(v->head_len > 0 ? COUNTER_REJECT_HEAD_TIME : COUNTER_REJECT_SILENT_TIME);
	log_limited(&limit, now, LOG_LEVEL_INFO, "%s has sent no whole request in time (header_timeout)",
	            v->address);
	/* browsers connect in advance, and would take an answer for that of the request that they send then */
	if (v->head_len > 0)
		refuse(v, &http_timeout, NULL);
	else
		visitor_free(v, false);
}

void visitor_expire(struct visitor *v)
{
	switch (v->state) {
	case VISITOR_READING:
		expire_reading(v);
		break;
	case VISITOR_WAITING:
		let_go(v);
		http_api_answer(&v->exchange, &http_unavailable, NULL);
		break;
	case VISITOR_ANSWERING: /* it has been counted by its answer */
	case VISITOR_FINISHING:
		visitor_free(v, false);
		break;
	}
}

void visitor_give_way(struct visitor *v)
{
	if (v->state == VISITOR_READING) /* what is with it otherwise has been counted */
		count(COUNTER_REJECT_CROWDED);
	visitor_free(v, false);
}

/* What is wrong with a request before anything is looked up; NULL: nothing. */
static const struct http_status *fault_of(const struct bridge *b, const struct http_head *head,
                                          const struct endpoint *endpoint)
{
	bool get = http_span_is(head->method, "GET");
	bool options = http_span_is(head->method, "OPTIONS");
	if (!get && !options && !http_span_is(head->method, "HEAD"))
		return &http_method_not_allowed;
	if (head->has_body)
		return &http_no_body;
	if (endpoint == NULL)
		return NULL;
	if (options)
		return &http_no_content;
	if (!get || !head->upgrade_websocket || !http_span_is(head->websocket_version, "13"))
		return &http_upgrade_required;
	if (!key_valid(head->websocket_key))
		return &http_bad_request;
	return http_origin_allowed(b->settings.allowed_origins, head->origin) ? NULL : &http_forbidden_origin;
}

static void handle(struct visitor *v, const struct http_head *head)
{
	struct bridge *b = v->acceptor->bridge;
	const struct endpoint *endpoint = endpoint_of(b, head);
	const struct http_status *fault = fault_of(b, head, endpoint);
	const char *subprotocol = NULL;
	if (fault == NULL && endpoint != NULL) {
		subprotocol = http_list_first(head->websocket_protocol, endpoint->subprotocols);
		if (subprotocol == NULL && endpoint->subprotocol_required)
			fault = &http_no_subprotocol;
	}
	if (fault == NULL && endpoint != NULL) {
		upgrade(v, head, endpoint, subprotocol);
		return;
	}
	count(COUNTER_CONNECT_HTTP);
	if (fault != NULL)
		refuse(v, fault, head);
	else
		ask(v, head);
}

/* Behind a proxy, whose connection it is shows only now. False: it is refused. */
static bool learn_client(struct visitor *v, const struct http_head *head)
{
	struct bridge *b = v->acceptor->bridge;
	struct address_line lines[HTTP_FORWARDED_MAX];
	if (!v->by_proxy)
		return true;
	for (size_t i = 0; i < head->forwarded_count; i++)
		lines[i] = (struct address_line){head->forwarded_for[i].at, head->forwarded_for[i].len};
	v->client = cidr_client(&b->proxies, &v->client, lines, head->forwarded_count);
	address_format(&v->client, v->address);
	if (acceptor_take_token(v->acceptor, &v->client, true) == ADMITTED)
		return true;
	visitor_refuse_busy(v, head);
	return false;
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

static void head_too_large(const struct visitor *v)
{
	static struct log_limit limit;
	count(COUNTER_REJECT_HEAD_SIZE);
	log_limited(&limit, v->acceptor->bridge->loop.now_ms, LOG_LEVEL_INFO,
	            "%s has sent a request head of more than %d bytes", v->address, HTTP_HEAD_MAX);
}

static void read_head(struct visitor *v)
{
	for (;;) {
		if (!grow_head(v)) {
			acceptor_short_of_memory(v->acceptor);
			visitor_free(v, false);
			return;
		}
		ssize_t n = recv(v->watcher.fd, v->head + v->head_len, v->head_cap - v->head_len, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			count(tls_refused(v->watcher.fd) ? COUNTER_REJECT_TLS : COUNTER_CONNECT_GONE);
			visitor_free(v, false);
			return;
		}
		v->head_len += (uint32_t)n;
		struct http_head head;
		switch (http_head_parse(v->head, v->head_len, &head)) {
		case HTTP_HEAD_PARTIAL:
			continue;
		case HTTP_HEAD_DONE:
			if (learn_client(v, &head))
				handle(v, &head);
			return;
		case HTTP_HEAD_BAD:
			count(COUNTER_CONNECT_HTTP);
			refuse(v, &http_bad_request, &head);
			return;
		case HTTP_HEAD_TOO_LARGE:
			head_too_large(v);
			refuse(v, &http_head_too_large, &head);
			return;
		case HTTP_HEAD_VERSION:
			count(COUNTER_CONNECT_HTTP);
			refuse(v, &http_bad_version, &head);
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
	case VISITOR_WAITING:
		watch_waiting(v);
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

void visitor_refuse_busy(struct visitor *v, const struct http_head *head)
{
	refuse(v, &http_too_many_requests, head);
}

void visitor_refuse_full(struct visitor *v)
{
	refuse(v, &http_overloaded, NULL);
}
