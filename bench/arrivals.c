/* arrivals.c - see arrivals.h */
#include "bench/arrivals.h"

#include "bench/authors.h"
#include "bench/holes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define EVENTS 512
#define TICK_US 50000u /* the longest sleep: phases end in time */

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
		authors_account(run, session, t);
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

void arrivals_end(struct run *run, uint32_t session)
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
		arrivals_end(run, (uint32_t)(c - run->clients));
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
			arrivals_end(run, session);
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
		arrivals_end(run, session);
		return;
	}
	(void)run_look(run);
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
			arrivals_end(run, session);
			return;
		case WS_NOTHING:
			return;
		}
	}
}

/* Sleeps until something happens, but not beyond that time, and takes what has happened. */
void arrivals_take(struct run *run, uint64_t until)
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
	(void)run_look(run);
	for (int i = 0; i < n; i++) {
		struct ws_client *c = events[i].data.ptr;
		uint32_t session = (uint32_t)(c - run->clients);

		if ((events[i].events & EPOLLOUT) && !ws_client_writable(&run->net, c))
			arrivals_end(run, session);
		else if (events[i].events & ~(uint32_t)EPOLLOUT)
			do
				take_input(run, c, session);
			while (c->unread);
	}
}
