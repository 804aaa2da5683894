/*
 * http_api.h - plain HTTP requests: which of them gets which answer.
 *
 *   GET /, /app.js, …          the page (web_files.h), with an ETag; 304 to who has it already
 *   GET /health, /ready    does a message come round; may sessions come (health.h)
 *   GET /users     who is connected: [{"user":U,"status":"online","since":T},…] by address; 503 until
 *                  that is known
 *   GET /rooms/…, /messages/…    history (http_history.h)
 *   GET /metrics   what the whole node has counted (reports.h)
 *
 * HEAD as GET without the body; OPTIONS tells pages what they may ask. Every answer carries the
 * CORS fields that allowed_origins gives to the asking page.
 *
 * An exchange is one request with its one answer. Most are answered from inside http_api_handle;
 * a route that has to wait keeps the pointer, sets `cancel`, and calls http_api_answer later.
 */
#ifndef CHAT_BRIDGE_HTTP_API_H
#define CHAT_BRIDGE_HTTP_API_H

#include "bridge/http_answer.h"
#include "bridge/http_head.h"
#include "common/cidr.h"

struct bridge;
struct chunk;

/* The asker's; zeroed but for what it sets. Gone with its answer or its cancellation. */
struct http_exchange {
	struct bridge *bridge;
	/* Takes the answer: copies what it needs, takes its own reference to the body. Ends the exchange. */
	void (*give)(struct http_exchange *x, const struct http_answer *answer);
	struct http_head head;  /* set by the asker; its spans live as long as the exchange */
	struct address client;  /* who asks */
	bool client_unsure;     /* a proxy that is not listed has forwarded it: client may be anybody */
	struct http_span path;  /* the target up to '?', nothing decoded; "/" where it has none */
	struct http_span query; /* what follows it; at NULL: none */
	/* Set by a route that answers later: the asker has gone or waited too long, the route forgets x.
	 * Not called once the answer is given. */
	void (*cancel)(struct http_exchange *x);
	void *user; /* of that route */
};

/* A request that is well-formed, has no body, asks with GET, HEAD or OPTIONS, and is no WebSocket.
 * True: the answer is given and x is gone. False: it comes later. */
bool http_api_handle(struct http_exchange *x);

/* Gives the answer, of which the request fills in what comes from it: head_only, origins, origin. */
void http_api_give(struct http_exchange *x, struct http_answer *answer);

/* The same of an answer in JSON. body NULL: the JSON of the
 * status; else the chunk's bytes are the body, the reference stays the caller's. */
void http_api_answer(struct http_exchange *x, const struct http_status *status, struct chunk *body);

#endif
