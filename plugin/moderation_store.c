/*
 * moderation_store.c - see moderation_store.h
 */
#include "moderation_store.h"

#include "compat.h"
#include "log.h"
#include "moderation_text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WRITE_EVERY_MS 200 /* a text is made at most so often */
#define RETRY_S 1
#define PATH_BYTES (PATH_MAX + 8)

/* The main thread's. */
static struct {
	bool running;
	bool changed;
	uint64_t made_ms;
	pthread_t thread;
	char path[PATH_MAX]; /* "": none; the thread reads it, too, and nobody writes it meanwhile */
} state;

/* The main thread's and the writer's. */
static struct {
	pthread_mutex_t mutex; /* held for a few instructions */
	pthread_cond_t wake;
	struct text_buffer text; /* not yet taken; at NULL: none */
	bool stopping;
	int error;     /* errno of the last attempt, 0: it succeeded */
	bool reported; /* and the main thread has seen it */
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .reported = true};

/* ---- the file ------------------------------------------------------------------------------ */

static bool write_all(int fd, const char *bytes, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/* The name of a rename is on the disk when its folder is. */
static void sync_folder(const char *path)
{
	char folder[PATH_BYTES];
	char *slash;
	int fd;

	(void)snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder ? 1 : 0] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsync(fd); /* some file systems know none for folders; the file itself is there */
	(void)close(fd);
}

/* 0 or an errno. The path leads to the old file or to the new one, whatever happens. */
static int replace_file(const char *path, const char *bytes, size_t len)
{
	char fresh[PATH_BYTES];
	int fd, error = 0;

	(void)snprintf(fresh, sizeof(fresh), "%s.new", path);
	(void)unlink(fresh); /* of an attempt that did not come to its end */
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	if (!write_all(fd, bytes, len) || fsync(fd) != 0)
		error = errno;
	if (close(fd) != 0 && error == 0)
		error = errno;
	if (error == 0 && rename(fresh, path) != 0)
		error = errno;
	if (error != 0)
		(void)unlink(fresh);
	else
		sync_folder(path);
	return error;
}

/* NULL and *bytes (the caller's), NULL and no *bytes where there is no file, or why not. */
static const char *read_file(const char *path, char **bytes, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	const char *why = NULL;
	struct stat st;
	ssize_t n = 0;

	*bytes = NULL;
	*len = 0;
	if (fd < 0)
		return errno == ENOENT ? NULL : strerror(errno);
	if (fstat(fd, &st) != 0)
		why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		why = "this is not a regular file";
	else if ((uintmax_t)st.st_size > MODERATION_TEXT_MAX)
		why = "it is too large";
	else if (!(*bytes = malloc((size_t)st.st_size + 1)))
		why = "out of memory";
	while (!why && *len < (size_t)st.st_size &&
	       ((n = read(fd, *bytes + *len, (size_t)st.st_size - *len)) > 0 || (n < 0 && errno == EINTR)))
		*len += n > 0 ? (size_t)n : 0;
	if (!why && n < 0)
		why = strerror(errno);
	(void)close(fd); /* only read */
	if (why) {
		free(*bytes);
		*bytes = NULL;
	}
	return why;
}

/* ---- the writer's thread ------------------------------------------------------------------- */

/* Waits for a text, or with one in hand for a moment at most. False: the end, and none is left. */
static bool wait_for_text(struct text_buffer *text)
{
	struct timespec until;
	bool more;

	(void)pthread_mutex_lock(&shared.mutex);
	if (text->at && !shared.text.at && !shared.stopping && clock_gettime(CLOCK_REALTIME, &until) == 0) {
		until.tv_sec += RETRY_S;
		(void)pthread_cond_timedwait(&shared.wake, &shared.mutex, &until);
	}
	while (!text->at && !shared.text.at && !shared.stopping)
		(void)pthread_cond_wait(&shared.wake, &shared.mutex);
	if (shared.text.at) {
		text_buffer_free(text);
		*text = shared.text;
		shared.text = text_buffer_new(MODERATION_TEXT_MAX);
	}
	more = text->at != NULL;
	(void)pthread_mutex_unlock(&shared.mutex);
	return more;
}

static void *run(void *unused)
{
	struct text_buffer text = text_buffer_new(MODERATION_TEXT_MAX);
	bool stopping = false;
	int error;

	(void)unused;
	while (!stopping && wait_for_text(&text)) {
		error = replace_file(state.path, text.at, text.len);
		if (error == 0)
			text_buffer_free(&text);
		(void)pthread_mutex_lock(&shared.mutex);
		shared.reported = shared.reported && shared.error == error;
		shared.error = error;
		/* at the end one attempt is all */
		stopping = shared.stopping && !shared.text.at;
		(void)pthread_mutex_unlock(&shared.mutex);
	}
	text_buffer_free(&text);
	return NULL;
}

/* No signal is delivered to it: they are the broker's. */
static bool start_thread(void)
{
	sigset_t all, old;
	int error;

	(void)sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
		return false;
	error = pthread_create(&state.thread, NULL, run, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error == 0;
}

/* ---- the main thread ----------------------------------------------------------------------- */

static bool load(const char *path)
{
	const char *why;
	unsigned line;
	char *bytes;
	size_t len;
	bool ok;

	why = read_file(path, &bytes, &len);
	if (why) {
		log_line(MOSQ_LOG_ERR, "the moderation file %s: %s", path, why);
		return false;
	}
	if (!bytes)
		return true;
	ok = moderation_text_read(bytes, len, &line);
	if (!ok)
		log_line(MOSQ_LOG_ERR,
		         "the moderation file %s: line %u cannot be read; mend it, or move the file away to start "
		         "without bans",
		         path, line);
	free(bytes);
	return ok;
}

bool moderation_store_start(const char *path)
{
	if (path[0] == '\0')
		return true;
	if (strlen(path) >= sizeof(state.path) || !load(path))
		return false;
	memcpy(state.path, path, strlen(path) + 1);
	shared.text = text_buffer_new(MODERATION_TEXT_MAX);
	shared.stopping = false;
	shared.error = 0;
	shared.reported = true;
	state.running = start_thread();
	if (!state.running)
		log_line(MOSQ_LOG_ERR, "the system gives no thread for the moderation file");
	return state.running;
}

void moderation_store_changed(void)
{
	state.changed = true;
}

static void report(void)
{
	bool tell;
	int error;

	(void)pthread_mutex_lock(&shared.mutex);
	tell = !shared.reported;
	error = shared.error;
	shared.reported = true;
	(void)pthread_mutex_unlock(&shared.mutex);
	if (tell && error != 0)
		log_limited(LOG_CAUSE_MODERATION_WRITE, MOSQ_LOG_ERR, "the moderation file %s cannot be written: %s",
		            state.path, strerror(error));
	else if (tell)
		log_line(MOSQ_LOG_NOTICE, "the moderation file %s is written again", state.path);
}

static void hand_over(void)
{
	struct text_buffer text = text_buffer_new(MODERATION_TEXT_MAX);

	moderation_text_write(&text);
	if (text.failed) {
		text_buffer_free(&text);
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: the moderation file is not written");
		return; /* with the next tick */
	}
	state.changed = false;
	(void)pthread_mutex_lock(&shared.mutex);
	text_buffer_free(&shared.text);
	shared.text = text;
	(void)pthread_cond_signal(&shared.wake);
	(void)pthread_mutex_unlock(&shared.mutex);
}

void moderation_store_tick(uint64_t now_ms)
{
	if (!state.running)
		return;
	report();
	if (!state.changed || now_ms - state.made_ms < WRITE_EVERY_MS)
		return;
	state.made_ms = now_ms;
	hand_over();
}

void moderation_store_stop(void)
{
	if (state.running) {
		if (state.changed)
			hand_over();
		(void)pthread_mutex_lock(&shared.mutex);
		shared.stopping = true;
		(void)pthread_cond_signal(&shared.wake);
		(void)pthread_mutex_unlock(&shared.mutex);
		(void)pthread_join(state.thread, NULL);
		report();
		text_buffer_free(&shared.text);
	}
	memset(&state, 0, sizeof(state));
}
