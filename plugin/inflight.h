/*
 * inflight.h - canonical messages that were published with QoS 2 and not yet released.
 *
 * The broker stores a QoS 2 message at PUBLISH and delivers it at PUBREL. In between the author
 * may lose its connection and come back, and then two things would lose the message:
 *  - the broker checks the stored message's topic, which by now is the one that only the plugin may
 *    write to, for its author's right to write there;
 *  - the author repeats PUBLISH, and with a `ref` that looks like a resend, to be delivered once already.
 * So what was accepted is remembered here until the first reader is asked for.
 *
 * Bounded by INFLIGHT_BYTES in all; the oldest is forgotten first, and with it only that protection; the log
 * says so.
 */
#ifndef CHAT_INFLIGHT_H
#define CHAT_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>

#define INFLIGHT_BYTES ((size_t)8 * 1024 * 1024)

struct inflight {
	const char *topic; /* where it will be delivered */
	const char *payload;
	size_t len;
};

/* Forgets everything. */
void inflight_stop(void);

/* Remembers a copy. payload: canonical, so it begins with its id. */
void inflight_add(const char *topic, const char *payload, size_t len);

/* The message with this id (ULID_LEN bytes), or NULL. */
const struct inflight *inflight_find(const char *id);

/* True when exactly this message is remembered for exactly this topic. */
bool inflight_holds(const char *topic, const char *payload, size_t len);

/* The broker is delivering this payload: forgets it. True the first time, with its id (ULID_LEN bytes, in the
 * payload). Costs nothing while nothing is remembered. */
bool inflight_released(const char *payload, size_t len, const char **id);

#endif
