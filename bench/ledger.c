/* ledger.c - see ledger.h. */
#include "bench/ledger.h"

#include <stdlib.h>

struct ledger_pair {
	uint32_t next;   /* the number after the highest that arrived */
	uint32_t window; /* bit i: next - 1 - i has arrived */
};

bool ledger_init(struct ledger *l, uint32_t sessions, uint32_t authors)
{
	uint64_t pairs = (uint64_t)sessions * authors;

	*l = (struct ledger){.sessions = sessions, .authors = authors};
	if (pairs > LEDGER_PAIRS_MAX)
		return false;
	l->pairs = calloc(pairs > 0 ? pairs : 1, sizeof(*l->pairs));
	l->counts = calloc(sessions > 0 ? sessions : 1, sizeof(*l->counts));
	return l->pairs != NULL && l->counts != NULL;
}

void ledger_free(struct ledger *l)
{
	free(l->pairs);
	free(l->counts);
	*l = (struct ledger){.sessions = 0};
}

static struct ledger_pair *pair_of(const struct ledger *l, uint32_t session, uint32_t author)
{
	return &l->pairs[(uint64_t)author * l->sessions + session];
}

bool ledger_note(struct ledger *l, uint32_t session, uint32_t author, uint32_t number)
{
	struct ledger_pair *p = pair_of(l, session, author);
	struct ledger_counts *c = &l->counts[session];
	uint32_t age, bit;

	if (number >= p->next) {
		uint32_t ahead = number - p->next;

		c->lost += ahead; /* until they turn up after all */
		p->window = (ahead < 31 ? p->window << (ahead + 1) : 0) | 1;
		p->next = number + 1;
		return true;
	}
	age = p->next - 1 - number;
	bit = age < 32 ? UINT32_C(1) << age : 0;
	if ((p->window & bit) != 0 || (bit == 0 && c->lost == 0)) {
		c->doubled++;
		return false;
	}
	p->window |= bit;
	c->disordered++;
	if (c->lost > 0)
		c->lost--;
	return true;
}

void ledger_settle(struct ledger *l, const uint32_t *sent, uint32_t rooms)
{
	for (uint32_t author = 0; author < l->authors; author++)
		for (uint32_t session = author % rooms; session < l->sessions; session += rooms)
			if (session != author && !ledger_reached(l, session, author, sent[author]))
				l->counts[session].lost += sent[author] - pair_of(l, session, author)->next;
}

bool ledger_reached(const struct ledger *l, uint32_t session, uint32_t author, uint32_t sent)
{
	return pair_of(l, session, author)->next >= sent;
}
