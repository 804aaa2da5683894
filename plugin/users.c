/*
 * users.c - live clients and message rate per identity.
 */
#include "users.h"

#include "table.h"

#include <stdlib.h>
#include <utlist.h>

#define TIDY_AT_ONCE 256
#define TOKEN 1000 /* the bucket counts thousandths, so that a millisecond adds a whole number */

struct user {
	UT_hash_handle hh;
	struct user *prev, *next; /* in the list of the idle ones, where live is 0 */
	uint64_t counted_ms;      /* when the bucket was last brought up to date */
	uint64_t bucket;          /* thousandths of a message, at most burst * TOKEN */
	uint32_t live;
	struct identity who; /* its text is the key */
};

static struct {
	struct user *all;
	struct user *idle; /* least recently used first */
	struct value_rate rate;
} state;

void users_start(struct value_rate rate)
{
	state.all = NULL;
	state.idle = NULL;
	state.rate = rate;
}

void users_stop(void)
{
	struct user *user, *next;

	state.idle = NULL;
	HASH_ITER(hh, state.all, user, next)
	{
		HASH_DEL(state.all, user);
		free(user);
	}
}

static struct user *find(const struct identity *who)
{
	struct user *user;

	HASH_FIND(hh, state.all, who->text, who->len, user);
	return user;
}

/* A new entry without live clients starts in the idle list. */
static struct user *find_or_add(const struct identity *who)
{
	struct user *user = find(who);

	if (user)
		return user;
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	user->who = *who;
	user->bucket = (uint64_t)state.rate.burst * TOKEN;
	HASH_ADD_KEYPTR(hh, state.all, user->who.text, user->who.len, user);
	if (!TABLE_HAS(user)) {
		free(user);
		return NULL;
	}
	DL_APPEND(state.idle, user);
	return user;
}

struct user *users_enter(const struct identity *who)
{
	struct user *user = find_or_add(who);

	if (user && user->live++ == 0)
		DL_DELETE(state.idle, user);
	return user;
}

void users_leave(struct user *user)
{
	if (--user->live == 0)
		DL_APPEND(state.idle, user);
}

bool users_online(const struct identity *who)
{
	const struct user *user = find(who);

	return user && user->live > 0;
}

static uint64_t full_bucket(void)
{
	return (uint64_t)state.rate.burst * TOKEN;
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

bool users_take_token(const struct identity *who, uint64_t now_ms)
{
	struct user *user;

	if (state.rate.per_second == 0)
		return true;
	user = find_or_add(who);
	if (!user)
		return false;
	if (user->live == 0) {
		DL_DELETE(state.idle, user);
		DL_APPEND(state.idle, user);
	}
	fill(user, now_ms);
	if (user->bucket < TOKEN)
		return false;
	user->bucket -= TOKEN;
	return true;
}

void users_tidy(uint64_t now_ms)
{
	struct user *user;
	unsigned n;

	for (n = 0; n < TIDY_AT_ONCE && state.idle; n++) {
		user = state.idle;
		fill(user, now_ms);
		if (user->bucket < full_bucket())
			return;
		DL_DELETE(state.idle, user);
		HASH_DEL(state.all, user);
		free(user);
	}
}
