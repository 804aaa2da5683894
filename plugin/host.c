/*
 * host.c - which broker this plugin finds itself in.
 */
#include "host.h"

#include "clock.h"
#include "compat.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 2000
#define ANSWER_BYTES 512 /* the version stands in the first line */

extern char **environ;

static bool number(const char **at, int max, int *out)
{
	char *end;
	long n;

	if (**at < '0' || **at > '9')
		return false;
	n = strtol(*at, &end, 10);
	if (n > max)
		return false;
	*at = end;
	*out = (int)n;
	return true;
}

int host_version_number(const char *line)
{
	static const char words[] = "mosquitto version ";
	const char *at = strstr(line, words);
	int major, minor, revision;

	if (!at)
		return 0;
	at += sizeof(words) - 1;
	if (!number(&at, 99, &major) || *at++ != '.' || !number(&at, 999, &minor) || *at++ != '.' ||
	    !number(&at, 999, &revision))
		return 0;
	return major * 1000000 + minor * 1000 + revision;
}

/* Starts `program -h` with its output in *out. Returns its process, or -1. */
static pid_t ask(const char *program, int *out)
{
	char *argv[] = {(char *)(uintptr_t) "mosquitto", (char *)(uintptr_t) "-h", NULL};
	posix_spawn_file_actions_t actions;
	int ends[2];
	pid_t pid = -1;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	if (posix_spawn_file_actions_init(&actions) != 0) {
		close(ends[0]);
		close(ends[1]);
		return -1;
	}
	if (posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, ends[1], 1) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) != 0 ||
	    posix_spawn(&pid, program, &actions, NULL, argv, environ) != 0)
		pid = -1;
	(void)posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (pid == -1)
		close(ends[0]);
	else
		*out = ends[0];
	return pid;
}

/* Reads until a line is there, the end, or the time is over. */
static int hear(int fd)
{
	uint64_t end = clock_monotonic_ms() + ANSWER_MS, now;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char text[ANSWER_BYTES];
	size_t have = 0;
	ssize_t n;

	while (have < sizeof(text) - 1) {
		now = clock_monotonic_ms();
		if (now >= end)
			break;
		n = poll(&p, 1, (int)(end - now));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		n = read(fd, text + have, sizeof(text) - 1 - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
		if (memchr(text, '\n', have))
			break;
	}
	text[have] = '\0';
	return host_version_number(text);
}

static int running_version(void)
{
	static const char link[] = "/proc/self/exe";
	char program[PATH_MAX];
	ssize_t n;
	int fd = -1, version;
	pid_t pid;

	/* The path rather than the link where it is usable: under valgrind only that is the broker. */
	n = readlink(link, program, sizeof(program) - 1);
	program[n > 0 ? n : 0] = '\0';
	if (access(program, X_OK) != 0)
		memcpy(program, link, sizeof(link));
	pid = ask(program, &fd);
	if (pid == -1)
		return 0;
	version = hear(fd);
	close(fd);
	/* It has said what is wanted; should it linger, it has no further purpose. */
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return version;
}

static void own_path(char out[PATH_MAX])
{
	Dl_info info;

	/* An address of ours, as the loader wants it. */
	if (dladdr(__extension__(void *) host_learn, &info) == 0 || !info.dli_fname ||
	    !realpath(info.dli_fname, out))
		out[0] = '\0';
}

void host_learn(struct host *out)
{
	memset(out, 0, sizeof(*out));
	out->version = running_version();
	out->version_known = out->version != 0;
	if (!out->version_known)
		out->version = LIBMOSQUITTO_VERSION_NUMBER;
	out->frees_replaced = out->version >= BROKER_FREES_REPLACED;
	own_path(out->plugin_path);
}

bool host_fits(const struct host *host)
{
	return host->version / 1000 == LIBMOSQUITTO_VERSION_NUMBER / 1000;
}
