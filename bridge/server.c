/* server.c - see server.h */
#include "bridge/server.h"
#include "bridge/bridge.h"
#include "bridge/counters.h"
#include "bridge/frame_guard.h"
#include "bridge/log.h"
#include "bridge/tls.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SESSION_RX_BYTES                                                                                     \
	256 /* of one read, and allocated per connection: a chat message is mostly shorter                       \
	     */
#define TUNNEL_RX_BYTES 4096
#define UPGRADE_SECONDS 5 /* libwebsockets' own limit for the handshake; it has the whole head at once */

/* Upgrades that libwebsockets has not answered yet, by descriptor. */
static struct upgrade **upgrades;
static int upgrades_size;

static struct bridge *bridge_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

void upgrade_free(struct upgrade *u)
{
	if (u != NULL)
		explicit_bzero(u->shown, u->shown_len);
	free(u);
}

static struct upgrade *take_upgrade(int fd)
{
	if (fd < 0 || fd >= upgrades_size)
		return NULL;
	struct upgrade *u = upgrades[fd];
	upgrades[fd] = NULL;
	return u;
}

/* The connection has ended in its handshake. */
static void drop_upgrade(int fd)
{
	struct upgrade *u = take_upgrade(fd);
	if (u != NULL)
		count(COUNTER_CONNECT_GONE);
	upgrade_free(u);
}

static bool keep_upgrade(int fd, struct upgrade *u)
{
	if (fd >= upgrades_size) {
		int size = upgrades_size > 0 ? upgrades_size : 1024;
		while (size <= fd)
			size *= 2;
		struct upgrade **grown = realloc(upgrades, (size_t)size * sizeof *grown);
		if (grown == NULL)
			return false;
		for (int i = upgrades_size; i < size; i++)
			grown[i] = NULL;
		upgrades = grown;
		upgrades_size = size;
	}
	upgrade_free(upgrades[fd]); /* of a connection that ended during its handshake */
	upgrades[fd] = u;
	return true;
}

/* What libwebsockets keeps for each connection. */
struct connection {
	const struct endpoint *endpoint;
	void *of; /* NULL: nobody is there */
};

static void on_violation(void *user, uint16_t code, const char *reason)
{
	const struct connection *c = user;
	if (c->of != NULL)
		c->endpoint->violation(c->of, code, reason);
}

static void on_ping(void *user, const uint8_t *payload, size_t n)
{
	const struct connection *c = user;
	if (c->of != NULL)
		c->endpoint->ping(c->of, payload, n);
}

/* Who answers pings itself, and who leaves them to libwebsockets. */
static const struct frame_guard_owner answering = {on_violation, on_ping}, leaving = {on_violation, NULL};

void server_forget(struct lws *wsi)
{
	struct connection *c = lws_wsi_user(wsi);
	if (c != NULL)
		c->of = NULL;
}

void server_close(struct lws *wsi, uint16_t code, const char *reason, bool rx_stopped)
{
	if (!lws_partial_buffered(wsi)) {
		size_t len = strlen(reason);
		lws_close_reason(wsi, (enum lws_close_status)code, (unsigned char *)(uintptr_t)reason,
		                 len < 123 ? len : 123);
	}
	/* the peer's close frame must be read, or the connection stays until a time limit */
	if (rx_stopped)
		(void)lws_rx_flow_control(wsi, 1);
	/* The close frame of `return -1` from a WRITEABLE callback is lost with libuv in builds with
	 * assertions (libwebsockets issue 3569); a kill from outside its callbacks sends it. */
	int fd = (int)lws_get_socket_fd(wsi);
	lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
	/* Nobody will see an answer to our close frame where the guard has cut the stream: what is there is read
	 * and forgotten, then libwebsockets finds its end. (A connection that is gone by now is not guarded.) */
	if (frame_guard_refused(fd))
		(void)shutdown(fd, SHUT_RD);
}

static int on_established(struct lws *wsi, struct connection *c)
{
	int fd = (int)lws_get_socket_fd(wsi);
	struct upgrade *u = take_upgrade(fd);
	if (u == NULL)
		return -1;
	c->endpoint = u->endpoint;
	c->of = c->endpoint->open(bridge_of(wsi), wsi, u);
	bool fine = c->of != NULL && frame_guard_start(fd, c->endpoint->ping != NULL ? &answering : &leaving, c);
	if (!fine)
		acceptor_short_of_memory(&bridge_of(wsi)->acceptor);
	else
		(void)frame_guard_feed(fd, (const uint8_t *)u->early, u->early_len); /* it has told the endpoint */
	upgrade_free(u);
	return fine ? 0 : -1;
}

static void on_receive(struct lws *wsi, const struct connection *c, const void *bytes, size_t len)
{
	struct message_piece piece = {
	    .bytes = bytes,
	    .len = len,
	    .first = lws_is_first_fragment(wsi) != 0,
	    .final = lws_is_final_fragment(wsi) != 0,
	    .binary = lws_frame_is_binary(wsi) != 0,
	    .remaining = lws_remaining_packet_payload(wsi),
	};
	c->endpoint->receive(c->of, &piece);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct connection *c = user;
	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED:
		c->of = NULL;
		return on_established(wsi, c);
	case LWS_CALLBACK_RECEIVE:
		if (c->of != NULL)
			on_receive(wsi, c, in, len);
		return 0;
	case LWS_CALLBACK_RECEIVE_PONG:
		if (c->of != NULL && c->endpoint->pong != NULL)
			c->endpoint->pong(c->of);
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		if (c->of != NULL)
			c->endpoint->writeable(c->of);
		return 0;
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		/* the code is in network order; an empty close frame counts as 1005 */
		if (c->of != NULL)
			c->endpoint->peer_closes(
			    c->of, len >= 2 ? ((unsigned)((uint8_t *)in)[0] << 8) | ((uint8_t *)in)[1] : 1005);
		return 0;
	case LWS_CALLBACK_CLOSED:
		frame_guard_stop((int)lws_get_socket_fd(wsi));
		if (c->of != NULL)
			c->endpoint->gone(c->of);
		c->of = NULL;
		return 0;
	case LWS_CALLBACK_CLOSED_HTTP:
		drop_upgrade((int)lws_get_socket_fd(wsi));
		return 0;
	case LWS_CALLBACK_HTTP:
	case LWS_CALLBACK_RAW_ADOPT:
		return -1; /* only upgrades are handed over */
	default:
		return 0;
	}
}

#define PROTOCOL(name, rx_bytes)                                                                             \
	{                                                                                                        \
		(name), on_event, sizeof(struct connection), (rx_bytes), 0, NULL, OUTBOX_WRITE_MAX                   \
	}

/* By subprotocol, as the request says that the visitor has made: each path has its own. */
static const struct lws_protocols protocols[] = {
    PROTOCOL("chat", SESSION_RX_BYTES), /* the first serves clients that name no subprotocol */
    PROTOCOL("bearer", SESSION_RX_BYTES),  PROTOCOL("mqtt", TUNNEL_RX_BYTES),
    PROTOCOL("mqttv3.1", TUNNEL_RX_BYTES), {NULL, NULL, 0, 0, 0, NULL, 0},
};

/* The library's own words. Those that every handed-over connection causes are not for the log. */
static void on_library_log(int level, const char *line)
{
	static struct log_limit limit;
	if (strstr(line, "calling service") != NULL)
		return;
	log_limited(&limit, loop_now_ns() / 1000000u, level == LLL_ERR ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
	            "libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

bool server_start(struct server *srv, struct bridge *b)
{
	memset(srv, 0, sizeof *srv);
	srv->bridge = b;
	lws_set_log_level(LLL_ERR, on_library_log);
	if (uv_idle_init(&b->loop.uv, &srv->busy) != 0)
		return false;
	void *loops[1] = {&b->loop.uv};
	/* Sessions are pinged by us (session_output.c). The library's own check puts each connection into a
	 * sorted list at every pong, which takes 0.1 ms with 5000 of them; a policy without times turns it off.
	 */
	static const lws_retry_bo_t no_check;
	struct lws_context_creation_info info = {
	    .port = CONTEXT_PORT_NO_LISTEN_SERVER,
	    .protocols = protocols,
	    .user = b,
	    .gid = -1, /* stay who we are */
	    .uid = -1,
	    .foreign_loops = loops,
	    .timeout_secs = UPGRADE_SECONDS,
	    .pt_serv_buf_size = OUTBOX_WRITE_MAX,
	    .retry_and_idle_policy = &no_check,
	    .max_http_header_data = 4096,
	    .pcontext = &srv->context,
	    .vhost_name = "chat",
	    .options =
	        LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_VALIDATE_UTF8,
	};
	srv->context = lws_create_context(&info);
	if (srv->context != NULL)
		srv->vhost = lws_create_vhost(srv->context, &info);
	if (srv->vhost == NULL) {
		log_line(LOG_LEVEL_ERROR,
		         "libwebsockets %s does not start; is its libuv part (Debian: "
		         "libwebsockets-evlib-uv) installed?",
		         lws_get_library_version());
		return false;
	}
	return true;
}

void server_adopt(struct server *srv, int fd, struct upgrade *u, const char *head, size_t len)
{
	if (!keep_upgrade(fd, u)) {
		acceptor_short_of_memory(&srv->bridge->acceptor);
		upgrade_free(u);
		(void)close(fd);
		return;
	}
	/* takes the descriptor in any case, and mostly calls back from inside */
	if (lws_adopt_socket_vhost_readbuf(srv->vhost, fd, head, len) == NULL)
		drop_upgrade(fd);
}

static void on_busy(uv_idle_t *handle)
{
	(void)handle; /* that it runs keeps the loop from sleeping */
}

static void feed(int fd, void *user)
{
	struct server *srv = user;
	struct lws_pollfd p = {.fd = fd, .events = LWS_POLLIN, .revents = LWS_POLLIN};
	(void)lws_service_fd(srv->context, &p); /* a connection that has failed it has closed itself */
}

void server_feed(struct server *srv)
{
	if (tls_feed(feed, srv))
		(void)uv_idle_start(&srv->busy, on_busy); /* fails only without a callback */
	else
		(void)uv_idle_stop(&srv->busy);
}

void server_stop(struct server *srv)
{
	uv_close((uv_handle_t *)&srv->busy, NULL);
	if (srv->context != NULL)
		lws_context_destroy(srv->context);
}

void server_end(struct server *srv)
{
	if (srv->context != NULL)
		lws_context_destroy(srv->context); /* with a foreign loop the second call frees */
	for (int i = 0; i < upgrades_size; i++)
		upgrade_free(upgrades[i]);
	free(upgrades);
	upgrades = NULL;
	upgrades_size = 0;
}
