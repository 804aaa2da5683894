/*
 * inflight.c - canonical QoS 2 messages between PUBLISH and PUBREL.
 */
#include "inflight.h"

#include "common/ulid.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static const char head[] = "{\"id\":\"";

#define HEAD_LEN (sizeof(head) - 1)

struct entry {
	UT_hash_handle hh;
	struct entry *prev, *next; /* oldest first */
	struct inflight message;
	size_t bytes; /* what this entry takes */
	char text[];  /* payload (the key stands in it), topic, NUL */
};

static struct {
	struct entry *all;
	struct entry *by_age;
	size_t bytes;
} state;

void inflight_start(void)
{
	memset(&state, 0, sizeof(state));
}

static void forget(struct entry *entry)
{
	state.bytes -= entry->bytes;
	DL_DELETE(state.by_age, entry);
	HASH_DEL(state.all, entry);
	free(entry);
}

void inflight_stop(void)
{
	while (state.by_age)
		forget(state.by_age);
}

/* The id that a canonical payload begins with, or NULL. */
static const char *id_of(const char *payload, size_t len)
{
	if (len < HEAD_LEN + ULID_LEN || memcmp(payload, head, HEAD_LEN) != 0)
		return NULL;
	return payload + HEAD_LEN;
}

static struct entry *find(const char *id)
{
	struct entry *entry;

	HASH_FIND(hh, state.all, id, ULID_LEN, entry);
	return entry;
}

void inflight_add(const char *topic, const char *payload, size_t len)
{
	size_t topic_size = strlen(topic) + 1;
	struct entry *entry;

	if (!id_of(payload, len) || find(id_of(payload, len)))
		return;
	entry = calloc(1, sizeof(*entry) + len + topic_size);
	if (!entry)
		return;
	entry->bytes = sizeof(*entry) + len + topic_size;
	memcpy(entry->text, payload, len);
	memcpy(entry->text + len, topic, topic_size);
	entry->message = (struct inflight){.topic = entry->text + len, .payload = entry->text, .len = len};
	while (state.by_age && state.bytes + entry->bytes > INFLIGHT_BYTES)
		forget(state.by_age);
	HASH_ADD_KEYPTR(hh, state.all, id_of(entry->text, len), ULID_LEN, entry);
	if (!TABLE_HAS(entry)) {
		free(entry);
		return;
	}
	DL_APPEND(state.by_age, entry);
	state.bytes += entry->bytes;
}

const struct inflight *inflight_find(const char *id)
{
	struct entry *entry = find(id);

	return entry ? &entry->message : NULL;
}

bool inflight_holds(const char *topic, const char *payload, size_t len)
{
	const struct entry *entry;

	if (!state.all || !id_of(payload, len))
		return false;
	entry = find(id_of(payload, len));
	return entry && entry->message.len == len && memcmp(entry->message.payload, payload, len) == 0 &&
	       strcmp(entry->message.topic, topic) == 0;
}

void inflight_released(const char *payload, size_t len)
{
	struct entry *entry;

	if (!state.all || !id_of(payload, len))
		return;
	entry = find(id_of(payload, len));
	if (entry)
		forget(entry);
}
