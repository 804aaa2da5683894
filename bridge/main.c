/*
 * main.c - mosquitto-chat-bridge: wiring.
 *
 * Started by the plugin with two inherited descriptors (common/settings.h): a socket that
 * brings the settings and ends when the broker ends, and the listening socket. Not meant
 * to be started by hand.
 */
#include "bridge/bridge.h"
#include "bridge/counters.h"
#include "bridge/log.h"
#include "bridge/sandbox.h"
#include "bridge/socket_calls.h"
#include "bridge/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SETTINGS_WAIT_MS 5000
#define STOP_MS 400 /* for the close frames to leave */
#define STOP_TICK_MS 10
#define DESCRIPTORS_WANTED 1048576u /* libwebsockets sizes tables by the limit: 16 bytes each */

static struct bridge bridge;

/* What has come from the plugin and is no whole line yet. Holds the credential until it is wiped. */
static char control_text[SETTINGS_BYTES_MAX];
static size_t control_len;

/* Takes the first line out of control_text. False when there is none, or it is no settings (a log line then).
 */
static bool take_settings(struct bridge_settings *out, const char **why)
{
	char *end = memchr(control_text, '\n', control_len);
	if (end == NULL)
		return false;
	size_t len = (size_t)(end - control_text) + 1;
	bool fine = settings_from_line(control_text, len, out, why);
	memmove(control_text, control_text + len, control_len - len);
	control_len -= len;
	explicit_bzero(control_text + control_len, len);
	return fine;
}

/* Waits for the first line of settings. False with a log line. */
static bool read_settings(struct bridge_settings *out)
{
	const char *why = NULL;
	while (!take_settings(out, &why)) {
		struct pollfd p = {.fd = SETTINGS_CONTROL_FD, .events = POLLIN};
		int ready = why == NULL && control_len < sizeof control_text ? poll(&p, 1, SETTINGS_WAIT_MS) : 1;
		if (ready < 0 && errno == EINTR)
			continue;
		size_t room = sizeof control_text - control_len;
		ssize_t n = ready > 0 && why == NULL && room > 0
		                ? read(SETTINGS_CONTROL_FD, control_text + control_len, room)
		                : -1;
		if (n <= 0) {
			log_line(LOG_LEVEL_ERROR, "no settings from the plugin: %s",
			         why != NULL  ? why
			         : room == 0  ? "they are too long"
			         : ready == 0 ? "nothing came"
			                      : "the plugin hung up");
			return false;
		}
		control_len += (size_t)n;
	}
	return true;
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	rlim_t wanted = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = wanted;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* then fewer sessions fit; the acceptor knows */
	}
}

/* Behind a public port: nothing it starts could gain rights, and what it knows is written to no core file. */
static void give_up_rights(void)
{
	const struct rlimit none = {0, 0};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
		log_line(LOG_LEVEL_WARNING, "rights cannot be given up: %s", strerror(errno));
}

/* As soon as nobody is left, or the time is up. */
static void on_stop_timer(uv_timer_t *timer)
{
	struct bridge *b = timer->data;
	b->loop.now_ms = loop_now_ns() / 1000000u;
	if (b->sessions.count + b->tunnels.count > 0 && b->loop.now_ms < b->stop_by_ms)
		return;
	uv_close((uv_handle_t *)timer, NULL);
	/* each lets go of what the next one owns */
	server_stop(&b->server);
	sessions_stop(&b->sessions);
	tunnels_stop(&b->tunnels);
	roster_stop(&b->roster);
	rooms_stop(&b->rooms);
	rounds_stop(&b->rounds);
	closed_rooms_stop(&b->closed);
	renamed_rooms_stop(&b->renamed);
	drain_stop(&b->drain);
	history_reader_stop(&b->history);
	mqtt_links_stop(&b->links);
	loop_stop(&b->loop);
}

/* The broker ends: tell everybody, leave them a moment, go. */
static void stop(struct bridge *b)
{
	static uv_timer_t timer;
	if (b->stopping)
		return;
	b->stopping = true;
	b->stop_by_ms = b->loop.now_ms + STOP_MS;
	uv_close((uv_handle_t *)&b->control, NULL);
	acceptor_stop(&b->acceptor);
	sessions_close_all(&b->sessions, CLOSE_GOING_AWAY, "the server is shutting down");
	tunnels_close_all(&b->tunnels, CLOSE_GOING_AWAY, "the server is shutting down");
	timer.data = b;
	if (uv_timer_init(&b->loop.uv, &timer) != 0 ||
	    uv_timer_start(&timer, on_stop_timer, STOP_TICK_MS, STOP_TICK_MS) != 0)
		_exit(1);
}

static bool load_certificate(const struct bridge_settings *s)
{
	char reason[TLS_REASON_MAX];
	if (s->tls_cert_file[0] == '\0' || tls_load(s->tls_cert_file, s->tls_key_file, reason))
		return true;
	bool hidden = sandbox_hides(s->tls_cert_file) || sandbox_hides(s->tls_key_file);
	log_line(LOG_LEVEL_ERROR, "%s%s", reason,
	         hidden ? "; the sandbox opens files in the folders of the start alone: restart the broker" : "");
	return false;
}

/* They have been checked with the settings. */
static void read_ranges(struct bridge *b)
{
	const struct bridge_settings *s = &b->settings;
	(void)cidr_list_parse(s->trusted_proxies, strlen(s->trusted_proxies), &b->proxies);
	(void)cidr_list_parse(s->metrics_allow, strlen(s->metrics_allow), &b->metrics_allow);
}

/* The plugin has reloaded: what may change while sessions live. */
static void apply(struct bridge *b, const struct bridge_settings *fresh)
{
	struct bridge_settings *s = &b->settings;
	memcpy(s->allowed_origins, fresh->allowed_origins, sizeof s->allowed_origins);
	memcpy(s->trusted_proxies, fresh->trusted_proxies, sizeof s->trusted_proxies);
	memcpy(s->metrics_allow, fresh->metrics_allow, sizeof s->metrics_allow);
	read_ranges(b);
	s->max_sessions = fresh->max_sessions;
	s->max_sessions_per_user = fresh->max_sessions_per_user;
	s->outbox_bytes = fresh->outbox_bytes;
	s->outbox_ms = fresh->outbox_ms;
	s->connect_rate = fresh->connect_rate;
	s->connect_burst = fresh->connect_burst;
	if (load_certificate(s))
		log_line(LOG_LEVEL_INFO, "new settings%s are in force", tls_on() ? " and certificate" : "");
	else
		log_line(LOG_LEVEL_ERROR, "new settings are in force, with the certificate from before");
}

static void on_control(uv_poll_t *handle, int status, int events)
{
	struct bridge *b = handle->data;
	(void)events;
	size_t room = sizeof control_text - control_len;
	ssize_t n = status < 0 || room == 0 ? 0 : read(SETTINGS_CONTROL_FD, control_text + control_len, room);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		stop(b);
		return;
	}
	control_len += n > 0 ? (size_t)n : 0;
	static struct bridge_settings fresh; /* large; one thread */
	const char *why = NULL;
	while (take_settings(&fresh, &why))
		apply(b, &fresh);
	explicit_bzero(&fresh, sizeof fresh);
	if (why != NULL)
		log_line(LOG_LEVEL_ERROR, "settings that cannot be read: %s", why);
}

/* Publishes first, so that the broker works while the deliveries are written. */
static void on_round(void *user)
{
	struct bridge *b = user;
	sessions_resume(&b->sessions);
	mqtt_links_flush(&b->links);
	rounds_flush(&b->rounds);
	sessions_flush(&b->sessions);
	sessions_close_due(&b->sessions);
	sessions_flush(&b->sessions); /* who leaves a room hands its place to another, who is served first */
	tunnels_visit_due(&b->tunnels);
	mqtt_links_flush(&b->links);
	server_feed(&b->server);
	log_tick(b->loop.now_ms);
	counters_tick(b->loop.now_ms);
}

static void identify(struct mqtt_link *link, struct mqtt_connect *out)
{
	if (link == &bridge.rooms.link)
		rooms_identify(&bridge.rooms, out);
	else
		session_identify(link, out);
}

static bool start(struct bridge *b)
{
	if (!keyed_hash_draw()) {
		log_line(LOG_LEVEL_ERROR, "no random bytes: %s", strerror(errno));
		return false;
	}
	read_ranges(b);
	sync_start(&b->sync, b);
	session_orders_start(b);
	session_events_start(b);
	closed_rooms_start(&b->closed, b);
	renamed_rooms_start(&b->renamed, b);
	reports_start(&b->reports, b);
	health_start(&b->health, b);
	const struct sockaddr_un *broker = sandbox_address(b->settings.broker_socket);
	if (broker == NULL || !load_certificate(&b->settings) || !loop_start(&b->loop, on_round, b) ||
	    !mqtt_links_start(&b->links, &b->loop, broker, b->settings.credential, identify) ||
	    !drain_start(&b->drain, b) || !server_start(&b->server, b) || !history_reader_start(&b->history, b) ||
	    !roster_start(&b->roster, b) || !sessions_start(&b->sessions, b) || !tunnels_start(&b->tunnels, b) ||
	    !acceptor_start(&b->acceptor, b, SETTINGS_LISTEN_FD) || !rounds_start(&b->rounds, b))
		return false;
	rooms_start(&b->rooms, b);
	b->control.data = b;
	return fcntl(SETTINGS_CONTROL_FD, F_SETFL, O_NONBLOCK) == 0 &&
	       uv_poll_init(&b->loop.uv, &b->control, SETTINGS_CONTROL_FD) == 0 &&
	       uv_poll_start(&b->control, UV_READABLE | UV_DISCONNECT, on_control) == 0;
}

/* All is open, and no thread but this one runs. */
static void lock_up(const struct bridge *b)
{
	const struct sandbox_needs needs = {
	    .broker = b->links.broker,
	    .history_file = b->settings.history_file,
	    .tls_cert_file = b->settings.tls_cert_file,
	    .tls_key_file = b->settings.tls_key_file,
	};
	sandbox_start(&needs);
}

int main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--bridge") != 0) {
		fprintf(stderr,
		        "mosquitto-chat-bridge %s: started by mosquitto_chat.so inside mosquitto, not by hand\n",
		        MOSQUITTO_CHAT_VERSION);
		return 2;
	}
	socket_calls_start();
	log_start();
	/* Second to the end of file on the control socket: also when the broker is killed while we are stuck. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		log_line(LOG_LEVEL_WARNING, "prctl: %s", strerror(errno));
	give_up_rights();
	(void)fcntl(SETTINGS_CONTROL_FD, F_SETFD, FD_CLOEXEC); /* nothing is executed, and nobody would inherit */
	(void)fcntl(SETTINGS_LISTEN_FD, F_SETFD, FD_CLOEXEC);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);  /* Ctrl-C goes to the whole group; the broker's end is ours */
	(void)signal(SIGTERM, SIG_IGN); /* systemd stops a service by it: every process, and so does the broker */
	(void)signal(SIGHUP, SIG_IGN);
	if (!read_settings(&bridge.settings))
		return 1;
	sandbox_prepare(bridge.settings.sandbox);
	raise_descriptor_limit();
	web_files_load(&bridge.web, bridge.settings.web_root);
	/* Its configuration is read with the first use, which without page and TLS would come too late. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1 || !start(&bridge))
		return 1;
	lock_up(&bridge);
	if (write(SETTINGS_CONTROL_FD, "ready\n", 6) != 6) {
		log_line(LOG_LEVEL_ERROR, "the plugin hung up");
		return 1;
	}
	(void)uv_run(&bridge.loop.uv, UV_RUN_DEFAULT);
	log_stop();
	counters_end();
	history_reader_end(&bridge.history);
	web_files_free(&bridge.web);
	server_end(&bridge.server);
	tls_stop();
	loop_end(&bridge.loop);
	explicit_bzero(&bridge.settings, sizeof bridge.settings);
	return 0;
}
