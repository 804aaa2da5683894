/*
 * kicks.c - see kicks.h
 */
#include "kicks.h"

#include "compat.h"
#include "sync.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_MS 100 /* so that what somebody is told, perhaps that it has kicked itself, leaves first */
#define SESSION_MS UINT64_C(2000) /* that a bridge has */
#define ORDERS_MAX 256
#define WHY_BYTES 128

struct order {
	struct identity who;
	char why[WHY_BYTES];
	bool by_name;  /* nothing but: what is known has gone before */
	bool for_good; /* kicks_user */
	uint64_t due_ms;
};

static struct {
	uint64_t walk_until_ms; /* there may be clients that have been told to go */
	struct order orders[ORDERS_MAX];
	unsigned count;
} state;

void kicks_stop(void)
{
	memset(&state, 0, sizeof(state));
}

void kicks_client(const struct client *client, const char *why, uint64_t now_ms)
{
	if (client->kind == CLIENT_SESSION)
		sync_close(client, KICK_CODE, why);
	clients_leaving(client, now_ms);
	state.walk_until_ms = now_ms + 2 * SESSION_MS;
}

bool kicks_user(const struct identity *who, const char *why, bool for_good, uint64_t now_ms, unsigned *count)
{
	const struct client *client;
	struct order *order = &state.orders[state.count];

	*count = 0;
	if (state.count == ORDERS_MAX)
		return false;
	for (client = clients_next(NULL); client; client = clients_next(client))
		*count += identity_equal(client->who, who);
	*order = (struct order){.for_good = for_good, .due_ms = now_ms + ANSWER_MS};
	identity_copy(&order->who, who);
	(void)snprintf(order->why, sizeof(order->why), "%s", why);
	state.count++;
	return true;
}

/* By name the broker would also take sessions away before their bridge has told them why. So that comes
 * later, or where there are none. True when the order is carried out. */
static bool carry_out(struct order *order, uint64_t now_ms)
{
	const struct client *client;
	unsigned count = 0;

	for (client = clients_next(NULL); client && !order->by_name; client = clients_next(client)) {
		if (!identity_equal(client->who, &order->who))
			continue;
		kicks_client(client, order->why, now_ms);
		count++;
	}
	if (count == 0)
		(void)mosquitto_kick_client_by_username(order->who.text, true);
	if (count == 0 || !order->for_good)
		return true;
	order->by_name = true;
	order->due_ms = now_ms + SESSION_MS;
	return false;
}

static void walk(uint64_t now_ms)
{
	const struct client *client, *next;

	for (client = clients_next(NULL); client; client = next) {
		next = clients_next(client); /* a kick takes its client out, and no other */
		if (client->leave_ms == 0 ||
		    (client->kind == CLIENT_SESSION && now_ms - client->leave_ms < SESSION_MS))
			continue;
		clients_leaving(client, 0); /* whatever comes of it, once */
		(void)mosquitto_kick_client_by_clientid(client->id, true);
	}
}

void kicks_tick(uint64_t now_ms)
{
	unsigned i = 0;

	while (i < state.count) {
		if (now_ms < state.orders[i].due_ms || !carry_out(&state.orders[i], now_ms))
			i++;
		else
			state.orders[i] = state.orders[--state.count];
	}
	if (state.walk_until_ms > 0)
		walk(now_ms);
	if (now_ms > state.walk_until_ms)
		state.walk_until_ms = 0;
}
