/* ws_client.c - see ws_client.h. */
#include "bench/ws_client.h"

#include "bench/holes.h"
#include "bench/tls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The key of the RFC's own example, for which it gives the answer: no SHA-1 is needed to
 * tell whether the server can compute it. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define HEAD_BYTES 8192u /* the longest answer to the handshake */
#define OUT_FIRST 1024u

enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

/* Ends the connection and says why. Always false. */
__attribute__((format(printf, 3, 4))) static bool end(struct ws_net *net, struct ws_client *c,
                                                      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(net->why, sizeof(net->why), format, args);
	va_end(args);
	ws_client_drop(c);
	return false;
}

bool ws_net_init(struct ws_net *net, const char *host, const char *port, const char *path)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	int rc;

	*net = (struct ws_net){
	    .epoll = -1, .host = host, .port = port, .path = path, .rooms = 1, .mask = 0x9e3779b9};
	rc = getaddrinfo(host, port, &hints, &net->address);
	if (rc != 0) {
		(void)snprintf(net->why, sizeof(net->why), "%s:%s: %s", host, port, gai_strerror(rc));
		net->address = NULL;
		return false;
	}
	net->epoll = epoll_create1(EPOLL_CLOEXEC);
	net->buffer = malloc(WS_FRAME_BYTES + WS_READ_BYTES);
	if (net->epoll < 0 || net->buffer == NULL) {
		(void)snprintf(net->why, sizeof(net->why), "no epoll set or no memory");
		return false;
	}
	net->at = net->end = net->buffer;
	return true;
}

void ws_net_free(struct ws_net *net)
{
	if (net->address != NULL)
		freeaddrinfo(net->address);
	if (net->epoll >= 0)
		(void)close(net->epoll);
	free(net->buffer);
	if (net->tls != NULL)
		tls_context_free(net->tls);
	*net = (struct ws_net){.epoll = -1};
}

void ws_client_drop(struct ws_client *c)
{
	if (c->tls != NULL)
		tls_free(c->tls);
	if (c->state != WS_CLOSED)
		(void)close(c->fd); /* which takes it out of the epoll set */
	free(c->stash);
	free(c->out);
	*c = (struct ws_client){.number = c->number, .close_code = c->close_code};
}

/* ---- out ------------------------------------------------------------------------ */

static bool watch(struct ws_net *net, struct ws_client *c, int operation, bool out)
{
	struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};

	c->wants_out = out;
	return epoll_ctl(net->epoll, operation, c->fd, &e) == 0 || end(net, c, "epoll_ctl: %s", strerror(errno));
}

/* Appends to the backlog. False: no room; the connection stays as it is. */
static bool keep_for_later(struct ws_client *c, const uint8_t *bytes, size_t n)
{
	if (c->out_at > 0 && c->out_len + n > c->out_cap) {
		memmove(c->out, c->out + c->out_at, c->out_len - c->out_at);
		c->out_len -= c->out_at;
		c->out_at = 0;
	}
	if (c->out_len + n > c->out_cap) {
		size_t cap = c->out_cap > 0 ? c->out_cap : OUT_FIRST;
		uint8_t *grown;

		while (cap < c->out_len + n)
			cap *= 2;
		grown = cap > WS_BACKLOG_BYTES ? NULL : realloc(c->out, cap);
		if (grown == NULL)
			return false;
		c->out = grown;
		c->out_cap = (uint32_t)cap;
	}
	memcpy(c->out + c->out_len, bytes, n);
	c->out_len += (uint32_t)n;
	return true;
}

/* How many bytes the kernel took, or -1: ended. */
static ssize_t put_out(struct ws_net *net, struct ws_client *c, const uint8_t *bytes, size_t n)
{
	ssize_t sent = c->tls != NULL ? tls_write(c->tls, bytes, n) : send(c->fd, bytes, n, MSG_NOSIGNAL);

	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (sent < 0)
		(void)end(net, c, "send: %s", strerror(errno));
	return sent;
}

bool ws_client_send(struct ws_net *net, struct ws_client *c, const uint8_t *frames, size_t n)
{
	ssize_t sent = 0;

	if (c->out_len == c->out_at) {
		sent = put_out(net, c, frames, n);
		if (sent < 0)
			return false;
		if ((size_t)sent == n)
			return true;
	}
	if (!keep_for_later(c, frames + sent, n - (size_t)sent))
		return sent > 0 ? end(net, c, "no memory for what waits to be sent") : false;
	return c->wants_out || watch(net, c, EPOLL_CTL_MOD, true);
}

static bool flush(struct ws_net *net, struct ws_client *c)
{
	ssize_t sent = put_out(net, c, c->out + c->out_at, c->out_len - c->out_at);

	if (sent < 0)
		return false;
	c->out_at += (uint32_t)sent;
	if (c->out_at < c->out_len)
		return true;
	free(c->out);
	c->out = NULL;
	c->out_at = c->out_len = c->out_cap = 0;
	return watch(net, c, EPOLL_CTL_MOD, false);
}

static size_t frame(struct ws_net *net, uint8_t *out, uint8_t opcode, const uint8_t *payload, size_t n)
{
	uint8_t *at = out;
	uint64_t wide;
	size_t i = 0;

	*at++ = 0x80 | opcode;
	if (n < 126) {
		*at++ = (uint8_t)(0x80 | n);
	} else if (n < 65536) {
		*at++ = 0x80 | 126;
		*at++ = (uint8_t)(n >> 8);
		*at++ = (uint8_t)n;
	} else {
		*at++ = 0x80 | 127;
		for (int shift = 56; shift >= 0; shift -= 8)
			*at++ = (uint8_t)((uint64_t)n >> shift);
	}
	net->mask ^= net->mask << 13;
	net->mask ^= net->mask >> 17;
	net->mask ^= net->mask << 5;
	memcpy(at, &net->mask, 4);
	at += 4;
	for (wide = (uint64_t)net->mask << 32 | net->mask; i + 8 <= n; i += 8) {
		uint64_t v;

		memcpy(&v, payload + i, 8);
		v ^= wide;
		memcpy(at + i, &v, 8);
	}
	for (; i < n; i++)
		at[i] = (uint8_t)(payload[i] ^ (at - 4)[i & 3]);
	return (size_t)(at - out) + n;
}

size_t ws_frame(struct ws_net *net, uint8_t *out, bool binary, const uint8_t *payload, size_t n)
{
	return frame(net, out, binary ? OP_BINARY : OP_TEXT, payload, n);
}

static bool send_control(struct ws_net *net, struct ws_client *c, uint8_t opcode, const uint8_t *payload,
                         size_t n)
{
	uint8_t out[WS_FRAME_HEAD + 125];

	return ws_client_send(net, c, out, frame(net, out, opcode, payload, n));
}

void ws_client_say_goodbye(struct ws_net *net, struct ws_client *c)
{
	if (c->state != WS_OPEN || !send_control(net, c, OP_CLOSE, (const uint8_t *)"\x03\xe8", 2))
		ws_client_drop(c);
	else
		c->state = WS_CLOSING;
}

/* ---- opening -------------------------------------------------------------------- */

bool ws_client_open(struct ws_net *net, struct ws_client *c, uint32_t number)
{
	const struct addrinfo *a = net->address;
	int on = 1;

	*c = (struct ws_client){.number = number,
	                        .fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
	if (c->fd < 0)
		return end(net, c, "socket: %s", strerror(errno));
	c->state = WS_CONNECTING;
	if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
		return end(net, c, "setsockopt: %s", strerror(errno));
	if (connect(c->fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
		return end(net, c, "connect to %s:%s: %s", net->host, net->port, strerror(errno));
	return watch(net, c, EPOLL_CTL_ADD, true);
}

static bool send_request(struct ws_net *net, struct ws_client *c)
{
	char path[2048], request[4096];
	bool v6 = strchr(net->host, ':') != NULL, whole;
	int n;

	whole = holes_fill(path, sizeof(path), net->path, c->number, c->number % net->rooms);
	n = snprintf(request, sizeof(request),
	             "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	             "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
	             whole ? path : "", v6 ? "[" : "", net->host, v6 ? "]" : "", net->port,
	             net->subprotocol != NULL ? "Sec-WebSocket-Protocol: " : "",
	             net->subprotocol != NULL ? net->subprotocol : "", net->subprotocol != NULL ? "\r\n" : "");
	if (!whole || n < 0 || (size_t)n >= sizeof(request))
		return end(net, c, "the url is too long");
	c->state = WS_UPGRADING;
	return ws_client_send(net, c, (const uint8_t *)request, (size_t)n);
}

/* One step of the TLS handshake; the request behind the last one. */
static bool secure(struct ws_net *net, struct ws_client *c)
{
	enum tls_step step = tls_handshake(c->tls);

	if (step == TLS_FAILED)
		return end(net, c, "the TLS handshake failed");
	if (c->wants_out != (step == TLS_WANTS_OUT) && !watch(net, c, EPOLL_CTL_MOD, step == TLS_WANTS_OUT))
		return false;
	return step != TLS_DONE || send_request(net, c);
}

bool ws_client_writable(struct ws_net *net, struct ws_client *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (c->state == WS_SECURING)
		return secure(net, c);
	if (c->state != WS_CONNECTING)
		return c->out_len == c->out_at ? watch(net, c, EPOLL_CTL_MOD, false) : flush(net, c);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
		return end(net, c, "connect to %s:%s: %s", net->host, net->port, strerror(error));
	if (net->tls == NULL)
		return send_request(net, c);
	c->tls = tls_new(net->tls, c->fd);
	if (c->tls == NULL)
		return end(net, c, "no memory for TLS");
	c->state = WS_SECURING;
	return secure(net, c);
}

/* The value of a header field, up to the end of its line; NULL when there is none. */
static const char *field(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = strstr(head, "\r\n"); at != NULL; at = strstr(at + 2, "\r\n"))
		if (strncasecmp(at + 2, name, n) == 0 && at[2 + n] == ':')
			return at + 2 + n + 1 + strspn(at + 2 + n + 1, " \t");
	return NULL;
}

static enum ws_next read_answer(struct ws_net *net, struct ws_client *c)
{
	size_t n = (size_t)(net->end - net->at);
	uint8_t *stop = memmem(net->at, n, "\r\n\r\n", 4);
	const char *head = (const char *)net->at, *accept;

	if (stop == NULL && n <= HEAD_BYTES)
		return WS_NOTHING;
	if (stop == NULL || memchr(head, 0, (size_t)(stop - net->at)) != NULL) {
		(void)end(net, c, "the answer to the handshake is no HTTP");
		return WS_ENDED;
	}
	stop[2] = 0; /* the last line keeps its end */
	accept = field(head, "Sec-WebSocket-Accept");
	if (strncmp(head, "HTTP/1.1 101 ", 13) != 0 || accept == NULL ||
	    strncmp(accept, ACCEPT "\r\n", sizeof(ACCEPT) + 1) != 0) {
		(void)end(net, c, "handshake refused: %.*s", (int)strcspn(head, "\r\n"), head);
		return WS_ENDED;
	}
	net->at = stop + 4;
	c->state = WS_OPEN;
	return WS_OPENED;
}

/* ---- in ------------------------------------------------------------------------- */

/* As many records as there are and find room: as one recv is without TLS. */
static ssize_t read_records(struct ws_client *c, uint8_t *out, size_t cap)
{
	ssize_t sum = 0, got;

	do {
		got = tls_read(c->tls, out + sum, cap - (size_t)sum);
		sum += got > 0 ? got : 0;
	} while (got > 0 && (size_t)sum < cap);
	c->unread = (size_t)sum == cap;
	return sum > 0 ? sum : got; /* an end behind them is found again by the next read */
}

bool ws_client_read(struct ws_net *net, struct ws_client *c)
{
	ssize_t got;

	if (c->state == WS_SECURING) {
		net->at = net->end = net->buffer;
		return secure(net, c);
	}
	if (c->stash_len > 0)
		memcpy(net->buffer, c->stash, c->stash_len);
	net->at = net->end = net->buffer;
	got = c->tls != NULL ? read_records(c, net->buffer + c->stash_len, WS_READ_BYTES)
	                     : recv(c->fd, net->buffer + c->stash_len, WS_READ_BYTES, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return true; /* the stash stays where it is */
	if (got <= 0)
		return end(net, c, "%s", got == 0 ? "the server ended the connection" : strerror(errno));
	net->bytes_in += (uint64_t)got;
	net->end += c->stash_len + (size_t)got;
	c->stash_len = 0;
	return true;
}

/* Keeps what is not a whole frame yet for the next read. */
static enum ws_next set_aside(struct ws_net *net, struct ws_client *c)
{
	size_t n = (size_t)(net->end - net->at);

	if (n > c->stash_cap) {
		size_t cap = (n + 511) & ~(size_t)511;
		uint8_t *grown = n > WS_FRAME_BYTES ? NULL : realloc(c->stash, cap);

		if (grown == NULL) {
			(void)end(net, c, "a frame that is too long, or no memory for it");
			return WS_ENDED;
		}
		c->stash = grown;
		c->stash_cap = (uint32_t)cap;
	}
	if (n > 0) {
		memcpy(c->stash, net->at, n);
		c->stash_len = (uint32_t)n;
		net->at = net->end;
	}
	return WS_NOTHING;
}

static enum ws_next control(struct ws_net *net, struct ws_client *c, uint8_t opcode, const uint8_t *payload,
                            size_t n)
{
	if (opcode == OP_PONG || c->state == WS_CLOSING)
		return WS_NOTHING;
	if (opcode == OP_PING)
		return send_control(net, c, OP_PONG, payload, n) || c->state == WS_OPEN ? WS_NOTHING : WS_ENDED;
	if (n >= 2) {
		c->close_code = (uint16_t)(payload[0] << 8 | payload[1]);
		(void)send_control(net, c, OP_CLOSE, payload, 2); /* and whether or not that went out: */
		(void)end(net, c, "the server closed with %u %.*s", c->close_code, (int)(n - 2),
		          (const char *)payload + 2);
	} else {
		(void)end(net, c, "the server closed without a code");
	}
	return WS_ENDED;
}

enum ws_next ws_client_next(struct ws_net *net, struct ws_client *c, const uint8_t **payload, size_t *len)
{
	if (c->state == WS_UPGRADING && net->end > net->at) {
		enum ws_next answer = read_answer(net, c);

		return answer == WS_NOTHING ? set_aside(net, c) : answer;
	}
	for (;;) {
		const uint8_t *p = net->at;
		size_t left = (size_t)(net->end - p), head = 2, n;
		enum ws_next after;

		if (left < 2)
			return set_aside(net, c);
		n = p[1];
		if (n == 126) {
			head = 4;
			if (left < head)
				return set_aside(net, c);
			n = (size_t)p[2] << 8 | p[3];
		} else if (n >= 127) { /* masked (0x80 and up), or a length of eight bytes */
			head = 10;
			if (n > 127) {
				(void)end(net, c, "a masked frame from the server");
				return WS_ENDED;
			}
			if (left < head)
				return set_aside(net, c);
			n = memcmp(p + 2, "\0\0\0\0", 4) != 0
			        ? SIZE_MAX
			        : ((size_t)p[6] << 24 | (size_t)p[7] << 16 | (size_t)p[8] << 8 | p[9]);
		}
		if (n > WS_FRAME_BYTES - head) {
			(void)end(net, c, "a frame that is too long");
			return WS_ENDED;
		}
		if (left - head < n)
			return set_aside(net, c);
		net->at += head + n;
		if (p[0] == (0x80 | OP_TEXT) || p[0] == (0x80 | OP_BINARY)) {
			*payload = p + head;
			*len = n;
			return WS_MESSAGE;
		}
		if (n > 125 || p[0] < (0x80 | OP_CLOSE) || p[0] > (0x80 | OP_PONG)) {
			(void)end(net, c, "a frame that starts with byte 0x%02x (fragments are not read here)", p[0]);
			return WS_ENDED;
		}
		after = control(net, c, p[0] & 0x0f, p + head, n);
		if (after != WS_NOTHING)
			return after;
	}
}
