/* devices.c - see devices.h */
#include "bridge/devices.h"
#include "bridge/keyed_hash.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define ID_MAX 48 /* bytes of a client id of ours, with its NUL */
#define TIDY_AT_ONCE 64
#define TIDY_ROUNDS 32 /* in which all are looked at, however many there are */

struct device {
	char id[ID_MAX];     /* empty: a free place */
	uint64_t expires_ms; /* 0: connected */
};

struct device_owner {
	UT_hash_handle hh;
	struct device_owner *prev, *next;
	struct identity who; /* its text is the key */
	struct device devices[DEVICES_MAX];
};

static struct device_owner *find(struct devices *d, const struct identity *who)
{
	struct device_owner *owner;
	HASH_FIND(hh, d->owners, who->text, who->len, owner);
	return owner;
}

static void forget(struct devices *d, struct device_owner *owner)
{
	DL_DELETE(d->oldest, owner);
	HASH_DEL(d->owners, owner);
	free(owner);
}

static struct device_owner *add(struct devices *d, const struct identity *who)
{
	struct device_owner *owner = calloc(1, sizeof *owner);
	if (owner == NULL)
		return NULL;
	identity_copy(&owner->who, who);
	HASH_ADD_KEYPTR(hh, d->owners, owner->who.text, owner->who.len, owner);
	if (owner->hh.tbl == NULL) { /* HASH_NONFATAL_OOM: not added */
		free(owner);
		return NULL;
	}
	DL_APPEND(d->oldest, owner);
	return owner;
}

/* Makes places free again; how many are taken. */
static unsigned expire(struct devices *d, struct device_owner *owner, uint64_t now_ms)
{
	unsigned taken = 0;
	for (unsigned i = 0; i < DEVICES_MAX; i++) {
		struct device *at = &owner->devices[i];
		if (at->expires_ms != 0 && at->expires_ms <= now_ms) {
			memset(at, 0, sizeof *at);
			d->count--;
		}
		taken += at->id[0] != '\0';
	}
	return taken;
}

static struct device *device_of(struct device_owner *owner, const char *client_id)
{
	for (unsigned i = 0; i < DEVICES_MAX; i++)
		if (strcmp(owner->devices[i].id, client_id) == 0)
			return &owner->devices[i];
	return NULL;
}

enum devices_result devices_check(struct devices *d, const struct identity *who, const char *client_id,
                                  uint64_t now_ms, uint32_t most)
{
	struct device_owner *owner = find(d, who);
	if (strlen(client_id) >= ID_MAX) /* none of ours is so long */
		return DEVICES_NO_MEMORY;
	if (owner != NULL) {
		(void)expire(d, owner, now_ms); /* one that stays without any goes at its turn */
		if (device_of(owner, client_id) != NULL)
			return DEVICES_FINE;
		if (device_of(owner, "") == NULL)
			return DEVICES_TOO_MANY;
	}
	return d->count < most ? DEVICES_FINE : DEVICES_FULL;
}

enum devices_result devices_enter(struct devices *d, const struct identity *who, const char *client_id,
                                  uint64_t now_ms, uint32_t most)
{
	enum devices_result result = devices_check(d, who, client_id, now_ms, most);
	if (result != DEVICES_FINE)
		return result;
	struct device_owner *owner = find(d, who);
	if (owner == NULL && (owner = add(d, who)) == NULL)
		return DEVICES_NO_MEMORY;
	struct device *device = device_of(owner, client_id);
	if (device == NULL) {
		device = device_of(owner, "");
		memcpy(device->id, client_id, strlen(client_id) + 1);
		d->count++;
	}
	device->expires_ms = 0;
	return DEVICES_FINE;
}

void devices_leave(struct devices *d, const struct identity *who, const char *client_id, uint64_t now_ms,
                   uint64_t expiry_ms)
{
	struct device_owner *owner = find(d, who);
	struct device *device = owner != NULL ? device_of(owner, client_id) : NULL;
	if (device == NULL)
		return;
	device->expires_ms = now_ms + expiry_ms;
	DL_DELETE(d->oldest, owner);
	DL_APPEND(d->oldest, owner);
}

void devices_tidy(struct devices *d, uint64_t now_ms)
{
	unsigned due = TIDY_AT_ONCE + HASH_COUNT(d->owners) / TIDY_ROUNDS;
	for (unsigned i = 0; i < due && d->oldest != NULL; i++) {
		struct device_owner *owner = d->oldest;
		if (expire(d, owner, now_ms) == 0) {
			forget(d, owner);
			continue;
		}
		DL_DELETE(d->oldest, owner);
		DL_APPEND(d->oldest, owner);
	}
}

void devices_clear(struct devices *d)
{
	while (d->oldest != NULL)
		forget(d, d->oldest);
}
