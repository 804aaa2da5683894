/*
 * users.c - live clients and message rate per identity.
 */
#include "users.h"

#include "clock.h"
#include "compat.h"
#include "log.h"
#include "nodes.h"
#include "presence.h"
#include "table.h"

#include <stdlib.h>
#include <utlist.h>

#define TIDY_AT_ONCE 16384 /* more than clients can leave between two rounds */
#define TOKEN 1000         /* the bucket counts thousandths, so that a millisecond adds a whole number */

struct user {
	struct table_entry entry;
	struct user *prev, *next; /* in the idle list, without a live client */
	uint64_t counted_ms;      /* when the bucket was last brought up to date */
	uint64_t bucket;          /* thousandths of a message, at most burst * TOKEN */
	uint32_t live;
	uint32_t far;               /* of these at other nodes */
	const struct identity *who; /* its text is the key */
	unsigned char who_room[];
};

static struct {
	struct table all;
	struct user *idle; /* those without a live client; first: whose bucket has been untouched for longest */
	struct value_rate rate;
} state;

void users_limit(struct value_rate rate)
{
	state.rate = rate;
}

static void forget(struct user *user)
{
	/* who is in the list has neighbours there, which the analyzer cannot know */
	if (user->live == 0)
		DL_DELETE(state.idle, user); /* NOLINT(clang-analyzer-core.NullDereference) */
	table_remove(&state.all, user);
	free(user);
}

void users_stop(void)
{
	struct user *user;

	while ((user = table_oldest(&state.all)))
		forget(user);
}

static struct user *find(const struct identity *who)
{
	return table_find(&state.all, who->text, who->len);
}

static uint64_t full_bucket(void)
{
	return (uint64_t)state.rate.burst * TOKEN;
}

static struct user *find_or_add(const struct identity *who)
{
	struct user *user = find(who);

	if (user)
		return user;
	user = calloc(1, sizeof(*user) + identity_size(who));
	if (!user)
		return NULL;
	user->who = identity_put(user->who_room, who);
	user->bucket = full_bucket();
	if (!table_add(&state.all, user, user->who->text, user->who->len)) {
		free(user);
		return NULL;
	}
	DL_APPEND(state.idle, user);
	return user;
}

/* One more live client, wherever. */
static struct user *enter(const struct identity *who)
{
	struct user *user = find_or_add(who);

	if (!user)
		return NULL;
	user->live++;
	if (user->live > 1)
		return user;
	DL_DELETE(state.idle, user);
	presence_came(who);
	return user;
}

struct user *users_enter(const struct identity *who)
{
	struct user *user = enter(who);

	if (user && user->live - user->far == 1)
		nodes_came(who);
	return user;
}

struct user *users_enter_far(const struct identity *who)
{
	struct user *user = enter(who);

	if (user)
		user->far++;
	return user;
}

const struct user *users_next_here(const struct user *after)
{
	const struct user *user = after ? table_after(after) : table_oldest(&state.all);

	while (user && user->live == user->far)
		user = table_after(user);
	return user;
}

const struct identity *users_identity(const struct user *user)
{
	return user->who;
}

bool users_online(const struct identity *who)
{
	const struct user *user = find(who);

	return user && user->live > 0;
}

static void fill(struct user *user, uint64_t now_ms)
{
	uint64_t passed = now_ms - user->counted_ms;

	user->counted_ms = now_ms;
	if (state.rate.per_second == 0)
		return;
	/* The long pause first: it would not fit into the product. */
	if (passed > full_bucket() / state.rate.per_second)
		user->bucket = full_bucket();
	else
		user->bucket += passed * state.rate.per_second;
	if (user->bucket > full_bucket())
		user->bucket = full_bucket();
}

/* One live client fewer. */
static void leave(struct user *user)
{
	user->live--;
	if (user->live > 0)
		return;
	presence_left(user->who);
	DL_APPEND(state.idle, user);
	fill(user, clock_monotonic_ms());
	/* Who has not sent much is of no use now; others wait for users_tidy. */
	if (user->bucket >= full_bucket())
		forget(user);
}

void users_leave(struct user *user)
{
	if (user->live - user->far == 1)
		nodes_left(user->who);
	leave(user);
}

void users_leave_far(struct user *user)
{
	user->far--;
	leave(user);
}

bool users_take_token(const struct identity *who, uint64_t now_ms)
{
	struct user *user;

	if (state.rate.per_second == 0)
		return true;
	user = find_or_add(who);
	if (!user)
		return false;
	fill(user, now_ms);
	if (user->live == 0) {
		DL_DELETE(state.idle, user);
		DL_APPEND(state.idle, user);
	}
	if (user->bucket < TOKEN) {
		log_limited(LOG_CAUSE_RATE, MOSQ_LOG_NOTICE, "messages of %s are refused: too many (rate_messages)",
		            who->text);
		return false;
	}
	user->bucket -= TOKEN;
	return true;
}

void users_tidy(uint64_t now_ms)
{
	unsigned n;

	for (n = 0; n < TIDY_AT_ONCE && state.idle; n++) {
		fill(state.idle, now_ms);
		if (state.idle->bucket < full_bucket())
			return; /* those behind it are full soon after it at the latest */
		forget(state.idle);
	}
}
