/*
 * renewal.c - see renewal.h
 */
#include "renewal.h"

#include "clients.h"
#include "clock.h"
#include "common/json.h"
#include "common/reply.h"
#include "notices.h"
#include "schema.h"
#include "tokens.h"
#include "users.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum field { FIELD_TYPE, FIELD_TOKEN, FIELD_REF, FIELD_COUNT };

static const char *const names[FIELD_COUNT] = {"type", "token", "ref"};

/* What its members are. *field: the one at fault, a static text, or NULL. */
static enum chat_error read_frame(const char *text, size_t len, struct json_member out[FIELD_COUNT],
                                  const char **field)
{
	bool seen[FIELD_COUNT] = {false};
	struct json_reader reader;
	struct json_member member;
	enum json_status status;
	int i;

	*field = NULL;
	json_reader_start(&reader, text, len);
	while ((status = json_reader_next(&reader, &member)) == JSON_MEMBER) {
		for (i = 0; i < FIELD_COUNT; i++)
			if (json_span_equals(member.key, member.key_len, member.key_escaped, names[i]))
				break;
		if (i == FIELD_COUNT)
			return CHAT_ERROR_UNKNOWN_FIELD;
		*field = names[i];
		if (seen[i])
			return CHAT_ERROR_DUPLICATE_KEY;
		if (member.type != JSON_STRING)
			return CHAT_ERROR_WRONG_TYPE;
		seen[i] = true;
		out[i] = member;
	}
	*field = NULL;
	if (status != JSON_END)
		return CHAT_ERROR_INVALID_JSON;
	if (!seen[FIELD_TOKEN]) {
		*field = names[FIELD_TOKEN];
		return CHAT_ERROR_MISSING_FIELD;
	}
	return CHAT_OK;
}

/* A JWT needs no escapes, so one that has some is none. */
static enum chat_error renew(const struct mosquitto *handle, const struct client *session,
                             const struct json_member *given)
{
	struct token token;

	if (given->value_escaped || tokens_verify_for(session->who, given->value, given->value_len,
	                                              session->who->text, &token) != TOKEN_GOOD)
		return CHAT_ERROR_INVALID_TOKEN;
	clients_expire(handle, token.expires_s);
	clients_moderate(handle, token.moderator);
	return CHAT_OK;
}

void renewal_on_frame(const struct mosquitto *handle, const struct client *session, const char *text,
                      size_t len)
{
	struct json_member members[FIELD_COUNT];
	char ref[REPLY_REF_MAX + 1];
	const char *field;
	enum chat_error error = read_frame(text, len, members, &field);

	schema_find_ref(text, len, ref);
	/* each may cost a verification for each of the operator's keys */
	if (!users_take_token(session->who, clock_monotonic_ms())) {
		error = CHAT_ERROR_RATE_LIMITED;
		field = NULL;
	}
	if (error == CHAT_OK && !tokens_wanted())
		error = CHAT_ERROR_UNAVAILABLE;
	if (error == CHAT_OK) {
		error = renew(handle, session, &members[FIELD_TOKEN]);
		field = NULL;
	}
	if (error == CHAT_OK)
		notices_ack(session, ref, NULL);
	else
		notices_error(session, error, field, ref);
}
