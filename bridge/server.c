/* server.c - see server.h */
#include "bridge/server.h"
#include "bridge/bridge.h"
#include "bridge/frame_guard.h"
#include "bridge/log.h"
#include "bridge/tls.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RX_BUFFER_BYTES 1024 /* allocated per connection */
#define UPGRADE_SECONDS 5    /* libwebsockets' own limit for the handshake; it has the whole head at once */

/* Upgrades that libwebsockets has not answered yet, by descriptor. */
static struct upgrade **upgrades;
static int upgrades_size;

static struct bridge *bridge_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

static struct upgrade *take_upgrade(int fd)
{
	if (fd < 0 || fd >= upgrades_size)
		return NULL;
	struct upgrade *u = upgrades[fd];
	upgrades[fd] = NULL;
	return u;
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
	free(upgrades[fd]); /* of a connection that ended during its handshake */
	upgrades[fd] = u;
	return true;
}

static void on_violation(void *user, const char *violation)
{
	session_close(user, CLOSE_PROTOCOL_ERROR, violation);
}

/* What libwebsockets keeps for each connection. */
struct connection {
	struct session *session;
};

void server_forget(struct lws *wsi)
{
	struct connection *c = lws_wsi_user(wsi);
	if (c != NULL)
		c->session = NULL;
}

static int on_established(struct lws *wsi, struct connection *c)
{
	struct bridge *b = bridge_of(wsi);
	int fd = (int)lws_get_socket_fd(wsi);
	struct upgrade *u = take_upgrade(fd);
	if (u == NULL)
		return -1;
	c->session = session_open(&b->sessions, wsi, &u->params, u->fault);
	bool fine = c->session != NULL && frame_guard_start(fd, on_violation, c->session);
	if (!fine)
		log_line(LOG_LEVEL_ERROR, "out of memory, a connection is closed");
	else if (u->fault == NULL)
		log_line(LOG_LEVEL_INFO, "session of %s opened from %s (%s)", u->params.identity.text, u->address,
		         c->session->client_id);
	const char *violation = fine ? frame_guard_feed(fd, (const uint8_t *)u->early, u->early_len) : NULL;
	if (violation != NULL)
		on_violation(c->session, violation);
	free(u);
	return fine ? 0 : -1;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct connection *c = user;
	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED:
		c->session = NULL;
		return on_established(wsi, c);
	case LWS_CALLBACK_RECEIVE:
		if (c->session != NULL)
			session_receive(c->session, in, len, lws_is_first_fragment(wsi) != 0,
			                lws_is_final_fragment(wsi) != 0, lws_frame_is_binary(wsi) != 0,
			                lws_remaining_packet_payload(wsi));
		return 0;
	case LWS_CALLBACK_RECEIVE_PONG:
		if (c->session != NULL)
			session_pong(c->session);
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		if (c->session != NULL)
			session_writeable(c->session);
		return 0;
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		/* the code is in network order; an empty close frame counts as 1005 */
		if (c->session != NULL)
			session_peer_closes(c->session,
			                    len >= 2 ? ((unsigned)((uint8_t *)in)[0] << 8) | ((uint8_t *)in)[1] : 1005);
		return 0;
	case LWS_CALLBACK_CLOSED:
		frame_guard_stop((int)lws_get_socket_fd(wsi));
		if (c->session != NULL)
			session_gone(c->session);
		c->session = NULL;
		return 0;
	case LWS_CALLBACK_CLOSED_HTTP:
		free(take_upgrade((int)lws_get_socket_fd(wsi)));
		return 0;
	case LWS_CALLBACK_HTTP:
	case LWS_CALLBACK_RAW_ADOPT:
		return -1; /* only upgrades are handed over */
	default:
		return 0;
	}
}

static const struct lws_protocols protocols[] = {
    /* the first serves clients that name no subprotocol */
    {"chat", on_event, sizeof(struct connection), RX_BUFFER_BYTES, 0, NULL, OUTBOX_WRITE_MAX},
    {"bearer", on_event, sizeof(struct connection), RX_BUFFER_BYTES, 0, NULL, OUTBOX_WRITE_MAX},
    {NULL, NULL, 0, 0, 0, NULL, 0},
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
	struct lws_context_creation_info info = {
	    .port = CONTEXT_PORT_NO_LISTEN_SERVER,
	    .protocols = protocols,
	    .user = b,
	    .gid = -1, /* stay who we are */
	    .uid = -1,
	    .foreign_loops = loops,
	    .timeout_secs = UPGRADE_SECONDS,
	    .pt_serv_buf_size = OUTBOX_WRITE_MAX,
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
		free(u);
		(void)close(fd);
		return;
	}
	/* takes the descriptor in any case, and mostly calls back from inside */
	if (lws_adopt_socket_vhost_readbuf(srv->vhost, fd, head, len) == NULL)
		free(take_upgrade(fd));
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
		free(upgrades[i]);
	free(upgrades);
	upgrades = NULL;
	upgrades_size = 0;
}
