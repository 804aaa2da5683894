/* tunnel.c - see tunnel.h */
#include "bridge/tunnel.h"
#include "bridge/bridge.h"
#include "bridge/counters.h"
#include "bridge/log.h"
#include "common/log_object.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#define PATH "/mqtt"
#define TICK_MS 100
#define TICKS_FOR_ALL 5 /* each tunnel is looked at twice a second */
#define RETRY_MS 2      /* after EAGAIN of connect(): the broker accepts all that wait at each wake-up */
#define READS_MAX 8     /* of one tunnel in one go, before others have their turn */

bool tunnel_is_path(const char *target, size_t len)
{
	size_t n = sizeof PATH - 1;
	return len >= n && memcmp(target, PATH, n) == 0 && (len == n || target[n] == '?');
}

bool tunnel_leaving(const struct tunnel *t)
{
	return t->state == TUNNEL_CLOSING || t->state == TUNNEL_GONE;
}

static void put_on_due(struct tunnel *t)
{
	if (t->due)
		return;
	t->due = true;
	t->next_due = t->bridge->tunnels.due;
	t->bridge->tunnels.due = t;
}

static void stop_reading(struct tunnel *t)
{
	if (!t->rx_stopped && t->wsi != NULL && lws_rx_flow_control(t->wsi, 0) == 0)
		t->rx_stopped = true;
}

static void read_on(struct tunnel *t)
{
	if (t->rx_stopped && t->wsi != NULL && t->state == TUNNEL_OPEN && lws_rx_flow_control(t->wsi, 1) == 0)
		t->rx_stopped = false;
}

/* ---- ending ----------------------------------------------------------------------------- */

static void clear_pending(struct tunnel *t)
{
	free(t->pending);
	t->pending = NULL;
	t->pending_len = t->pending_off = 0;
}

static void leave_queue(struct tunnel *t)
{
	if (t->queued)
		DL_DELETE2(t->bridge->tunnels.queue, t, queue_prev, queue_next);
	t->queued = false;
}

static void drop_broker(struct tunnel *t)
{
	leave_queue(t);
	clear_pending(t);
	if (t->watcher.fd < 0)
		return;
	loop_unwatch(&t->bridge->loop, &t->watcher);
	(void)close(t->watcher.fd);
	t->watcher.fd = -1;
}

/* Nothing is pending: the broker sees the end of the stream behind what it has been given, and has the time
 * to read it all. Closing at once would be an error on its side of the socket, which it may see first. */
static void shut(struct tunnel *t)
{
	if (t->watcher.fd >= 0)
		(void)shutdown(t->watcher.fd, SHUT_WR);
	else
		leave_queue(t);
}

static void note_end(const struct tunnel *t, unsigned code, const char *reason)
{
	uint64_t ms = t->bridge->loop.now_ms - t->opened_ms;
	struct log_fields fields = {0};
	log_field_text(&fields, "event", "tunnel_closed");
	log_field_number(&fields, "code", code);
	log_field_text(&fields, "reason", reason);
	log_field_number(&fields, "tunnel", t->number);
	log_field_text(&fields, "address", t->address);
	log_field_number(&fields, "milliseconds", ms);
	log_field_number(&fields, "bytes_from_client", t->from_client);
	log_field_number(&fields, "bytes_to_client", t->to_client);
	log_field_number(&fields, "bytes_unsent", t->pending_len - t->pending_off);
	log_event(LOG_LEVEL_INFO, &fields,
	          "tunnel %llu from %s closed: %u %s (%llu s, %llu bytes from the client, %llu to it)",
	          (unsigned long long)t->number, t->address, code, reason, (unsigned long long)ms / 1000,
	          (unsigned long long)t->from_client, (unsigned long long)t->to_client);
}

static void end(struct tunnel *t, enum tunnel_state state, unsigned code, const char *reason)
{
	if (!tunnel_leaving(t)) {
		struct tunnels *all = &t->bridge->tunnels;
		note_end(t, code, reason);
		count(counter_of_close(code));
		all->from_client_total += t->from_client;
		all->to_client_total += t->to_client;
		t->finishing = true;
		t->linger_by_ms = t->bridge->loop.now_ms + TUNNEL_LINGER_MS;
		if (t->pending_len == 0)
			shut(t);
	}
	t->state = state;
	put_on_due(t);
}

void tunnel_close(struct tunnel *t, unsigned code, const char *reason)
{
	if (tunnel_leaving(t))
		return;
	t->close_code = (uint16_t)code;
	t->close_reason = reason;
	t->close_by_ms = t->bridge->loop.now_ms + TUNNEL_CLOSE_MS;
	end(t, TUNNEL_CLOSING, code, reason);
}

void tunnels_close_all(struct tunnels *all, unsigned code, const char *reason)
{
	for (struct tunnel *t = all->first; t != NULL; t = t->next)
		tunnel_close(t, code, reason);
}

static void destroy(struct tunnel *t)
{
	struct tunnels *all = &t->bridge->tunnels;
	if (t->wsi != NULL)
		server_forget(t->wsi);
	drop_broker(t);
	if (all->cursor == t)
		all->cursor = t->next;
	DL_DELETE(all->first, t);
	all->count--;
	free(t);
}

/* Sends the close frame once nothing is in its way: a socket that is full takes none, and libwebsockets does
 * not try again. May call on_gone before it returns. */
static void close_websocket(struct tunnel *t)
{
	if (t->bridge->loop.now_ms < t->close_by_ms && lws_send_pipe_choked(t->wsi))
		return; /* again when it is writeable, or at a tick */
	t->state = TUNNEL_GONE;
	server_close(t->wsi, t->close_code, t->close_reason, t->rx_stopped);
	t->rx_stopped = false;
}

static void read_broker(struct tunnel *t);

void tunnels_visit_due(struct tunnels *all)
{
	while (all->due != NULL) {
		struct tunnel *t = all->due;
		all->due = t->next_due;
		t->due = false;
		if (t->watcher.fd >= 0)
			read_broker(t); /* for nobody, but its end */
		if (t->state == TUNNEL_CLOSING)
			close_websocket(t);
		if (!t->due && t->wsi == NULL && t->watcher.fd < 0 && !t->queued)
			destroy(t);
	}
}

/* ---- from the client to the broker ------------------------------------------------------- */

/* How many of the bytes the broker takes now; all of them once it has hung up, which the reading side
 * reports, behind what the broker said last. */
static size_t give(struct tunnel *t, const uint8_t *bytes, size_t n)
{
	size_t given = 0;
	while (given < n && !t->refused) {
		ssize_t sent = send(t->watcher.fd, bytes + given, n - given, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent >= 0)
			given += (size_t)sent;
		else if (errno == EAGAIN)
			return given;
		else if (errno != EINTR)
			t->refused = true;
	}
	return n;
}

static void give_pending(struct tunnel *t)
{
	t->pending_off += give(t, t->pending + t->pending_off, t->pending_len - t->pending_off);
	if (t->pending_off < t->pending_len)
		return;
	clear_pending(t);
	if (t->finishing)
		shut(t);
	else
		read_on(t);
}

/* NULL, or why not. */
static const char *keep(struct tunnel *t, const uint8_t *bytes, size_t n)
{
	size_t held = t->pending_len - t->pending_off;
	if (held + n > TUNNEL_PENDING_MAX)
		return "too much at once";
	uint8_t *pending = malloc(held + n);
	if (pending == NULL)
		return "out of memory";
	if (held > 0)
		memcpy(pending, t->pending + t->pending_off, held);
	memcpy(pending + held, bytes, n);
	clear_pending(t);
	t->pending = pending;
	t->pending_len = held + n;
	return NULL;
}

static void on_receive(void *of, const struct message_piece *piece)
{
	struct tunnel *t = of;
	if (tunnel_leaving(t))
		return;
	if (!piece->binary) {
		tunnel_close(t, CLOSE_UNSUPPORTED, "binary frames only");
		return;
	}
	t->from_client += piece->len;
	size_t given = 0;
	if (t->watcher.fd >= 0 && t->pending_len == 0)
		given = give(t, piece->bytes, piece->len);
	if (given == piece->len)
		return;
	/* libwebsockets may still bring what it holds: one read of the socket */
	stop_reading(t);
	const char *fault = keep(t, piece->bytes + given, piece->len - given);
	if (fault != NULL)
		tunnel_close(t, CLOSE_INTERNAL, fault);
}

/* ---- from the broker to the client ------------------------------------------------------- */

static void on_broker_end(struct tunnel *t)
{
	struct bridge *b = t->bridge;
	drop_broker(t);
	put_on_due(t);
	if (mqtt_link_alive(&b->rooms.link))
		tunnel_close(t, CLOSE_NORMAL, "the broker has ended the connection");
	else
		tunnel_close(t, CLOSE_GOING_AWAY, "the broker is going away");
}

/* Until there is nothing, or the client has enough. Of an end that comes with the last bytes no event tells,
 * so a short read is not the last one. */
static void read_broker(struct tunnel *t)
{
	static uint8_t buffer[LWS_PRE + TUNNEL_MESSAGE_MAX]; /* one thread, never kept */
	for (int reads = 0; tunnel_leaving(t) || !lws_partial_buffered(t->wsi); reads++) {
		if (reads == READS_MAX) {
			loop_again(&t->bridge->loop, &t->watcher);
			return;
		}
		ssize_t n = recv(t->watcher.fd, buffer + LWS_PRE, TUNNEL_MESSAGE_MAX, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			on_broker_end(t);
			return;
		}
		if (tunnel_leaving(t))
			continue;
		t->to_client += (uint64_t)n;
		/* takes all or fails: what the kernel refuses, libwebsockets keeps and sends by itself */
		if (lws_write(t->wsi, buffer + LWS_PRE, (size_t)n, LWS_WRITE_BINARY) < 0) {
			tunnel_close(t, CLOSE_GOING_AWAY, "the connection is gone");
			return;
		}
	}
}

static void on_broker(struct watcher *w, uint32_t events)
{
	struct tunnel *t = (struct tunnel *)w; /* its first member */
	if ((events & EPOLLOUT) && t->pending_len > 0)
		give_pending(t);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		read_broker(t);
}

static void on_writeable(void *of)
{
	struct tunnel *t = of;
	if (t->wsi == NULL || lws_partial_buffered(t->wsi))
		return;
	if (t->state == TUNNEL_CLOSING)
		put_on_due(t);
	else if (t->state == TUNNEL_OPEN)
		read_broker(t); /* the events of meanwhile have gone by unused */
}

/* ---- opening ----------------------------------------------------------------------------- */

static bool begin(struct tunnel *t, int fd)
{
	t->watcher.fd = fd;
	t->watcher.on_ready = on_broker;
	if (!loop_watch(&t->bridge->loop, &t->watcher)) {
		int e = errno;
		t->watcher.fd = -1;
		(void)close(fd);
		errno = e;
		return false;
	}
	if (!tunnel_leaving(t))
		t->state = TUNNEL_OPEN;
	give_pending(t);
	return true;
}

static void connect_next(struct tunnels *all);

static void on_retry(uv_timer_t *timer)
{
	struct tunnels *all = timer->data;
	all->bridge->loop.now_ms = loop_now_ns() / 1000000u;
	connect_next(all);
}

static void connect_next(struct tunnels *all)
{
	struct bridge *b = all->bridge;
	static struct log_limit limit;
	while (all->queue != NULL) {
		struct tunnel *t = all->queue;
		int fd = mqtt_links_connect(&b->links);
		if (fd < 0 && errno == EAGAIN)
			break;
		leave_queue(t);
		if (fd >= 0 && begin(t, fd))
			continue;
		bool few = mqtt_links_short_of_descriptors(errno);
		log_limited(&limit, b->loop.now_ms, LOG_LEVEL_WARNING,
		            "a tunnel has no connection to the broker at %s: %s%s", b->settings.broker_socket,
		            strerror(errno), few ? " (raise LimitNOFILE)" : "");
		drop_broker(t);
		put_on_due(t);
		if (few)
			tunnel_close(t, CLOSE_OVERLOADED, "out of file descriptors, try again later");
		else
			tunnel_close(t, CLOSE_BROKER_AWAY, "the broker is away, try again");
	}
	/* where the timer is refused, each tunnel ends at its time limit */
	if (all->queue != NULL)
		(void)uv_timer_start(&all->retry, on_retry, RETRY_MS, 0);
}

/* No WebSocket pings: Paho's clients for Python, C and Java answer them with a frame that is not masked, or
 * not at all. MQTT has a keepalive of its own, by which the broker notices who is gone; the kernel notices
 * whose machine is gone, also for clients without one (TCP_USER_TIMEOUT, which the acceptor has set, says
 * when). */
static void watch_peer(int fd, const struct bridge_settings *s)
{
	int on = 1, idle_s = (int)(s->ping_interval_ms / 1000), interval_s = (int)(s->ping_timeout_ms / 1000);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
}

static void *on_open(struct bridge *b, struct lws *wsi, const struct upgrade *u)
{
	struct tunnels *all = &b->tunnels;
	struct tunnel *t = calloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->watcher.fd = -1;
	t->bridge = b;
	t->wsi = wsi;
	t->number = ++all->opened_total;
	t->opened_ms = b->loop.now_ms;
	memcpy(t->address, u->address, sizeof t->address);
	count(COUNTER_CONNECT_TUNNEL);
	watch_peer((int)lws_get_socket_fd(wsi), &b->settings);
	DL_APPEND(all->first, t);
	all->count++;
	struct log_fields fields = {0};
	log_field_text(&fields, "event", "tunnel_opened");
	log_field_number(&fields, "tunnel", t->number);
	log_field_text(&fields, "address", t->address);
	log_event(LOG_LEVEL_INFO, &fields, "tunnel %llu from %s opened", (unsigned long long)t->number,
	          t->address);
	t->queued = true;
	DL_APPEND2(all->queue, t, queue_prev, queue_next);
	if (all->queue == t)
		connect_next(all);
	if (t->state == TUNNEL_WAITING)
		stop_reading(t);
	return t;
}

/* ---- deadlines --------------------------------------------------------------------------- */

static void look_at(struct tunnel *t)
{
	static struct log_limit limit;
	uint64_t now = t->bridge->loop.now_ms;
	if (t->state == TUNNEL_WAITING && now >= t->opened_ms + TUNNEL_CONNECT_MS) {
		drop_broker(t);
		tunnel_close(t, CLOSE_BROKER_AWAY, "the broker is away, try again");
	} else if (tunnel_leaving(t)) {
		if (now >= t->linger_by_ms && t->pending_len > 0) {
			count_more(COUNTER_DROP_TUNNEL, t->pending_len - t->pending_off);
			log_limited(&limit, now, LOG_LEVEL_WARNING,
			            "%zu bytes of tunnel %llu were not taken by the broker in time",
			            t->pending_len - t->pending_off, (unsigned long long)t->number);
		}
		if (now >= t->linger_by_ms)
			drop_broker(t);
		put_on_due(t);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct tunnels *all = timer->data;
	all->bridge->loop.now_ms = loop_now_ns() / 1000000u;
	for (uint32_t i = all->count > 0 ? all->count / TICKS_FOR_ALL + 1 : 0; i > 0; i--) {
		struct tunnel *t = all->cursor != NULL ? all->cursor : all->first;
		all->cursor = t->next;
		look_at(t);
	}
}

bool tunnels_start(struct tunnels *all, struct bridge *b)
{
	memset(all, 0, sizeof *all);
	all->bridge = b;
	if (uv_timer_init(&b->loop.uv, &all->tick) != 0 || uv_timer_init(&b->loop.uv, &all->retry) != 0)
		return false;
	all->tick.data = all->retry.data = all;
	return uv_timer_start(&all->tick, on_tick, TICK_MS, TICK_MS) == 0;
}

void tunnels_stop(struct tunnels *all)
{
	uv_close((uv_handle_t *)&all->tick, NULL);
	uv_close((uv_handle_t *)&all->retry, NULL);
	for (struct tunnel *t = all->first, *next; t != NULL; t = next) {
		next = t->next;
		destroy(t);
	}
	all->due = NULL;
}

/* ---- the WebSocket's callbacks ------------------------------------------------------------ */

static void on_peer_closes(void *of, unsigned code)
{
	end(of, TUNNEL_GONE, code, "by the client");
}

static void on_gone(void *of)
{
	struct tunnel *t = of;
	end(t, TUNNEL_GONE, 1006, "connection lost");
	t->wsi = NULL;
}

static void on_violation(void *of, uint16_t code, const char *reason)
{
	tunnel_close(of, code, reason);
}

static const char *const subprotocols[] = {"mqtt", "mqttv3.1", NULL};

const struct endpoint tunnel_endpoint = {
    .subprotocols = subprotocols,
    .subprotocol_required = true,
    .open = on_open,
    .receive = on_receive,
    .writeable = on_writeable,
    .peer_closes = on_peer_closes,
    .gone = on_gone,
    .violation = on_violation,
};
