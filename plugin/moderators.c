/*
 * moderators.c - see moderators.h
 */
#include "moderators.h"

#include "auth.h"
#include "author.h"
#include "compat.h"
#include "log.h"
#include "options.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

#define REMEMBERED 1024 /* buckets; who has been silent for longest starts with a full one */
#define ONE 1000        /* the bucket counts thousandths, so that a millisecond adds a whole number */

struct bucket {
	struct table_entry entry;
	uint64_t counted_ms;
	uint64_t left; /* thousandths of a command */
	struct identity who;
};

static struct {
	const struct options *options;
	bool logins;
	struct table buckets;
} state;

void moderators_start(const struct options *options, bool logins)
{
	state.options = options;
	state.logins = logins;
}

static void forget(struct bucket *bucket)
{
	table_remove(&state.buckets, bucket);
	free(bucket);
}

void moderators_stop(void)
{
	struct bucket *bucket;

	while ((bucket = table_oldest(&state.buckets)))
		forget(bucket);
	state.options = NULL;
}

bool moderators_listed(const struct identity *who)
{
	const char *at = state.options->moderators, *end;

	for (; *at != '\0'; at = *end == ',' ? end + 1 : end) {
		end = strchr(at, ',');
		if (!end)
			end = at + strlen(at);
		if ((size_t)(end - at) == who->len && memcmp(at, who->text, who->len) == 0)
			return true;
	}
	return false;
}

static bool proved(enum client_kind kind)
{
	return state.options->auth != AUTH_NONE || (kind == CLIENT_MQTT && state.logins);
}

/* With `auth token` an address without a token is not let in, so the list is as good there as anywhere. */
bool moderators_is(const struct client *client)
{
	return client && proved(client->kind) && (client->moderator || moderators_listed(client->who));
}

bool moderators_may(struct mosquitto *handle)
{
	const struct client *known = clients_find(handle);
	const struct identity *who;
	struct identity room;

	if (known)
		return moderators_is(known);
	/* Nobody has let it in (a will, a client made up for a check), or others have. */
	who = mosquitto_client_address(handle) ? author_identity(handle, &room) : NULL;
	return who && proved(auth_is_session(handle) ? CLIENT_SESSION : CLIENT_MQTT) && moderators_listed(who);
}

static struct bucket *find_or_add(const struct identity *who, uint64_t now_ms)
{
	struct bucket *bucket = table_find(&state.buckets, who->text, who->len);

	if (bucket) {
		table_renew(&state.buckets, bucket);
		return bucket;
	}
	if (table_count(&state.buckets) >= REMEMBERED)
		forget(table_oldest(&state.buckets));
	bucket = calloc(1, sizeof(*bucket));
	if (!bucket)
		return NULL;
	identity_copy(&bucket->who, who);
	bucket->counted_ms = now_ms;
	bucket->left = (uint64_t)MODERATOR_BURST * ONE;
	if (table_add(&state.buckets, bucket, bucket->who.text, bucket->who.len))
		return bucket;
	free(bucket);
	return NULL;
}

bool moderators_take(const struct identity *who, uint64_t now_ms)
{
	const uint64_t full = (uint64_t)MODERATOR_BURST * ONE;
	struct bucket *bucket = find_or_add(who, now_ms);
	uint64_t passed;

	if (!bucket)
		return false;
	passed = now_ms - bucket->counted_ms;
	bucket->counted_ms = now_ms;
	/* the long pause first: it might not fit into the product */
	bucket->left = passed > full / MODERATOR_RATE || bucket->left + passed * MODERATOR_RATE > full
	                   ? full
	                   : bucket->left + passed * MODERATOR_RATE;
	if (bucket->left < ONE) {
		log_limited(LOG_CAUSE_COMMAND_RATE, MOSQ_LOG_NOTICE, "commands of %s are refused: too many",
		            who->text);
		return false;
	}
	bucket->left -= ONE;
	return true;
}
