/*
 * visitor.h - an accepted connection that is no session (yet): its request head is read, then
 * it is answered over plain HTTP and closed, or handed to the server as a WebSocket upgrade.
 *
 * Every answer ends the connection (Connection: close). Bounds: HTTP_HEAD_MAX bytes of head,
 * header_timeout, and VISITOR_FINISH_MS for the peer to take the answer.
 */
#ifndef CHAT_BRIDGE_VISITOR_H
#define CHAT_BRIDGE_VISITOR_H

#include "bridge/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct acceptor;

#define VISITOR_FINISH_MS 2000

enum visitor_state { VISITOR_READING, VISITOR_ANSWERING, VISITOR_FINISHING };

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

/* Takes the descriptor. NULL, and the descriptor closed, when memory or the kernel refuses. */
struct visitor *visitor_new(struct acceptor *a, int fd);

/* Ends it; keep_fd: the descriptor has a new owner. */
void visitor_free(struct visitor *v, bool keep_fd);

/* 429, 503: without reading any further. */
void visitor_refuse_busy(struct visitor *v);
void visitor_refuse_full(struct visitor *v);

#endif
