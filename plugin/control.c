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

static void run_one(const struct json_member *m, const struct identity *by, struct text_buffer *out)
{
	struct text_buffer data = text_buffer_new(DATA_MAX);
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
		error = commands_run(&c, by, &data, &field);
	/* what else is in the answer, correlation data above all, is no longer than what was asked */
	if (!error && (data.failed || out->len + data.len + CONTROL_PAYLOAD_MAX > out->max)) {
		error = data.failed ? "unavailable" : "too_long";
		field = NULL;
	}
	commands_note(&c, by, error);
	put_response(out, &c, error, field, &data);
	text_buffer_free(&data);
}

static void run_all(const struct json_member *list, const struct identity *by, struct text_buffer *out)
{
	struct json_reader reader;
	struct json_member m;
	unsigned count = 0;

	json_array_start(&reader, list->value, list->value_len);
	while (json_array_next(&reader, &m) == JSON_MEMBER) {
		if (++count > CONTROL_COMMANDS_MAX) {
			put_fault(out, "too_many_commands");
			return;
		}
		run_one(&m, by, out);
	}
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

static void answer_all(const char *text, size_t len, const struct client *from, struct text_buffer *out)
{
	bool session = from->kind == CLIENT_SESSION;
	/* a kick of oneself takes place later, but the entry may still move */
	const struct identity by = *from->who;
	struct json_member list = {0};
	const char *error = find_list(text, len, session, &list);

	text_put_name(out, "responses");
	text_puts(out, "[");
	if (!error)
		run_all(&list, &by, out);
	else if (moderators_take(&by, clock_monotonic_ms()))
		put_fault(out, error);
	else
		put_fault(out, "rate_limited");
	text_puts(out, "]}");
}

static void lost(void)
{
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a moderator gets no answer");
}

int control_on_message(struct mosquitto_evt_control *ed)
{
	struct text_buffer out = text_buffer_new(CONTROL_ANSWER_MAX);
	const struct client *from;
	struct author_room room;
	void *payload;

	from = author_of(ed->client, &room);
	if (!from || from == &room.client || !moderators_is(from)) {
		ed->reason_code = MQTT_RC_NOT_AUTHORIZED;
		return MOSQ_ERR_SUCCESS;
	}
	text_puts(&out, "{");
	answer_all(ed->payload, ed->payloadlen, from, &out);
	payload = out.failed ? NULL : mosquitto_malloc(out.len + 1);
	if (payload) {
		memcpy(payload, out.at, out.len);
		((char *)payload)[out.len] = '\0';
		if (mosquitto_broker_publish(from->id, CONTROL_RESPONSE, (int)out.len, payload, 1, false, NULL) !=
		    MOSQ_ERR_SUCCESS) {
			mosquitto_free(payload); /* the broker takes it only with success */
			lost();
		}
	} else {
		lost();
	}
	text_buffer_free(&out);
	return MOSQ_ERR_SUCCESS;
}

void control_on_frame(const struct client *session, const char *text, size_t len)
{
	struct text_buffer out = text_buffer_new(CONTROL_ANSWER_MAX);
	char ref[REPLY_REF_MAX + 1];

	schema_find_ref(text, len, ref);
	if (!moderators_is(session)) {
		log_limited(LOG_CAUSE_NOT_MODERATOR, MOSQ_LOG_NOTICE, "refused a command of %s, who is no moderator",
		            session->who->text);
		notices_error(session,
		              users_take_token(session->who, clock_monotonic_ms()) ? CHAT_ERROR_NOT_ALLOWED
		                                                                   : CHAT_ERROR_RATE_LIMITED,
		              NULL, ref);
		return;
	}
	text_puts(&out, "{");
	text_put_member(&out, "type", "response");
	if (ref[0] != '\0')
		text_put_member(&out, "ref", ref);
	answer_all(text, len, session, &out);
	if (out.failed)
		lost();
	else
		notices_send(session, out.at, out.len);
	text_buffer_free(&out);
}
