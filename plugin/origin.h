/*
 * origin.h - the user property by which a bridge knows its own session's messages again.
 *
 * Reading properties is the one thing that mosquitto 2.0 does not offer to plugins in every build: Debian
 * 12's does; Debian 13's, and one built by upstream's Makefile (as in its container images), do not. The
 * function is then taken from libmosquitto, which is of the same source.
 */
#ifndef CHAT_ORIGIN_H
#define CHAT_ORIGIN_H

#include "compat.h"

#include <stdbool.h>

/* Finds the function. False where there is none: bridges cannot work then. */
bool origin_start(void);
void origin_stop(void);

/* Appends the origin that stands in `from`, if any, to *list. Returns MOSQ_ERR_SUCCESS or _NOMEM. */
int origin_copy(mosquitto_property **list, const mosquitto_property *from);

/* Does `via`, in the properties of another node's message, say that a WebSocket session sent it? */
bool origin_is_session(const mosquitto_property *from);

#endif
