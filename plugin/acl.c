/*
 * acl.c - may this client read, write, subscribe to this topic.
 */
#include "acl.h"

#include "auth.h"
#include "author.h"
#include "clock.h"
#include "common/settings.h"
#include "common/topic.h"
#include "compat.h"
#include "control.h"
#include "counters.h"
#include "history.h"
#include "inflight.h"
#include "log.h"
#include "moderation.h"
#include "moderators.h"
#include "notices.h"
#include "options.h"
#include "peers.h"
#include "presence.h"
#include "relay.h"
#include "room_names.h"
#include "schema.h"
#include "sync.h"
#include "users.h"

#include <string.h>

static struct {
	const struct options *options;
	bool defer;
	bool defer_control;
} state;

void acl_start(const struct options *options, bool defer, bool defer_control)
{
	state.options = options;
	state.defer = defer;
	state.defer_control = defer_control;
}

void acl_stop(void)
{
	state.options = NULL;
}

/* True when the encoded address in the topic is the client's own. */
static bool is_own(struct mosquitto *handle, const struct topic *t)
{
	struct identity room;
	const struct identity *who = author_identity(handle, &room);

	return who && topic_level_equals(t->name, t->name_len, who->text, who->len);
}

static bool is_own_client(struct mosquitto *handle, const struct topic *t)
{
	const char *id = mosquitto_client_id(handle);

	return id && is_own(handle, t) && topic_level_equals(t->client, t->client_len, id, strlen(id));
}

/* True for a bridge's own connection and what it alone, or every bridge, is told; and for a session and its
 * notices. */
static bool is_own_bridge(struct mosquitto *handle, const struct topic *t)
{
	const struct client *client = clients_find(handle);
	const char *id = mosquitto_client_id(handle);

	if (client && client->kind == CLIENT_SESSION)
		return topic_level_equals(t->name, t->name_len, client->id, strlen(client->id));
	return auth_is_bridge(handle) && id &&
	       (topic_level_equals(t->name, t->name_len, id, strlen(id)) ||
	        topic_level_equals(t->name, t->name_len, BRIDGES_ALL, strlen(BRIDGES_ALL)));
}

static bool may_read(struct mosquitto *handle, const struct topic *t)
{
	struct identity room;

	switch (t->kind) {
	case TOPIC_ROOM:
	case TOPIC_ROOM_TYPING:
	case TOPIC_ROOM_EVENTS:
	case TOPIC_EVENTS:
		return state.options->auth == AUTH_NONE || auth_is_bridge(handle) ||
		       author_identity(handle, &room) != NULL || peers_is(handle);
	case TOPIC_INBOX:
	case TOPIC_USER_TYPING:
	case TOPIC_USER_EVENTS:
		return is_own(handle, t) || peers_is(handle);
	case TOPIC_NOTICES:
		return is_own_client(handle, t);
	case TOPIC_PRESENCE:
		return author_identity(handle, &room) != NULL;
	case TOPIC_BRIDGE:
		return is_own_bridge(handle, t);
	case TOPIC_NODE:
		return peers_is(handle);
	case TOPIC_OUTSIDE:
	case TOPIC_UNKNOWN:
	case TOPIC_ROOM_SEND:
	case TOPIC_USER_SEND:
	case TOPIC_SYNC:
		break;
	}
	return false;
}

/* Tells the author, where it is a live client: a will or a made-up client gets no answer. */
static void tell(const struct mosquitto_evt_acl_check *ed)
{
	const struct client *author = clients_find(ed->client);
	char ref[REPLY_REF_MAX + 1];
	enum chat_error error;

	if (!author)
		return;
	schema_find_ref(ed->payload, ed->payloadlen, ref);
	error = users_take_token(author->who, clock_monotonic_ms()) ? CHAT_ERROR_NOT_ALLOWED
	                                                            : CHAT_ERROR_RATE_LIMITED;
	count(counter_of_error(error));
	notices_error(author, error, NULL, ref);
}

static int on_write(const struct mosquitto_evt_acl_check *ed, const struct topic *t)
{
	if (peers_is(ed->client))
		return relay_may_write(t, ed->payload, ed->payloadlen) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
	if (t->kind == TOPIC_ROOM_SEND || t->kind == TOPIC_USER_SEND)
		return MOSQ_ERR_SUCCESS;
	if (t->kind == TOPIC_SYNC && sync_may_ask(ed->client))
		return MOSQ_ERR_SUCCESS;
	/* The broker asks again for what it keeps when the author of a QoS 2 message reconnects. A publish
	 * to such a topic would be refused all the same, in the MESSAGE event; a will would not, and comes
	 * at any other time than in its own client's CONNECT. */
	if (ed->qos == 2 && !ed->retain && auth_is_connecting(ed->client) &&
	    inflight_holds(ed->topic, ed->payload, ed->payloadlen))
		return MOSQ_ERR_SUCCESS;
	tell(ed);
	return MOSQ_ERR_ACL_DENIED;
}

/* A bridge, or a session of one; also a device that is away. */
static bool is_bridges(struct mosquitto *handle)
{
	const char *id = mosquitto_client_id(handle);

	return auth_is_bridge(handle) ||
	       (id && strncmp(id, SESSION_CLIENT_PREFIX, strlen(SESSION_CLIENT_PREFIX)) == 0);
}

/* What comes on the topic of an old name: a message of QoS 2 that was accepted before, which is for
 * everybody; what has waited for this client since then; or a copy of what is said under the new name. */
static bool is_others_copy(const struct mosquitto_evt_acl_check *ed, const struct topic *t)
{
	return t->kind == TOPIC_ROOM && ed->qos < 2 && room_names_now(t->name, t->name_len) &&
	       !auth_is_connecting(ed->client) && !is_bridges(ed->client);
}

static int on_read(const struct mosquitto_evt_acl_check *ed, const struct topic *t)
{
	const char *id;

	if (ed->qos == 2 && inflight_released(ed->payload, ed->payloadlen, &id))
		history_released(id);
	return may_read(ed->client, t) && !is_others_copy(ed, t) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

/* Whoever asks, a bridge included that may not read it: what the broker retains must be looked at. In a
 * CONNECT it asks about what has waited for that client, which says nothing of what is retained. */
static bool is_true(const struct mosquitto_evt_acl_check *ed, const struct topic *t)
{
	return t->kind != TOPIC_PRESENCE ||
	       presence_shows(t->name, t->name_len, ed->payload, ed->payloadlen, !auth_is_connecting(ed->client));
}

/* "$share/<group>/<filter>" is about <filter>. */
static const char *without_share(const char *filter)
{
	static const char prefix[] = "$share/";
	const char *slash;

	if (strncmp(filter, prefix, sizeof(prefix) - 1) != 0)
		return filter;
	slash = strchr(filter + sizeof(prefix) - 1, '/');
	return slash ? slash + 1 : filter;
}

/* Nobody begins to read a room under an old name, but a session whose bridge has not heard of it yet. A live
 * client is told what it is called now. */
static bool is_old_name(struct mosquitto *handle, const struct topic *t)
{
	const char *now = t->kind == TOPIC_ROOM ? room_names_now(t->name, t->name_len) : NULL;
	const struct client *client;

	if (!now || is_bridges(handle))
		return false;
	client = clients_find(handle);
	if (client)
		notices_room_renamed(client, now, NULL);
	return true;
}

static int on_subscribe(const struct mosquitto_evt_acl_check *ed, const char *filter, const struct topic *t)
{
	if (strpbrk(filter, "+#"))
		return MOSQ_ERR_SUCCESS;
	if (is_old_name(ed->client, t))
		return MOSQ_ERR_ACL_DENIED;
	/* who is in a closed room stays, also when it is renamed; nobody comes in */
	if (t->kind == TOPIC_ROOM && moderation_closed(t->name, t->name_len, clock_real_ms()) &&
	    !(is_bridges(ed->client) && room_names_copied(t->name, t->name_len, NULL)))
		return MOSQ_ERR_ACL_DENIED;
	return may_read(ed->client, t) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

/* Commands of moderators, and the answers to them. */
static int on_control(const struct mosquitto_evt_acl_check *ed, const char *topic)
{
	char id[LOG_TEXT_MAX];
	const char *name;

	switch (ed->access) {
	case MOSQ_ACL_UNSUBSCRIBE:
		return MOSQ_ERR_SUCCESS;
	case MOSQ_ACL_SUBSCRIBE: /* what wildcards let through is decided in READ, as for everybody */
	case MOSQ_ACL_READ:
		return strcmp(topic, CONTROL_TOPIC) != 0 && moderators_may(ed->client) ? MOSQ_ERR_SUCCESS
		                                                                       : MOSQ_ERR_ACL_DENIED;
	case MOSQ_ACL_WRITE:
		if (strcmp(topic, CONTROL_TOPIC) == 0 && moderators_may(ed->client))
			return MOSQ_ERR_SUCCESS;
		name = mosquitto_client_id(ed->client);
		log_limited(LOG_CAUSE_NOT_MODERATOR, MOSQ_LOG_NOTICE,
		            "refused a command of client %s, which is no moderator's",
		            log_text(name, name ? strlen(name) : 0, id));
		return MOSQ_ERR_ACL_DENIED;
	default:
		return MOSQ_ERR_ACL_DENIED;
	}
}

static bool is_control(const char *topic)
{
	static const char head[] = "$CONTROL/chat";
	const size_t len = sizeof(head) - 1;

	return strncmp(topic, head, len) == 0 && (topic[len] == '/' || topic[len] == '\0');
}

static int outside(const struct mosquitto_evt_acl_check *ed)
{
	/* Who may control the broker is never for a chat to say. */
	if (ed->access == MOSQ_ACL_WRITE && strncmp(ed->topic, "$CONTROL/", strlen("$CONTROL/")) == 0)
		return state.defer_control ? MOSQ_ERR_PLUGIN_DEFER : RC_NOT_JUDGED;
	return RC_NOT_MINE(state.defer);
}

int acl_on_check(struct mosquitto_evt_acl_check *ed)
{
	const struct options *o = state.options;
	const char *topic = ed->topic;
	struct topic t;

	if (ed->access == MOSQ_ACL_SUBSCRIBE || ed->access == MOSQ_ACL_UNSUBSCRIBE)
		topic = without_share(topic);
	/* 2.1 has an event of its own for a connected client; and here it also asks for clients that
	 * are not connected, when they are removed. */
	if (ed->access == MOSQ_ACL_SUBSCRIBE)
		auth_connect_over();
	if (!BROKER_LINE_2_1 && ed->access == MOSQ_ACL_SUBSCRIBE)
		author_seen(ed->client);
	t = topic_parse(o->topic_root, o->topic_root_len, topic, strlen(topic));
	if (t.kind == TOPIC_OUTSIDE)
		return is_control(topic) ? on_control(ed, topic) : outside(ed);
	switch (ed->access) {
	case MOSQ_ACL_READ:
		return is_true(ed, &t) ? on_read(ed, &t) : MOSQ_ERR_ACL_DENIED;
	case MOSQ_ACL_WRITE:
		return on_write(ed, &t);
	case MOSQ_ACL_SUBSCRIBE:
		return on_subscribe(ed, topic, &t);
	case MOSQ_ACL_UNSUBSCRIBE:
		return MOSQ_ERR_SUCCESS;
	default:
		return MOSQ_ERR_ACL_DENIED;
	}
}
