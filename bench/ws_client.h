/*
 * ws_client.h - the client's end of many WebSocket connections (RFC 6455) in one epoll set:
 * opening handshake, masked frames out, frames in found where they were received.
 *
 * One receive buffer serves all connections: what ws_client_next hands out is valid until
 * the next ws_client_read of any of them. Answers to pings and to a close are sent inside.
 * A server's messages in several fragments are refused: nothing that is measured here sends them.
 * Over TLS (tls.h) where the net has a context for it.
 */
#ifndef BENCH_WS_CLIENT_H
#define BENCH_WS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_READ_BYTES (256u << 10)  /* asked for with one recv */
#define WS_FRAME_BYTES (128u << 10) /* the longest frame from a server */
#define WS_BACKLOG_BYTES (4u << 20) /* not yet taken by the kernel, for each connection */
#define WS_FRAME_HEAD 14u           /* at most before the payload */

enum ws_state {
	WS_CLOSED,     /* no socket: not opened yet, or over */
	WS_CONNECTING, /* TCP is under way */
	WS_SECURING,   /* TLS is */
	WS_UPGRADING,  /* our request is on its way, the answer is not complete */
	WS_OPEN,
	WS_CLOSING, /* our close frame is on its way, the end of the stream has not come */
};

struct ws_client {
	enum ws_state state;
	int fd;
	struct tls *tls; /* or NULL; owned */
	uint32_t number;
	uint16_t close_code; /* of the server's close frame, else 0 */
	bool wants_out;      /* epoll is asked for EPOLLOUT */
	bool unread;         /* TLS may hold more than the last read had room for: epoll will not speak of it */
	uint32_t stash_len, stash_cap;
	uint32_t out_at, out_len, out_cap;
	uint8_t *stash; /* the beginning of a frame or of the answer; owned */
	uint8_t *out;   /* what the kernel has not taken yet, from out_at to out_len; owned */
};

struct ws_net {
	int epoll; /* events carry the struct ws_client in data.ptr */
	struct addrinfo *address;
	const char *host, *port, *path; /* borrowed; holes in path are filled (holes.h) */
	const char *subprotocol; /* to be asked for, or NULL; borrowed; the caller's to set, as the next two */
	uint32_t rooms;          /* connection n is in room n % rooms; 1 */
	struct tls_context *tls; /* or NULL: plain; owned */
	uint8_t *buffer;
	uint8_t *at, *end; /* what has been received and not handed out yet */
	uint32_t mask;     /* of the frame before */
	uint64_t bytes_in; /* received by all */
	char why[200];     /* the last failure in words */
};

enum ws_next {
	WS_NOTHING, /* no whole frame left: read again when epoll says so */
	WS_MESSAGE, /* *payload and *len are a text or binary message */
	WS_OPENED,  /* the handshake is over; ask again */
	WS_ENDED,   /* closed, by whomever; net->why says how; the socket is closed */
};

/* Looks the host up. False: net->why. */
bool ws_net_init(struct ws_net *net, const char *host, const char *port, const char *path);
void ws_net_free(struct ws_net *net);

/* Starts to connect; the state is then WS_CONNECTING. False: net->why, the state is WS_CLOSED. */
bool ws_client_open(struct ws_net *net, struct ws_client *c, uint32_t number);

/* EPOLLOUT: completes connecting, sends what waits. False: ended, as WS_ENDED. */
bool ws_client_writable(struct ws_net *net, struct ws_client *c);

/* EPOLLIN: one recv. False: ended, as WS_ENDED. Then ws_client_next until it is not
 * WS_MESSAGE or WS_OPENED; and again while c->unread. */
bool ws_client_read(struct ws_net *net, struct ws_client *c);
enum ws_next ws_client_next(struct ws_net *net, struct ws_client *c, const uint8_t **payload, size_t *len);

/* Writes one masked text or binary frame to out, which has room for n + WS_FRAME_HEAD; returns its length. */
size_t ws_frame(struct ws_net *net, uint8_t *out, bool binary, const uint8_t *payload, size_t n);

/* Sends whole frames, or keeps them for later. False: nothing was taken, because the backlog
 * is full (the state stays WS_OPEN) or because the connection has ended. */
bool ws_client_send(struct ws_net *net, struct ws_client *c, const uint8_t *frames, size_t n);

/* Sends a close frame with 1000; the state is then WS_CLOSING, or WS_CLOSED. */
void ws_client_say_goodbye(struct ws_net *net, struct ws_client *c);

/* Closes the socket and frees what the connection owns. Harmless when that has been done. */
void ws_client_drop(struct ws_client *c);

#endif
