/*
 * drain.h - this node is being emptied before somebody works on it: bridges let nobody new in, and close
 * sessions and tunnels with 1012, spread over a time.
 *
 * Here is only whether that is so, and until when; bridges do it (bridge/drain.h). They are told of each
 * change (events.h), and ask when their connection comes up. When the time is over it stays so, until it is
 * taken back or the broker ends: a broker that is started anew knows nothing of it. MQTT clients of other
 * listeners are not touched. Main thread only.
 */
#ifndef CHAT_DRAIN_H
#define CHAT_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRAIN_SECONDS 60 /* where nobody says for how long */
#define DRAIN_SECONDS_MAX 3600

void drain_stop(void);

/* From now on; where it is so already, with a new time for those who are left. False when out of memory:
 * nothing has changed. */
bool drain_begin(uint32_t seconds, uint64_t now_ms);

/* False when out of memory: nothing has changed. */
bool drain_end(void);

bool drain_on(void);

/* Milliseconds until the time is over, 0 when it is or where there is no drain. */
uint64_t drain_left_ms(uint64_t now_ms);

#endif
