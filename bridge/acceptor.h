/*
 * acceptor.h - the door: accepts connections and makes visitors of them (visitor.h), which become
 * sessions or get an HTTP answer.
 *
 * Every answer but an upgrade ends its connection (Connection: close). Bounds: a head of
 * HTTP_HEAD_MAX bytes within header_timeout; max_sessions; rate_connects per client
 * address (IPv6 by /64), beyond which a bounded number is answered with 429 and the rest is closed at once;
 * as many connections that are no session as max_sessions, of which the oldest gives way to a newer one; and
 * the descriptors of the process: a session needs two, and when they run out new connections get 503 while
 * the old ones go on.
 */
#ifndef CHAT_BRIDGE_ACCEPTOR_H
#define CHAT_BRIDGE_ACCEPTOR_H

#include "bridge/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address;
struct bridge;
struct visitor;
struct address_bucket;

struct acceptor {
	struct bridge *bridge;
	struct watcher listener;
	bool open;
	bool short_of; /* the last accept failed for want of memory or descriptors: try again soon */
	int spare_fd;  /* given up to accept and refuse one more when descriptors run out */
	struct visitor *first, *last; /* connections without an upgrade, oldest first */
	uint32_t count;
	size_t answer_bytes; /* of bodies, for each visitor that has one */
	struct address_bucket *addresses;
	uint32_t address_count;
	uint64_t started_ms;
	uv_timer_t timer;
};

/* listen_fd: bound and listening; stays the caller's. Accepting starts with acceptor_open. */
bool acceptor_start(struct acceptor *a, struct bridge *b, int listen_fd);

/* Idempotent. Called when the broker can be reached; by itself after OPEN_AFTER_MS. */
void acceptor_open(struct acceptor *a);

enum admission {
	ADMITTED,
	REFUSED,         /* to be answered with 429 */
	REFUSED_SILENTLY /* not even that, for there have been many answers already */
};

/* A connection more of this address (rate_connects). What is refused is counted, and the log says so. answer:
 * whoever is refused, for its request has been read. */
enum admission acceptor_take_token(struct acceptor *a, const struct address *from, bool answer);

/* A connection that ends for want of memory: counts it and says so. */
void acceptor_short_of_memory(struct acceptor *a);

void acceptor_stop(struct acceptor *a);

#endif
