/*
 * node_metrics.c - what the whole node has counted.
 */
#include "node_metrics.h"

#include "bridges.h"
#include "common/counter_line.h"
#include "common/metrics.h"
#include "compat.h"
#include "counters.h"
#include "drain.h"
#include "history.h"
#include "log.h"
#include "options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYS_PREFIX "$SYS/broker/chat/"
#define SYS_TOPIC_MAX (sizeof(SYS_PREFIX) + 64 + METRIC_LABEL_MAX)

/* One number of a metric: a label's, or a cell of a histogram. */
struct series {
	size_t metric;
	char label[METRIC_LABEL_MAX + 1];
	uint64_t base;  /* counters: what processes that have ended had counted */
	uint64_t *live; /* by slot: the bridges' and, last, the plugin's own */
	bool told;      /* told_value stands under $SYS */
	uint64_t told_value;
};

struct process {
	unsigned long life;  /* of the last report, 0: none has come */
	unsigned long ended; /* the last one that is known to have ended, 0: none */
};

static struct {
	const struct options *options; /* NULL: off */
	int broker_version;
	size_t slots;
	struct process *processes; /* slots - 1 */
	uint64_t *values;          /* SERIES_MAX * slots */
	struct series series[SERIES_MAX];
	size_t count;
	size_t hint; /* where the next one is looked for first: they come in order */
	uint64_t sys_interval_ms;
	uint64_t sys_at_ms; /* when what has changed is published next */
	bool full;          /* said so */
} state;

/* ---- numbers ------------------------------------------------------------------------ */

static bool is_series(const struct series *s, size_t metric, const char *label, size_t len)
{
	return s->metric == metric && strncmp(s->label, label, len) == 0 && s->label[len] == '\0';
}

/* NULL: there are too many. */
static struct series *find(size_t metric, const char *label, size_t len)
{
	struct series *s;
	size_t i;

	for (i = 0; i < state.count; i++) {
		s = &state.series[(state.hint + i) % state.count];
		if (!is_series(s, metric, label, len))
			continue;
		state.hint = (state.hint + i + 1) % state.count;
		return s;
	}
	if (state.count == SERIES_MAX || len > METRIC_LABEL_MAX)
		return NULL;
	s = &state.series[state.count];
	memset(s, 0, sizeof(*s));
	s->metric = metric;
	s->live = &state.values[state.count * state.slots];
	memcpy(s->label, label, len);
	state.count++;
	return s;
}

/* False: no such metric, or too many numbers. */
static bool set(size_t slot, const char *family, size_t family_len, const char *label, size_t label_len,
                uint64_t value)
{
	size_t metric = metric_find(family, family_len, label, label_len);
	struct series *s = metric < metric_count ? find(metric, label, label_len) : NULL;

	if (s)
		s->live[slot] = value;
	return s != NULL;
}

static void set_own(const char *family, const char *label, uint64_t value)
{
	if (set(state.slots - 1, family, strlen(family), label, strlen(label), value) || state.full)
		return;
	state.full = true;
	log_line(MOSQ_LOG_ERR, "%s %s is no metric, or there are too many: it is left out", family, label);
}

static uint64_t value_of(const struct series *s)
{
	uint64_t sum = s->base;
	size_t i;

	for (i = 0; i < state.slots; i++)
		sum += s->live[i];
	return sum;
}

/* The value under that label, 0 where there is none. */
static uint64_t value_at(size_t metric, const char *label)
{
	size_t i;

	for (i = 0; i < state.count; i++)
		if (is_series(&state.series[i], metric, label, strlen(label)))
			return value_of(&state.series[i]);
	return 0;
}

/* The plugin's own numbers. */
static void collect(void)
{
	const struct counter_name *names = counters_names();
	uint64_t cells[HISTOGRAM_CELLS_MAX];
	size_t i;

	for (i = 0; i < COUNTERS; i++)
		set_own(names[i].family, names[i].label, counters[i]);
	set_own("bridges", "running", bridges_running());
	set_own("draining", "now", drain_on() ? 1 : 0);
	set_own("history_queue_bytes", "all", history_queue_bytes());
	history_flushes(cells);
	for (i = 0; i < histogram_cells(&histogram_flush); i++)
		set_own("history_flush", histogram_flush.labels[i], cells[i]);
}

/* ---- bridges ------------------------------------------------------------------------- */

/* What this slot had is over: what it counted is kept, what it measured is no more. */
static void settle(size_t slot, bool gauges_alone)
{
	struct series *s;
	size_t i;

	for (i = 0; i < state.count; i++) {
		s = &state.series[i];
		if (metrics[s->metric].type == METRIC_GAUGE) {
			s->live[slot] = 0;
		} else if (!gauges_alone) {
			s->base += s->live[slot];
			s->live[slot] = 0;
		}
	}
}

bool node_metrics_report(size_t bridge, unsigned long life, const char *text, size_t len)
{
	struct process *process;
	struct report_line line;
	bool fine = true;

	if (!state.options || bridge + 1 >= state.slots || life == 0)
		return false;
	process = &state.processes[bridge];
	if (process->life != life) {
		if (process->ended == life)
			return true; /* its successor has reported already */
		settle(bridge, false);
		process->life = life;
	}
	while (fine && report_next(&text, &len, &line))
		fine = set(bridge, line.family, line.family_len, line.label, line.label_len, line.value);
	if (process->ended == life)
		settle(bridge, true); /* it came while the process ended */
	return fine && len == 0;
}

void node_metrics_bridge_ended(size_t bridge, unsigned long life)
{
	if (!state.options || bridge + 1 >= state.slots)
		return;
	state.processes[bridge].ended = life;
	if (state.processes[bridge].life == life)
		settle(bridge, true);
}

/* ---- text ---------------------------------------------------------------------------- */

struct text {
	char *out;
	size_t len, cap;
	bool full;
};

static size_t room_in(const struct text *t)
{
	return t->full ? 0 : t->cap - t->len;
}

/* n: of the snprintf into that room. */
static void advance(struct text *t, int n)
{
	t->full = n < 0 || (size_t)n >= room_in(t);
	if (!t->full)
		t->len += (size_t)n;
}

#define put(t, ...) advance(t, snprintf((t)->out + (t)->len, room_in(t), __VA_ARGS__))

/* A sum in base units. */
static void put_sum(struct text *t, const struct histogram_shape *shape, uint64_t sum)
{
	int digits = shape->unit == 1 ? 0 : shape->unit == 1000 ? 3 : 6;

	if (digits == 0)
		put(t, "%" PRIu64, sum);
	else
		put(t, "%" PRIu64 ".%0*" PRIu64, sum / shape->unit, digits, sum % shape->unit);
}

/* How many observations there were. */
static uint64_t observations(size_t metric)
{
	const struct histogram_shape *shape = metrics[metric].shape;
	uint64_t all = 0;
	size_t i;

	for (i = 0; i <= shape->bound_count; i++)
		all += value_at(metric, shape->labels[i]);
	return all;
}

static void put_histogram(struct text *t, size_t metric)
{
	const struct metric *m = &metrics[metric];
	const struct histogram_shape *shape = m->shape;
	uint64_t all = 0;
	size_t i;

	for (i = 0; i <= shape->bound_count; i++) {
		all += value_at(metric, shape->labels[i]);
		put(t, METRIC_PREFIX "%s_bucket{le=\"%s\"} %" PRIu64 "\n", m->name, shape->labels[i], all);
	}
	put(t, METRIC_PREFIX "%s_sum ", m->name);
	put_sum(t, shape, value_at(metric, shape->labels[shape->bound_count + 1]));
	put(t, "\n" METRIC_PREFIX "%s_count %" PRIu64 "\n", m->name, all);
}

static void put_samples(struct text *t, size_t metric)
{
	const struct metric *m = &metrics[metric];
	const struct series *s;
	size_t i;

	for (i = 0; i < state.count; i++) {
		s = &state.series[i];
		if (s->metric != metric)
			continue;
		if (m->key)
			put(t, METRIC_PREFIX "%s{%s=\"%s\"} %" PRIu64 "\n", m->name, m->key, s->label, value_of(s));
		else
			put(t, METRIC_PREFIX "%s %" PRIu64 "\n", m->name, value_of(s));
	}
}

static bool has_samples(size_t metric)
{
	size_t i;

	for (i = 0; i < state.count; i++)
		if (state.series[i].metric == metric)
			return true;
	return false;
}

size_t node_metrics_text(char *out, size_t cap)
{
	static const char *const types[] = {
	    [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
	const int v = state.broker_version;
	struct text t = {.out = out, .cap = cap};
	size_t i;

	if (!state.options)
		return 0;
	collect();
	put(&t,
	    "# HELP " METRIC_PREFIX "build_info The versions that run.\n# TYPE " METRIC_PREFIX
	    "build_info gauge\n" METRIC_PREFIX "build_info{version=\"" MOSQUITTO_CHAT_VERSION
	    "\",mosquitto=\"%d.%d.%d\"} 1\n",
	    v / 1000000, v / 1000 % 1000, v % 1000);
	for (i = 0; i < metric_count; i++) {
		if (!has_samples(i))
			continue;
		put(&t, "# HELP " METRIC_PREFIX "%s %s\n# TYPE " METRIC_PREFIX "%s %s\n", metrics[i].name,
		    metrics[i].help, metrics[i].name, types[metrics[i].type]);
		if (metrics[i].type == METRIC_HISTOGRAM)
			put_histogram(&t, i);
		else
			put_samples(&t, i);
	}
	return t.full ? 0 : t.len;
}

/* ---- $SYS ---------------------------------------------------------------------------- */

static bool publish(const char *name, const char *label, const char *value)
{
	char topic[SYS_TOPIC_MAX];
	size_t len = strlen(value);
	char *payload = mosquitto_malloc(len + 1);

	(void)snprintf(topic, sizeof(topic), SYS_PREFIX "%s%s%s", name, label ? "/" : "", label ? label : "");
	if (payload) {
		memcpy(payload, value, len + 1);
		if (mosquitto_broker_publish(NULL, topic, (int)len, payload, 0, true, NULL) == MOSQ_ERR_SUCCESS)
			return true;
	}
	/* The broker takes the payload only with success. */
	mosquitto_free(payload);
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: %s keeps an old value", topic);
	return false;
}

/* A number that is not told yet is told when it is not 0, and a gauge in any case. */
static void tell(struct series *s)
{
	const struct metric *m = &metrics[s->metric];
	uint64_t value = value_of(s);
	char number[24];

	if (s->told ? value == s->told_value : value == 0 && m->type != METRIC_GAUGE)
		return;
	(void)snprintf(number, sizeof(number), "%" PRIu64, value);
	s->told = publish(m->name, m->key ? s->label : NULL, number);
	s->told_value = value;
}

/* Of a histogram how many there were and their sum: s is the sum's. */
static void tell_histogram(struct series *s)
{
	const struct metric *m = &metrics[s->metric];
	uint64_t all = observations(s->metric);
	char number[48];
	struct text t = {.out = number, .cap = sizeof(number)};

	if (s->told ? all == s->told_value : all == 0)
		return;
	put_sum(&t, m->shape, value_of(s));
	s->told = publish(m->name, "sum", number);
	(void)snprintf(number, sizeof(number), "%" PRIu64, all);
	s->told &= publish(m->name, "count", number);
	s->told_value = all;
}

void node_metrics_tick(uint64_t now_ms)
{
	struct series *s;
	size_t i;

	if (!state.options || state.sys_interval_ms == 0 || now_ms < state.sys_at_ms)
		return;
	state.sys_at_ms = now_ms + state.sys_interval_ms;
	collect();
	for (i = 0; i < state.count; i++) {
		s = &state.series[i];
		if (metrics[s->metric].type != METRIC_HISTOGRAM)
			tell(s);
		else if (strcmp(s->label, "sum") == 0)
			tell_histogram(s);
	}
}

/* ---- start and stop ------------------------------------------------------------------ */

bool node_metrics_start(const struct options *options, int broker_version, unsigned sys_interval_s)
{
	memset(&state, 0, sizeof(state));
	if (!options->metrics)
		return true;
	state.slots = (options->bridge_off ? 0 : options->bridges) + 1;
	state.processes = calloc(state.slots, sizeof(*state.processes));
	state.values = calloc(SERIES_MAX * state.slots, sizeof(*state.values));
	if (!state.processes || !state.values) {
		node_metrics_stop();
		return false;
	}
	state.options = options;
	state.broker_version = broker_version;
	state.sys_interval_ms = (uint64_t)sys_interval_s * 1000;
	return true;
}

void node_metrics_stop(void)
{
	free(state.processes);
	free(state.values);
	memset(&state, 0, sizeof(state));
}
