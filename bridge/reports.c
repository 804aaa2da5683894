/* reports.c - see reports.h */
#include "bridge/reports.h"
#include "bridge/bridge.h"
#include "bridge/http_api.h"
#include "common/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- numbers ---------------------------------------------------------------------------- */

static const char *const gauges[REPORT_GAUGES] = {"sessions", "tunnels", "outbox_bytes"};

static uint64_t gauge(const struct bridge *b, size_t i)
{
	return i == 0 ? b->sessions.count : i == 1 ? b->tunnels.count : outbox_all_bytes();
}

struct value {
	const char *family, *label; /* NULL: this place is not in use */
	uint64_t n;
};

static struct value cell(const char *family, const struct histogram_shape *shape, const uint64_t *cells,
                         size_t i)
{
	if (i >= histogram_cells(shape))
		return (struct value){NULL, NULL, 0};
	return (struct value){family, shape->labels[i], cells[i]};
}

static struct value value_at(const struct reports *r, size_t i)
{
	if (i < COUNTERS)
		return (struct value){counters_names()[i].family, counters_names()[i].label, counters[i]};
	i -= COUNTERS;
	if (i < REPORT_GAUGES)
		return (struct value){gauges[i], "all", gauge(r->bridge, i)};
	i -= REPORT_GAUGES;
	if (i < HISTOGRAM_CELLS_MAX)
		return cell("publish_to_delivery", &histogram_delivery, r->delivery, i);
	return cell("fanout", &histogram_fanout, r->fanout, i - HISTOGRAM_CELLS_MAX);
}

void reports_delivered(struct reports *r, uint64_t sent_ms, uint64_t now_real_ms, uint64_t sessions)
{
	histogram_add(&histogram_fanout, r->fanout, sessions, 1);
	if (sent_ms > 0)
		histogram_add(&histogram_delivery, r->delivery, now_real_ms > sent_ms ? now_real_ms - sent_ms : 0,
		              sessions);
}

/* ---- reports ---------------------------------------------------------------------------- */

/* Asks with what has changed since the last question that was sent. False: it is not under way. */
static bool ask(struct reports *r, struct sync_question *q, const char *verb)
{
	static char text[REPORT_MAX]; /* one thread, never kept */
	static uint64_t values[REPORT_VALUES];
	size_t len = (size_t)snprintf(text, sizeof text, "%ld\n", (long)getpid());
	for (size_t i = 0; i < REPORT_VALUES; i++) {
		struct value v = value_at(r, i);
		values[i] = v.n;
		if (v.family == NULL || (r->told && v.n == r->sent[i]))
			continue;
		size_t n = report_put(v.family, v.label, v.n, text + len, sizeof text - len);
		if (n == 0)
			values[i] = r->sent[i]; /* no room: next time */
		len += n;
	}
	if (!sync_ask_with(&r->bridge->sync, q, verb, (struct mqtt_span){text, len}))
		return false;
	memcpy(r->sent, values, sizeof r->sent);
	r->told = true;
	return true;
}

_Static_assert(REPORT_VALUES *REPORT_LINE_MAX <= REPORT_MAX, "a report of everything fits");

static void on_up(struct sync_part *part)
{
	struct reports *r = (struct reports *)((char *)part - offsetof(struct reports, part));
	r->told = false;
	r->next_ms = 0;
}

static void on_answer(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	(void)q; /* it is over, that is all */
	(void)rest;
	(void)body;
}

void reports_tick(struct reports *r)
{
	uint64_t now = r->bridge->loop.now_ms;
	if (!r->bridge->settings.metrics || r->question.token != 0 || now < r->next_ms)
		return;
	r->next_ms = now + REPORTS_MS;
	bool changed = !r->told;
	for (size_t i = 0; i < REPORT_VALUES && !changed; i++)
		changed = value_at(r, i).n != r->sent[i];
	if (changed)
		(void)ask(r, &r->question, "report"); /* else with the next connection */
}

void reports_start(struct reports *r, struct bridge *b)
{
	memset(r, 0, sizeof *r);
	r->bridge = b;
	r->part.on_up = on_up;
	r->question.on_answer = on_answer;
	sync_add_part(&b->sync, &r->part);
}

/* ---- GET /metrics ------------------------------------------------------------------------- */

struct scrape {
	struct sync_question question; /* first: an answer finds the scrape by it */
	struct http_exchange *x;
};

static void on_cancel(struct http_exchange *x)
{
	struct scrape *scrape = x->user;
	sync_forget(&x->bridge->sync, &scrape->question);
	free(scrape);
}

static void on_text(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	struct scrape *scrape = (struct scrape *)q;
	struct http_exchange *x = scrape->x;
	struct chunk *text = body.len > 0 ? chunk_new(body.len) : NULL;
	(void)rest;
	free(scrape);
	x->user = NULL;
	if (text == NULL) {
		http_api_answer(x, body.len > 0 ? &http_overloaded : &http_unavailable, NULL);
		return;
	}
	memcpy(text->bytes, body.at, body.len);
	text->len = (uint32_t)body.len;
	struct http_answer answer = {
	    .status = &http_ok, .body = text, .content_type = "text/plain; version=0.0.4; charset=utf-8"};
	http_api_give(x, &answer);
	chunk_release(text);
}

static void on_lost(struct sync_question *q)
{
	struct scrape *scrape = (struct scrape *)q;
	struct http_exchange *x = scrape->x;
	free(scrape);
	x->user = NULL;
	http_api_answer(x, &http_broker_away, NULL);
}

/* This machine, and whom the operator has named. A request that somebody has forwarded who is no listed proxy
 * may come from anywhere. */
static bool may_scrape(const struct http_exchange *x)
{
	if (x->client_unsure)
		return false;
	return address_is_loopback(&x->client) || cidr_list_has(&x->bridge->metrics_allow, &x->client);
}

bool reports_get_metrics(struct http_exchange *x)
{
	struct bridge *b = x->bridge;
	if (!b->settings.metrics || !may_scrape(x)) {
		http_api_answer(x, b->settings.metrics ? &http_forbidden : &http_not_found, NULL);
		return true;
	}
	struct scrape *scrape = calloc(1, sizeof *scrape);
	if (scrape == NULL) {
		http_api_answer(x, &http_overloaded, NULL);
		return true;
	}
	scrape->question = (struct sync_question){.on_answer = on_text, .on_lost = on_lost};
	scrape->x = x;
	if (!ask(&b->reports, &scrape->question, "metrics")) {
		free(scrape);
		http_api_answer(x, &http_broker_away, NULL);
		return true;
	}
	x->user = scrape;
	x->cancel = on_cancel;
	return false;
}
