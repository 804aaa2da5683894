/*
 * sync.c - what bridges and their sessions ask of the plugin.
 */
#include "sync.h"

#include "auth.h"
#include "clients.h"
#include "clock.h"
#include "common/roster.h"
#include "common/settings.h"
#include "common/topic.h"
#include "common/ulid.h"
#include "compat.h"
#include "control.h"
#include "drain.h"
#include "history.h"
#include "log.h"
#include "moderation.h"
#include "node_metrics.h"
#include "notices.h"
#include "options.h"
#include "presence.h"
#include "renames.h"
#include "renewal.h"
#include "room_names.h"
#include "schema.h"
#include "text_buffer.h"
#include "tokens.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUESTION_MAX (64 + SCHEMA_PAYLOAD_MAX) /* bytes */
#define NUMBER_MAX 20
#define ANSWER_MAX 128
#define HEAD_MAX 48 /* bytes of a question up to its number */

struct question {
	const struct mosquitto_evt_message *ed;
	char token[NUMBER_MAX + 1];
	const char *rest; /* what stands behind it; rest_len bytes */
	size_t rest_len;
};

static struct {
	const struct options *options;
	char page[ROSTER_PUBLISH_MAX];
	char metrics[HEAD_MAX + METRICS_TEXT_MAX];
} state;

void sync_start(const struct options *options)
{
	state.options = options;
}

void sync_stop(void)
{
	state.options = NULL;
}

bool sync_may_ask(const struct mosquitto *handle)
{
	const struct client *client = clients_find(handle);

	return auth_is_bridge(handle) || (client && client->kind == CLIENT_SESSION);
}

/* Tells a bridge. The len bytes of text are copied. False, and a line in the log, when out of memory. */
static bool tell_bridge(const char *client_id, const char *text, size_t len)
{
	char topic[TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32];
	void *payload = mosquitto_malloc(len);

	if (payload && topic_format(TOPIC_BRIDGE, state.options->topic_root, client_id, strlen(client_id), NULL,
	                            0, topic, sizeof(topic)) > 0) {
		memcpy(payload, text, len);
		if (mosquitto_broker_publish(NULL, topic, (int)len, payload, 1, false, NULL) == MOSQ_ERR_SUCCESS)
			return true;
	}
	/* The broker takes the payload only with success. */
	mosquitto_free(payload);
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a bridge gets no answer");
	return false;
}

static void answer(const struct question *q, const char *text, size_t len)
{
	const struct client *client = clients_find(q->ed->client);

	if (client)
		notices_send(client, text, len);
	else
		(void)tell_bridge(mosquitto_client_id(q->ed->client), text, len);
}

static void answer_position(const struct question *q)
{
	char text[ANSWER_MAX], id[ULID_LEN + 1];
	uint64_t n = history_position(id);
	int len = snprintf(text, sizeof(text), "position %s %" PRIu64 " %s", q->token, n, n > 0 ? id : "-");

	answer(q, text, (size_t)len);
}

/* Everybody in pages. Without memory for one, none follows: the bridge never sees the last and asks again. */
static void answer_roster(const struct question *q)
{
	const char *id = mosquitto_client_id(q->ed->client);
	const struct presence *at = NULL;
	size_t head, len;
	bool told;

	do {
		head = roster_put_answer(q->token, false, state.page, sizeof(state.page));
		len = head + presence_list(&at, state.page + head, sizeof(state.page) - head);
		if (!at)
			(void)roster_put_answer(q->token, true, state.page, sizeof(state.page));
		told = tell_bridge(id, state.page, len);
	} while (told && at);
}

/* A session's frame {"type":"token",...}, which its bridge hands on as it is. */
static void answer_token(const struct question *q)
{
	const struct client *client = clients_find(q->ed->client);

	if (client && client->kind == CLIENT_SESSION)
		renewal_on_frame(q->ed->client, client, q->rest, q->rest_len);
}

/* A session that is in its rooms; before, its bridge takes what comes for an answer to its last connection.
 */
static void take_open(const struct question *q)
{
	const struct client *client = clients_find(q->ed->client);

	if (client && client->kind == CLIENT_SESSION)
		clients_open(q->ed->client);
}

/* A session's frame {"type":"command",...}, the same. */
static void answer_command(const struct question *q)
{
	const struct client *client = clients_find(q->ed->client);

	if (client && client->kind == CLIENT_SESSION)
		control_on_frame(client, q->rest, q->rest_len);
}

/* The names of closed rooms, for a bridge's own connection. */
static void answer_closed(const struct question *q)
{
	struct text_buffer text = text_buffer_new(MODERATION_MAX * (ROOM_MAX + 1) + ANSWER_MAX);
	const struct sanction *s;

	text_puts(&text, "closed ");
	text_puts(&text, q->token);
	for (s = moderation_next(SANCTION_ROOM, NULL); s; s = moderation_next(SANCTION_ROOM, s)) {
		text_puts(&text, " ");
		text_puts(&text, s->room);
	}
	if (!text.failed)
		answer(q, text.at, text.len);
	else
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a bridge gets no answer");
	text_buffer_free(&text);
}

/* Old names of rooms, each with what it leads to, for a bridge's own connection. */
static void answer_renamed(const struct question *q)
{
	struct text_buffer text = text_buffer_new(MODERATION_MAX * 2 * (ROOM_MAX + 1) + ANSWER_MAX);
	const struct sanction *s;
	const char *now;

	text_puts(&text, "renamed ");
	text_puts(&text, q->token);
	for (s = moderation_next(SANCTION_NAME, NULL); s; s = moderation_next(SANCTION_NAME, s)) {
		now = room_names_now(s->room, strlen(s->room));
		if (!now)
			continue;
		text_puts(&text, " ");
		text_puts(&text, s->room);
		text_puts(&text, " ");
		text_puts(&text, now);
	}
	if (!text.failed)
		answer(q, text.at, text.len);
	else
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a bridge gets no answer");
	text_buffer_free(&text);
}

/* "<question> <members>": what a bridge was asked for by events_members. */
static void take_members(const struct question *q)
{
	char numbers[2 * NUMBER_MAX + 2], text[ANSWER_MAX], *end = numbers;
	uint64_t question = 0, members = 0;

	if (q->rest_len < sizeof(numbers)) {
		memcpy(numbers, q->rest, q->rest_len);
		numbers[q->rest_len] = '\0';
		question = strtoull(numbers, &end, 10);
		members = strtoull(end, &end, 10);
	}
	if (end == numbers + q->rest_len)
		renames_members(question, members);
	else
		log_limited(LOG_CAUSE_QUESTION, MOSQ_LOG_ERR, "a bridge counts members in a way that is not known");
	answer(q, text, (size_t)snprintf(text, sizeof(text), "members %s", q->token));
}

static bool word_is(const char *word, size_t len, const char *text, size_t text_len)
{
	return len == text_len && memcmp(word, text, len) == 0;
}

/* "may <n> <a> <b> <token>": may whoever shows this token see what a and b have said to each other; or with -
 * for both, who is here and what is said in rooms? */
static void answer_may(const struct question *q)
{
	const char *a = q->rest, *end = q->rest + q->rest_len;
	const char *b = memchr(a, ' ', q->rest_len);
	const char *shown = b ? memchr(b + 1, ' ', (size_t)(end - b - 1)) : NULL;
	const char *word = "unauthorized";
	char text[ANSWER_MAX];
	struct token token;

	if (state.options->auth == AUTH_NONE)
		word = "yes";
	else if (state.options->auth == AUTH_BROKER)
		word = "no"; /* only the broker can judge a password, and it does so at a login alone */
	else if (shown &&
	         tokens_verify(shown + 1, (size_t)(end - shown - 1), "an HTTP client", &token) == TOKEN_GOOD)
		word = word_is(a, (size_t)(b - a), "-", 1) ||
		               word_is(a, (size_t)(b - a), token.who.text, token.who.len) ||
		               word_is(b + 1, (size_t)(shown - b - 1), token.who.text, token.who.len)
		           ? "yes"
		           : "no";
	answer(q, text, (size_t)snprintf(text, sizeof(text), "may %s %s", q->token, word));
}

static void answer_drain(const struct question *q)
{
	char text[ANSWER_MAX];
	int len = drain_on() ? snprintf(text, sizeof(text), "drain %s %" PRIu64, q->token,
	                                drain_left_ms(clock_monotonic_ms()))
	                     : snprintf(text, sizeof(text), "drain %s none", q->token);

	answer(q, text, (size_t)len);
}

static void answer_echo(const struct question *q)
{
	char text[ANSWER_MAX];

	answer(q, text, (size_t)snprintf(text, sizeof(text), "echo %s", q->token));
}

/* "<process id>\n<lines>". What a report lacks is missing in the sums alone. */
static void take_report(const struct question *q)
{
	const char *id = mosquitto_client_id(q->ed->client);
	const char *end = memchr(q->rest, '\n', q->rest_len);
	size_t head = end ? (size_t)(end - q->rest) + 1 : 0;
	char number[NUMBER_MAX + 1] = "";

	if (head > 0 && head <= sizeof(number))
		memcpy(number, q->rest, head - 1);
	if (node_metrics_report(strtoul(id + strlen(BRIDGE_CLIENT_PREFIX), NULL, 10), strtoul(number, NULL, 10),
	                        q->rest + head, q->rest_len - head))
		return;
	log_limited(LOG_CAUSE_QUESTION, MOSQ_LOG_ERR, "a bridge reports what this plugin does not know");
}

static void answer_report(const struct question *q)
{
	char text[ANSWER_MAX];

	take_report(q);
	answer(q, text, (size_t)snprintf(text, sizeof(text), "report %s", q->token));
}

static void answer_metrics(const struct question *q)
{
	int head = snprintf(state.metrics, HEAD_MAX, "metrics %s\n", q->token);
	size_t len;

	take_report(q);
	len = node_metrics_text(state.metrics + head, sizeof(state.metrics) - (size_t)head);
	answer(q, state.metrics, (size_t)head + len);
}

static const struct {
	const char *verb;
	bool for_bridges; /* for their own connections alone */
	bool has_rest;
	void (*answer)(const struct question *q);
} verbs[] = {
    {"position", false, false, answer_position}, {"roster", true, false, answer_roster},
    {"token", false, true, answer_token},        {"may", true, true, answer_may},
    {"echo", true, false, answer_echo},          {"report", true, true, answer_report},
    {"metrics", true, true, answer_metrics},     {"closed", true, false, answer_closed},
    {"command", false, true, answer_command},    {"drain", true, false, answer_drain},
    {"open", false, false, take_open},           {"renamed", true, false, answer_renamed},
    {"members", true, true, take_members},
};

void sync_close(const struct client *session, unsigned code, const char *reason)
{
	char text[IDENTITY_MAX + TOPIC_LEVEL_MAX + ANSWER_MAX];
	int len =
	    snprintf(text, sizeof(text), "close %u %s %s %s", code, session->who->text, session->id, reason);

	if (len > 0 && (size_t)len < sizeof(text))
		(void)tell_bridge(BRIDGES_ALL, text, (size_t)len);
}

void sync_on_message(const struct mosquitto_evt_message *ed)
{
	char head[HEAD_MAX + 1], shown[LOG_TEXT_MAX];
	struct question q = {.ed = ed};
	size_t len = ed->payloadlen < HEAD_MAX ? ed->payloadlen : HEAD_MAX;
	size_t verb, n, i;

	if (len > 0)
		memcpy(head, ed->payload, len);
	head[len] = '\0';
	verb = strcspn(head, " ");
	n = head[verb] == ' ' ? strspn(head + verb + 1, "0123456789") : 0;
	i = verb + 1 + n; /* where the number ends */
	if (n > 0 && n <= NUMBER_MAX && ed->payloadlen <= QUESTION_MAX &&
	    (head[i] == ' ' || i == ed->payloadlen)) {
		memcpy(q.token, head + verb + 1, n);
		head[verb] = '\0';
		if (i < ed->payloadlen) {
			q.rest = (const char *)ed->payload + i + 1;
			q.rest_len = ed->payloadlen - i - 1;
		}
		for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
			if (strcmp(verbs[i].verb, head) != 0 || verbs[i].has_rest != (q.rest != NULL) ||
			    (verbs[i].for_bridges && !auth_is_bridge(ed->client)))
				continue;
			verbs[i].answer(&q);
			return;
		}
	}
	head[strcspn(head, " ")] = '\0'; /* the rest may be a secret */
	log_limited(LOG_CAUSE_QUESTION, MOSQ_LOG_ERR, "a bridge asks what this plugin does not know: %s",
	            log_text(head, strlen(head), shown));
}
