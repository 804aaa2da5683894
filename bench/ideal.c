/*
 * ideal.c - chat-ideal: what a WebSocket broadcast costs at least, to compare with. One epoll
 * loop: what a round has read is framed once, and each connection gets it with one send. No checks, no
 * identities, no rooms, no pings, nothing kept: not a chat server.
 *
 *   chat-ideal PORT      127.0.0.1
 *
 * Authors get their own messages too. Who reads slowly has his own copy of what waits, without a bound.
 * Frames up to 64 KB, not fragmented. SIGTERM ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_BYTES (80u << 10)
#define LOG_BYTES (4u << 20)
#define EVENTS 1024

struct client {
	int fd;
	bool open;    /* the handshake is over */
	size_t index; /* in clients */
	uint8_t *in;  /* what is not a whole frame yet, or NULL */
	size_t in_len;
	uint8_t *out; /* what the kernel has not taken */
	size_t out_at, out_len, out_cap;
	struct client *next_dead;
};

static int epoll = -1;
static struct client **clients, *dead;
static size_t client_count, client_cap;
static uint8_t buffer[IN_BYTES];
static uint8_t *log_bytes; /* frames of this round */
static size_t log_len;

static int fail(const char *what)
{
	(void)fprintf(stderr, "chat-ideal: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Out of the list now, freed after the round. */
static void drop(struct client *c)
{
	if (c->fd < 0)
		return;
	(void)close(c->fd);
	c->fd = -1;
	clients[c->index] = clients[--client_count];
	clients[c->index]->index = c->index;
	c->next_dead = dead;
	dead = c;
}

static void free_dead(void)
{
	while (dead != NULL) {
		struct client *c = dead;

		dead = c->next_dead;
		free(c->in);
		free(c->out);
		free(c);
	}
}

static bool watch(struct client *c, int operation, bool out)
{
	struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};

	return epoll_ctl(epoll, operation, c->fd, &e) == 0;
}

static bool keep(struct client *c, const uint8_t *bytes, size_t n)
{
	if (c->out_len + n > c->out_cap) {
		size_t cap = (c->out_len + n) * 2;
		uint8_t *grown = realloc(c->out, cap);

		if (grown == NULL)
			return false;
		c->out = grown;
		c->out_cap = cap;
	}
	memcpy(c->out + c->out_len, bytes, n);
	c->out_len += n;
	return true;
}

static void give(struct client *c, const uint8_t *bytes, size_t n)
{
	ssize_t sent = 0;

	if (c->out_len == 0) {
		sent = send(c->fd, bytes, n, MSG_NOSIGNAL);
		if (sent == (ssize_t)n)
			return;
		if (sent < 0 && errno != EAGAIN) {
			drop(c);
			return;
		}
		sent = sent < 0 ? 0 : sent;
		if (!watch(c, EPOLL_CTL_MOD, true)) {
			drop(c);
			return;
		}
	}
	if (!keep(c, bytes + sent, n - (size_t)sent))
		drop(c);
}

static void flush(struct client *c)
{
	ssize_t sent = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN) {
		drop(c);
		return;
	}
	c->out_at += sent > 0 ? (size_t)sent : 0;
	if (c->out_at < c->out_len)
		return;
	c->out_at = c->out_len = 0;
	if (!watch(c, EPOLL_CTL_MOD, false))
		drop(c);
}

/* To everybody what the round has read. */
static void broadcast(void)
{
	for (size_t i = client_count; i > 0 && log_len > 0; i--) /* drop() puts the last one in its place */
		if (clients[i - 1]->open)
			give(clients[i - 1], log_bytes, log_len);
	log_len = 0;
}

static bool shake_hands(struct client *c, uint8_t *head, size_t n)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[EVP_MAX_MD_SIZE], accept[64];
	char text[256], answer[256], *key, *end;
	int length;

	head[n - 1] = 0;
	key = strcasestr((char *)head, "\r\nSec-WebSocket-Key:");
	if (key == NULL)
		return false;
	key += strlen("\r\nSec-WebSocket-Key:");
	key += strspn(key, " ");
	end = strchr(key, '\r');
	if (end == NULL || end - key > 64)
		return false;
	length = snprintf(text, sizeof(text), "%.*s%s", (int)(end - key), key, guid);
	if (EVP_Digest(text, (size_t)length, digest, NULL, EVP_sha1(), NULL) != 1)
		return false;
	(void)EVP_EncodeBlock(accept, digest, 20);
	length = snprintf(answer, sizeof(answer),
	                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	                  "Sec-WebSocket-Accept: %s\r\n\r\n",
	                  (const char *)accept);
	c->open = true;
	give(c, (const uint8_t *)answer, (size_t)length);
	return true;
}

static void log_frame(const uint8_t *payload, const uint8_t *mask, size_t n)
{
	uint8_t *at;
	size_t i = 0;

	if (log_len + n + 4 > LOG_BYTES)
		broadcast();
	at = log_bytes + log_len;
	*at++ = 0x81;
	if (n < 126) {
		*at++ = (uint8_t)n;
	} else {
		*at++ = 126;
		*at++ = (uint8_t)(n >> 8);
		*at++ = (uint8_t)n;
	}
	for (; i + 4 <= n; i += 4) {
		uint32_t word, key;

		memcpy(&word, payload + i, 4);
		memcpy(&key, mask, 4);
		word ^= key;
		memcpy(at + i, &word, 4);
	}
	for (; i < n; i++)
		at[i] = payload[i] ^ mask[i & 3];
	log_len = (size_t)(at + n - log_bytes);
}

/* How many bytes of whole frames there were, or -1: the connection is over. */
static ssize_t read_frames(const uint8_t *bytes, size_t n)
{
	size_t at = 0;

	for (;;) {
		const uint8_t *p = bytes + at;
		size_t left = n - at, head = 6, length;

		if (left < 2)
			return (ssize_t)at;
		length = p[1] & 127;
		if (length == 126) {
			if (left < 4)
				return (ssize_t)at;
			length = (size_t)p[2] << 8 | p[3];
			head = 8;
		}
		if (length == 127 || (p[0] & 15) == 8)
			return -1;
		if (left < head + length)
			return (ssize_t)at;
		if ((p[0] & 15) == 1)
			log_frame(p + head, p + head - 4, length);
		at += head + length;
	}
}

static void take(struct client *c)
{
	ssize_t got, used;
	size_t n;

	if (c->in_len > 0)
		memcpy(buffer, c->in, c->in_len);
	got = recv(c->fd, buffer + c->in_len, sizeof(buffer) - c->in_len, 0);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		drop(c);
		return;
	}
	n = c->in_len + (size_t)got;
	c->in_len = 0;
	if (c->open) {
		used = read_frames(buffer, n);
	} else if (n >= 4 && memcmp(buffer + n - 4, "\r\n\r\n", 4) == 0) { /* nobody sends before the 101 */
		used = shake_hands(c, buffer, n) ? (ssize_t)n : -1;
	} else {
		used = 0;
	}
	if (used < 0) {
		drop(c);
		return;
	}
	n -= (size_t)used;
	if (n > 0 && c->in == NULL)
		c->in = malloc(IN_BYTES);
	if (n > 0 && (c->in == NULL || n >= IN_BYTES)) {
		drop(c);
		return;
	}
	if (n > 0)
		memcpy(c->in, buffer + used, n);
	c->in_len = n;
}

static void accept_all(int listener)
{
	int fd, on = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *c = calloc(1, sizeof(*c));

		if (client_count == client_cap) {
			struct client **grown = realloc(clients, (client_cap + 1024) * sizeof(*clients));

			if (grown != NULL) {
				clients = grown;
				client_cap += 1024;
			}
		}
		if (c == NULL || client_count == client_cap ||
		    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
			(void)close(fd);
			free(c);
			continue;
		}
		c->fd = fd;
		c->index = client_count;
		clients[client_count++] = c;
		if (!watch(c, EPOLL_CTL_ADD, false))
			drop(c);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct epoll_event events[EVENTS], e = {.events = EPOLLIN};
	struct rlimit files;
	int listener, on = 1;

	if (argc != 2)
		return fputs("usage: chat-ideal PORT\n", stderr) < 0 ? 1 : 2;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) != 0)
			return fail("setrlimit");
	}
	address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 4096) != 0)
		return fail("listen");
	epoll = epoll_create1(EPOLL_CLOEXEC);
	log_bytes = malloc(LOG_BYTES);
	if (epoll < 0 || log_bytes == NULL || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) != 0)
		return fail("epoll");
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			return fail("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;

			if (c == NULL) {
				accept_all(listener);
				continue;
			}
			if (c->fd >= 0 && (events[i].events & EPOLLOUT))
				flush(c);
			if (c->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT))
				take(c);
		}
		broadcast();
		free_dead();
	}
}
