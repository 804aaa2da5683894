/*
 * clients.c - the broker's live clients that have an identity.
 */
#include "clients.h"

#include "table.h"
#include "users.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	UT_hash_handle hh;
	const struct mosquitto *handle; /* the key; never looked into */
	struct client client;
	struct user *user;
	struct identity who;
	char id[]; /* NUL-terminated */
};

static struct {
	struct entry *all;
} state;

void clients_start(void)
{
	state.all = NULL;
}

static void forget(struct entry *entry)
{
	HASH_DEL(state.all, entry);
	users_leave(entry->user);
	free(entry);
}

void clients_stop(void)
{
	struct entry *entry, *next;

	HASH_ITER(hh, state.all, entry, next)
	{
		forget(entry);
	}
}

static struct entry *find(const struct mosquitto *handle)
{
	struct entry *entry;

	HASH_FIND(hh, state.all, &handle, sizeof(handle), entry);
	return entry;
}

const struct client *clients_enter(const struct mosquitto *handle, const struct identity *who, const char *id,
                                   enum client_kind kind)
{
	struct entry *entry = find(handle);
	size_t len = strlen(id);

	if (entry) {
		if (entry->client.kind == kind && identity_equal(&entry->who, who) && strcmp(entry->id, id) == 0)
			return &entry->client;
		forget(entry);
	}
	entry = calloc(1, sizeof(*entry) + len + 1);
	if (!entry)
		return NULL;
	entry->handle = handle;
	entry->who = *who;
	memcpy(entry->id, id, len + 1);
	entry->client = (struct client){.who = &entry->who, .id = entry->id, .kind = kind};
	entry->user = users_enter(who);
	if (!entry->user) {
		free(entry);
		return NULL;
	}
	HASH_ADD(hh, state.all, handle, sizeof(entry->handle), entry);
	if (!TABLE_HAS(entry)) {
		users_leave(entry->user);
		free(entry);
		return NULL;
	}
	return &entry->client;
}

const struct client *clients_find(const struct mosquitto *handle)
{
	struct entry *entry = find(handle);

	return entry ? &entry->client : NULL;
}

void clients_leave(const struct mosquitto *handle)
{
	struct entry *entry = find(handle);

	if (entry)
		forget(entry);
}
