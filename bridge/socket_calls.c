/* socket_calls.c - see socket_calls.h */
#undef _FORTIFY_SOURCE /* its headers would define recv() inline, and here it is defined for real */
#include "bridge/socket_calls.h"
#include "bridge/frame_guard.h"
#include "bridge/tls.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define STANDS_IN __attribute__((visibility("default")))

static _Thread_local bool ours; /* false in every thread but the loop's */

void socket_calls_start(void)
{
	ours = true;
}

STANDS_IN ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
	bool peek = (flags & MSG_PEEK) != 0;
	ssize_t n =
	    ours && tls_has(fd) ? tls_recv(fd, buffer, len, peek) : recvfrom(fd, buffer, len, flags, NULL, NULL);
	if (n <= 0 || peek || !ours)
		return n;
	size_t fine = frame_guard_filter(fd, buffer, (size_t)n);
	if (fine > 0)
		return (ssize_t)fine;
	errno = EAGAIN; /* nothing for the parser; the owner closes the connection at the end of the round */
	return -1;
}

STANDS_IN ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
	return ours && tls_has(fd) ? tls_send(fd, bytes, len) : sendto(fd, bytes, len, flags, NULL, 0);
}

STANDS_IN int shutdown(int fd, int how)
{
	if (ours && how != SHUT_RD)
		tls_shutdown(fd);
	return (int)syscall(SYS_shutdown, fd, how);
}

STANDS_IN int close(int fd)
{
	if (ours) {
		tls_end(fd);
		frame_guard_stop(fd);
	}
	return (int)syscall(SYS_close, fd);
}
