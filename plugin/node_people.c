/*
 * node_people.c - who is connected to another node.
 */
#include "node_people.h"

#include "compat.h"
#include "log.h"
#include "nodes.h"
#include "users.h"

#include <stdlib.h>

struct person {
	struct table_entry entry;
	struct user *user; /* NULL: not counted */
	unsigned round;
	struct identity who; /* its text is the key */
};

static size_t count_of_all; /* people of all nodes */

static void hide(struct person *person)
{
	if (person->user)
		users_leave_far(person->user);
	person->user = NULL;
}

/* Out of memory: they do not count, which users.c cannot help either. */
static void show(struct person *person)
{
	if (!person->user)
		person->user = users_enter_far(&person->who);
	if (!person->user)
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR,
		            "out of memory: somebody at another node is not shown as online");
}

static void forget(struct node_people *p, struct person *person)
{
	hide(person);
	table_remove(&p->all, person);
	free(person);
	count_of_all--;
}

static void clear(struct node_people *p)
{
	struct person *person;

	while ((person = table_oldest(&p->all)))
		forget(p, person);
}

void node_people_clear(struct node_people *p)
{
	clear(p);
	*p = (struct node_people){.shown = p->shown};
}

void node_people_show(struct node_people *p, bool shown)
{
	struct person *person;

	if (p->shown == shown)
		return;
	p->shown = shown;
	for (person = table_oldest(&p->all); person; person = table_after(person)) {
		if (shown)
			show(person);
		else
			hide(person);
	}
}

static void came(struct node_people *p, const struct identity *who)
{
	struct person *person = table_find(&p->all, who->text, who->len);

	if (person) {
		person->round = p->round;
		return;
	}
	if (count_of_all >= PEOPLE_MAX) {
		log_limited(LOG_CAUSE_NODES_FULL, MOSQ_LOG_WARNING,
		            "more than %d people are connected to other nodes: the rest is not shown as online here",
		            PEOPLE_MAX);
		return;
	}
	person = calloc(1, sizeof(*person));
	if (person) {
		identity_copy(&person->who, who);
		person->round = p->round;
		if (table_add(&p->all, person, person->who.text, person->who.len)) {
			count_of_all++;
			if (p->shown)
				show(person);
			return;
		}
		free(person);
	}
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR,
	            "out of memory: somebody at another node is not shown as online");
}

static void left(struct node_people *p, const struct identity *who)
{
	struct person *person = table_find(&p->all, who->text, who->len);

	if (person)
		forget(p, person);
}

/* Whoever was not named this time. */
static void forget_others(struct node_people *p)
{
	struct person *person = table_oldest(&p->all), *next;

	for (; person; person = next) {
		next = table_after(person);
		if (person->round != p->round)
			forget(p, person);
	}
}

static bool take_entries(struct node_people *p, struct roster_reader *entries)
{
	struct roster_entry entry;
	enum roster_status status;
	struct identity who;

	while ((status = roster_read_entry(entries, &entry)) == ROSTER_ENTRY) {
		if (!identity_parse(entry.address, entry.address_len, &who))
			return false;
		if (entry.online)
			came(p, &who);
		else
			left(p, &who);
	}
	return status == ROSTER_END;
}

bool node_people_take(struct node_people *p, uint64_t news, enum people_part part,
                      struct roster_reader entries)
{
	bool first = part == PEOPLE_FIRST || part == PEOPLE_ONLY,
	     last = part == PEOPLE_LAST || part == PEOPLE_ONLY;
	bool follows = news == p->news + 1;

	p->news = news;
	if (first) {
		p->round++;
		p->reading = true;
		p->known = false;
	} else if (!follows) {
		p->known = p->reading = false;
	}
	/* Of a telling whose beginning was lost, nothing counts. */
	if (!p->known && !p->reading)
		return true;
	if (!take_entries(p, &entries)) {
		p->known = p->reading = false;
		return false;
	}
	if (last) {
		forget_others(p);
		p->reading = false;
		p->known = true;
	}
	return true;
}
