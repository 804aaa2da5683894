/*
 * sync.c - what bridges and their sessions ask of the plugin.
 */
#include "sync.h"

#include "auth.h"
#include "clients.h"
#include "common/roster.h"
#include "common/settings.h"
#include "common/topic.h"
#include "common/ulid.h"
#include "compat.h"
#include "history.h"
#include "log.h"
#include "notices.h"
#include "options.h"
#include "presence.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define QUESTION_MAX 64 /* bytes */
#define TOKEN_MAX 20
#define ANSWER_MAX 128

struct question {
	const struct mosquitto_evt_message *ed;
	char token[TOKEN_MAX + 1];
};

static struct {
	const struct options *options;
	char page[ROSTER_PUBLISH_MAX];
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

static const struct {
	const char *verb;
	bool for_bridges; /* for their own connections alone */
	void (*answer)(const struct question *q);
} verbs[] = {
    {"position", false, answer_position},
    {"roster", true, answer_roster},
};

void sync_on_message(const struct mosquitto_evt_message *ed)
{
	char line[QUESTION_MAX + 1], shown[LOG_TEXT_MAX], *token;
	struct question q = {.ed = ed};
	size_t i, n;

	if (ed->payloadlen > 0 && ed->payloadlen <= QUESTION_MAX) {
		memcpy(line, ed->payload, ed->payloadlen);
		line[ed->payloadlen] = '\0';
		token = strchr(line, ' ');
		n = token ? strspn(token + 1, "0123456789") : 0;
		if (n > 0 && n <= TOKEN_MAX && token[n + 1] == '\0') {
			*token = '\0';
			memcpy(q.token, token + 1, n + 1);
			for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
				if (strcmp(verbs[i].verb, line) != 0 || (verbs[i].for_bridges && !auth_is_bridge(ed->client)))
					continue;
				verbs[i].answer(&q);
				return;
			}
		}
	}
	log_limited(LOG_CAUSE_QUESTION, MOSQ_LOG_ERR, "a bridge asks what this plugin does not know: %s",
	            log_text(ed->payload, ed->payloadlen, shown));
}
