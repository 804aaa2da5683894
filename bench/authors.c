/* authors.c - see authors.h */
#include "bench/authors.h"

#include "bench/arrivals.h"
#include "bench/holes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES (256u << 10) /* frames of one author that leave with one send */
#define SENDS_A_ROUND 256        /* open loop: then read again */

static const char message_head[] = "{\"message\":\"";
static const char message_tail[] = "\"}";
#define MESSAGE_EXTRA (sizeof(message_head) - 1 + sizeof(message_tail) - 1)

bool authors_prepare(struct run *run)
{
	const struct options *o = run->o;

	run->author = calloc(run->authors + 1, sizeof(*run->author));
	run->queue = calloc(run->authors + 1, sizeof(*run->queue));
	run->message = malloc(o->size + MESSAGE_EXTRA);
	run->packet = malloc(o->size + MESSAGE_EXTRA + MQTT_HEAD);
	run->batch = malloc(BATCH_BYTES);
	if (run->author == NULL || run->queue == NULL || run->message == NULL || run->packet == NULL ||
	    run->batch == NULL)
		return false;
	for (uint32_t i = 0; i < run->authors && o->pace == PACE_ALL; i++) {
		run->author[i].seen = calloc(o->outstanding, sizeof(*run->author[i].seen));
		if (run->author[i].seen == NULL)
			return false;
	}
	memcpy(run->message, message_head, sizeof(message_head) - 1);
	memcpy(run->message + sizeof(message_head) - 1 + o->size, message_tail, sizeof(message_tail) - 1);
	return true;
}

void authors_release(struct run *run)
{
	for (uint32_t i = 0; run->author != NULL && i < run->authors; i++)
		free(run->author[i].seen);
	free(run->author);
	free(run->queue);
	free(run->message);
	free(run->packet);
	free(run->batch);
}

static void may_send(struct run *run, uint32_t author)
{
	if (!run->author[author].queued) {
		run->author[author].queued = true;
		run->queue[run->queue_len++] = author;
	}
}

/* How many receive what that author sends. */
uint32_t author_readers(const struct run *run, uint32_t author)
{
	return (run->sessions - author % run->rooms + run->rooms - 1) / run->rooms - 1;
}

/* The session whose receipt counts where the pace is the last one's: the last one of the author's room, or
 * the one before where that is the author itself. */
static uint32_t pacer(const struct run *run, uint32_t author)
{
	uint32_t last = author % run->rooms + author_readers(run, author) * run->rooms;

	return last == author ? last - run->rooms : last;
}

/* Closed loop: a message has arrived somewhere for the first time. */
void authors_account(struct run *run, uint32_t session, const struct text *t)
{
	struct author *a = &run->author[t->author];
	uint32_t k = run->o->outstanding, others = author_readers(run, t->author);

	if (t->number < a->oldest || t->number >= a->next)
		return; /* from before a stall */
	if (run->o->pace == PACE_ALL) {
		a->seen[t->number % k]++;
		while (a->oldest < a->next && a->seen[a->oldest % k] >= others)
			a->seen[a->oldest++ % k] = 0;
	} else if (session == pacer(run, t->author)) {
		a->oldest = t->number + 1; /* what the pacer has missed does not hold up the rest */
	}
	if (a->next - a->oldest < k)
		may_send(run, t->author);
}

/* Appends one frame to the batch; returns the batch's new length. */
size_t authors_add_frame(struct run *run, size_t at, const struct text *t)
{
	size_t n = run->o->size + MESSAGE_EXTRA;
	char topic[MQTT_NAME_MAX];

	text_write(run->message + sizeof(message_head) - 1, run->o->size, run->id, t);
	if (!run->o->mqtt)
		return at + ws_frame(&run->net, run->batch + at, false, run->message, n);
	(void)holes_fill(topic, sizeof(topic), run->o->send_to, t->author,
	                 t->author % run->rooms); /* fits: OPTIONS_TOPIC_MAX */
	n = mqtt_publish(run->packet, topic, run->message, n);
	return at + ws_frame(&run->net, run->batch + at, true, run->packet, n);
}

bool authors_send_batch(struct run *run, uint32_t author, size_t bytes)
{
	struct ws_client *c = &run->clients[author];
	bool was_open = c->state == WS_OPEN, sent;

	sent = was_open && ws_client_send(&run->net, c, run->batch, bytes);
	if (was_open && !sent && c->state == WS_CLOSED)
		arrivals_end(run, author);
	return sent;
}

static void count_sent(struct run *run, uint32_t author, uint32_t n)
{
	run->author[author].next += n;
	run->r->sent_total += n;
	if (run->phase == MEASURE)
		run->r->sent += n;
}

/* Closed loop: every author in the queue sends as much as it may. */
void authors_send_queued(struct run *run)
{
	size_t frame = run->o->size + MESSAGE_EXTRA + WS_FRAME_HEAD + (run->o->mqtt ? MQTT_HEAD : 0);

	while (run->queue_len > 0) {
		uint32_t author = run->queue[--run->queue_len];
		struct author *a = &run->author[author];

		a->queued = false;
		while (a->next - a->oldest < run->o->outstanding) {
			uint32_t n = 0, most = run->o->outstanding - (a->next - a->oldest);
			size_t bytes = 0;

			(void)run_look(run);
			for (; n < most && bytes + frame <= BATCH_BYTES; n++)
				bytes = authors_add_frame(run, bytes, &(struct text){false, author, a->next + n, run->now});
			if (!authors_send_batch(run, author, bytes)) {
				run->r->unsent += n;
				break; /* until the stall */
			}
			count_sent(run, author, n);
		}
	}
}

uint64_t authors_due(const struct run *run, uint64_t i)
{
	return run->due_start + (uint64_t)llround((double)i * 1e6 / run->o->rate);
}

/* Open loop: everything that is due by now, authors in turn. */
void authors_send_due(struct run *run)
{
	for (int n = 0; n < SENDS_A_ROUND; n++) {
		uint64_t when = authors_due(run, run->due_count);
		uint32_t author = (uint32_t)(run->due_count % run->authors);

		if (when > run_look(run))
			return;
		run->due_count++;
		if (!authors_send_batch(
		        run, author,
		        authors_add_frame(run, 0, &(struct text){false, author, run->author[author].next, when}))) {
			run->r->unsent++;
			continue;
		}
		count_sent(run, author, 1);
		if (run->phase == MEASURE)
			histogram_record(&run->r->lateness, run->now - when);
	}
}

void authors_start(struct run *run)
{
	run->last_delivery = run_look(run);
	for (uint32_t i = 0; i < run->authors; i++) {
		struct author *a = &run->author[i];

		a->oldest = a->next;
		if (a->seen != NULL)
			memset(a->seen, 0, run->o->outstanding * sizeof(*a->seen));
		may_send(run, i);
	}
}
