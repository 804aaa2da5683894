/*
 * listeners.c - the listening TCP sockets of the bridges.
 */
#include "listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool resolve(const char *address, uint32_t port, struct sockaddr_storage *out, socklen_t *len)
{
	struct addrinfo hints = {
	    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found;
	char service[12];

	(void)snprintf(service, sizeof(service), "%u", (unsigned)port);
	if (getaddrinfo(address, service, &hints, &found) != 0)
		return false;
	memcpy(out, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

/* A bound socket that does not listen yet, or -1 and errno. */
static int bound(const struct sockaddr_storage *where, socklen_t len, bool share_port)
{
	int on = 1, saved;
	int fd = socket(where->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (!share_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
	    bind(fd, (const struct sockaddr *)where, len) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* With SO_REUSEPORT a second broker of the same user would bind and steal half of the connections, so
 * a socket without it looks first. Listening, for two sockets that only bind do not collide. */
static bool is_free(const struct sockaddr_storage *where, socklen_t len)
{
	int fd = bound(where, len, false), saved;
	bool ok = fd >= 0 && listen(fd, 1) == 0;

	saved = errno;
	if (fd >= 0)
		close(fd);
	errno = saved;
	return ok;
}

static const char *hint(int error)
{
	switch (error) {
	case EADDRINUSE:
		return " (another program holds this port: choose another one with plugin_opt_port)";
	case EACCES:
		return " (the broker runs without root's rights: choose a port from 1024)";
	case EADDRNOTAVAIL:
		return " (this machine does not have the address of plugin_opt_bind_address)";
	default:
		return "";
	}
}

bool listeners_open(const char *address, uint32_t port, int *fds, size_t count,
                    char reason[LISTENERS_REASON_MAX])
{
	struct sockaddr_storage where;
	socklen_t len;
	size_t i;
	int saved;

	if (!resolve(address, port, &where, &len)) {
		(void)snprintf(reason, LISTENERS_REASON_MAX, "%s is no numeric address", address);
		return false;
	}
	for (i = 0; i < count; i++)
		fds[i] = -1;
	if (count == 1 || is_free(&where, len)) {
		for (i = 0; i < count; i++) {
			fds[i] = bound(&where, len, count > 1);
			if (fds[i] < 0 || listen(fds[i], LISTENERS_BACKLOG) != 0)
				break;
		}
		if (i == count)
			return true;
	}
	saved = errno;
	(void)snprintf(reason, LISTENERS_REASON_MAX, "cannot listen on %s port %u: %s%s", address, (unsigned)port,
	               strerror(saved), hint(saved));
	for (i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
	return false;
}

bool listeners_loopback(const char *address)
{
	struct sockaddr_storage where;
	struct sockaddr_in6 six;
	struct sockaddr_in four;
	socklen_t len;

	if (!resolve(address, 1, &where, &len))
		return false;
	if (where.ss_family == AF_INET) {
		memcpy(&four, &where, sizeof(four));
		return ntohl(four.sin_addr.s_addr) >> 24 == 127;
	}
	memcpy(&six, &where, sizeof(six));
	return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr);
}
