/* http_access.c - see http_access.h */
#include "bridge/http_access.h"
#include "bridge/bearer.h"
#include "bridge/bridge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX (2 * (IDENTITY_MAX + 1)) /* the two addresses, each with a blank behind it */

struct access {
	struct sync_question question; /* first: its answer finds us by its address */
	struct http_exchange *x;
	bool (*then)(struct http_exchange *x, const void *data);
	void *data;
};

static void destroy(struct access *a)
{
	free(a->data);
	free(a);
}

static void on_cancel(struct http_exchange *x)
{
	struct access *a = x->user;
	sync_forget(&x->bridge->sync, &a->question);
	destroy(a);
}

static bool is(struct mqtt_span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

static void on_answer(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	struct access *a = (struct access *)q;
	struct http_exchange *x = a->x;
	(void)body;
	x->cancel = NULL;
	x->user = NULL;
	if (is(rest, "yes"))
		(void)a->then(x, a->data); /* now or later, it answers */
	else
		http_api_answer(x, is(rest, "no") ? &http_forbidden : &http_unauthorized, NULL);
	destroy(a);
}

static void on_lost(struct sync_question *q)
{
	struct access *a = (struct access *)q;
	http_api_answer(a->x, &http_broker_away, NULL);
	destroy(a);
}

/* "<a> <b> <token>", with - for nobody. */
static bool ask(struct access *q, const struct identity *a, const struct identity *b)
{
	char text[WORDS_MAX + BEARER_MAX];
	size_t len = 0;
	int words = snprintf(text, WORDS_MAX + 1, "%s %s ", a != NULL ? a->text : "-", b != NULL ? b->text : "-");
	/* one that is none is refused like any other */
	(void)bearer_find(&q->x->head, text + words, &len);
	bool asked = sync_ask_with(&q->x->bridge->sync, &q->question, "may",
	                           (struct mqtt_span){text, (size_t)words + len});
	explicit_bzero(text, sizeof text);
	return asked;
}

bool http_access_ask(struct http_exchange *x, const struct identity *a, const struct identity *b,
                     bool (*then)(struct http_exchange *x, const void *data), void *data)
{
	if (!x->bridge->settings.logins) {
		bool answered = then(x, data);
		free(data);
		return answered;
	}
	struct access *q = calloc(1, sizeof *q);
	if (q == NULL) {
		free(data);
		http_api_answer(x, &http_overloaded, NULL);
		return true;
	}
	q->question = (struct sync_question){.on_answer = on_answer, .on_lost = on_lost};
	q->x = x;
	q->then = then;
	q->data = data;
	if (!ask(q, a, b)) {
		destroy(q);
		http_api_answer(x, &http_broker_away, NULL);
		return true;
	}
	x->user = q;
	x->cancel = on_cancel;
	return false;
}
