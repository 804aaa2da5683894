/* run.c - see run.h. Sessions 0 to authors-1 send; all of them read. */
#include "bench/run.h"

#include "bench/holes.h"
#include "bench/mqtt.h"
#include "bench/text.h"
#include "bench/tls.h"
#include "bench/ws_client.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 512
#define TICK_US 50000u    /* the longest sleep: phases end in time */
#define PROBE_US 100000u  /* between two probes of an author */
#define STALL_US 1000000u /* without a delivery, a closed loop counts what is under way as lost */
#define GOODBYE_US 2000000u
#define BATCH_BYTES (256u << 10) /* frames of one author that leave with one send */
#define SENDS_A_ROUND 256        /* open loop: then read again */

static const char message_head[] = "{\"message\":\"";
static const char message_tail[] = "\"}";
#define MESSAGE_EXTRA (sizeof(message_head) - 1 + sizeof(message_tail) - 1)

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

static uint64_t look(struct run *run)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	run->now = (uint64_t)((t.tv_sec - run->base.tv_sec) * 1000000 + (t.tv_nsec - run->base.tv_nsec) / 1000);
	return run->now;
}

/* ---- what arrives --------------------------------------------------------------- */

static void may_send(struct run *run, uint32_t author)
{
	if (!run->author[author].queued) {
		run->author[author].queued = true;
		run->queue[run->queue_len++] = author;
	}
}

/* How many receive what that author sends. */
static uint32_t others_of(const struct run *run, uint32_t author)
{
	return (run->sessions - author % run->rooms + run->rooms - 1) / run->rooms - 1;
}

/* The session whose receipt counts where the pace is the last one's: the last one of the author's room, or
 * the one before where that is the author itself. */
static uint32_t pacer(const struct run *run, uint32_t author)
{
	uint32_t last = author % run->rooms + others_of(run, author) * run->rooms;

	return last == author ? last - run->rooms : last;
}

/* Closed loop: a message has arrived somewhere for the first time. */
static void account(struct run *run, uint32_t session, const struct text *t)
{
	struct author *a = &run->author[t->author];
	uint32_t k = run->o->outstanding, others = others_of(run, t->author);

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

static void take_message(struct run *run, uint32_t session, const struct text *t)
{
	struct result *r = run->r;

	if (t->author == session) {
		r->own += !t->probe;
		return;
	}
	if (t->probe) {
		run->joined_count += !run->joined[session];
		run->joined[session] = true;
		return;
	}
	run->last_delivery = run->now;
	r->deliveries += run->phase == MEASURE;
	if (r->ledger && !ledger_note(&run->ledger, session, t->author, t->number))
		return;
	r->delivered_total++;
	if (t->time_us >= run->window_begin && t->time_us < run->window_end)
		histogram_record(&r->latency, run->now > t->time_us ? run->now - t->time_us : 0);
	if (run->o->rate == 0)
		account(run, session, t);
}

/* Keeps the beginning of a text, for people to read. */
static void quote(char *out, const uint8_t *text, size_t n)
{
	n = n < RUN_TEXT - 1 ? n : RUN_TEXT - 1;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(text[i] >= ' ' && text[i] < 127 ? text[i] : '?');
	out[n] = 0;
}

static void take_other(struct run *run, const uint8_t *frame, size_t n)
{
	if (memmem(frame, n, "\"type\":\"error\"", 14) == NULL) {
		run->r->others++;
		return;
	}
	if (run->r->errors++ == 0) {
		quote(run->r->first_error, frame, n);
		(void)fprintf(stderr, "chat-load: first error: %s\n", run->r->first_error);
	}
}

static void ended(struct run *run, uint32_t session)
{
	if (run->phase == GOODBYE)
		return;
	if (run->phase == CONNECT)
		run->failed = true;
	if (run->r->closed++ == 0) {
		(void)snprintf(run->r->first_closed, RUN_TEXT, "session %u: ", session);
		size_t n = strlen(run->r->first_closed);
		quote(run->r->first_closed + n, (const uint8_t *)run->net.why,
		      strnlen(run->net.why, RUN_TEXT - 1 - n));
		if (run->phase != CONNECT)
			(void)fprintf(stderr, "chat-load: first session to end: %s\n", run->r->first_closed);
	}
}

static void take_frame(struct run *run, uint32_t session, const uint8_t *payload, size_t n)
{
	struct text t;

	if (text_find(payload, n, run->id, run->now, &run->hint, &t) && t.author < run->authors &&
	    t.author % run->rooms == session % run->rooms)
		take_message(run, session, &t);
	else
		take_other(run, payload, n);
}

static void take_opened(struct run *run, uint32_t session)
{
	run->opened++;
	histogram_record(&run->r->connect, run->now - run->started_us[session]);
}

/* Sends a packet that is not a publish. */
static void send_packet(struct run *run, struct ws_client *c, const uint8_t *packet, size_t n)
{
	uint8_t frame[MQTT_HEAD + WS_FRAME_HEAD];

	if (!ws_client_send(&run->net, c, frame, ws_frame(&run->net, frame, true, packet, n)) &&
	    c->state == WS_CLOSED)
		ended(run, (uint32_t)(c - run->clients));
}

static void send_connect(struct run *run, struct ws_client *c, uint32_t session)
{
	uint8_t packet[MQTT_HEAD];
	char id[32];

	(void)snprintf(id, sizeof(id), "load-%u-%u", run->id, session);
	send_packet(run, c, packet, mqtt_connect(packet, id));
}

static void send_subscribe(struct run *run, struct ws_client *c, uint32_t session)
{
	uint8_t packet[MQTT_HEAD];
	char topic[MQTT_NAME_MAX];

	(void)holes_fill(topic, sizeof(topic), run->o->topic, session,
	                 session % run->rooms); /* fits: OPTIONS_TOPIC_MAX */
	send_packet(run, c, packet, mqtt_subscribe(packet, topic));
}

/* A piece of a session's MQTT stream. */
static void take_packets(struct run *run, struct ws_client *c, uint32_t session, const uint8_t *at,
                         size_t left)
{
	const uint8_t *payload;
	size_t n;

	for (;;) {
		switch (mqtt_next(&run->streams[session], &at, &left, &payload, &n)) {
		case MQTT_CONNECTED:
			send_subscribe(run, c, session);
			break;
		case MQTT_SUBSCRIBED:
			take_opened(run, session);
			break;
		case MQTT_MESSAGE:
			take_frame(run, session, payload, n);
			break;
		case MQTT_BAD:
			(void)snprintf(run->net.why, sizeof(run->net.why), "refused, or no MQTT that is understood here");
			ws_client_drop(c);
			ended(run, session);
			return;
		case MQTT_NOTHING:
			return;
		}
	}
}

static void take_input(struct run *run, struct ws_client *c, uint32_t session)
{
	const uint8_t *payload;
	size_t n;

	if (!ws_client_read(&run->net, c)) {
		ended(run, session);
		return;
	}
	(void)look(run);
	for (;;) {
		switch (ws_client_next(&run->net, c, &payload, &n)) {
		case WS_MESSAGE:
			if (run->phase == GOODBYE)
				break;
			if (run->o->mqtt)
				take_packets(run, c, session, payload, n);
			else
				take_frame(run, session, payload, n);
			if (c->state == WS_CLOSED)
				return;
			break;
		case WS_OPENED:
			if (run->o->mqtt)
				send_connect(run, c, session);
			else
				take_opened(run, session);
			if (c->state == WS_CLOSED)
				return;
			break;
		case WS_ENDED:
			ended(run, session);
			return;
		case WS_NOTHING:
			return;
		}
	}
}

/* Sleeps until something happens, but not beyond that time, and takes what has happened. */
static void wait_and_take(struct run *run, uint64_t until)
{
	static bool coarse; /* the kernel has no epoll_pwait2: whole milliseconds, never late */
	struct epoll_event events[EVENTS];
	uint64_t us = until > run->now ? until - run->now : 0;
	struct timespec t;
	int n = -1;

	us = us < TICK_US ? us : TICK_US;
	t = (struct timespec){.tv_sec = 0, .tv_nsec = (long)us * 1000};
	if (!coarse)
		n = epoll_pwait2(run->net.epoll, events, EVENTS, &t, NULL);
	if (n < 0 && (coarse || errno == ENOSYS)) {
		coarse = true;
		n = epoll_wait(run->net.epoll, events, EVENTS, (int)(us / 1000));
	}
	(void)look(run);
	for (int i = 0; i < n; i++) {
		struct ws_client *c = events[i].data.ptr;
		uint32_t session = (uint32_t)(c - run->clients);

		if ((events[i].events & EPOLLOUT) && !ws_client_writable(&run->net, c))
			ended(run, session);
		else if (events[i].events & ~(uint32_t)EPOLLOUT)
			do
				take_input(run, c, session);
			while (c->unread);
	}
}

/* ---- what is sent --------------------------------------------------------------- */

/* Appends one frame to the batch; returns the batch's new length. */
static size_t add_frame(struct run *run, size_t at, const struct text *t)
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

static bool send_batch(struct run *run, uint32_t author, size_t bytes)
{
	struct ws_client *c = &run->clients[author];
	bool was_open = c->state == WS_OPEN, sent;

	sent = was_open && ws_client_send(&run->net, c, run->batch, bytes);
	if (was_open && !sent && c->state == WS_CLOSED)
		ended(run, author);
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
static void send_queued(struct run *run)
{
	size_t frame = run->o->size + MESSAGE_EXTRA + WS_FRAME_HEAD + (run->o->mqtt ? MQTT_HEAD : 0);

	while (run->queue_len > 0) {
		uint32_t author = run->queue[--run->queue_len];
		struct author *a = &run->author[author];

		a->queued = false;
		while (a->next - a->oldest < run->o->outstanding) {
			uint32_t n = 0, most = run->o->outstanding - (a->next - a->oldest);
			size_t bytes = 0;

			(void)look(run);
			for (; n < most && bytes + frame <= BATCH_BYTES; n++)
				bytes = add_frame(run, bytes, &(struct text){false, author, a->next + n, run->now});
			if (!send_batch(run, author, bytes)) {
				run->r->unsent += n;
				break; /* until the stall */
			}
			count_sent(run, author, n);
		}
	}
}

static uint64_t due(const struct run *run, uint64_t i)
{
	return run->due_start + (uint64_t)llround((double)i * 1e6 / run->o->rate);
}

/* Open loop: everything that is due by now, authors in turn. */
static void send_due(struct run *run)
{
	for (int n = 0; n < SENDS_A_ROUND; n++) {
		uint64_t when = due(run, run->due_count);
		uint32_t author = (uint32_t)(run->due_count % run->authors);

		if (when > look(run))
			return;
		run->due_count++;
		if (!send_batch(run, author,
		                add_frame(run, 0, &(struct text){false, author, run->author[author].next, when}))) {
			run->r->unsent++;
			continue;
		}
		count_sent(run, author, 1);
		if (run->phase == MEASURE)
			histogram_record(&run->r->lateness, run->now - when);
	}
}

static void start_loop(struct run *run)
{
	run->last_delivery = look(run);
	for (uint32_t i = 0; i < run->authors; i++) {
		struct author *a = &run->author[i];

		a->oldest = a->next;
		if (a->seen != NULL)
			memset(a->seen, 0, run->o->outstanding * sizeof(*a->seen));
		may_send(run, i);
	}
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
	uint64_t start = look(run), limit = start + (uint64_t)(run->o->connect_seconds * 1e6);

	run->phase = CONNECT;
	while (run->opened < run->sessions && !run->failed && run->now < limit) {
		while (run->started < run->sessions && run->started - run->opened < run->o->connect_pending) {
			uint32_t session = run->started++;

			run->started_us[session] = look(run);
			if (!ws_client_open(&run->net, &run->clients[session], session)) {
				ended(run, session);
				break;
			}
		}
		wait_and_take(run, limit);
	}
	run->r->connect_seconds = (double)(look(run) - start) / 1e6;
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
	uint64_t start = look(run), limit = start + (uint64_t)(run->o->connect_seconds * 1e6), next = start;
	uint32_t probers = run->authors < 2 * run->rooms ? run->authors : 2 * run->rooms;

	run->phase = JOIN;
	for (uint32_t i = 0; i < run->rooms && i + run->rooms >= run->authors; i++) {
		run->joined[i] = true; /* nobody writes to a room's sole author */
		run->joined_count++;
	}
	while (run->joined_count < run->sessions && run->r->closed == 0 && run->now < limit) {
		for (uint32_t i = 0; i < probers && run->now >= next; i++)
			(void)send_batch(run, i, add_frame(run, 0, &(struct text){true, i, 0, run->now}));
		if (run->now >= next)
			next = run->now + PROBE_US;
		wait_and_take(run, next);
	}
	run->r->join_seconds = (double)(look(run) - start) / 1e6;
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

	while (look(run) < limit) {
		uint64_t next = limit;

		if (run->authors > 0 && open_loop) {
			send_due(run);
			next = due(run, run->due_count) < limit ? due(run, run->due_count) : limit;
		} else if (run->authors > 0) {
			if (run->now - run->last_delivery > STALL_US) {
				run->r->stalls++;
				start_loop(run);
			}
			send_queued(run);
		}
		wait_and_take(run, next);
	}
}

static void measure(struct run *run)
{
	struct result *r = run->r;
	uint64_t bytes;

	run->phase = LOAD;
	run->due_start = look(run);
	if (run->authors > 0) {
		start_loop(run);
		load_until(run, run->due_start + (uint64_t)(run->o->warmup * 1e6));
	}
	run->phase = MEASURE;
	sample(run, r->begin);
	bytes = run->net.bytes_in;
	r->own_cpu_seconds = process_own_cpu_seconds();
	run->window_begin = look(run);
	run->window_end = UINT64_MAX;
	load_until(run, run->window_begin + (uint64_t)(run->o->seconds * 1e6));
	run->window_end = look(run);
	r->own_cpu_seconds = process_own_cpu_seconds() - r->own_cpu_seconds;
	r->bytes_in = run->net.bytes_in - bytes;
	sample(run, r->end);
	r->window_seconds = (double)(run->window_end - run->window_begin) / 1e6;
}

static void drain(struct run *run)
{
	uint64_t limit = look(run) + (uint64_t)(run->o->drain * 1e6);
	uint64_t expected = 0;

	for (uint32_t i = 0; i < run->authors; i++)
		expected += (uint64_t)run->author[i].next * others_of(run, i);
	run->phase = DRAIN;
	while (run->r->delivered_total < expected && run->now < limit)
		wait_and_take(run, limit);
}

static void say_goodbye(struct run *run)
{
	uint64_t limit = look(run) + GOODBYE_US;

	run->phase = GOODBYE;
	for (uint32_t i = 0; i < run->started; i++)
		ws_client_say_goodbye(&run->net, &run->clients[i]);
	for (uint32_t i = 0; i < run->started && run->now < limit;) {
		if (run->clients[i].state == WS_CLOSED)
			i++;
		else
			wait_and_take(run, limit);
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
	run->author = calloc(run->authors + 1, sizeof(*run->author));
	run->queue = calloc(run->authors + 1, sizeof(*run->queue));
	run->message = malloc(o->size + MESSAGE_EXTRA);
	run->packet = malloc(o->size + MESSAGE_EXTRA + MQTT_HEAD);
	run->batch = malloc(BATCH_BYTES);
	run->streams = calloc(run->sessions, sizeof(*run->streams));
	if (run->streams == NULL || run->packet == NULL || run->clients == NULL || run->started_us == NULL ||
	    run->joined == NULL || run->author == NULL || run->queue == NULL || run->message == NULL ||
	    run->batch == NULL)
		return complain(why, "no memory", "");
	for (uint32_t i = 0; i < run->authors && o->pace == PACE_ALL; i++) {
		run->author[i].seen = calloc(o->outstanding, sizeof(*run->author[i].seen));
		if (run->author[i].seen == NULL)
			return complain(why, "no memory", "");
	}
	run->r->ledger = ledger_init(&run->ledger, run->sessions, run->authors);
	if (!run->r->ledger)
		(void)fprintf(stderr,
		              "chat-load: too many pairs of session and author: order and losses are not counted\n");
	memcpy(run->message, message_head, sizeof(message_head) - 1);
	memcpy(run->message + sizeof(message_head) - 1 + o->size, message_tail, sizeof(message_tail) - 1);
	(void)clock_gettime(CLOCK_MONOTONIC, &run->base);
	run->id =
	    (uint16_t)(((unsigned long)getpid() * 40503ul ^ (unsigned long)run->base.tv_nsec) & TEXT_RUN_MAX);
	run->net.mask ^= run->id;
	run->window_begin = UINT64_MAX;
	return true;
}

static void release(struct run *run)
{
	for (uint32_t i = 0; run->author != NULL && i < run->authors; i++)
		free(run->author[i].seen);
	for (uint32_t i = 0; run->streams != NULL && i < run->sessions; i++)
		mqtt_stream_free(&run->streams[i]);
	free(run->streams);
	free(run->packet);
	ledger_free(&run->ledger);
	ws_net_free(&run->net);
	free(run->clients);
	free(run->started_us);
	free(run->joined);
	free(run->author);
	free(run->queue);
	free(run->message);
	free(run->batch);
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
