/*
 * server.h - libwebsockets: the WebSocket protocol of accepted connections.
 *
 * The acceptor reads the request head and hands over only clean upgrade requests;
 * libwebsockets does the handshake, framing, UTF-8 checks, pongs and the close handshake. What
 * versions before 5.0 let through (unmasked client frames) is caught below it, and so is TLS
 * (socket_calls.h): to libwebsockets all connections are plain.
 */
#ifndef CHAT_BRIDGE_SERVER_H
#define CHAT_BRIDGE_SERVER_H

#include "bridge/session_params.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct bridge;
struct lws;
struct lws_context;
struct lws_vhost;

/* What is known of a connection between its acceptance and its upgrade. */
struct upgrade {
	struct session_params params;
	const char *fault; /* NULL, or why the parameters are refused (static text) */
	const char *early; /* what the client sent behind its head; borrowed during server_adopt */
	size_t early_len;
	char address[46]; /* of the client, for the log */
};

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

/* The session of this connection is no more: its callbacks find nobody. */
void server_forget(struct lws *wsi);

/* Called at the end of each round: lets connections be read whose TLS holds decrypted bytes. */
void server_feed(struct server *srv);

/* Takes the descriptor and u (from malloc), whatever happens. head: the upgrade request for
 * libwebsockets, followed by what the client has sent behind its own head. */
void server_adopt(struct server *srv, int fd, struct upgrade *u, const char *head, size_t len);

#endif
