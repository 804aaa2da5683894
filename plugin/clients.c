/*
 * clients.c - the broker's live clients that have an identity.
 */
#include "clients.h"

#include "clock.h"
#include "table.h"
#include "users.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct known {
	struct table_entry entry;
	const struct mosquitto *handle; /* the key; never looked into */
	struct client client;
	struct user *user;
	char id[]; /* NUL-terminated */
};

static struct {
	struct table all;
} state;

static void forget(struct known *known)
{
	table_remove(&state.all, known);
	users_leave(known->user);
	free(known);
}

void clients_stop(void)
{
	struct known *known;

	while ((known = table_oldest(&state.all)))
		forget(known);
}

static struct known *find(const struct mosquitto *handle)
{
	return table_find(&state.all, &handle, sizeof(handle));
}

const struct client *clients_enter(const struct mosquitto *handle, const struct identity *who, const char *id,
                                   enum client_kind kind)
{
	struct known *known = find(handle);
	size_t len = strlen(id);

	if (known) {
		if (known->client.kind == kind && identity_equal(known->client.who, who) &&
		    strcmp(known->id, id) == 0)
			return &known->client;
		forget(known);
	}
	known = calloc(1, sizeof(*known) + len + 1);
	if (!known)
		return NULL;
	known->handle = handle;
	memcpy(known->id, id, len + 1);
	known->user = users_enter(who);
	if (known->user)
		known->client = (struct client){
		    .who = users_identity(known->user), .id = known->id, .kind = kind, .since_ms = clock_real_ms()};
	if (known->user && table_add(&state.all, known, &known->handle, sizeof(known->handle)))
		return &known->client;
	if (known->user)
		users_leave(known->user);
	free(known);
	return NULL;
}

const struct client *clients_find(const struct mosquitto *handle)
{
	const struct known *known = find(handle);

	return known ? &known->client : NULL;
}

void clients_expire(const struct mosquitto *handle, int64_t expires_s)
{
	struct known *known = find(handle);

	if (!known)
		return;
	known->client.expires_s = expires_s;
	known->client.warned = false;
}

void clients_moderate(const struct mosquitto *handle, bool moderator)
{
	struct known *known = find(handle);

	if (known)
		known->client.moderator = moderator;
}

void clients_open(const struct mosquitto *handle)
{
	struct known *known = find(handle);

	if (known)
		known->client.open = true;
}

static struct known *known_of(const struct client *client)
{
	return (struct known *)((uintptr_t)client - offsetof(struct known, client));
}

void clients_warned(const struct client *client)
{
	known_of(client)->client.warned = true;
}

void clients_leaving(const struct client *client, uint64_t now_ms)
{
	known_of(client)->client.leave_ms = now_ms;
}

void clients_told(const struct client *client)
{
	known_of(client)->client.expires_s = 0;
}

const struct client *clients_next(const struct client *after)
{
	const struct known *known = after ? table_after(known_of(after)) : table_oldest(&state.all);

	return known ? &known->client : NULL;
}

void clients_leave(const struct mosquitto *handle)
{
	struct known *known = find(handle);

	if (known)
		forget(known);
}
