/*
 * messages.c - the broker's MESSAGE event.
 *
 * What becomes of an accepted publish:
 *  - to a room: the publish itself, with canonical bytes, on the topic without "/send". The broker
 *    fans it out at once (QoS 2: when the author releases it), and No Local means what it says.
 *  - to somebody: one message into the recipient's inbox and one into the author's, both queued in the
 *    broker in the order of their ids. The publish itself goes into the sink.
 *    With QoS 2 the publish itself goes to the recipient, so that exactly once stays exactly once.
 *  - typing, and what was sent before under the same ref: into the sink.
 * With history, a message has its place in the queue to the disk before anybody gets it, and is refused where
 * there is none. The sink is the publish's own topic …/send, which nobody can read, with an empty payload: so
 * its author gets the protocol's confirmation and nobody a message.
 */
#include "messages.h"

#include "acks.h"
#include "author.h"
#include "clock.h"
#include "common/topic.h"
#include "compat.h"
#include "counters.h"
#include "history.h"
#include "ids.h"
#include "inflight.h"
#include "log.h"
#include "moderation.h"
#include "notices.h"
#include "options.h"
#include "origin.h"
#include "peers.h"
#include "properties.h"
#include "refs.h"
#include "relay.h"
#include "room_names.h"
#include "rooms.h"
#include "schema.h"
#include "seen.h"
#include "sync.h"
#include "typing.h"
#include "users.h"

#include <string.h>

#define TOPIC_MAX (TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32)

static struct {
	const struct options *options;
	bool broker_frees_replaced;
	char scratch[SCHEMA_PAYLOAD_MAX];
} state;

/* One publish on its way through. */
struct incoming {
	struct mosquitto_evt_message *ed;
	const struct client *author;
	struct schema_target target;
	struct identity recipient; /* where target.recipient points */
	char ref[REPLY_REF_MAX + 1];
	uint64_t now_ms; /* monotonic */
};

void messages_start(const struct options *options, bool broker_frees_replaced)
{
	state.options = options;
	state.broker_frees_replaced = broker_frees_replaced;
}

void messages_stop(void)
{
	state.options = NULL;
}

static int refuse(const struct incoming *in, enum chat_error error, const char *field)
{
	count(counter_of_error(error));
	notices_error(in->author, error, field, in->ref);
	return MOSQ_ERR_ACL_DENIED;
}

/* The same for a name that the room had before. */
static int refuse_old_name(const struct incoming *in)
{
	count(counter_of_error(CHAT_ERROR_ROOM_RENAMED));
	notices_room_renamed(in->author, room_names_now(in->target.room, in->target.room_len), in->ref);
	return MOSQ_ERR_ACL_DENIED;
}

static int refuse_moderated(const struct incoming *in, enum chat_error error)
{
	return error == CHAT_ERROR_ROOM_RENAMED ? refuse_old_name(in) : refuse(in, error, NULL);
}

static int acks_full(const struct incoming *in)
{
	log_limited(LOG_CAUSE_ACKS_FULL, MOSQ_LOG_ERR,
	            "%u MB of acks wait for the disk: messages with a reference are refused",
	            (unsigned)(ACKS_BYTES / 1024 / 1024));
	return refuse(in, CHAT_ERROR_UNAVAILABLE, NULL);
}

static int unavailable(const struct incoming *in)
{
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory or randomness: a message is refused");
	return refuse(in, CHAT_ERROR_UNAVAILABLE, NULL);
}

/* Lets the publish end here. Without a payload of its own the broker has nothing to free later. */
static int sink(struct mosquitto_evt_message *ed)
{
	ed->payload = NULL;
	ed->payloadlen = 0;
	ed->retain = false;
	return MOSQ_ERR_SUCCESS;
}

/* The properties of a canonical message; seq 0 = none. NULL when out of memory; else the caller's. */
static mosquitto_property *make_properties(const struct incoming *in, uint64_t seq)
{
	bool session = in->author->kind == CLIENT_SESSION, late = in->ed->qos == 2;
	uint64_t n = !late && peers_any() ? history_next() : 0;
	mosquitto_property *list = properties_make(session ? "ws" : "mqtt", seq, n, late);

	if (list && session && origin_copy(&list, in->ed->properties) != MOSQ_ERR_SUCCESS)
		mosquitto_property_free_all(&list);
	return list;
}

/* The publish goes on with this payload (from mosquitto_malloc), which becomes the broker's; the broker
 * frees the old one. */
static void replace_payload(struct mosquitto_evt_message *ed, char *payload, size_t len)
{
	ed->payload = payload;
	ed->payloadlen = (uint32_t)len;
	ed->retain = false;
}

/* As above for the topic. */
static void replace_topic(struct mosquitto_evt_message *ed, char *topic)
{
	char *old = ed->topic;

	ed->topic = topic;
	if (!state.broker_frees_replaced)
		mosquitto_free(old);
}

/* …/send becomes …, in place: the shorter topic needs no new memory and nobody has to free any. */
static void cut_send(char *topic)
{
	topic[strlen(topic) - strlen("/send")] = '\0';
}

/* A copy for the broker, NUL-terminated as it keeps its own payloads. */
static char *copy_payload(const char *payload, size_t len)
{
	char *copy = mosquitto_malloc(len + 1);

	if (copy) {
		memcpy(copy, payload, len);
		copy[len] = '\0';
	}
	return copy;
}

static char *canonical(const struct incoming *in, const struct schema_message *m,
                       const struct ref_answer *answer, size_t *len)
{
	char *payload, *end;

	*len = schema_canonical_size(m, in->author->who, &in->target);
	payload = mosquitto_malloc(*len + 1);
	if (!payload)
		return NULL;
	end = schema_canonical_write(m, in->author->who, &in->target, answer->id, answer->timestamp, payload);
	*end = '\0';
	return payload;
}

static bool inbox_topic(const struct identity *who, char out[TOPIC_MAX])
{
	return topic_format(TOPIC_INBOX, state.options->topic_root, who->text, who->len, NULL, 0, out,
	                    TOPIC_MAX) > 0;
}

/* Queues a copy of a canonical message for somebody's inbox. */
static bool put_into_inbox(const struct incoming *in, const struct identity *who, const char *payload,
                           size_t len)
{
	mosquitto_property *properties = make_properties(in, 0);
	char *copy = copy_payload(payload, len);
	char topic[TOPIC_MAX];

	if (properties && copy && inbox_topic(who, topic) &&
	    mosquitto_broker_publish(NULL, topic, (int)len, copy, 1, false, properties) == MOSQ_ERR_SUCCESS)
		return true;
	/* The broker takes both only with success. */
	mosquitto_property_free_all(&properties);
	mosquitto_free(copy);
	return false;
}

/* For those who still listen where the room was. */
static void copy_to_old_names(const struct incoming *in, uint64_t seq, const char *payload, size_t len)
{
	const struct sanction *old = NULL;

	while ((old = room_names_copied(in->target.room, in->target.room_len, old)))
		room_names_copy(old, payload, len, make_properties(in, seq));
}

static int to_room(struct incoming *in, char *payload, size_t len)
{
	struct mosquitto_evt_message *ed = in->ed;
	uint64_t seq = ed->qos < 2 ? rooms_next(in->target.room, in->target.room_len) : 0;
	mosquitto_property *properties = make_properties(in, seq);

	if (!properties) {
		mosquitto_free(payload);
		return unavailable(in);
	}
	copy_to_old_names(in, seq, payload, len);
	cut_send(ed->topic);
	replace_payload(ed, payload, len);
	properties_replace(ed, properties);
	if (ed->qos == 2)
		inflight_add(ed->topic, payload, len);
	return MOSQ_ERR_SUCCESS;
}

static int to_recipient_queued(struct incoming *in, char *payload, size_t len)
{
	bool delivered = put_into_inbox(in, &in->recipient, payload, len);
	bool own = !delivered || identity_equal(&in->recipient, in->author->who) ||
	           put_into_inbox(in, in->author->who, payload, len);

	mosquitto_free(payload);
	if (!delivered)
		return unavailable(in);
	if (!own)
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR,
		            "out of memory: an author's own copy of a direct message is lost");
	return sink(in->ed);
}

static int to_recipient_released(struct incoming *in, char *payload, size_t len)
{
	struct mosquitto_evt_message *ed = in->ed;
	mosquitto_property *properties = make_properties(in, 0);
	char topic[TOPIC_MAX];
	char *inbox = inbox_topic(&in->recipient, topic) ? mosquitto_strdup(topic) : NULL;

	if (!properties || !inbox ||
	    (!identity_equal(&in->recipient, in->author->who) &&
	     !put_into_inbox(in, in->author->who, payload, len))) {
		mosquitto_property_free_all(&properties);
		mosquitto_free(inbox);
		mosquitto_free(payload);
		return unavailable(in);
	}
	replace_topic(ed, inbox);
	replace_payload(ed, payload, len);
	properties_replace(ed, properties);
	inflight_add(ed->topic, payload, len);
	return MOSQ_ERR_SUCCESS;
}

static int deliver(struct incoming *in, const struct schema_message *m)
{
	struct history_item *kept = NULL;
	struct ref_answer answer;
	char *payload;
	size_t len;
	int rc;

	payload = ids_next(&answer) ? canonical(in, m, &answer, &len) : NULL;
	if (!payload)
		return unavailable(in);
	if (!history_prepare(in->author->who, &in->target, in->ref, answer.id, payload, len, in->ed->qos == 2,
	                     &kept)) {
		mosquitto_free(payload);
		return refuse(in, CHAT_ERROR_UNAVAILABLE, NULL);
	}
	if (!acks_have_room()) {
		history_abandon(kept);
		mosquitto_free(payload);
		return acks_full(in);
	}
	if (in->target.room)
		rc = to_room(in, payload, len);
	else if (in->ed->qos < 2)
		rc = to_recipient_queued(in, payload, len);
	else
		rc = to_recipient_released(in, payload, len);
	if (rc != MOSQ_ERR_SUCCESS) {
		history_abandon(kept);
		return rc;
	}
	count(in->author->kind == CLIENT_SESSION ? COUNTER_ACCEPTED_WS : COUNTER_ACCEPTED_MQTT);
	answer.n = history_commit(kept);
	if (peers_any())
		seen_add(answer.id, SEEN_ALL, answer.n); /* a hub may echo it */
	if (in->ref[0] != '\0') {
		refs_add(in->author->who, in->ref, strlen(in->ref), &answer, in->now_ms);
		acks_send(in->author, in->ref, &answer);
	}
	if (!in->target.room && !users_online(&in->recipient))
		notices_recipient_offline(in->author, &in->recipient);
	return MOSQ_ERR_SUCCESS;
}

/* The author has sent this ref before: the first answer again, and nothing to anybody. Unless the
 * first one still waits for its release: then this is the protocol's own repetition, and the
 * broker must find it to be the same. */
static int repeat(struct incoming *in, const struct ref_answer *answer)
{
	struct mosquitto_evt_message *ed = in->ed;
	const struct inflight *first = ed->qos == 2 ? inflight_find(answer->id) : NULL;
	mosquitto_property *properties;
	char *payload, *topic;

	if (!acks_have_room())
		return acks_full(in);
	if (first) {
		properties = make_properties(in, 0);
		payload = copy_payload(first->payload, first->len);
		topic = mosquitto_strdup(first->topic);
		if (!properties || !payload || !topic) {
			mosquitto_property_free_all(&properties);
			mosquitto_free(payload);
			mosquitto_free(topic);
			return unavailable(in);
		}
		replace_topic(ed, topic);
		replace_payload(ed, payload, first->len);
		properties_replace(ed, properties);
	}
	count(COUNTER_ACCEPTED_AGAIN);
	acks_send(in->author, in->ref, answer);
	return first ? MOSQ_ERR_SUCCESS : sink(ed);
}

/* CHAT_OK, or why moderators have it that nothing is said there by this author. */
static enum chat_error check_moderation(const struct incoming *in)
{
	uint64_t now = clock_real_ms();

	if (moderation_muted(in->author->who, in->target.room, in->target.room_len, now))
		return CHAT_ERROR_MUTED;
	if (in->target.room && room_names_now(in->target.room, in->target.room_len))
		return CHAT_ERROR_ROOM_RENAMED;
	if (in->target.room && moderation_closed(in->target.room, in->target.room_len, now))
		return CHAT_ERROR_ROOM_CLOSED;
	return CHAT_OK;
}

static int typing(struct incoming *in)
{
	char topic[TOPIC_MAX], text[SCHEMA_TYPING_MAX];
	size_t topic_len, len;
	char *payload;

	topic_len = in->target.room
	                ? topic_format(TOPIC_ROOM_TYPING, state.options->topic_root, in->target.room,
	                               in->target.room_len, NULL, 0, topic, sizeof(topic))
	                : topic_format(TOPIC_USER_TYPING, state.options->topic_root, in->recipient.text,
	                               in->recipient.len, NULL, 0, topic, sizeof(topic));
	if (topic_len == 0)
		return unavailable(in);
	if (typing_pass(in->author->who, topic, topic_len, in->now_ms)) {
		len = schema_typing_write(in->author->who, &in->target, text);
		payload = copy_payload(text, len);
		if (!payload ||
		    mosquitto_broker_publish(NULL, topic, (int)len, payload, 0, false, NULL) != MOSQ_ERR_SUCCESS) {
			mosquitto_free(payload);
			return unavailable(in);
		}
	}
	count(COUNTER_ACCEPTED_TYPING);
	notices_ack(in->author, in->ref, NULL);
	return sink(in->ed);
}

/* Fills in->target from the topic. False, and *error why, for a name that is none. */
static bool find_target(struct incoming *in, const struct topic *t, enum chat_error *error)
{
	if (t->kind == TOPIC_ROOM_SEND) {
		*error = CHAT_ERROR_INVALID_ROOM;
		in->target = (struct schema_target){.room = t->name, .room_len = t->name_len};
		return room_name_valid(t->name, t->name_len);
	}
	*error = CHAT_ERROR_INVALID_EMAIL;
	in->target = (struct schema_target){.recipient = &in->recipient};
	return topic_level_identity_lenient(t->name, t->name_len, &in->recipient);
}

int messages_on_message(struct mosquitto_evt_message *ed)
{
	const struct options *o = state.options;
	const struct schema_limits limits = {.max_message_chars = o->max_message_chars,
	                                     .drop_unknown = o->unknown_fields_drop};
	struct topic t = topic_parse(o->topic_root, o->topic_root_len, ed->topic, strlen(ed->topic));
	struct incoming in = {.ed = ed};
	const struct ref_answer *earlier;
	struct schema_message m;
	struct schema_fault fault;
	struct author_room stranger;
	enum chat_error error;

	if (t.kind == TOPIC_OUTSIDE)
		return MOSQ_ERR_SUCCESS;
	if (t.kind == TOPIC_SYNC && sync_may_ask(ed->client)) {
		sync_on_message(ed);
		return sink(ed);
	}
	if (peers_is(ed->client))
		return relay_on_message(ed, &t);
	in.author = author_of(ed->client, &stranger);
	if (!in.author)
		return MOSQ_ERR_ACL_DENIED;
	in.now_ms = clock_monotonic_ms();
	if (!users_take_token(in.author->who, in.now_ms)) {
		schema_find_ref(ed->payload, ed->payloadlen, in.ref);
		return refuse(&in, CHAT_ERROR_RATE_LIMITED, NULL);
	}
	if (t.kind != TOPIC_ROOM_SEND && t.kind != TOPIC_USER_SEND) {
		schema_find_ref(ed->payload, ed->payloadlen, in.ref);
		return refuse(&in, CHAT_ERROR_NOT_ALLOWED, NULL);
	}
	if (!find_target(&in, &t, &error)) {
		schema_find_ref(ed->payload, ed->payloadlen, in.ref);
		return refuse(&in, error, NULL);
	}
	error = schema_parse(ed->payload, ed->payloadlen, &limits, in.author->who, &in.target, state.scratch,
	                     sizeof(state.scratch), &m, &fault);
	memcpy(in.ref, fault.ref, sizeof(in.ref));
	if (error != CHAT_OK)
		return refuse(&in, error, fault.field);
	error = check_moderation(&in);
	if (m.type == SCHEMA_TYPING)
		return error == CHAT_OK ? typing(&in) : refuse_moderated(&in, error);
	earlier = in.ref[0] != '\0' ? refs_find(in.author->who, in.ref, strlen(in.ref), in.now_ms) : NULL;
	/* what has been said was said */
	if (earlier)
		return repeat(&in, earlier);
	return error == CHAT_OK ? deliver(&in, &m) : refuse_moderated(&in, error);
}
