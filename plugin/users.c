/*
 * users.c - live clients and message rate per identity.
 */
#include "users.h"

#include "compat.h"
#include "log.h"
#include "presence.h"
#include "table.h"

#include <stdlib.h>

#define TIDY_AT_ONCE 256 /* at least, in one call */
#define TIDY_SHARE 8     /* or so many calls for all of them: entries are made faster than any fixed number */
#define TOKEN 1000       /* the bucket counts thousandths, so that a millisecond adds a whole number */

struct user {
	struct table_entry entry;
	uint64_t counted_ms; /* when the bucket was last brought up to date */
	uint64_t bucket;     /* thousandths of a message, at most burst * TOKEN */
	uint32_t live;
	struct identity who; /* its text is the key */
};

static struct {
	struct table all; /* oldest: not looked at by users_tidy for longest */
	struct value_rate rate;
} state;

void users_limit(struct value_rate rate)
{
	state.rate = rate;
}

static void forget(struct user *user)
{
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
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	user->who = *who;
	user->bucket = full_bucket();
	if (table_add(&state.all, user, user->who.text, user->who.len))
		return user;
	free(user);
	return NULL;
}

struct user *users_enter(const struct identity *who)
{
	struct user *user = find_or_add(who);

	if (!user)
		return NULL;
	user->live++;
	if (user->live == 1)
		presence_came(who);
	return user;
}

void users_leave(struct user *user)
{
	user->live--;
	if (user->live == 0)
		presence_left(&user->who);
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

bool users_take_token(const struct identity *who, uint64_t now_ms)
{
	struct user *user;

	if (state.rate.per_second == 0)
		return true;
	user = find_or_add(who);
	if (!user)
		return false;
	fill(user, now_ms);
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
	size_t all = table_count(&state.all);
	size_t n = all / TIDY_SHARE > TIDY_AT_ONCE ? all / TIDY_SHARE : TIDY_AT_ONCE;
	struct user *user;

	if (n > all)
		n = all;
	for (; n > 0; n--) {
		user = table_oldest(&state.all);
		fill(user, now_ms);
		if (user->live == 0 && user->bucket >= full_bucket())
			forget(user);
		else
			table_renew(&state.all, user);
	}
}
