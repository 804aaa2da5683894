/* run.c - see run.h. Its phases, from the first connection to the last goodbye. */
#include "bench/run.h"

#include "bench/arrivals.h"
#include "bench/authors.h"
#include "bench/run_state.h"
#include "bench/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PROBE_US 100000u  /* between two probes of an author */
#define STALL_US 1000000u /* without a delivery, a closed loop counts what is under way as lost */
#define GOODBYE_US 2000000u

uint64_t run_look(struct run *run)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	run->now = (uint64_t)((t.tv_sec - run->base.tv_sec) * 1000000 + (t.tv_nsec - run->base.tv_nsec) / 1000);
	return run->now;
}

/* ---- phases --------------------------------------------------------------------- */

static void sample(const struct run *run, struct process_sample *out)
{
	for (unsigned i = 0; i < run->o->pid_count; i++)
		if (!process_sample(run->o->pids[i], &out[i]))
			(void)fprintf(stderr, "chat-load: process %d cannot be sampled\n", run->o->pids[i]);
}

static bool complain(char *why, const char *text, const char *detail)
{
	(void)snprintf(why, RUN_TEXT, "%.60s%.170s", text, detail);
	return false;
}

static bool connect_all(struct run *run, char *why)
{
	uint64_t start = run_look(run), limit = start + (uint64_t)(run->o->connect_seconds * 1e6);

	run->phase = CONNECT;
	while (run->opened < run->sessions && !run->failed && run->now < limit) {
		while (run->started < run->sessions && run->started - run->opened < run->o->connect_pending) {
			uint32_t session = run->started++;

			run->started_us[session] = run_look(run);
			if (!ws_client_open(&run->net, &run->clients[session], session)) {
				arrivals_end(run, session);
				break;
			}
		}
		arrivals_take(run, limit);
	}
	run->r->connect_seconds = (double)(run_look(run) - start) / 1e6;
	if (run->failed)
		return complain(why, "cannot connect: ", run->r->first_closed);
	if (run->opened < run->sessions) {
		(void)snprintf(why, RUN_TEXT, "only %u of %u sessions could connect in time", run->opened,
		               run->sessions);
		return false;
	}
	return true;
}

/* A 101 does not mean that the session is in its room yet: a message that arrives does. The
 * first two authors of each room send probes, so that the first one gets some too. */
static bool join_all(struct run *run, char *why)
{
	uint64_t start = run_look(run), limit = start + (uint64_t)(run->o->connect_seconds * 1e6), next = start;
	uint32_t probers = run->authors < 2 * run->rooms ? run->authors : 2 * run->rooms;

	run->phase = JOIN;
	for (uint32_t i = 0; i < run->rooms && i + run->rooms >= run->authors; i++) {
		run->joined[i] = true; /* nobody writes to a room's sole author */
		run->joined_count++;
	}
	while (run->joined_count < run->sessions && run->r->closed == 0 && run->now < limit) {
		for (uint32_t i = 0; i < probers && run->now >= next; i++)
			(void)authors_send_batch(run, i, authors_add_frame(run, 0, &(struct text){true, i, 0, run->now}));
		if (run->now >= next)
			next = run->now + PROBE_US;
		arrivals_take(run, next);
	}
	run->r->join_seconds = (double)(run_look(run) - start) / 1e6;
	if (run->r->closed > 0)
		return complain(why, "a session ended while the others joined: ", run->r->first_closed);
	if (run->joined_count < run->sessions) {
		(void)snprintf(why, RUN_TEXT, "%u of %u sessions received no probe in time%s%.150s",
		               run->sessions - run->joined_count, run->sessions, run->r->errors > 0 ? ": " : "",
		               run->r->first_error);
		return false;
	}
	return true;
}

static void load_until(struct run *run, uint64_t limit)
{
	bool open_loop = run->o->rate > 0;

	while (run_look(run) < limit) {
		uint64_t next = limit;

		if (run->authors > 0 && open_loop) {
			authors_send_due(run);
			next = authors_due(run, run->due_count) < limit ? authors_due(run, run->due_count) : limit;
		} else if (run->authors > 0) {
			if (run->now - run->last_delivery > STALL_US) {
				run->r->stalls++;
				authors_start(run);
			}
			authors_send_queued(run);
		}
		arrivals_take(run, next);
	}
}

static void measure(struct run *run)
{
	struct result *r = run->r;
	uint64_t bytes;

	run->phase = LOAD;
	run->due_start = run_look(run);
	if (run->authors > 0)
		authors_start(run);
	load_until(run, run->due_start + (uint64_t)(run->o->warmup * 1e6));
	run->phase = MEASURE;
	sample(run, r->begin);
	bytes = run->net.bytes_in;
	r->own_cpu_seconds = process_own_cpu_seconds();
	run->window_begin = run_look(run);
	run->window_end = UINT64_MAX;
	load_until(run, run->window_begin + (uint64_t)(run->o->seconds * 1e6));
	run->window_end = run_look(run);
	r->own_cpu_seconds = process_own_cpu_seconds() - r->own_cpu_seconds;
	r->bytes_in = run->net.bytes_in - bytes;
	sample(run, r->end);
	r->window_seconds = (double)(run->window_end - run->window_begin) / 1e6;
}

static void drain(struct run *run)
{
	uint64_t limit = run_look(run) + (uint64_t)(run->o->drain * 1e6);
	uint64_t expected = 0;

	for (uint32_t i = 0; i < run->authors; i++)
		expected += (uint64_t)run->author[i].next * author_readers(run, i);
	run->phase = DRAIN;
	while (run->r->delivered_total < expected && run->now < limit)
		arrivals_take(run, limit);
}

static void say_goodbye(struct run *run)
{
	uint64_t limit = run_look(run) + GOODBYE_US;

	run->phase = GOODBYE;
	for (uint32_t i = 0; i < run->started; i++)
		ws_client_say_goodbye(&run->net, &run->clients[i]);
	for (uint32_t i = 0; i < run->started && run->now < limit;) {
		if (run->clients[i].state == WS_CLOSED)
			i++;
		else
			arrivals_take(run, limit);
	}
	for (uint32_t i = 0; i < run->started; i++)
		ws_client_drop(&run->clients[i]);
}

static void settle(struct run *run)
{
	struct result *r = run->r;
	uint32_t *sent = calloc(run->authors + 1, sizeof(*sent));

	if (sent == NULL || !r->ledger) {
		r->ledger = false;
		free(sent);
		return;
	}
	for (uint32_t i = 0; i < run->authors; i++)
		sent[i] = run->author[i].next;
	ledger_settle(&run->ledger, sent, run->rooms);
	free(sent);
	for (uint32_t i = 0; i < run->sessions; i++) {
		const struct ledger_counts *c = &run->ledger.counts[i];
		uint64_t sum = c->lost + c->doubled + c->disordered;

		r->counts.lost += c->lost;
		r->counts.doubled += c->doubled;
		r->counts.disordered += c->disordered;
		if (sum > 0 && r->readers_affected++ < RUN_AFFECTED) {
			r->affected[r->readers_affected - 1].session = i;
			r->affected[r->readers_affected - 1].counts = *c;
		}
		if (sum > r->worst.lost + r->worst.doubled + r->worst.disordered) {
			r->worst = *c;
			r->worst_session = i;
		}
	}
}

/* ---- the whole ------------------------------------------------------------------ */

static bool enough_files(uint32_t sessions, char *why)
{
	struct rlimit limit;
	rlim_t needed = sessions + 32;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return complain(why, "getrlimit: ", strerror(errno));
	if (limit.rlim_cur >= needed)
		return true;
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < needed || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
		(void)snprintf(why, RUN_TEXT, "%u sessions need %llu file descriptors, %llu are allowed (ulimit -n)",
		               sessions, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
		return false;
	}
	return true;
}

static bool prepare(struct run *run, char *why)
{
	const struct options *o = run->o;

	if (!enough_files(run->sessions, why))
		return false;
	if (!ws_net_init(&run->net, o->host, o->port, o->path))
		return complain(why, "", run->net.why);
	run->net.rooms = o->rooms;
	run->net.subprotocol = o->mqtt ? "mqtt" : NULL;
	if (o->tls && (run->net.tls = tls_context_new()) == NULL)
		return complain(why, "no memory for TLS", "");
	run->clients = calloc(run->sessions, sizeof(*run->clients));
	run->started_us = calloc(run->sessions, sizeof(*run->started_us));
	run->joined = calloc(run->sessions, sizeof(*run->joined));
	run->streams = calloc(run->sessions, sizeof(*run->streams));
	if (run->streams == NULL || run->clients == NULL || run->started_us == NULL || run->joined == NULL ||
	    !authors_prepare(run))
		return complain(why, "no memory", "");
	run->r->ledger = ledger_init(&run->ledger, run->sessions, run->authors);
	if (!run->r->ledger)
		(void)fprintf(stderr,
		              "chat-load: too many pairs of session and author: order and losses are not counted\n");
	(void)clock_gettime(CLOCK_MONOTONIC, &run->base);
	run->id =
	    (uint16_t)(((unsigned long)getpid() * 40503ul ^ (unsigned long)run->base.tv_nsec) & TEXT_RUN_MAX);
	run->net.mask ^= run->id;
	run->window_begin = UINT64_MAX;
	return true;
}

static void release(struct run *run)
{
	for (uint32_t i = 0; run->streams != NULL && i < run->sessions; i++)
		mqtt_stream_free(&run->streams[i]);
	free(run->streams);
	ledger_free(&run->ledger);
	ws_net_free(&run->net);
	free(run->clients);
	free(run->started_us);
	free(run->joined);
	authors_release(run);
}

bool run_load(const struct options *o, struct result *r, char *why)
{
	struct run run = {
	    .o = o,
	    .r = r,
	    .sessions = o->authors + o->readers,
	    .authors = o->authors,
	    .rooms = o->rooms,
	    .net.epoll = -1,
	};
	bool ok;

	memset(r, 0, sizeof(*r));
	r->sessions = run.sessions;
	ok = prepare(&run, why);
	if (ok)
		sample(&run, r->before);
	ok = ok && connect_all(&run, why) && (run.authors == 0 || join_all(&run, why));
	if (ok) {
		measure(&run);
		if (run.authors > 0)
			drain(&run);
		settle(&run);
	}
	if (run.clients != NULL)
		say_goodbye(&run);
	release(&run);
	return ok;
}
