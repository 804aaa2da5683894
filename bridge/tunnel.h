/*
 * tunnel.h - MQTT over WebSocket: one WebSocket of /mqtt, one connection to the broker, and bytes.
 *
 * The payloads of the client's binary messages are one stream to the broker, and what the broker says leaves
 * in binary messages of up to TUNNEL_MESSAGE_MAX bytes; where a message begins and ends means nothing.
 * Nothing is looked into: the connection comes to the broker's unix listener without the bridges' credential,
 * so the broker and the plugin judge its client like any other MQTT client. A tunnel grants nothing.
 *
 * States, each entered in one place:
 *   WAITING  for a connection to the broker (its listener takes ten at a time); the client is not read
 *   OPEN     bytes flow both ways
 *   CLOSING  tunnel_close was called; the close frame leaves as soon as the socket lets it
 *   GONE     nothing more is sent to the client
 * In the last two, what the client sent before still reaches the broker, which then sees an orderly end of
 * its connection (TUNNEL_LINGER_MS at most). A tunnel is freed when both its ends are gone.
 *
 * Bounds: of what the broker's socket does not take TUNNEL_PENDING_MAX bytes are kept, and the client is not
 * read while there are any. Nothing is kept of what the client does not take: the broker's socket is not
 * read while libwebsockets holds a part of a message (at most TUNNEL_MESSAGE_MAX), so what is not read waits
 * at the broker, which drops by its own rules (max_queued_messages).
 */
#ifndef CHAT_BRIDGE_TUNNEL_H
#define CHAT_BRIDGE_TUNNEL_H

#include "bridge/loop.h"
#include "bridge/outbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bridge;
struct lws;
struct endpoint;

#define TUNNEL_MESSAGE_MAX (OUTBOX_WRITE_MAX - 4) /* with its head it leaves in one write */
#define TUNNEL_PENDING_MAX ((size_t)128 * 1024)
#define TUNNEL_CONNECT_MS 10000
#define TUNNEL_CLOSE_MS 10000 /* for the socket to take the rest and the close frame */
#define TUNNEL_LINGER_MS 5000

enum tunnel_state { TUNNEL_WAITING, TUNNEL_OPEN, TUNNEL_CLOSING, TUNNEL_GONE };

struct tunnel {
	struct watcher watcher; /* first; the broker's end, fd -1: not there */
	struct bridge *bridge;
	struct lws *wsi; /* the client's end; NULL: gone */
	uint64_t number;
	char address[46]; /* of the client, for the log */
	enum tunnel_state state;
	bool queued;      /* waits for a connection to the broker */
	bool rx_stopped;  /* the client is not read */
	bool finishing;   /* behind what is pending the broker gets the end of the stream */
	bool refused;     /* the broker takes no more; reading from it will tell why */
	bool due;         /* to be visited at the end of the round */
	uint8_t *pending; /* from the client, not taken by the broker yet */
	size_t pending_len, pending_off;
	uint64_t from_client, to_client; /* bytes */
	uint64_t opened_ms;
	uint64_t close_by_ms, linger_by_ms;
	uint16_t close_code;
	const char *close_reason;
	struct tunnel *prev, *next;             /* all, in order of arrival (utlist) */
	struct tunnel *queue_prev, *queue_next; /* those that wait (utlist) */
	struct tunnel *next_due;
};

struct tunnels {
	struct bridge *bridge;
	struct tunnel *first;
	uint32_t count; /* those included that only their broker's end is left of */
	struct tunnel *queue;
	struct tunnel *due;
	struct tunnel *cursor; /* the next that the tick looks at; NULL: the first */
	uv_timer_t tick, retry;
	uint64_t opened_total;
	uint64_t from_client_total, to_client_total; /* bytes */
};

/* What a WebSocket of /mqtt is opened for. */
extern const struct endpoint tunnel_endpoint;

/* False when the loop gives no timers. */
bool tunnels_start(struct tunnels *all, struct bridge *b);
void tunnels_stop(struct tunnels *all);

/* Ends the tunnel: code and reason (static text) to the client, one log line, counters. The WebSocket is
 * closed at the end of the round. Idempotent: the first code stands. */
void tunnel_close(struct tunnel *t, unsigned code, const char *reason);
void tunnels_close_all(struct tunnels *all, unsigned code, const char *reason);

/* Has its end begun? */
bool tunnel_leaving(const struct tunnel *t);

/* End of a round: closes and frees what is due. */
void tunnels_visit_due(struct tunnels *all);

/* Does this request target ask for a tunnel? The path is exactly /mqtt; a query says nothing. Pure. */
bool tunnel_is_path(const char *target, size_t len);

#endif
