/*
 * author.c - clients as they show up in the broker's events.
 */
#include "author.h"

#include "auth.h"
#include "clock.h"
#include "compat.h"
#include "kicks.h"
#include "log.h"
#include "moderation.h"

#include <string.h>

/* `auth broker` has sessions let in by others, too. */
static enum client_kind kind_of(struct mosquitto *handle)
{
	return auth_is_session(handle) ? CLIENT_SESSION : CLIENT_MQTT;
}

/* Into the table. Who has logged in without being asked for a name, by certificate alone, may be banned. */
static const struct client *enter(struct mosquitto *handle, const struct identity *who, const char *id)
{
	const struct client *known = clients_enter(handle, who, id, kind_of(handle));

	if (known && moderation_ban(who, clock_real_ms()))
		kicks_client(known, "banned", clock_monotonic_ms());
	return known;
}

/* What the broker says of a client. False when it has no identity. */
static bool describe(struct mosquitto *handle, struct identity *who, const char **id)
{
	const char *name = mosquitto_client_username(handle);

	*id = mosquitto_client_id(handle);
	return name && *id && identity_parse(name, strlen(name), who);
}

const struct client *author_of(struct mosquitto *handle, struct author_room *room)
{
	const struct client *known = clients_find(handle);
	char text[LOG_TEXT_MAX];
	const char *id;

	if (known)
		return known;
	if (!describe(handle, &room->who, &id)) {
		log_limited(LOG_CAUSE_ANONYMOUS, MOSQ_LOG_NOTICE,
		            "refused a publish of client %s: its user name is no address",
		            log_text(id, id ? strlen(id) : 0, text));
		return NULL;
	}
	/* No address: a bridge of this broker. It has no connection here that could end. */
	if (mosquitto_client_address(handle)) {
		known = enter(handle, &room->who, id);
		if (known)
			return known;
	}
	room->client = (struct client){.who = &room->who, .id = id, .kind = CLIENT_MQTT};
	return &room->client;
}

void author_seen(struct mosquitto *handle)
{
	struct identity who;
	const char *id;

	if (clients_find(handle) || !mosquitto_client_address(handle) || !describe(handle, &who, &id))
		return;
	if (!enter(handle, &who, id))
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a client counts as not connected");
}

const struct identity *author_identity(struct mosquitto *handle, struct identity *room)
{
	const struct client *known = clients_find(handle);
	const char *name;

	if (known)
		return known->who;
	name = mosquitto_client_username(handle);
	return name && identity_parse(name, strlen(name), room) ? room : NULL;
}
