/*
 * server.h - libwebsockets: the WebSocket protocol of accepted connections, for sessions and tunnels.
 *
 * The acceptor reads the request head and hands over only clean upgrade requests;
 * libwebsockets does the handshake, framing, UTF-8 checks and the close handshake. What it does
 * not do as RFC 6455 wants it (unmasked client frames, close frames, pings) is done below it (frame_guard.h),
 * and so is TLS (tls.h): to libwebsockets all connections are plain.
 */
#ifndef CHAT_BRIDGE_SERVER_H
#define CHAT_BRIDGE_SERVER_H

#include "bridge/session_params.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct bridge;
struct lws;
struct lws_context;
struct lws_vhost;

struct upgrade;

/* Some bytes of a message of the client; all of them where it is first and final and nothing remains. */
struct message_piece {
	const uint8_t *bytes;
	size_t len;
	bool first, final, binary;
	size_t remaining; /* bytes of this frame still to come */
};

/* What is at our end of a WebSocket: a session or a tunnel. The path of the request decides which, and never
 * the subprotocol. All calls come from inside libwebsockets, on the loop's thread; `of` is what open has
 * returned. */
struct endpoint {
	const char *const *subprotocols; /* that it answers with; ends with NULL */
	bool subprotocol_required;
	/* The upgrade is done. u is borrowed. NULL: out of memory, the connection ends. */
	void *(*open)(struct bridge *b, struct lws *wsi, const struct upgrade *u);
	void (*receive)(void *of, const struct message_piece *piece);
	void (*pong)(void *of);      /* NULL: it sends no pings */
	void (*writeable)(void *of); /* the socket takes bytes again */
	/* Its close frame has come: nothing may follow our answer to it. */
	void (*peer_closes)(void *of, unsigned code);
	void (*gone)(void *of); /* the connection is no more, and wsi is not to be used again */
	/* These two run inside recv(), so only a note may be taken. The client's frames are against RFC 6455;
	 * code: of the close frame that they deserve, reason: static text. */
	void (*violation)(void *of, uint16_t code, const char *reason);
	/* A ping, borrowed, which the endpoint answers; NULL: libwebsockets does. */
	void (*ping)(void *of, const uint8_t *payload, size_t n);
};

/* What is known of a connection between its acceptance and its upgrade. */
struct upgrade {
	const struct endpoint *endpoint;
	struct session_params params;
	const char *fault; /* NULL, or why the parameters are refused (static text) */
	const char *early; /* what the client sent behind its head; borrowed during server_adopt */
	size_t early_len;
	char address[46]; /* of the client, for the log */
	size_t shown_len; /* of its token or password */
	char shown[];
};

/* Wiped and freed; NULL is fine. */
void upgrade_free(struct upgrade *u);

struct server {
	struct bridge *bridge;
	struct lws_context *context;
	struct lws_vhost *vhost;
	uv_idle_t busy; /* runs while the loop must not sleep */
};

/* Creates the context on the bridge's loop. False with a log line. */
bool server_start(struct server *srv, struct bridge *b);

/* First call: closes all connections; run the loop until it has nothing more to do, then
 * call server_end. */
void server_stop(struct server *srv);
void server_end(struct server *srv);

/* The endpoint of this connection is no more: its callbacks find nobody. */
void server_forget(struct lws *wsi);

/* Called at the end of each round: lets connections be read whose TLS holds decrypted bytes. */
void server_feed(struct server *srv);

/* Sends the close frame, unless a part of a message is in its way, and ends the connection; the peer's close
 * frame is waited for. rx_stopped: the connection was not read until now. Not from inside a callback of the
 * connection; may call the endpoint's gone before it returns. */
void server_close(struct lws *wsi, uint16_t code, const char *reason, bool rx_stopped);

/* Takes the descriptor and u (from malloc), whatever happens. head: the upgrade request for
 * libwebsockets, followed by what the client has sent behind its own head. */
void server_adopt(struct server *srv, int fd, struct upgrade *u, const char *head, size_t len);

#endif
