/* mqtt_link.c - see mqtt_link.h */
#include "bridge/mqtt_link.h"
#include "bridge/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BUFFER_BYTES (2 * LINK_PACKET_MAX) /* a partial packet and as much again to read */
#define OUT_FIRST_BYTES 512
#define RETRY_MS 2 /* after EAGAIN of connect(): the broker accepts all that wait at each wake-up */
#define DEADLINE_TICK_MS 250
#define RECEIVE_MAXIMUM 65535

/* ---- the pool's lists -------------------------------------------------------------- */

static void list_append(struct mqtt_link **head, struct mqtt_link **tail, struct mqtt_link *link)
{
	link->prev = *tail;
	link->next = NULL;
	if (*tail != NULL)
		(*tail)->next = link;
	else
		*head = link;
	*tail = link;
}

static void list_remove(struct mqtt_link **head, struct mqtt_link **tail, struct mqtt_link *link)
{
	if (link->prev != NULL)
		link->prev->next = link->next;
	else
		*head = link->next;
	if (link->next != NULL)
		link->next->prev = link->prev;
	else
		*tail = link->prev;
	link->prev = link->next = NULL;
}

static void leave_lists(struct mqtt_link *link)
{
	struct mqtt_links *pool = link->pool;
	if (link->state == LINK_QUEUED) {
		list_remove(&pool->queue_head, &pool->queue_tail, link);
	} else if (link->state == LINK_CONNECTING) {
		list_remove(&pool->connecting_head, &pool->connecting_tail, link);
		pool->connecting--;
	}
	if (link->dirty) {
		struct mqtt_link **at = &pool->dirty;
		while (*at != link)
			at = &(*at)->next_dirty;
		*at = link->next_dirty;
		link->dirty = false;
	}
}

static void mark_dirty(struct mqtt_link *link)
{
	if (link->dirty)
		return;
	link->dirty = true;
	link->next_dirty = link->pool->dirty;
	link->pool->dirty = link;
}

/* ---- ending ------------------------------------------------------------------------- */

static void release(struct mqtt_link *link)
{
	leave_lists(link);
	if (link->watcher.fd >= 0 && link->state >= LINK_CONNECTING) {
		loop_unwatch(link->pool->loop, &link->watcher);
		(void)close(link->watcher.fd);
	}
	link->watcher.fd = -1;
	free(link->out);
	free(link->in);
	link->out = link->in = NULL;
	link->out_len = link->out_off = link->out_cap = link->in_len = 0;
	link->blocked = link->paused = false;
	link->state = LINK_IDLE;
}

static void go_down(struct mqtt_link *link, const struct mqtt_link_end *end)
{
	release(link);
	link->owner->on_down(link, end);
}

static void give_up(struct mqtt_link *link, const char *reason)
{
	go_down(link, &(struct mqtt_link_end){.reason = reason});
}

/* As the broker says. */
static void obey(struct mqtt_link *link, uint8_t code)
{
	go_down(link, &(struct mqtt_link_end){.reason = mqtt_reason_name(code), .code = code});
}

static void flush_link(struct mqtt_link *link);

void mqtt_link_close(struct mqtt_link *link)
{
	if (link->state == LINK_IDLE)
		return;
	if (link->state == LINK_UP && !link->blocked) {
		uint8_t *at = mqtt_link_reserve(link, 4);
		size_t n = at != NULL ? mqtt_encode_disconnect(at, 4, MQTT_REASON_SUCCESS) : 0;
		if (n > 0) {
			mqtt_link_commit(link, n);
			/* one best effort: a full socket means the broker sees a plain close */
			(void)send(link->watcher.fd, link->out + link->out_off, link->out_len - link->out_off,
			           MSG_NOSIGNAL | MSG_DONTWAIT);
		}
	}
	release(link);
}

bool mqtt_link_alive(const struct mqtt_link *link)
{
	if (link->state != LINK_UP)
		return false;
	char byte;
	ssize_t n = recv(link->watcher.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* ---- sending ------------------------------------------------------------------------ */

uint8_t *mqtt_link_reserve(struct mqtt_link *link, size_t n)
{
	if (link->out_off > 0 && link->out_off == link->out_len)
		link->out_off = link->out_len = 0;
	if (link->out_cap - link->out_len < n) {
		size_t used = link->out_len - link->out_off;
		if (link->out_off > 0) {
			memmove(link->out, link->out + link->out_off, used);
			link->out_off = 0;
			link->out_len = (uint32_t)used;
		}
		if (link->out_cap - link->out_len < n) {
			size_t cap = link->out_cap > 0 ? link->out_cap : OUT_FIRST_BYTES;
			while (cap - link->out_len < n)
				cap *= 2;
			if (cap > UINT32_MAX)
				return NULL;
			uint8_t *out = realloc(link->out, cap);
			if (out == NULL)
				return NULL;
			link->out = out;
			link->out_cap = (uint32_t)cap;
		}
	}
	return link->out + link->out_len;
}

void mqtt_link_commit(struct mqtt_link *link, size_t n)
{
	link->out_len += (uint32_t)n;
	if (!link->blocked)
		mark_dirty(link);
}

static void flush_link(struct mqtt_link *link)
{
	while (link->out_off < link->out_len) {
		ssize_t n = send(link->watcher.fd, link->out + link->out_off, link->out_len - link->out_off,
		                 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			link->out_off += (uint32_t)n;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else if (n < 0 && errno == EAGAIN) {
			link->blocked = true;
			return;
		} else {
			/* the end is reported once, by the reading side, which also gets what the broker said last */
			link->out_off = link->out_len;
			(void)shutdown(link->watcher.fd, SHUT_RDWR);
			return;
		}
	}
	link->blocked = false;
	/* thousands of idle links should not each keep a buffer */
	free(link->out);
	link->out = NULL;
	link->out_len = link->out_off = link->out_cap = 0;
}

void mqtt_links_flush(struct mqtt_links *pool)
{
	while (pool->dirty != NULL) {
		struct mqtt_link *link = pool->dirty;
		pool->dirty = link->next_dirty;
		link->dirty = false;
		flush_link(link);
	}
}

/* ---- receiving ---------------------------------------------------------------------- */

/* False when the link has gone down. */
static bool take_packet(struct mqtt_link *link, const uint8_t *bytes, size_t len)
{
	struct mqtt_packet packet;
	enum mqtt_fault fault = mqtt_decode(bytes, len, &packet);
	if (fault != MQTT_FINE) {
		static struct log_limit limit;
		log_limited(&limit, link->pool->loop->now_ms, LOG_LEVEL_ERROR,
		            "the broker sent a packet that is no MQTT 5: %s", mqtt_fault_name(fault));
		give_up(link, "malformed packet from the broker");
		return false;
	}
	if (packet.type == MQTT_DISCONNECT) {
		obey(link, packet.u.disconnect.reason);
		return false;
	}
	if (link->state == LINK_UP) {
		link->owner->on_packet(link, &packet);
		return link->state == LINK_UP;
	}
	if (packet.type != MQTT_CONNACK) {
		give_up(link, "the broker did not answer CONNECT with CONNACK");
		return false;
	}
	if (packet.u.connack.reason != MQTT_REASON_SUCCESS) {
		obey(link, packet.u.connack.reason);
		return false;
	}
	leave_lists(link);
	link->state = LINK_UP;
	link->owner->on_up(link);
	return link->state == LINK_UP;
}

/* Takes whole packets; returns how many bytes were used, or -1 when the link has gone down. */
static ssize_t take_packets(struct mqtt_link *link, const uint8_t *bytes, size_t n)
{
	size_t at = 0;
	for (;;) {
		int len = mqtt_packet_length(bytes + at, n - at, LINK_PACKET_MAX);
		if (len < 0) {
			static struct log_limit limit;
			log_limited(&limit, link->pool->loop->now_ms, LOG_LEVEL_ERROR,
			            "the broker sent a packet that cannot be read: %s",
			            mqtt_fault_name((enum mqtt_fault) - len));
			give_up(link, "malformed packet from the broker");
			return -1;
		}
		if (len == 0 || (size_t)len > n - at)
			return (ssize_t)at;
		if (!take_packet(link, bytes + at, (size_t)len))
			return -1;
		at += (size_t)len;
		if (link->paused)
			return (ssize_t)at;
	}
}

static void read_link(struct mqtt_link *link)
{
	uint8_t *buffer = link->pool->buffer;
	while (!link->paused) {
		size_t have = link->in_len;
		if (have > 0) {
			memcpy(buffer, link->in, have);
			free(link->in);
			link->in = NULL;
			link->in_len = 0;
		}
		/* a link that was paused may have kept a buffer full of packets */
		ssize_t n = -1;
		errno = EINTR;
		if (have < BUFFER_BYTES)
			n = recv(link->watcher.fd, buffer + have, BUFFER_BYTES - have, MSG_DONTWAIT);
		bool ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
		bool drained = n < (ssize_t)(BUFFER_BYTES - have) && !(n < 0 && errno == EINTR);
		size_t got = n > 0 ? (size_t)n : 0;
		ssize_t used = take_packets(link, buffer, have + got);
		if (used < 0)
			return;
		size_t left = have + got - (size_t)used;
		if (ended && !link->paused) {
			give_up(link, "the broker closed the connection");
			return;
		}
		if (left > 0) {
			link->in = malloc(left);
			if (link->in == NULL) {
				give_up(link, "out of memory");
				return;
			}
			memcpy(link->in, buffer + used, left);
			link->in_len = (uint32_t)left;
		}
		if (drained)
			return;
	}
}

void mqtt_link_pause(struct mqtt_link *link)
{
	link->paused = true;
}

void mqtt_link_resume(struct mqtt_link *link)
{
	if (!link->paused)
		return;
	link->paused = false;
	/* the events of meanwhile have gone by unused */
	if (link->state == LINK_UP)
		read_link(link);
}

static void connect_next(struct mqtt_links *pool);

static void on_ready(struct watcher *w, uint32_t events)
{
	struct mqtt_link *link = (struct mqtt_link *)w; /* its first member */
	struct mqtt_links *pool = link->pool;
	if ((events & EPOLLOUT) && link->blocked) {
		link->blocked = false;
		mark_dirty(link);
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		read_link(link);
	/* the link may be gone: only the pool is touched from here */
	if (pool->queue_head != NULL)
		connect_next(pool);
}

/* ---- connecting --------------------------------------------------------------------- */

static bool send_connect(struct mqtt_link *link)
{
	struct mqtt_connect c = {
	    .password = {link->pool->credential, strlen(link->pool->credential)},
	    .clean_start = true,
	    .receive_maximum = RECEIVE_MAXIMUM,
	    .maximum_packet_size = (uint32_t)LINK_PACKET_MAX,
	};
	link->pool->identify(link, &c);
	size_t size = mqtt_connect_size(&c);
	uint8_t *at = size > 0 ? mqtt_link_reserve(link, size) : NULL;
	if (at == NULL || mqtt_encode_connect(at, size, &c) != size)
		return false;
	mqtt_link_commit(link, size);
	return true;
}

enum connected { CONNECTED, TRY_LATER, FAILED };

int mqtt_links_connect(const struct mqtt_links *pool)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* this very pointer: the sandbox lets no other pass */
	if (connect(fd, (const struct sockaddr *)pool->broker, sizeof *pool->broker) != 0) {
		int e = errno;
		(void)close(fd);
		errno = e == EINTR ? EAGAIN : e;
		return -1;
	}
	return fd;
}

static enum connected connect_link(struct mqtt_link *link)
{
	struct mqtt_links *pool = link->pool;
	int fd = mqtt_links_connect(pool);
	if (fd < 0)
		return errno == EAGAIN ? TRY_LATER : FAILED;
	link->watcher.fd = fd;
	link->watcher.on_ready = on_ready;
	if (!loop_watch(pool->loop, &link->watcher)) {
		int e = errno;
		(void)close(fd);
		link->watcher.fd = -1;
		errno = e;
		return FAILED;
	}
	list_remove(&pool->queue_head, &pool->queue_tail, link);
	list_append(&pool->connecting_head, &pool->connecting_tail, link);
	pool->connecting++;
	link->state = LINK_CONNECTING;
	if (!send_connect(link)) {
		errno = ENOMEM;
		return FAILED;
	}
	return CONNECTED;
}

static void arm_timer(struct mqtt_links *pool, uint64_t ms);

static void connect_next(struct mqtt_links *pool)
{
	while (pool->queue_head != NULL && pool->connecting < LINKS_CONNECTING_MAX) {
		struct mqtt_link *link = pool->queue_head;
		int error;
		switch (connect_link(link)) {
		case CONNECTED:
			break;
		case TRY_LATER:
			arm_timer(pool, RETRY_MS);
			return;
		case FAILED:
			error = errno;
			go_down(link, &(struct mqtt_link_end){.reason = strerror(error), .error = error});
			break;
		}
	}
	if (pool->queue_head != NULL || pool->connecting > 0)
		arm_timer(pool, DEADLINE_TICK_MS);
}

static void on_timer(uv_timer_t *timer)
{
	struct mqtt_links *pool = timer->data;
	pool->timer_armed = false;
	pool->loop->now_ms = loop_now_ns() / 1000000u;
	/* both lists are in the order of asking, so the oldest is first */
	while (pool->connecting_head != NULL && pool->connecting_head->deadline_ms <= pool->loop->now_ms)
		give_up(pool->connecting_head, "the broker did not answer in time");
	while (pool->queue_head != NULL && pool->queue_head->deadline_ms <= pool->loop->now_ms)
		give_up(pool->queue_head, "the broker did not accept the connection in time");
	connect_next(pool);
}

static void arm_timer(struct mqtt_links *pool, uint64_t ms)
{
	/* a running timer is only brought forward, never put off */
	if (pool->timer_armed && uv_timer_get_due_in(&pool->timer) <= ms)
		return;
	if (uv_timer_start(&pool->timer, on_timer, ms, 0) == 0)
		pool->timer_armed = true;
}

void mqtt_link_open(struct mqtt_links *pool, struct mqtt_link *link, const struct mqtt_link_owner *owner)
{
	link->pool = pool;
	link->owner = owner;
	link->watcher.fd = -1;
	link->state = LINK_QUEUED;
	link->deadline_ms = pool->loop->now_ms + LINK_CONNECT_MS;
	list_append(&pool->queue_head, &pool->queue_tail, link);
	/* from the timer, so that on_down never runs inside this call; 0 ms: within this round or the next */
	arm_timer(pool, 0);
}

bool mqtt_links_start(struct mqtt_links *pool, struct loop *loop, const struct sockaddr_un *broker,
                      const char *credential, void (*identify)(struct mqtt_link *, struct mqtt_connect *))
{
	memset(pool, 0, sizeof *pool);
	pool->loop = loop;
	pool->broker = broker;
	pool->credential = credential;
	pool->identify = identify;
	pool->buffer = malloc(BUFFER_BYTES);
	if (pool->buffer == NULL || uv_timer_init(&loop->uv, &pool->timer) != 0) {
		log_line(LOG_LEVEL_ERROR, "out of memory at start");
		return false;
	}
	pool->timer.data = pool;
	return true;
}

void mqtt_links_stop(struct mqtt_links *pool)
{
	uv_close((uv_handle_t *)&pool->timer, NULL);
	free(pool->buffer);
	pool->buffer = NULL;
}
