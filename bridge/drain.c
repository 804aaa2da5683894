/* drain.c - see drain.h */
#include "bridge/drain.h"
#include "bridge/bridge.h"
#include "bridge/log.h"

#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#define REASON "the server is being restarted, come back"

/* ---- who leaves ------------------------------------------------------------------------- */

struct tally {
	uint64_t there; /* not leaving yet */
	uint64_t ready; /* of them: nothing is under way */
};

static struct tally count_all(const struct bridge *b)
{
	struct tally n = {0, 0};
	for (const struct session *s = b->sessions.first; s != NULL; s = s->next) {
		if (session_leaving(s))
			continue;
		n.there++;
		n.ready += !session_busy(s);
	}
	for (const struct tunnel *t = b->tunnels.first; t != NULL; t = t->next) {
		if (tunnel_leaving(t))
			continue;
		n.there++;
		n.ready++;
	}
	return n;
}

/* xorshift64*; who can guess it learns who leaves a second earlier. */
static uint64_t random_below(struct drain *d, uint64_t n)
{
	d->random ^= d->random >> 12;
	d->random ^= d->random << 25;
	d->random ^= d->random >> 27;
	return (d->random * UINT64_C(2685821657736338717) >> 32) % n;
}

/* One of those that are ready: is it among the `due` that are chosen of the `left`? Each set of that size is
 * as likely as any other (Knuth's algorithm S). */
static bool choose(struct drain *d, uint64_t *due, uint64_t *left)
{
	if (*left == 0)
		return false; /* more than were counted are ready by now */
	bool chosen = random_below(d, (*left)--) < *due;
	*due -= chosen;
	return chosen;
}

static void close_some(struct drain *d, uint64_t due, uint64_t ready)
{
	struct bridge *b = d->bridge;
	d->closed += due;
	for (struct session *s = b->sessions.first; s != NULL && due > 0; s = s->next)
		if (!session_leaving(s) && !session_busy(s) && choose(d, &due, &ready))
			session_close(s, CLOSE_RESTART, REASON);
	for (struct tunnel *t = b->tunnels.first; t != NULL && due > 0; t = t->next)
		if (!tunnel_leaving(t) && choose(d, &due, &ready))
			tunnel_close(t, CLOSE_RESTART, REASON);
}

static void say_empty(struct drain *d)
{
	if (d->empty_said)
		return;
	d->empty_said = true;
	log_line(LOG_LEVEL_NOTICE, "drained: the last of %llu sessions and tunnels was closed after %llu ms",
	         (unsigned long long)d->closed, (unsigned long long)(d->bridge->loop.now_ms - d->began_ms));
}

static void on_tick(uv_timer_t *timer)
{
	struct drain *d = timer->data;
	struct bridge *b = d->bridge;
	b->loop.now_ms = loop_now_ns() / 1000000u;
	uint64_t now = b->loop.now_ms, passed = now - d->looked_ms;
	if (passed == 0 && now < d->end_ms)
		return;
	struct tally n = count_all(b);
	if (n.there == 0) {
		say_empty(d);
	} else if (now >= d->end_ms) {
		d->closed += n.there;
		sessions_close_all(&b->sessions, CLOSE_RESTART, REASON);
		tunnels_close_all(&b->tunnels, CLOSE_RESTART, REASON);
	} else {
		d->due += (double)n.there * (double)passed / (double)(d->end_ms - d->looked_ms);
		uint64_t due = (uint64_t)d->due < n.ready ? (uint64_t)d->due : n.ready;
		d->due -= (double)due;
		close_some(d, due, n.ready);
	}
	d->looked_ms = now;
}

/* ---- what the plugin says ---------------------------------------------------------------- */

static void stop(struct drain *d)
{
	if (!d->on)
		return;
	d->on = false;
	(void)uv_timer_stop(&d->tick); /* never fails */
	log_line(LOG_LEVEL_NOTICE, "no longer draining: sessions and tunnels are let in again");
}

static void begin(struct drain *d, uint64_t ms)
{
	struct bridge *b = d->bridge;
	if (!d->on) {
		d->began_ms = b->loop.now_ms;
		d->closed = 0;
		d->due = 0;
		d->empty_said = false;
	}
	d->looked_ms = b->loop.now_ms;
	d->end_ms = b->loop.now_ms + ms;
	log_line(LOG_LEVEL_NOTICE,
	         "draining: nobody new is let in, %u sessions and %u tunnels are closed over %llu ms",
	         b->sessions.count, b->tunnels.count, (unsigned long long)ms);
	d->on = true;
	/* fails only without a callback, or while the handle closes: everybody is leaving then */
	(void)uv_timer_start(&d->tick, on_tick, DRAIN_TICK_MS, DRAIN_TICK_MS);
}

/* "<ms>" or "none". */
static void take(struct drain *d, struct mqtt_span word)
{
	uint64_t ms = 0;
	if (word.len == 4 && memcmp(word.at, "none", 4) == 0) {
		stop(d);
		return;
	}
	for (size_t i = 0; i < word.len; i++) {
		if (word.at[i] < '0' || word.at[i] > '9' || i == 9) {
			log_line(LOG_LEVEL_ERROR, "the plugin wants a drain that is not understood here");
			return;
		}
		ms = ms * 10 + (uint64_t)(word.at[i] - '0');
	}
	begin(d, ms);
}

static void on_answer(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	struct drain *d = (struct drain *)((char *)q - offsetof(struct drain, question));
	(void)body;
	take(d, rest);
}

static void on_up(struct sync_part *part)
{
	struct drain *d = (struct drain *)((char *)part - offsetof(struct drain, part));
	d->question.on_answer = on_answer;
	if (!sync_ask(&d->bridge->sync, &d->question, "drain"))
		log_line(LOG_LEVEL_ERROR, "out of memory: it is not known whether this node is being drained");
}

static void on_told(struct sync_part *part, struct mqtt_span rest, struct mqtt_span body)
{
	(void)body;
	take((struct drain *)((char *)part - offsetof(struct drain, part)), rest);
}

bool drain_start(struct drain *d, struct bridge *b)
{
	memset(d, 0, sizeof *d);
	d->bridge = b;
	d->part = (struct sync_part){.word = "drain", .on_up = on_up, .on_told = on_told};
	sync_add_part(&b->sync, &d->part);
	if (getrandom(&d->random, sizeof d->random, 0) != (ssize_t)sizeof d->random ||
	    uv_timer_init(&b->loop.uv, &d->tick) != 0)
		return false;
	d->random |= 1; /* 0 would stay 0 */
	d->tick.data = d;
	return true;
}

void drain_stop(struct drain *d)
{
	uv_close((uv_handle_t *)&d->tick, NULL);
}
