/*
 * devices.h - how many named devices an identity has, and all together: the broker keeps a session and a
 * queue for each, also while it is away.
 *
 * A device counts from its first connection until its session at the broker has expired. What this bridge has
 * not seen (other bridges, its own earlier life) does not count: the bound is against one who makes up names
 * without end, not an exact number.
 */
#ifndef CHAT_BRIDGE_DEVICES_H
#define CHAT_BRIDGE_DEVICES_H

#include "common/identity.h"

#include <stdbool.h>
#include <stdint.h>

#define DEVICES_MAX 16 /* of one identity */

struct device_owner;

struct devices {
	struct device_owner *owners;
	struct device_owner *oldest; /* in the order of their last use: what is to be looked at for expiry */
	uint32_t count;              /* of devices */
};

enum devices_result {
	DEVICES_FINE,
	DEVICES_TOO_MANY, /* the identity has DEVICES_MAX others already */
	DEVICES_FULL,     /* all identities together have `most` others */
	DEVICES_NO_MEMORY,
};

/* May a device (by its client id, a string) connect? Enters nothing. */
enum devices_result devices_check(struct devices *d, const struct identity *who, const char *client_id,
                                  uint64_t now_ms, uint32_t most);

/* It connects. */
enum devices_result devices_enter(struct devices *d, const struct identity *who, const char *client_id,
                                  uint64_t now_ms, uint32_t most);

/* Its session has ended; the broker keeps it for expiry_ms. */
void devices_leave(struct devices *d, const struct identity *who, const char *client_id, uint64_t now_ms,
                   uint64_t expiry_ms);

/* Forgets what has expired; now and then. */
void devices_tidy(struct devices *d, uint64_t now_ms);

void devices_clear(struct devices *d);

#endif
