/*
 * bridges.c - the bridge processes.
 */
#include "bridges.h"

#include "bridge_log.h"
#include "clock.h"
#include "common/settings.h"
#include "compat.h"
#include "counters.h"
#include "device_key.h"
#include "listeners.h"
#include "log.h"
#include "node_metrics.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* For builds whose bridges run in valgrind (CMakeLists.txt). */
#ifndef BRIDGE_PATIENCE
#define BRIDGE_PATIENCE 1
#endif

#define READY_MS (UINT64_C(5000) * BRIDGE_PATIENCE) /* from its start until it says "ready" */
#define BACKOFF_MIN_MS 100                          /* before the next start; doubled after each short life */
#define BACKOFF_MAX_MS 5000
#define GOOD_LIFE_MS 10000 /* a life of this length makes the next wait the shortest again */
#define STOP_MS (UINT64_C(1500) * BRIDGE_PATIENCE) /* for a bridge to end by itself */
#define LOOK_MS 20                                 /* between two looks at the processes */
#define FD_ABOVE 10 /* what a child gets is moved out of the way of the numbers it gets it under */

#ifndef CHAT_LIBEXECDIR
#define CHAT_LIBEXECDIR "/usr/libexec/mosquitto"
#endif
#define PROGRAM_NAME "mosquitto-chat-bridge"

extern char **environ;

enum bridge_state {
	BRIDGE_WAITING,  /* no process; the next start is due at restart_ms */
	BRIDGE_STARTING, /* runs and has not said "ready" */
	BRIDGE_READY,
};

struct bridge {
	enum bridge_state state;
	pid_t pid;      /* -1 where there is none */
	int listen_fd;  /* kept for all lives */
	int control_fd; /* -1 or our end of its fd 3 */
	struct bridge_log log;
	char heard[16]; /* what came on the control socket so far */
	size_t heard_len;
	uint64_t started_ms;
	uint64_t restart_ms;
	uint64_t backoff_ms;
};

static struct {
	const struct options *options;
	const char *credential;
	const char *web_root;
	char program[PATH_MAX];
	struct bridge *bridges;
	size_t count;
	uint64_t looked_ms;
} state;

/* "chat-bridge", with its number where there are several. */
static const char *name_of(const struct bridge *b, char out[32])
{
	if (state.count == 1)
		(void)snprintf(out, 32, "chat-bridge");
	else
		(void)snprintf(out, 32, "chat-bridge[%zu]", (size_t)(b - state.bridges));
	return out;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Moves a descriptor above the small numbers, closed on exec. -1 where that failed; the old one is closed. */
static int out_of_the_way(int fd)
{
	int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_ABOVE);

	close_fd(&fd);
	return moved;
}

/* True when dir (its first len bytes) and what follows name a program; it then stands in state.program. */
static bool is_program(const char *dir, size_t len, const char *rest)
{
	int n = snprintf(state.program, sizeof(state.program), "%.*s%s", (int)len, dir, rest);

	return n > 0 && (size_t)n < sizeof(state.program) && access(state.program, X_OK) == 0;
}

static bool find_program(const char *plugin_path)
{
	const char *slash = strrchr(plugin_path, '/');
	const char *given = state.options->bridge_program;
	size_t len = slash ? (size_t)(slash - plugin_path) : 0;

	if (given[0] != '\0') {
		if (is_program(given, strlen(given), ""))
			return true;
		log_line(MOSQ_LOG_ERR, "plugin_opt_bridge_program %s: %s", given, strerror(errno));
		return false;
	}
	/* A build tree, a folder with both, an installation. */
	if ((slash && (is_program(plugin_path, len, "/../bridge/" PROGRAM_NAME) ||
	               is_program(plugin_path, len, "/" PROGRAM_NAME))) ||
	    is_program(CHAT_LIBEXECDIR, strlen(CHAT_LIBEXECDIR), "/" PROGRAM_NAME))
		return true;
	log_line(MOSQ_LOG_ERR,
	         "the program %s was found neither beside the plugin (%s) nor as %s: name it with "
	         "plugin_opt_bridge_program, or run without bridges with plugin_opt_bridge_program off",
	         PROGRAM_NAME, plugin_path, state.program);
	return false;
}

/* The line of settings for this bridge, from malloc; NULL when out of memory. */
static char *settings_line(size_t index)
{
	const struct options *o = state.options;
	struct bridge_settings *s = calloc(1, sizeof(*s));
	char *line;

	if (!s)
		return NULL;
	s->version = SETTINGS_VERSION;
	s->index = (unsigned)index;
	memcpy(s->credential, state.credential, CREDENTIAL_HEX + 1);
	memcpy(s->broker_socket, o->broker_socket, sizeof(s->broker_socket));
	memcpy(s->topic_root, o->topic_root, sizeof(s->topic_root));
	memcpy(s->room, o->room, sizeof(s->room));
	s->fanout_session = o->fanout_session;
	s->mqtt = o->mqtt;
	s->logins = o->auth != AUTH_NONE;
	s->sandbox = o->sandbox;
	s->metrics = o->metrics;
	memcpy(s->metrics_allow, o->metrics_allow, sizeof(s->metrics_allow));
	s->language = o->language;
	memcpy(s->system_sender, o->system_sender, sizeof(s->system_sender));
	memcpy(s->allowed_origins, o->allowed_origins, sizeof(s->allowed_origins));
	memcpy(s->trusted_proxies, o->trusted_proxies, sizeof(s->trusted_proxies));
	s->max_frame_bytes = o->max_frame_bytes;
	s->header_timeout_ms = o->header_timeout_ms;
	s->max_sessions = o->max_sessions;
	s->max_sessions_per_user = o->max_sessions_per_user;
	s->outbox_bytes = o->outbox_bytes;
	s->outbox_ms = o->outbox_ms;
	s->ping_interval_ms = o->ping_interval_ms;
	s->ping_timeout_ms = o->ping_timeout_ms;
	s->connect_rate = o->rate_connects.per_second;
	s->connect_burst = o->rate_connects.burst;
	s->sessions_latest = o->sessions_latest;
	s->session_expiry_s = o->session_expiry_s;
	memcpy(s->device_key, device_key(), DEVICE_KEY_HEX + 1);
	memcpy(s->history_file, o->history_file, sizeof(s->history_file));
	memcpy(s->web_root, state.web_root, strlen(state.web_root) + 1);
	memcpy(s->tls_cert_file, o->tls_cert_file, sizeof(s->tls_cert_file));
	memcpy(s->tls_key_file, o->tls_key_file, sizeof(s->tls_key_file));
	line = settings_to_line(s);
	explicit_bzero(s, sizeof(*s));
	free(s);
	return line;
}

/* Its settings fit into the socket's buffer whole, or something is badly wrong. */
static bool send_settings(const struct bridge *b)
{
	char *line = settings_line((size_t)(b - state.bridges));
	size_t len = line ? strlen(line) : 0;
	bool sent = line && send(b->control_fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;

	if (line) {
		explicit_bzero(line, len);
		free(line);
	}
	return sent;
}

/* What the child finds under which number. control, listen and output are above FD_ABOVE. */
static bool describe_child(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int control,
                           int listen_fd, int output)
{
	sigset_t none, all;

	return sigemptyset(&none) == 0 && sigfillset(&all) == 0 &&
	       posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0) == 0 &&
	       posix_spawn_file_actions_adddup2(actions, output, 1) == 0 &&
	       posix_spawn_file_actions_adddup2(actions, output, 2) == 0 &&
	       posix_spawn_file_actions_adddup2(actions, control, SETTINGS_CONTROL_FD) == 0 &&
	       posix_spawn_file_actions_adddup2(actions, listen_fd, SETTINGS_LISTEN_FD) == 0 &&
	       posix_spawn_file_actions_addclosefrom_np(actions, SETTINGS_LISTEN_FD + 1) == 0 &&
	       /* A group of its own: Ctrl-C in a terminal is for the broker, which then ends its bridges. */
	       posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
	                                                POSIX_SPAWN_SETPGROUP) == 0 &&
	       posix_spawnattr_setpgroup(attributes, 0) == 0 &&
	       posix_spawnattr_setsigmask(attributes, &none) == 0 &&
	       posix_spawnattr_setsigdefault(attributes, &all) == 0;
}

/* Starts the program with these three. Returns 0 or an errno. */
static int spawn(struct bridge *b, int control, int output)
{
	char *argv[] = {state.program, (char *)(uintptr_t) "--bridge", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int error;

	error = posix_spawn_file_actions_init(&actions);
	if (error != 0)
		return error;
	error = posix_spawnattr_init(&attributes);
	if (error == 0) {
		error = describe_child(&actions, &attributes, control, b->listen_fd, output)
		            ? posix_spawn(&b->pid, state.program, &actions, &attributes, argv, environ)
		            : ENOMEM;
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	if (error != 0)
		b->pid = -1;
	return error;
}

/* A new life. False (and a line in the log) where there is no process now. */
static bool start(struct bridge *b, uint64_t now_ms)
{
	int control[2] = {-1, -1}, output[2] = {-1, -1};
	char name[32];
	int error;

	b->heard_len = 0;
	b->started_ms = now_ms;
	b->state = BRIDGE_STARTING;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) == 0 && pipe2(output, O_CLOEXEC) == 0) {
		control[1] = out_of_the_way(control[1]);
		output[1] = out_of_the_way(output[1]);
	}
	if (control[1] < 0 || output[1] < 0 || fcntl(output[0], F_SETFL, O_NONBLOCK) != 0)
		error = errno;
	else
		error = spawn(b, control[1], output[1]);
	close_fd(&control[1]);
	close_fd(&output[1]);
	b->control_fd = control[0];
	bridge_log_open(&b->log, output[0]);
	if (error == 0 && !send_settings(b)) {
		error = ENOBUFS;
		(void)kill(b->pid, SIGKILL);
	}
	if (error == 0)
		return true;
	log_line(MOSQ_LOG_ERR, "%s cannot be started (%s): %s", name_of(b, name), state.program, strerror(error));
	return false;
}

/* What is left of a process that is no more. */
static void bury(struct bridge *b)
{
	char name[32];

	bridge_log_pass(&b->log, name_of(b, name));
	bridge_log_close(&b->log, name_of(b, name));
	close_fd(&b->control_fd);
	if (b->pid != -1)
		node_metrics_bridge_ended((size_t)(b - state.bridges), (unsigned long)b->pid);
	b->pid = -1;
}

/* How it ended, for a log line. */
static const char *ending(int status, bool known, char out[96])
{
	if (!known)
		(void)snprintf(out, 96, "has ended");
	else if (WIFSIGNALED(status))
		(void)snprintf(out, 96, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(out, 96, "ended with exit code %d", WEXITSTATUS(status));
	return out;
}

/* True when the process is no more; *known tells whether *status says how. */
static bool is_dead(const struct bridge *b, int *status, bool *known)
{
	pid_t pid = waitpid(b->pid, status, WNOHANG);

	*known = pid == b->pid;
	/* ECHILD: somebody has told the system not to keep the dead for us. */
	return *known || (pid < 0 && errno == ECHILD);
}

static void plan_restart(struct bridge *b, uint64_t now_ms)
{
	if (now_ms - b->started_ms >= GOOD_LIFE_MS || b->backoff_ms == 0)
		b->backoff_ms = BACKOFF_MIN_MS;
	else
		b->backoff_ms = b->backoff_ms * 2 < BACKOFF_MAX_MS ? b->backoff_ms * 2 : BACKOFF_MAX_MS;
	b->restart_ms = now_ms + b->backoff_ms;
	b->state = BRIDGE_WAITING;
}

/* Reads the control socket; true when "ready" has come now. */
static bool hears_ready(struct bridge *b)
{
	static const char word[] = "ready\n";
	ssize_t n;

	if (b->heard_len == sizeof(b->heard))
		return false;
	n = recv(b->control_fd, b->heard + b->heard_len, sizeof(b->heard) - b->heard_len, MSG_DONTWAIT);
	if (n <= 0)
		return false;
	b->heard_len += (size_t)n;
	return b->heard_len >= sizeof(word) - 1 && memcmp(b->heard, word, sizeof(word) - 1) == 0;
}

static void look_at(struct bridge *b, uint64_t now_ms)
{
	char name[32], how[96];
	int status = 0;
	bool known;

	if (b->state == BRIDGE_WAITING) {
		if (now_ms >= b->restart_ms && !start(b, now_ms)) {
			if (b->pid != -1)
				(void)waitpid(b->pid, NULL, 0); /* it has been killed */
			bury(b);
			plan_restart(b, now_ms);
		}
		return;
	}
	bridge_log_pass(&b->log, name_of(b, name));
	if (is_dead(b, &status, &known)) {
		bury(b);
		plan_restart(b, now_ms);
		log_line(MOSQ_LOG_ERR, "%s %s after %llu s; next start in %llu ms", name, ending(status, known, how),
		         (unsigned long long)(now_ms - b->started_ms) / 1000, (unsigned long long)b->backoff_ms);
		return;
	}
	if (b->state != BRIDGE_STARTING)
		return;
	if (hears_ready(b)) {
		b->state = BRIDGE_READY;
		count(COUNTER_BRIDGE_RESTART);
		log_line(MOSQ_LOG_NOTICE, "%s runs again", name);
	} else if (now_ms - b->started_ms >= READY_MS) {
		log_line(MOSQ_LOG_ERR, "%s was not ready after %u s", name, (unsigned)(READY_MS / 1000));
		(void)kill(b->pid, SIGKILL);
		b->started_ms = now_ms; /* its death is noticed in the next look */
	}
}

void bridges_tick(uint64_t now_ms)
{
	size_t i;

	if (now_ms - state.looked_ms < LOOK_MS)
		return;
	state.looked_ms = now_ms;
	for (i = 0; i < state.count; i++)
		look_at(&state.bridges[i], now_ms);
}

/* Only at start: waits until the bridge is ready. False after a line in the log. */
static bool await(struct bridge *b)
{
	uint64_t end = clock_monotonic_ms() + READY_MS;
	char name[32], how[96];
	int status = 0;
	bool known;

	(void)name_of(b, name);
	while (clock_monotonic_ms() < end) {
		struct pollfd p[2] = {{.fd = b->control_fd, .events = POLLIN},
		                      {.fd = bridge_log_fd(&b->log), .events = POLLIN}};

		/* Short waits, because a death shows in waitpid a little later than on the sockets. */
		if (poll(p, 2, 20) < 0 && errno != EINTR)
			break;
		bridge_log_pass(&b->log, name);
		if (hears_ready(b)) {
			b->state = BRIDGE_READY;
			return true;
		}
		if (is_dead(b, &status, &known)) {
			bury(b);
			log_line(MOSQ_LOG_ERR, "%s %s before it was ready (%s)", name, ending(status, known, how),
			         state.program);
			return false;
		}
	}
	log_line(MOSQ_LOG_ERR, "%s was not ready after %u s (%s)", name, (unsigned)(READY_MS / 1000),
	         state.program);
	return false;
}

bool bridges_start(const struct options *options, const char *credential, const char *plugin_path,
                   const char *web_root)
{
	char reason[LISTENERS_REASON_MAX];
	uint64_t now = clock_monotonic_ms();
	size_t i;
	int *fds;
	bool ok;

	memset(&state, 0, sizeof(state));
	state.options = options;
	state.credential = credential;
	state.web_root = web_root;
	if (!find_program(plugin_path))
		return false;
	state.bridges = calloc(options->bridges, sizeof(*state.bridges));
	fds = calloc(options->bridges, sizeof(*fds));
	ok = state.bridges && fds &&
	     listeners_open(options->bind_address, options->port, fds, options->bridges, reason);
	if (!ok) {
		log_line(MOSQ_LOG_ERR, "%s", state.bridges && fds ? reason : "out of memory");
		free(fds);
		free(state.bridges);
		state.bridges = NULL;
		return false;
	}
	state.count = options->bridges;
	for (i = 0; i < state.count; i++) {
		state.bridges[i] = (struct bridge){.pid = -1, .control_fd = -1};
		bridge_log_open(&state.bridges[i].log, -1);
		state.bridges[i].listen_fd = out_of_the_way(fds[i]);
		ok &= state.bridges[i].listen_fd >= 0;
	}
	free(fds);
	for (i = 0; ok && i < state.count; i++)
		ok = start(&state.bridges[i], now);
	for (i = 0; ok && i < state.count; i++)
		ok = await(&state.bridges[i]);
	if (!ok)
		bridges_stop();
	return ok;
}

/* Waits for the processes to end by themselves. True when all have. */
static bool all_ended(uint64_t end_ms)
{
	const struct timespec pause = {.tv_nsec = 5000000};
	char name[32];
	size_t i, left;
	int status;
	bool known;

	for (;;) {
		left = 0;
		for (i = 0; i < state.count; i++) {
			struct bridge *b = &state.bridges[i];

			if (b->pid == -1)
				continue;
			bridge_log_pass(&b->log, name_of(b, name));
			if (is_dead(b, &status, &known))
				bury(b);
			else
				left++;
		}
		if (left == 0 || clock_monotonic_ms() >= end_ms)
			return left == 0;
		(void)nanosleep(&pause, NULL);
	}
}

unsigned bridges_running(void)
{
	unsigned running = 0;
	size_t i;

	for (i = 0; i < state.count; i++)
		running += state.bridges[i].state == BRIDGE_READY;
	return running;
}

void bridges_reload(void)
{
	char name[32];
	size_t i;

	for (i = 0; i < state.count; i++) {
		const struct bridge *b = &state.bridges[i];

		if (b->state != BRIDGE_WAITING && !send_settings(b))
			log_line(MOSQ_LOG_WARNING, "%s does not take new settings: it keeps its old ones",
			         name_of(b, name));
	}
}

void bridges_stop(void)
{
	char name[32];
	size_t i;

	for (i = 0; i < state.count; i++)
		close_fd(&state.bridges[i].control_fd);
	if (!all_ended(clock_monotonic_ms() + STOP_MS)) {
		for (i = 0; i < state.count; i++) {
			struct bridge *b = &state.bridges[i];

			if (b->pid == -1)
				continue;
			log_line(MOSQ_LOG_WARNING, "%s has not ended in time and is killed", name_of(b, name));
			(void)kill(b->pid, SIGKILL);
			while (waitpid(b->pid, NULL, 0) < 0 && errno == EINTR)
				;
			bury(b);
		}
	}
	for (i = 0; i < state.count; i++) {
		bridge_log_close(&state.bridges[i].log, "chat-bridge");
		close_fd(&state.bridges[i].listen_fd);
	}
	free(state.bridges);
	memset(&state, 0, sizeof(state));
}
