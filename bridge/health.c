/* health.c - see health.h */
#include "bridge/health.h"
#include "bridge/bridge.h"
#include "bridge/http_api.h"

#include <stdlib.h>
#include <string.h>

struct health_waiter {
	struct health_waiter *prev, *next;
	struct http_exchange *x;
	const char *fine; /* static text: the body of the answer */
	uint64_t deadline_ms;
};

static void unlist(struct health *h, struct health_waiter *w)
{
	if (w->prev != NULL)
		w->prev->next = w->next;
	else
		h->first = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	else
		h->last = w->prev;
}

static void answer_fine(struct http_exchange *x, const char *fine)
{
	struct chunk *body = chunk_of_text(fine);
	http_api_answer(x, body != NULL ? &http_ok : &http_overloaded, body);
	chunk_release(body);
}

/* The oldest one. status NULL: fine. */
static void answer_first(struct health *h, const struct http_status *status)
{
	struct health_waiter *w = h->first;
	struct http_exchange *x = w->x;
	const char *fine = w->fine;
	h->first = w->next;
	if (h->first != NULL)
		h->first->prev = NULL;
	else
		h->last = NULL;
	free(w);
	x->user = NULL;
	x->cancel = NULL;
	if (status != NULL)
		http_api_answer(x, status, NULL);
	else
		answer_fine(x, fine);
}

static void answer_all(struct health *h, const struct http_status *status)
{
	while (h->first != NULL)
		answer_first(h, status);
}

static struct health *of_question(struct sync_question *q)
{
	return (struct health *)((char *)q - offsetof(struct health, question));
}

static void on_answer(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	(void)rest;
	(void)body;
	answer_all(of_question(q), NULL);
}

static void on_lost(struct sync_question *q)
{
	answer_all(of_question(q), &http_broker_away);
}

static void on_cancel(struct http_exchange *x)
{
	struct health_waiter *w = x->user;
	unlist(&x->bridge->health, w);
	free(w);
}

static bool ask(struct http_exchange *x, const char *fine)
{
	struct bridge *b = x->bridge;
	struct health *h = &b->health;
	struct health_waiter *w = calloc(1, sizeof *w);
	if (w == NULL) {
		http_api_answer(x, &http_overloaded, NULL);
		return true;
	}
	/* one that is under way has not been answered yet: its answer says as much as that to a new one */
	if (h->question.token == 0 && !sync_ask(&b->sync, &h->question, "echo")) {
		free(w);
		http_api_answer(x, &http_broker_away, NULL);
		return true;
	}
	*w = (struct health_waiter){
	    .prev = h->last, .x = x, .fine = fine, .deadline_ms = b->loop.now_ms + HEALTH_WAIT_MS};
	if (h->last != NULL)
		h->last->next = w;
	else
		h->first = w;
	h->last = w;
	x->user = w;
	x->cancel = on_cancel;
	return false;
}

bool health_get(struct http_exchange *x)
{
	return ask(x, "{\"status\":\"ok\"}\n");
}

bool health_get_ready(struct http_exchange *x)
{
	const struct bridge *b = x->bridge;
	const struct http_status *status = NULL;
	if (b->stopping || b->drain.on)
		status = &http_draining;
	else if (!b->sync.up)
		status = &http_broker_away;
	else if (!roster_complete(&b->roster))
		status = &http_starting;
	if (status == NULL)
		return ask(x, "{\"status\":\"ready\"}\n");
	http_api_answer(x, status, NULL);
	return true;
}

void health_tick(struct health *h)
{
	while (h->first != NULL && h->bridge->loop.now_ms >= h->first->deadline_ms)
		answer_first(h, &http_no_answer);
}

void health_start(struct health *h, struct bridge *b)
{
	memset(h, 0, sizeof *h);
	h->bridge = b;
	h->question.on_answer = on_answer;
	h->question.on_lost = on_lost;
}
