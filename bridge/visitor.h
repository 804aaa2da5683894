/*
 * visitor.h - an accepted connection that is no session (yet): its request head is read, then
 * it is answered over plain HTTP and closed, or handed to the server as a WebSocket upgrade.
 *
 * Every answer ends the connection (Connection: close). Bounds: HTTP_HEAD_MAX bytes of head,
 * header_timeout; VISITOR_WAIT_MS for an answer that has to be waited for (503 then; whoever hangs up
 * meanwhile or goes on sending is let go); after the answer, VISITOR_SINK_MAX bytes that nobody asked for;
 * the peer must take some of the answer every VISITOR_FINISH_MS and all of it within VISITOR_ANSWER_MS; and
 * all visitors together have at most ANSWERS_BYTES_MAX of bodies to come, each counted for every reader (503
 * beyond).
 */
#ifndef CHAT_BRIDGE_VISITOR_H
#define CHAT_BRIDGE_VISITOR_H

#include "bridge/http_api.h"
#include "bridge/loop.h"
#include "common/cidr.h"

#include <stdbool.h>
#include <stdint.h>

struct acceptor;

#define VISITOR_WAIT_MS 10000
#define VISITOR_FINISH_MS 2000
#define VISITOR_ANSWER_MS 60000
#define VISITOR_SINK_MAX ((uint32_t)16 * 1024 * 1024)
#define ANSWERS_BYTES_MAX ((size_t)256 * 1024 * 1024)

enum visitor_state {
	VISITOR_READING,
	VISITOR_WAITING, /* the request is with http_api.c */
	VISITOR_ANSWERING,
	VISITOR_FINISHING,
};

struct visitor {
	struct watcher watcher;
	struct acceptor *acceptor;
	struct visitor *prev, *next;
	enum visitor_state state;
	uint64_t deadline_ms;
	uint64_t answer_by_ms; /* the latest that deadline_ms may become while answering */
	char *head;
	uint32_t head_len, head_cap;
	struct http_exchange exchange;
	char *answer; /* its head, and its body where that is short */
	uint32_t answer_len, answer_off;
	struct chunk *body; /* NULL: none; one reference, body_len bytes of it are sent */
	uint32_t body_len, body_off;
	uint32_t sunk; /* bytes that came after the answer */
	bool on_spare; /* holds the descriptor that is kept for refusing */
	struct address client;
	bool by_proxy;                  /* client is a proxy's, until the request says whose it is */
	char address[ADDRESS_TEXT_MAX]; /* client's */
};

/* Takes the descriptor. NULL, and the descriptor closed, when memory or the kernel refuses. */
struct visitor *visitor_new(struct acceptor *a, int fd);

/* Ends it; keep_fd: the descriptor has a new owner. */
void visitor_free(struct visitor *v, bool keep_fd);

/* The deadline is over: 408 to half a head, 503 where an answer has been waited for; else it is closed. */
void visitor_expire(struct visitor *v);

/* Closes it without a word: there are too many. */
void visitor_give_way(struct visitor *v);

/* 429, 503: without reading any further. */
/* head: of the request, NULL: it is not read. */
void visitor_refuse_busy(struct visitor *v, const struct http_head *head);
void visitor_refuse_full(struct visitor *v);

#endif
