/*
 * session_params.h - what a client asks for in GET /ws/{address}?query.
 *
 * Pure: a request target in, a struct or a reason out. The address is decoded once,
 * after splitting on '/'; a '+' is a plus. Unknown parameters are ignored, so that
 * front ends may add their own; a known one that is malformed or given twice is a fault.
 */
#ifndef CHAT_SESSION_PARAMS_H
#define CHAT_SESSION_PARAMS_H

#include "common/identity.h"
#include "common/topic.h"
#include "common/ulid.h"

#include <stdbool.h>
#include <stddef.h>

#define SESSION_ROOMS_MAX 32 /* rooms of one session at a time */
#define DEVICE_MAX 64        /* bytes of a device name */

struct session_params {
	struct identity identity;
	char rooms[SESSION_ROOMS_MAX][ROOM_MAX + 1]; /* none: the server's default room */
	size_t room_count;
	char device[DEVICE_MAX + 1]; /* empty: none */
	char since[ULID_LEN + 1];    /* empty: none */
	bool echo;
	bool wants_presence;
	bool wants_typing;
	bool wants_deleted;
};

/* True when the path of the target (up to '?') starts with "/ws/". */
bool session_params_is_session(const char *target, size_t len);

/* NULL and *out filled, or the reason (static text, fit for a close frame). */
const char *session_params_parse(const char *target, size_t len, struct session_params *out);

#endif
