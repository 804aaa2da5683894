/* acceptor.c - see acceptor.h */
#include "bridge/acceptor.h"
#include "bridge/bridge.h"
#include "bridge/log.h"
#include "bridge/tls.h"
#include "bridge/visitor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#define OPEN_AFTER_MS 2000 /* no broker by then: sessions are told so (4003) instead of waiting */
#define TIMER_MS 100
#define ADDRESSES_MAX 20000     /* buckets kept before the full ones are forgotten */
#define UNSENT_BYTES_MAX 131072 /* kernel memory that one slow reader may hold before the outbox counts */

/* Token bucket of one client address. */
struct address_bucket {
	UT_hash_handle hh;
	uint8_t key[16];
	uint64_t updated_ms;
	double tokens;
};

/* IPv6 by its /64, which is what one customer usually holds. */
static void address_key(const struct address *from, uint8_t key[16])
{
	memset(key, 0, 16);
	memcpy(key, from->bytes, address_is_v4(from) ? 16 : 8);
}

static struct address address_of(const struct sockaddr_storage *from)
{
	struct address a = {0};
	if (from->ss_family == AF_INET6)
		memcpy(a.bytes, ((const struct sockaddr_in6 *)from)->sin6_addr.s6_addr, sizeof a.bytes);
	else if (from->ss_family == AF_INET)
		a = address_from_v4(&((const struct sockaddr_in *)from)->sin_addr);
	return a;
}

static void forget_full_buckets(struct acceptor *a)
{
	const struct bridge_settings *s = &a->bridge->settings;
	uint64_t refill_ms = 1000ull * s->connect_burst / s->connect_rate + 1;
	struct address_bucket *bucket, *next;
	HASH_ITER(hh, a->addresses, bucket, next)
	{
		if (a->bridge->loop.now_ms - bucket->updated_ms < refill_ms)
			continue;
		HASH_DEL(a->addresses, bucket);
		free(bucket);
		a->address_count--;
	}
}

bool acceptor_take_token(struct acceptor *a, const struct address *from)
{
	const struct bridge_settings *s = &a->bridge->settings;
	if (s->connect_rate == 0)
		return true;
	uint8_t key[16];
	struct address_bucket *bucket;
	uint64_t now = a->bridge->loop.now_ms;
	address_key(from, key);
	HASH_FIND(hh, a->addresses, key, sizeof key, bucket);
	if (bucket == NULL) {
		if (a->address_count >= ADDRESSES_MAX)
			forget_full_buckets(a);
		if (a->address_count >= ADDRESSES_MAX || (bucket = calloc(1, sizeof *bucket)) == NULL)
			return false;
		memcpy(bucket->key, key, sizeof key);
		bucket->updated_ms = now;
		bucket->tokens = s->connect_burst;
		HASH_ADD(hh, a->addresses, key, sizeof bucket->key, bucket);
		if (bucket->hh.tbl == NULL) { /* HASH_NONFATAL_OOM: not added */
			free(bucket);
			return false;
		}
		a->address_count++;
	}
	bucket->tokens += (double)(now - bucket->updated_ms) * s->connect_rate / 1000.0;
	if (bucket->tokens > s->connect_burst)
		bucket->tokens = s->connect_burst;
	bucket->updated_ms = now;
	if (bucket->tokens < 1.0) {
		static struct log_limit limit;
		char text[ADDRESS_TEXT_MAX];
		address_format(from, text);
		log_limited(&limit, now, LOG_LEVEL_WARNING, "too many connections from %s (rate_connects)", text);
		return false;
	}
	bucket->tokens -= 1.0;
	return true;
}

/* NULL: it is refused or gone already. */
static struct visitor *welcome(struct acceptor *a, int fd, const struct sockaddr_storage *from)
{
	if (tls_on() && !tls_start(fd)) {
		(void)close(fd);
		return NULL;
	}
	struct visitor *v = visitor_new(a, fd);
	if (v == NULL)
		return NULL;
	a->accepted_total++;
	v->client = address_of(from);
	address_format(&v->client, v->address);
	const struct bridge_settings *s = &a->bridge->settings;
	int one = 1, unsent = UNSENT_BYTES_MAX;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
	/* a peer that vanishes with bytes on their way to it cannot be pinged behind them */
	unsigned dead_ms = s->ping_interval_ms + s->ping_timeout_ms + s->outbox_ms;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
	/* whose connection a proxy's is stands in its request */
	v->by_proxy = cidr_list_has(&a->bridge->proxies, &v->client);
	if (v->by_proxy || acceptor_take_token(a, &v->client))
		return v;
	visitor_refuse_busy(v, NULL);
	return NULL;
}

/* Out of descriptors: a spare one serves to tell those who wait, one after the other.
 * True when somebody may still wait (accept() does not say: it wants a descriptor first). */
static bool turn_away(struct acceptor *a)
{
	static struct log_limit limit;
	log_limited(&limit, a->bridge->loop.now_ms, LOG_LEVEL_ERROR,
	            "out of file descriptors, new connections get 503 (raise LimitNOFILE)");
	if (a->spare_fd < 0)
		a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (a->spare_fd < 0)
		return true;
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof from;
	(void)close(a->spare_fd);
	a->spare_fd = -1;
	int fd = accept4(a->listener.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	bool nobody = fd < 0 && errno == EAGAIN;
	struct visitor *v = fd >= 0 ? welcome(a, fd, &from) : NULL;
	if (v != NULL) {
		v->on_spare = true;
		visitor_refuse_full(v);
	} else {
		a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	return !nobody;
}

static void accept_all(struct acceptor *a)
{
	for (;;) {
		struct sockaddr_storage from = {0};
		socklen_t len = sizeof from;
		int fd = accept4(a->listener.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			(void)welcome(a, fd, &from);
			continue;
		}
		switch (errno) {
		case EMFILE:
		case ENFILE:
			a->short_of = turn_away(a);
			return;
		case ENOBUFS:
		case ENOMEM:
			a->short_of = true;
			return;
		case EAGAIN:
			a->short_of = false;
			return;
		default: /* that one connection has failed: EINTR, ECONNABORTED, network errors */
			break;
		}
	}
}

static void on_listener(struct watcher *w, uint32_t events)
{
	(void)events;
	accept_all((struct acceptor *)((char *)w - offsetof(struct acceptor, listener)));
}

void acceptor_open(struct acceptor *a)
{
	if (a->open || a->bridge->stopping)
		return;
	a->open = loop_watch(&a->bridge->loop, &a->listener);
	if (!a->open)
		log_line(LOG_LEVEL_ERROR, "cannot watch the listening socket: %s", strerror(errno));
}

static void on_timer(uv_timer_t *timer)
{
	struct acceptor *a = timer->data;
	uint64_t now = a->bridge->loop.now_ms;
	for (struct visitor *v = a->first, *next; v != NULL; v = next) {
		next = v->next;
		if (now >= v->deadline_ms)
			visitor_expire(v);
	}
	if (!a->open && now >= a->started_ms + OPEN_AFTER_MS)
		acceptor_open(a);
	else if (a->short_of)
		accept_all(a); /* no edge would come for those who wait already */
}

bool acceptor_start(struct acceptor *a, struct bridge *b, int listen_fd)
{
	memset(a, 0, sizeof *a);
	a->bridge = b;
	a->listener.fd = listen_fd;
	a->listener.on_ready = on_listener;
	a->started_ms = b->loop.now_ms;
	a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fcntl(listen_fd, F_SETFL, O_NONBLOCK) != 0 || uv_timer_init(&b->loop.uv, &a->timer) != 0)
		return false;
	a->timer.data = a;
	return uv_timer_start(&a->timer, on_timer, TIMER_MS, TIMER_MS) == 0;
}

void acceptor_stop(struct acceptor *a)
{
	if (a->open)
		loop_unwatch(&a->bridge->loop, &a->listener);
	a->open = false;
	uv_close((uv_handle_t *)&a->timer, NULL);
	while (a->first != NULL)
		visitor_free(a->first, false);
	struct address_bucket *bucket, *next;
	HASH_ITER(hh, a->addresses, bucket, next)
	{
		HASH_DEL(a->addresses, bucket);
		free(bucket);
	}
	if (a->spare_fd >= 0)
		(void)close(a->spare_fd);
}
