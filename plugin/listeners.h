/*
 * listeners.h - the listening TCP sockets of the bridges.
 *
 * The plugin binds them, not the bridges: a taken port stops the broker at once, and while a bridge is
 * started anew the connections wait in the backlog.
 */
#ifndef CHAT_LISTENERS_H
#define CHAT_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LISTENERS_BACKLOG 4096
#define LISTENERS_REASON_MAX 256

/* Opens count sockets on a numeric address and a port, one per bridge (SO_REUSEPORT where count > 1),
 * non-blocking and closed on exec. False and a reason, and nothing left open. */
bool listeners_open(const char *address, uint32_t port, int *fds, size_t count,
                    char reason[LISTENERS_REASON_MAX]);

/* True for 127.0.0.0/8 and ::1 (a numeric address). */
bool listeners_loopback(const char *address);

#endif
