/*
 * drain.h - the node is being emptied: nobody new is let in, and sessions and tunnels are closed with 1012,
 * spread over the time that the plugin has said.
 *
 * At random and not in the order of arrival, as many in each DRAIN_TICK_MS as leave the rest to be spread
 * evenly over the rest of the time; so those who redial elsewhere come evenly, too. Nothing is allocated. A
 * session for which something is under way (messages that the broker has not confirmed, a replay, a page of
 * history) has its turn later, but when the time is over everybody has, and who still comes (a handshake that
 * was under way) at once. When all have left the bridge goes on to refuse, until the plugin says "none".
 *
 * Asked for when the connection comes up ("drain": milliseconds that are left, or "none"), then told of each
 * change ("drain <ms>", "drain none"). Until a bridge that has just been started knows, it lets people in.
 */
#ifndef CHAT_BRIDGE_DRAIN_H
#define CHAT_BRIDGE_DRAIN_H

#include "bridge/sync.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define DRAIN_TICK_MS 50

struct bridge;

struct drain {
	struct bridge *bridge;
	struct sync_part part;
	struct sync_question question;
	uv_timer_t tick; /* runs while on */
	bool on;         /* whoever is new is refused */
	bool empty_said; /* in the log */
	uint64_t began_ms, looked_ms, end_ms;
	double due; /* how many have their turn: what is left of a whole one is kept for the next tick */
	uint64_t closed;
	uint64_t random;
};

/* False when the loop gives no timer. */
bool drain_start(struct drain *d, struct bridge *b);
void drain_stop(struct drain *d);

#endif
