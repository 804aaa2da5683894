/*
 * counters.h - what this bridge process has counted since its start: connections, closes by code, what was
 * refused or lost and why. One array, beside its names; no allocation. The loop's thread alone.
 *
 * Each connection that was accepted is counted once: in `connects` by what became of it, or in `rejected` by
 * the limit that it met. An HTTP answer is also in `answers`, by its status. A restarted bridge starts at 0.
 *
 * The log gets one line of those that are not zero every COUNTERS_LOG_MS when there is something new, and at
 * the end.
 */
#ifndef CHAT_BRIDGE_COUNTERS_H
#define CHAT_BRIDGE_COUNTERS_H

#include "common/counter_line.h"
#include "common/errors.h"

#include <stdint.h>

#define COUNTERS_LOG_MS 3600000

/* enumerator, family, label; families stand together */
#define BRIDGE_COUNTERS(X)                                                                                   \
	X(CONNECT_SESSION, "connects", "session") /* upgraded; what they are closed with comes in `closes` */    \
	X(CONNECT_TUNNEL, "connects", "tunnel")                                                                  \
	X(CONNECT_HTTP, "connects", "http")         /* answered, whatever the status, and by no limit */         \
	X(CONNECT_GONE, "connects", "gone")         /* hung up before there was an answer */                     \
	X(REJECT_RATE, "rejected", "rate_connects") /* 429 */                                                    \
	X(REJECT_RATE_SILENT, "rejected", "rate_connects_unanswered")                                            \
	X(REJECT_SESSIONS, "rejected", "max_sessions")             /* 503 */                                     \
	X(REJECT_DESCRIPTORS, "rejected", "descriptors")           /* 503 */                                     \
	X(REJECT_DRAINING, "rejected", "draining")                 /* 503 */                                     \
	X(REJECT_CROWDED, "rejected", "waiting_connections")       /* gave way to a newer one */                 \
	X(REJECT_HEAD_TIME, "rejected", "header_timeout")          /* 408 */                                     \
	X(REJECT_SILENT_TIME, "rejected", "header_timeout_silent") /* not one byte */                            \
	X(REJECT_TLS_TIME, "rejected", "tls_timeout")                                                            \
	X(REJECT_TLS, "rejected", "tls_failed")                                                                  \
	X(REJECT_HEAD_SIZE, "rejected", "header_size") /* 431 */                                                 \
	X(REJECT_ANSWERS, "rejected", "answer_bytes")  /* 503: ANSWERS_BYTES_MAX */                              \
	X(REJECT_MEMORY, "rejected", "memory")                                                                   \
	X(ANSWER_200, "answers", "200")                                                                          \
	X(ANSWER_204, "answers", "204")                                                                          \
	X(ANSWER_304, "answers", "304")                                                                          \
	X(ANSWER_400, "answers", "400")                                                                          \
	X(ANSWER_401, "answers", "401")                                                                          \
	X(ANSWER_403, "answers", "403")                                                                          \
	X(ANSWER_404, "answers", "404")                                                                          \
	X(ANSWER_405, "answers", "405")                                                                          \
	X(ANSWER_408, "answers", "408")                                                                          \
	X(ANSWER_426, "answers", "426")                                                                          \
	X(ANSWER_429, "answers", "429")                                                                          \
	X(ANSWER_431, "answers", "431")                                                                          \
	X(ANSWER_503, "answers", "503")                                                                          \
	X(ANSWER_505, "answers", "505")                                                                          \
	X(ANSWER_OTHER, "answers", "other")                                                                      \
	X(CLOSE_1000, "closes", "1000")                                                                          \
	X(CLOSE_1001, "closes", "1001")                                                                          \
	X(CLOSE_1002, "closes", "1002")                                                                          \
	X(CLOSE_1003, "closes", "1003")                                                                          \
	X(CLOSE_1005, "closes", "1005")                                                                          \
	X(CLOSE_1006, "closes", "1006")                                                                          \
	X(CLOSE_1007, "closes", "1007")                                                                          \
	X(CLOSE_1009, "closes", "1009")                                                                          \
	X(CLOSE_1011, "closes", "1011")                                                                          \
	X(CLOSE_1012, "closes", "1012")                                                                          \
	X(CLOSE_1013, "closes", "1013")                                                                          \
	X(CLOSE_4001, "closes", "4001")                                                                          \
	X(CLOSE_4002, "closes", "4002")                                                                          \
	X(CLOSE_4003, "closes", "4003")                                                                          \
	X(CLOSE_4100, "closes", "4100")                                                                          \
	X(CLOSE_4101, "closes", "4101")                                                                          \
	X(CLOSE_4102, "closes", "4102")                                                                          \
	X(CLOSE_4103, "closes", "4103")                                                                          \
	X(CLOSE_4104, "closes", "4104")                                                                          \
	X(CLOSE_OTHER, "closes", "other")           /* a client's own idea */                                    \
	X(DELIVERED_ROOM, "deliveries", "room")     /* by the room's one subscription */                         \
	X(DELIVERED_DIRECT, "deliveries", "direct") /* by the session's own: inbox, devices, fanout session */   \
	X(UNDELIVERED_SLOW, "deliveries_dropped",                                                                \
	  "slow") /* frames that waited for a session closed with 4001 */                                        \
	X(UNDELIVERED_GONE, "deliveries_dropped", "gone") /* and for one whose connection has ended */           \
	X(UNDELIVERED_LOST, "deliveries_dropped",                                                                \
	  "lost") /* messages of drops lost, for each who should have them */                                    \
	X(RECOVERY_COMPLETE, "recoveries", "complete")                                                           \
	X(RECOVERY_PART, "recoveries", "incomplete") /* as far as history goes, or the 1000 newest */            \
	X(RECOVERY_FAILED, "recoveries", "failed")   /* history could not be read */                             \
	X(RECOVERY_LEFT, "recoveries", "left")       /* the session has ended, or left the room */               \
	X(DROP_LOST, "drops", "lost")                /* messages, between broker and bridge */                   \
	X(DROP_TUNNEL, "drops", "tunnel_bytes") /* of a client that had left, not taken by the broker in time */ \
	X(DROP_ADDRESS, "drops", "addresses")   /* forgotten by rate_connects: there were too many */            \
	X(DROP_LOG, "drops", "log_lines")       /* the log's pipe was full */

enum counter {
#define X(id, family, label) COUNTER_##id,
	BRIDGE_COUNTERS(X)
#undef X
/* frames that the bridge answers with an error itself, by its name; what the plugin refuses is in its
 * counters */
#define X(id, name, english, spanish) COUNTER_ERROR_##id,
	    CHAT_ERRORS(X)
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

/* By HTTP status, by close code, by error. */
enum counter counter_of_status(int status);
enum counter counter_of_close(unsigned code);
enum counter counter_of_error(enum chat_error error);

/* COUNTERS of them. */
const struct counter_name *counters_names(void);

/* In every round; the line when its time has come. */
void counters_tick(uint64_t now_ms);

/* The line at the end: whatever has been counted. */
void counters_end(void);

#endif
