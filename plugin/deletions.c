/*
 * deletions.c - see deletions.h
 */
#include "deletions.h"

#include "commands.h"
#include "common/history_schema.h"
#include "compat.h"
#include "control.h"
#include "events.h"
#include "history.h"
#include "history_store.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>

struct waiting {
	struct waiting *next;
	struct command command;
	struct asker asker;
	char correlation[]; /* what command.correlation points to */
};

static struct {
	struct waiting *first, *last;
	unsigned count;
} state;

const char *deletions_ask(const struct command *command, const struct asker *asker)
{
	struct waiting *w;

	if (state.count >= (asker->other_node ? DELETIONS_ALL_MAX : DELETIONS_MAX))
		return "unavailable";
	w = malloc(sizeof(*w) + command->correlation_len);
	if (!w || !history_forget(command->id)) {
		free(w);
		return "unavailable";
	}
	w->next = NULL;
	w->command = *command;
	w->asker = *asker;
	if (command->correlation)
		w->command.correlation = memcpy(w->correlation, command->correlation, command->correlation_len);
	if (state.last)
		state.last->next = w;
	else
		state.first = w;
	state.last = w;
	state.count++;
	return NULL;
}

static struct waiting *take_first(void)
{
	struct waiting *w = state.first;

	if (!w)
		return NULL;
	state.first = w->next;
	if (!state.first)
		state.last = NULL;
	state.count--;
	return w;
}

void deletions_stop(void)
{
	struct waiting *w;

	while ((w = take_first()))
		free(w);
}

/* The two people of a pair's place. */
static bool people_of(const char *place, struct identity *a, struct identity *b)
{
	size_t len = strlen(place), second = history_pair_second(place, len);

	return second > 1 && identity_parse(place, second - 1, a) &&
	       identity_parse(place + second, len - second, b);
}

static void tell_readers(const struct history_forgotten *f)
{
	struct identity a, b;

	if (f->kind == HISTORY_ROOM)
		(void)events_deleted_room(f->id, f->place); /* logged, and so below */
	else if (people_of(f->place, &a, &b))
		(void)events_deleted_direct(f->id, &a, &b, f->to);
}

void deletions_tick(void)
{
	struct history_forgotten f;
	struct waiting *w;
	const char *error;

	while (state.count > 0 && history_forgotten(&f)) {
		w = take_first();
		error = f.found ? NULL : "not_found";
		if (f.found)
			tell_readers(&f);
		commands_note(&w->command, &w->asker.who, error);
		if (!w->asker.other_node)
			control_answer(&w->asker, &w->command, error, NULL);
		free(w);
	}
}
