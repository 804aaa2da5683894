/*
 * control.c - see control.h
 */
#include "control.h"

#include "author.h"
#include "clock.h"
#include "commands.h"
#include "common/json.h"
#include "common/reply.h"
#include "compat.h"
#include "counters.h"
#include "log.h"
#include "moderators.h"
#include "notices.h"
#include "schema.h"
#include "text_buffer.h"
#include "users.h"

#include <string.h>

#define DATA_MAX 131072 /* bytes of one command's data */

/* ---- answers ------------------------------------------------------------------------------- */

static void put_response(struct text_buffer *out, const struct command *c, const char *error,
                         const char *field, const struct text_buffer *data)
{
	text_puts(out, out->len > 0 && out->at[out->len - 1] == '[' ? "{" : ",{");
	if (c->name[0] != '\0')
		text_put_member(out, "command", c->name);
	if (error)
		text_put_member(out, "error", error);
	if (error && field)
		text_put_member(out, "field", field);
	if (!error && data->len > 0) {
		text_put_name(out, "data");
		text_put(out, data->at, data->len);
	}
	if (c->correlation) {
		/* as it was written: it has been read as the inside of a JSON string */
		text_put_name(out, "correlationData");
		text_puts(out, "\"");
		text_put(out, c->correlation, c->correlation_len);
		text_puts(out, "\"");
	}
	text_puts(out, "}");
}

/* The answer to what is no list of commands. */
static void put_fault(struct text_buffer *out, const char *error)
{
	static const struct command none;
	static const struct text_buffer empty;

	put_response(out, &none, error, NULL, &empty);
}

static void run_one(const struct json_member *m, const struct asker *asker, struct text_buffer *out)
{
	struct text_buffer data = text_buffer_new(DATA_MAX);
	const struct identity *by = &asker->who;
	const char *error, *field = NULL;
	struct command c;

	/* read first, so that the answer bears its name */
	error = m->type == JSON_OBJECT ? command_read(m->value, m->value_len, &c, &field) : COMMAND_INVALID;
	if (m->type != JSON_OBJECT)
		memset(&c, 0, sizeof(c));
	if (!moderators_take(by, clock_monotonic_ms())) {
		/* not noted: a flood of commands would push what was done out of the audit */
		put_response(out, &c, "rate_limited", NULL, &data);
		return;
	}
	if (!error)
		error = commands_run(&c, asker, &data, &field);
	if (error == commands_later) {
		text_buffer_free(&data);
		return;
	}
	/* what else is in the answer, correlation data above all, is no longer than what was asked */
	if (!error && (data.failed || out->len + data.len + CONTROL_PAYLOAD_MAX > out->max)) {
		error = data.failed ? "unavailable" : "too_long";
		field = NULL;
	}
	commands_note(&c, by, error);
	put_response(out, &c, error, field, &data);
	text_buffer_free(&data);
}

/* Returns how many there were. */
static unsigned run_all(const struct json_member *list, const struct asker *asker, struct text_buffer *out)
{
	struct json_reader reader;
	struct json_member m;
	unsigned count = 0;

	json_array_start(&reader, list->value, list->value_len);
	while (json_array_next(&reader, &m) == JSON_MEMBER) {
		if (++count > CONTROL_COMMANDS_MAX) {
			put_fault(out, "too_many_commands");
			break;
		}
		run_one(&m, asker, out);
	}
	return count;
}

/* ---- what arrives -------------------------------------------------------------------------- */

/* The list of commands in the text, or NULL and what is wrong. session: `type` and `ref` are known, too. */
static const char *find_list(const char *text, size_t len, bool session, struct json_member *list)
{
	bool seen = false, again = false, unknown = false;
	struct json_reader reader;
	struct json_member m;
	enum json_status status;

	if (len > CONTROL_PAYLOAD_MAX)
		return "too_long";
	json_reader_start(&reader, text, len);
	while ((status = json_reader_next(&reader, &m)) == JSON_MEMBER) {
		if (json_span_equals(m.key, m.key_len, m.key_escaped, "commands")) {
			again = again || seen;
			seen = true;
			*list = m;
		} else if (!session || !(json_span_equals(m.key, m.key_len, m.key_escaped, "type") ||
		                         json_span_equals(m.key, m.key_len, m.key_escaped, "ref"))) {
			unknown = true;
		}
	}
	if (status != JSON_END)
		return status == JSON_BAD_UTF8     ? "invalid_utf8"
		       : status == JSON_NOT_OBJECT ? "not_an_object"
		                                   : "invalid_json";
	if (again)
		return "duplicate_key";
	if (unknown)
		return "unknown_field";
	if (!seen)
		return "missing_field";
	return list->type == JSON_ARRAY ? NULL : "wrong_type";
}

/* Begins an answer. */
static void put_head(struct text_buffer *out, const struct asker *asker)
{
	text_puts(out, "{");
	if (asker->kind == CLIENT_SESSION)
		text_put_member(out, "type", "response");
	if (asker->ref[0] != '\0')
		text_put_member(out, "ref", asker->ref);
	text_put_name(out, "responses");
	text_puts(out, "[");
}

/* Ends it, and sends it to that client, which is there. */
static void send_answer(struct text_buffer *out, const struct client *to)
{
	void *payload = NULL;
	bool sent = false;

	text_puts(out, "]}");
	if (!out->failed && to->kind == CLIENT_SESSION) {
		notices_send(to, out->at, out->len);
		sent = true; /* or logged */
	} else if (!out->failed && (payload = mosquitto_malloc(out->len + 1)) != NULL) {
		memcpy(payload, out->at, out->len);
		((char *)payload)[out->len] = '\0';
		sent = mosquitto_broker_publish(to->id, CONTROL_RESPONSE, (int)out->len, payload, 1, false, NULL) ==
		       MOSQ_ERR_SUCCESS;
		if (!sent)
			mosquitto_free(payload); /* the broker takes it only with success */
	}
	if (!sent)
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a moderator gets no answer");
	text_buffer_free(out);
}

static void answer_all(const char *text, size_t len, const struct client *from, const struct asker *asker)
{
	struct text_buffer out = text_buffer_new(CONTROL_ANSWER_MAX);
	struct json_member list = {0};
	const char *error = find_list(text, len, from->kind == CLIENT_SESSION, &list);
	unsigned count = 0;
	size_t empty;

	put_head(&out, asker);
	empty = out.len;
	if (!error)
		count = run_all(&list, asker, &out);
	else if (moderators_take(&asker->who, clock_monotonic_ms()))
		put_fault(&out, error);
	else
		put_fault(&out, "rate_limited");
	/* where all of them are answered later, there is nothing to say now; an empty list gets an empty one */
	if (out.len == empty && count > 0)
		text_buffer_free(&out);
	else
		send_answer(&out, from);
}

static struct asker asker_of(const struct client *from)
{
	struct asker asker = {.kind = from->kind};
	size_t len = strlen(from->id);

	identity_copy(&asker.who, from->who);
	/* a longer one gets no later answers */
	if (len <= CONTROL_CLIENT_MAX)
		memcpy(asker.client_id, from->id, len + 1);
	return asker;
}

void control_answer(const struct asker *asker, const struct command *command, const char *error,
                    const char *field)
{
	struct text_buffer out = text_buffer_new(CONTROL_ANSWER_MAX);
	const struct text_buffer none = {0};
	const struct client *client;

	for (client = clients_next(NULL); client; client = clients_next(client))
		if (client->kind == asker->kind && identity_equal(client->who, &asker->who) &&
		    strcmp(client->id, asker->client_id) == 0)
			break;
	if (!client)
		return;
	put_head(&out, asker);
	put_response(&out, command, error, field, &none);
	send_answer(&out, client);
}

int control_on_message(struct mosquitto_evt_control *ed)
{
	const struct client *from;
	struct author_room room;
	struct asker asker;

	from = author_of(ed->client, &room);
	if (!from || from == &room.client || !moderators_is(from)) {
		ed->reason_code = MQTT_RC_NOT_AUTHORIZED;
		return MOSQ_ERR_SUCCESS;
	}
	asker = asker_of(from);
	answer_all(ed->payload, ed->payloadlen, from, &asker);
	return MOSQ_ERR_SUCCESS;
}

void control_on_frame(const struct client *session, const char *text, size_t len)
{
	struct asker asker = asker_of(session);

	schema_find_ref(text, len, asker.ref);
	if (moderators_is(session)) {
		answer_all(text, len, session, &asker);
		return;
	}
	log_limited(LOG_CAUSE_NOT_MODERATOR, MOSQ_LOG_NOTICE, "refused a command of %s, who is no moderator",
	            session->who->text);
	notices_error(session,
	              users_take_token(session->who, clock_monotonic_ms()) ? CHAT_ERROR_NOT_ALLOWED
	                                                                   : CHAT_ERROR_RATE_LIMITED,
	              NULL, asker.ref);
}
