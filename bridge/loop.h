/*
 * loop.h - the event loop that everything in the bridge shares.
 *
 * libwebsockets runs on libuv, as a foreign loop. The bridge's own descriptors (MQTT
 * connections, the listening socket, request heads) live in one edge-triggered epoll
 * set that is itself a single libuv handle: registered once each, no epoll_ctl ever
 * again, where libuv's own polling pays two per change of interest.
 *
 * Owned by main; everything here belongs to the one thread.
 */
#ifndef CHAT_BRIDGE_LOOP_H
#define CHAT_BRIDGE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Embedded in the owner of a descriptor. */
struct watcher {
	/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR bits. Edge-triggered: read until a
	 * short read or EAGAIN. May call loop_unwatch on itself and on others. */
	void (*on_ready)(struct watcher *w, uint32_t events);
	int fd;
};

struct loop {
	uv_loop_t uv;
	uv_poll_t poll;
	uv_prepare_t prepare;
	int epoll_fd;
	uint64_t now_ms;              /* monotonic, refreshed at each round */
	void (*on_round)(void *user); /* called once at the end of each round, before the loop sleeps */
	void *user;
	/* events of the batch that is being handed out: loop_unwatch takes entries out of it */
	void *batch;
	int batch_at;
	int batch_len;
};

/* False with a log line when the system refuses. */
bool loop_start(struct loop *l, void (*on_round)(void *user), void *user);

/* Closes its handles; uv_run must then be run to the end and loop_end called. */
void loop_stop(struct loop *l);
void loop_end(struct loop *l);

/* Adds w->fd for reading and writing, edge-triggered. False (errno set) when the kernel refuses. */
bool loop_watch(struct loop *l, struct watcher *w);

/* Its events are handed out again, those that are over included: for an owner who had enough for this round.
 */
void loop_again(struct loop *l, struct watcher *w);

/* Removes it, also from events already fetched. Call before close(). */
void loop_unwatch(struct loop *l, struct watcher *w);

uint64_t loop_now_ns(void);

#endif
