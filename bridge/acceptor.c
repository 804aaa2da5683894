/* acceptor.c - see acceptor.h */
#include "bridge/acceptor.h"
#include "bridge/bridge.h"
#include "bridge/counters.h"
#include "bridge/keyed_hash.h"
#include "bridge/log.h"
#include "bridge/tls.h"
#include "bridge/visitor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define OPEN_AFTER_MS 2000 /* no broker by then: sessions are told so (4003) instead of waiting */
#define TIMER_MS 100
#define ACCEPTS_MAX 64         /* in one go, before the others have their turn */
#define ADDRESSES_MAX 20000    /* beyond it the one that has been silent for longest is forgotten */
#define REFUSALS_PER_SECOND 20 /* answers to one address that connects too often; more are not answered */
#define REFUSALS_BURST 100
#define VISITORS_MIN 64u        /* connections that are no session (yet), however few sessions there may be */
#define VISITORS_LOW 16u        /* however few descriptors there are */
#define UNSENT_BYTES_MAX 131072 /* kernel memory that one slow reader may hold before the outbox counts */

struct tokens {
	double left;
};

/* Of one client address: for connections, and for answers to those that are too many. */
struct address_bucket {
	UT_hash_handle hh; /* in the order of the last use */
	uint8_t key[16];
	uint64_t updated_ms;
	struct tokens connects, refusals;
};

static void fill(struct tokens *t, uint64_t passed_ms, uint32_t rate, uint32_t burst)
{
	t->left += (double)passed_ms * rate / 1000.0;
	if (t->left > burst)
		t->left = burst;
}

static bool take(struct tokens *t)
{
	if (t->left < 1.0)
		return false;
	t->left -= 1.0;
	return true;
}

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

/* An unlucky one gets a full bucket when it comes again, and nobody is refused for the number of the others.
 */
static void forget_oldest(struct acceptor *a)
{
	static struct log_limit limit;
	struct address_bucket *oldest = a->addresses; /* uthash's own order */
	log_limited(&limit, a->bridge->loop.now_ms, LOG_LEVEL_WARNING,
	            "more than %d addresses connect: rate_connects forgets the oldest ones", ADDRESSES_MAX);
	count(COUNTER_DROP_ADDRESS);
	HASH_DEL(a->addresses, oldest);
	free(oldest);
	a->address_count--;
}

/* Its bucket, filled up to now and the newest of all. NULL: out of memory. */
static struct address_bucket *bucket_of(struct acceptor *a, const struct address *from)
{
	const struct bridge_settings *s = &a->bridge->settings;
	uint8_t key[16];
	struct address_bucket *bucket;
	uint64_t now = a->bridge->loop.now_ms;
	address_key(from, key);
	HASH_FIND(hh, a->addresses, key, sizeof key, bucket);
	if (bucket != NULL) {
		HASH_DEL(a->addresses, bucket);
		fill(&bucket->connects, now - bucket->updated_ms, s->connect_rate, s->connect_burst);
		fill(&bucket->refusals, now - bucket->updated_ms, REFUSALS_PER_SECOND, REFUSALS_BURST);
		a->address_count--;
	} else {
		bucket = calloc(1, sizeof *bucket);
		if (bucket == NULL)
			return NULL;
		memcpy(bucket->key, key, sizeof key);
		bucket->connects.left = s->connect_burst;
		bucket->refusals.left = REFUSALS_BURST;
	}
	if (a->address_count >= ADDRESSES_MAX)
		forget_oldest(a);
	bucket->updated_ms = now;
	HASH_ADD(hh, a->addresses, key, sizeof bucket->key, bucket);
	if (bucket->hh.tbl == NULL) { /* HASH_NONFATAL_OOM: not added */
		free(bucket);
		return NULL;
	}
	a->address_count++;
	return bucket;
}

enum admission acceptor_take_token(struct acceptor *a, const struct address *from, bool answer)
{
	if (a->bridge->settings.connect_rate == 0)
		return ADMITTED;
	struct address_bucket *bucket = bucket_of(a, from);
	if (bucket == NULL) {
		acceptor_short_of_memory(a);
		return answer ? REFUSED : REFUSED_SILENTLY;
	}
	if (take(&bucket->connects))
		return ADMITTED;
	static struct log_limit limit;
	char text[ADDRESS_TEXT_MAX];
	address_format(from, text);
	log_limited(&limit, a->bridge->loop.now_ms, LOG_LEVEL_WARNING,
	            "too many connections from %s (rate_connects)", text);
	bool answered = take(&bucket->refusals) || answer;
	count(answered ? COUNTER_REJECT_RATE : COUNTER_REJECT_RATE_SILENT);
	return answered ? REFUSED : REFUSED_SILENTLY;
}

void acceptor_short_of_memory(struct acceptor *a)
{
	static struct log_limit limit;
	count(COUNTER_REJECT_MEMORY);
	log_limited(&limit, a->bridge->loop.now_ms, LOG_LEVEL_ERROR, "out of memory: a connection is closed");
}

/* As many as sessions, since that is what they may become; but a quarter of the descriptors at most. */
static uint32_t visitors_max(const struct acceptor *a)
{
	uint32_t most = a->bridge->settings.max_sessions;
	struct rlimit limit;
	if (most < VISITORS_MIN)
		most = VISITORS_MIN;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 4 < most)
		most = limit.rlim_cur / 4 > VISITORS_LOW ? (uint32_t)(limit.rlim_cur / 4) : VISITORS_LOW;
	return most;
}

/* Whoever means to be served has sent a request long ago, so the oldest gives way to the newest. */
static void make_room(struct acceptor *a)
{
	static struct log_limit limit;
	uint32_t most = visitors_max(a);
	while (a->count >= most) {
		log_limited(
		    &limit, a->bridge->loop.now_ms, LOG_LEVEL_WARNING,
		    "%u connections have no answer yet or do not take it: the oldest ones are closed (%s first)",
		    a->count, a->first->address);
		visitor_give_way(a->first);
	}
}

/* NULL: it is refused or gone already. */
static struct visitor *welcome(struct acceptor *a, int fd, const struct sockaddr_storage *from)
{
	struct address client = address_of(from);
	/* whose connection a proxy's is stands in its request */
	bool by_proxy = cidr_list_has(&a->bridge->proxies, &client);
	enum admission admission = by_proxy ? ADMITTED : acceptor_take_token(a, &client, false);
	if (admission == REFUSED_SILENTLY) { /* before it costs anything */
		(void)close(fd);
		return NULL;
	}
	make_room(a);
	if (tls_on() && !tls_start(fd)) {
		acceptor_short_of_memory(a);
		(void)close(fd);
		return NULL;
	}
	struct visitor *v = visitor_new(a, fd);
	if (v == NULL) {
		acceptor_short_of_memory(a);
		return NULL;
	}
	v->client = client;
	v->by_proxy = by_proxy;
	address_format(&v->client, v->address);
	const struct bridge_settings *s = &a->bridge->settings;
	int one = 1, unsent = UNSENT_BYTES_MAX;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
	/* a peer that vanishes with bytes on their way to it cannot be pinged behind them */
	unsigned dead_ms = s->ping_interval_ms + s->ping_timeout_ms + s->outbox_ms;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
	if (admission == ADMITTED)
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
		count(COUNTER_REJECT_DESCRIPTORS);
		visitor_refuse_full(v);
	} else {
		a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	return !nobody;
}

static void accept_all(struct acceptor *a)
{
	for (int i = 0; i < ACCEPTS_MAX; i++) {
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
			acceptor_short_of_memory(a);
			a->short_of = true;
			return;
		case EAGAIN:
			a->short_of = false;
			return;
		default: /* that one connection has failed: EINTR, ECONNABORTED, network errors */
			break;
		}
	}
	loop_again(&a->bridge->loop, &a->listener);
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
