/*
 * run_state.h - what a measurement knows while it runs: of run.c, authors.c and arrivals.c, and nobody else.
 *
 * Sessions 0 to authors-1 send; all of them read. A session is in room number session % rooms, and so is what
 * it sends. Times are microseconds since base, on the monotonic clock; one thread has all of it.
 */
#ifndef BENCH_RUN_STATE_H
#define BENCH_RUN_STATE_H

#include "bench/ledger.h"
#include "bench/mqtt.h"
#include "bench/options.h"
#include "bench/run.h"
#include "bench/text.h"
#include "bench/ws_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum phase { CONNECT, JOIN, LOAD, MEASURE, DRAIN, GOODBYE };

/* Closed loop: numbers below oldest are done with, from there to next they are under way. */
struct author {
	uint32_t next;
	uint32_t oldest;
	uint32_t *seen; /* PACE_ALL: by number % outstanding, how many sessions have it */
	bool queued;    /* in the list of authors that may send */
};

struct run {
	const struct options *o;
	struct result *r;
	enum phase phase;
	struct timespec base; /* time 0 */
	uint64_t now;         /* microseconds since base, as of the last look */
	uint16_t id;          /* tells the texts of this run from those of others */
	struct ws_net net;
	struct ws_client *clients;
	struct mqtt_stream *streams; /* MQTT: of each session */
	uint32_t sessions, authors, rooms;
	uint32_t opened;      /* sessions whose handshake is over */
	uint32_t started;     /* sessions whose connect() was called */
	uint64_t *started_us; /* when, for each */
	bool *joined;
	uint32_t joined_count;
	bool failed; /* a session ended before all were there */
	struct ledger ledger;
	struct author *author;
	uint32_t *queue; /* authors that may send, at most one entry each */
	uint32_t queue_len;
	uint64_t window_begin, window_end; /* 0 begin: not yet; end UINT64_MAX: not over yet */
	uint64_t last_delivery;
	uint64_t due_count; /* open loop: messages that were due so far */
	uint64_t due_start; /* when the first one was */
	size_t hint;        /* of text_find */
	uint8_t *message;   /* one message, unmasked */
	uint8_t *packet;    /* MQTT: the same as a publish */
	uint8_t *batch;     /* frames, masked */
};

/* What time it is: run->now, which this sets. */
uint64_t run_look(struct run *run);

#endif
