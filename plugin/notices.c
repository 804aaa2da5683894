/*
 * notices.c - acks, errors and system notices to their author.
 */
#include "notices.h"

#include "common/reply.h"
#include "common/topic.h"
#include "compat.h"
#include "log.h"
#include "options.h"

#include <string.h>

static struct {
	const struct options *options;
	char topic[65536]; /* the longest that MQTT has; a client id may take nearly all of it */
} state;

void notices_start(const struct options *options)
{
	state.options = options;
}

void notices_stop(void)
{
	state.options = NULL;
}

/* A session has its own under another name, which costs the broker one level less to keep for each. */
static bool make_topic(const struct client *author)
{
	const char *root = state.options->topic_root;
	size_t id_len = strlen(author->id);

	if (author->kind == CLIENT_SESSION)
		return topic_format(TOPIC_BRIDGE, root, author->id, id_len, NULL, 0, state.topic,
		                    sizeof(state.topic)) > 0;
	return topic_format(TOPIC_NOTICES, root, author->who->text, author->who->len, author->id, id_len,
	                    state.topic, sizeof(state.topic)) > 0;
}

void notices_send(const struct client *author, const char *text, size_t len)
{
	void *payload;
	int rc;

	if (len == 0 || !make_topic(author)) {
		log_limited(LOG_CAUSE_NOTICE, MOSQ_LOG_WARNING,
		            "a notice cannot be sent: the client id does not fit into a topic");
		return;
	}
	payload = mosquitto_malloc(len);
	if (payload) {
		memcpy(payload, text, len);
		rc = mosquitto_broker_publish(NULL, state.topic, (int)len, payload, 1, false, NULL);
		if (rc == MOSQ_ERR_SUCCESS)
			return;
		/* The broker takes the payload only with success. */
		mosquitto_free(payload);
	}
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a notice is lost");
}

void notices_ack(const struct client *author, const char *ref, const struct ref_answer *answer)
{
	char text[REPLY_MAX];

	if (!ref || *ref == '\0')
		return;
	notices_send(author, text,
	             reply_ack(ref, strlen(ref), answer ? answer->id : NULL, answer ? answer->timestamp : NULL,
	                       text, sizeof(text)));
}

void notices_error(const struct client *author, enum chat_error error, const char *field, const char *ref)
{
	char text[REPLY_MAX];

	if (field && *field == '\0')
		field = NULL;
	if (ref && *ref == '\0')
		ref = NULL;
	notices_send(author, text,
	             reply_error(error, state.options->language, state.options->system_sender, field, ref,
	                         ref ? strlen(ref) : 0, text, sizeof(text)));
}

void notices_room_renamed(const struct client *author, const char *to, const char *ref)
{
	char text[REPLY_MAX];

	if (ref && *ref == '\0')
		ref = NULL;
	notices_send(author, text,
	             reply_room_renamed(state.options->language, state.options->system_sender, to, ref,
	                                ref ? strlen(ref) : 0, text, sizeof(text)));
}

void notices_recipient_offline(const struct client *author, const struct identity *recipient)
{
	char text[REPLY_MAX];

	notices_send(author, text,
	             reply_recipient_offline(state.options->language, state.options->system_sender,
	                                     recipient->text, text, sizeof(text)));
}

void notices_token_expiring(const struct client *author)
{
	char text[REPLY_MAX];

	notices_send(
	    author, text,
	    reply_token_expiring(state.options->language, state.options->system_sender, text, sizeof(text)));
}
