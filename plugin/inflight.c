/*
 * inflight.c - canonical QoS 2 messages between PUBLISH and PUBREL.
 */
#include "inflight.h"

#include "common/ulid.h"
#include "compat.h"
#include "log.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

static const char head[] = "{\"id\":\"";

#define HEAD_LEN (sizeof(head) - 1)

struct kept {
	struct table_entry entry;
	struct inflight message;
	size_t bytes; /* what this entry takes */
	char text[];  /* payload (the key stands in it), topic, NUL */
};

static struct {
	struct table all;
	size_t bytes;
} state;

static void forget(struct kept *kept)
{
	state.bytes -= kept->bytes;
	table_remove(&state.all, kept);
	free(kept);
}

void inflight_stop(void)
{
	struct kept *kept;

	while ((kept = table_oldest(&state.all)))
		forget(kept);
}

/* The id that a canonical payload begins with, or NULL. */
static const char *id_of(const char *payload, size_t len)
{
	if (len < HEAD_LEN + ULID_LEN || memcmp(payload, head, HEAD_LEN) != 0)
		return NULL;
	return payload + HEAD_LEN;
}

static struct kept *find(const char *id)
{
	return table_find(&state.all, id, ULID_LEN);
}

void inflight_add(const char *topic, const char *payload, size_t len)
{
	size_t topic_size = strlen(topic) + 1;
	struct kept *kept;

	if (!id_of(payload, len) || find(id_of(payload, len)))
		return;
	kept = calloc(1, sizeof(*kept) + len + topic_size);
	if (!kept)
		return;
	kept->bytes = sizeof(*kept) + len + topic_size;
	memcpy(kept->text, payload, len);
	memcpy(kept->text + len, topic, topic_size);
	kept->message = (struct inflight){.topic = kept->text + len, .payload = kept->text, .len = len};
	while (table_oldest(&state.all) && state.bytes + kept->bytes > INFLIGHT_BYTES) {
		log_limited(
		    LOG_CAUSE_INFLIGHT, MOSQ_LOG_WARNING,
		    "more than %u MB of messages with QoS 2 wait for their release: the oldest ones may be lost "
		    "where their author connects anew before that",
		    (unsigned)(INFLIGHT_BYTES / 1024 / 1024));
		forget(table_oldest(&state.all));
	}
	if (table_add(&state.all, kept, id_of(kept->text, len), ULID_LEN))
		state.bytes += kept->bytes;
	else
		free(kept);
}

const struct inflight *inflight_find(const char *id)
{
	const struct kept *kept = find(id);

	return kept ? &kept->message : NULL;
}

bool inflight_holds(const char *topic, const char *payload, size_t len)
{
	const struct kept *kept =
	    table_oldest(&state.all) && id_of(payload, len) ? find(id_of(payload, len)) : NULL;

	return kept && kept->message.len == len && memcmp(kept->message.payload, payload, len) == 0 &&
	       strcmp(kept->message.topic, topic) == 0;
}

bool inflight_released(const char *payload, size_t len, const char **id)
{
	struct kept *kept = table_oldest(&state.all) && id_of(payload, len) ? find(id_of(payload, len)) : NULL;

	if (!kept)
		return false;
	forget(kept);
	*id = id_of(payload, len);
	return true;
}
