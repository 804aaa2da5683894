/*
 * device_key.c - the secret of this installation with which a named device's client id is made.
 */
#include "device_key.h"

#include "broker_config.h"
#include "common/settings.h"
#include "compat.h"
#include "log.h"
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define NEW_FILE DEVICE_KEY_FILE ".new"

static struct {
	char key[DEVICE_KEY_HEX + 1];
} state;

/* Reads to the end or until text is full. Returns the bytes, or -1. */
static ssize_t read_all(int fd, char *text, size_t cap)
{
	size_t have = 0;
	ssize_t n;

	while (have < cap) {
		n = read(fd, text + have, cap - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* The digits, with or without a newline; a NUL behind them. */
static bool take(const char *text, size_t len)
{
	if (len == DEVICE_KEY_HEX + 1 && text[DEVICE_KEY_HEX] == '\n')
		len--;
	if (len != DEVICE_KEY_HEX)
		return false;
	if (strspn(text, "0123456789abcdef") != len)
		return false;
	memcpy(state.key, text, len);
	state.key[len] = '\0';
	return true;
}

/* NULL and the key taken, or why not. */
static const char *read_from(int fd)
{
	char text[DEVICE_KEY_HEX + 3];
	const char *why = NULL;
	struct stat about;
	ssize_t n;

	if (fstat(fd, &about) != 0)
		return strerror(errno);
	if (!S_ISREG(about.st_mode))
		return "it is no file";
	if (about.st_uid != geteuid())
		return "it belongs to another user";
	if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "other users may use it";
	n = read_all(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	if (n < 0)
		why = strerror(errno);
	else if (!take(text, (size_t)n))
		why = "it does not hold 64 hexadecimal digits in lower case";
	explicit_bzero(text, sizeof(text));
	return why;
}

static bool write_all(int fd, const char *text, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

/* The new file, complete and on the disk. False and errno. */
static bool write_new(int folder)
{
	char text[DEVICE_KEY_HEX + 1];
	int fd = openat(folder, NEW_FILE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int error;
	bool ok;

	if (fd < 0)
		return false;
	memcpy(text, state.key, DEVICE_KEY_HEX);
	text[DEVICE_KEY_HEX] = '\n';
	ok = fchmod(fd, 0600) == 0 && write_all(fd, text, sizeof(text)) && fsync(fd) == 0;
	error = errno;
	explicit_bzero(text, sizeof(text));
	if (close(fd) != 0 && ok) {
		error = errno;
		ok = false;
	}
	errno = error;
	return ok;
}

/* Keeps the key that was drawn. It gets its name when it is whole, so that a crash leaves no half of one, and
 * never takes the place of another file. NULL, or why not. */
static const char *keep(int folder)
{
	const char *why = NULL;

	/* of an attempt that did not come to its end */
	(void)unlinkat(folder, NEW_FILE, 0);
	if (!write_new(folder) || linkat(folder, NEW_FILE, folder, DEVICE_KEY_FILE, 0) != 0 || fsync(folder) != 0)
		why = strerror(errno);
	(void)unlinkat(folder, NEW_FILE, 0);
	return why;
}

static const char *read_or_make(const char *path)
{
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *why;
	int fd;

	if (folder < 0)
		return strerror(errno);
	fd = openat(folder, DEVICE_KEY_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0) {
		why = read_from(fd);
		close(fd);
	} else if (errno == ENOENT) {
		why = keep(folder);
	} else {
		why = strerror(errno);
	}
	close(folder);
	return why;
}

bool device_key_start(const struct broker_config *config)
{
	const char *folder = config->persistence_location[0] != '\0' ? config->persistence_location : ".";
	const char *why;

	if (!secret_draw(state.key))
		return false;
	if (!config->persistence)
		return true;
	why = read_or_make(folder);
	if (why)
		log_line(MOSQ_LOG_WARNING,
		         "the key for named devices in %s/" DEVICE_KEY_FILE
		         " cannot be used (%s): what waits for named "
		         "devices is lost to them with the end of this broker",
		         folder, why);
	return true;
}

void device_key_stop(void)
{
	explicit_bzero(state.key, sizeof(state.key));
}

const char *device_key(void)
{
	return state.key;
}
