/*
 * health.h - GET /health and GET /ready: does a message still come round?
 *
 *   /health   200 {"status":"ok"} when a question has gone to the plugin, through the broker, and its answer
 * has come back within HEALTH_WAIT_MS; else 503 no_answer, or broker_away where there is no connection /ready
 * the same, and 503 starting until the bridge knows what it serves, 503 draining once it ends or is to let
 * nobody in (drain.h)
 *
 * That a connection stands says nothing of a broker that is stopped, stuck or out of memory; an answer does.
 * One question is under way at a time, whoever asks meanwhile waits for the same answer.
 */
#ifndef CHAT_BRIDGE_HEALTH_H
#define CHAT_BRIDGE_HEALTH_H

#include "bridge/sync.h"

#include <stdbool.h>

struct bridge;
struct http_exchange;
struct health_waiter;

#define HEALTH_WAIT_MS 800 /* looked at every 100 ms: within a second */

struct health {
	struct bridge *bridge;
	struct sync_question question;
	struct health_waiter *first, *last; /* oldest first */
};

void health_start(struct health *h, struct bridge *b);

/* Often: tells those who have waited long enough. */
void health_tick(struct health *h);

/* Routes of http_api.c. */
bool health_get(struct http_exchange *x);
bool health_get_ready(struct http_exchange *x);

#endif
