/*
 * counters.h - what this plugin has counted since the broker's start: messages accepted and refused, clients
 * refused, what was lost and why. One array, beside its names; no allocation. Main thread only: what the
 * thread of the history has to tell is counted when it is fetched.
 *
 * The log gets one line of those that are not zero every COUNTERS_LOG_MS when there is something new, and
 * when the broker ends. What each bridge counts is in lines of its own.
 */
#ifndef CHAT_COUNTERS_H
#define CHAT_COUNTERS_H

#include "common/counter_line.h"
#include "common/errors.h"
#include "log.h"

#include <stdint.h>

#define COUNTERS_LOG_MS 3600000

/* enumerator, family, label; families stand together */
#define PLUGIN_COUNTERS(X)                                                                                   \
	X(ACCEPTED_WS, "messages_accepted", "ws")                                                                \
	X(ACCEPTED_MQTT, "messages_accepted", "mqtt")                                                            \
	X(ACCEPTED_PEER, "messages_accepted", "peer")             /* of another node */                          \
	X(ACCEPTED_PEER_AGAIN, "messages_accepted", "peer_again") /* which had been here before */               \
	X(ACCEPTED_AGAIN, "messages_accepted", "again")   /* a resend under the same reference: not delivered */ \
	X(ACCEPTED_TYPING, "messages_accepted", "typing") /* those beyond one a second, too */                   \
	X(BRIDGE_RESTART, "bridge_restarts", "ready")     /* one that had to be started again is there */        \
	X(COMMANDS_OK, "commands", "ok")                  /* of moderators */                                    \
	X(COMMANDS_FAILED, "commands", "failed")

enum counter {
#define X(id, family, label) COUNTER_##id,
	PLUGIN_COUNTERS(X)
#undef X
/* by the name of the error that the author is told */
#define X(id, name, english, spanish) COUNTER_ERROR_##id,
	    CHAT_ERRORS(X)
#undef X
/* by the causes of log.h: log_limited counts them, whether a line is written or not */
#define X(id, family, label) COUNTER_CAUSE_##id,
	        LOG_CAUSES(X)
#undef X
	            COUNTERS
};

extern uint64_t counters[COUNTERS];

static inline void count(enum counter which)
{
	counters[which]++;
}

static inline void count_more(enum counter which, uint64_t n)
{
	counters[which] += n;
}

static inline enum counter counter_of_error(enum chat_error error)
{
	return (enum counter)(COUNTER_ERROR_INVALID_JSON + ((unsigned)error - CHAT_ERROR_INVALID_JSON));
}

static inline enum counter counter_of_cause(enum log_cause cause)
{
	return (enum counter)(COUNTER_CAUSE_RESERVED + (unsigned)cause);
}

/* COUNTERS of them. */
const struct counter_name *counters_names(void);

/* In every tick; the line when its time has come. */
void counters_tick(uint64_t now_ms);

/* The line at the end, whatever has been counted; everything is 0 then. */
void counters_stop(void);

#endif
