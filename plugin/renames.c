/*
 * renames.c - see renames.h
 */
#include "renames.h"

#include "bridges.h"
#include "clock.h"
#include "command.h"
#include "commands.h"
#include "compat.h"
#include "control.h"
#include "events.h"
#include "history.h"
#include "log.h"
#include "moderation.h"
#include "moderation_store.h"
#include "node_moderation.h"
#include "peers.h"
#include "room_names.h"
#include "rooms.h"

#include <stdlib.h>
#include <string.h>

#define ASK_AGAIN_MS 300
#define OLD_NAMES_MAX 2000 /* all of them go into one answer to a bridge, which takes 512 KB */

struct waiting {
	struct waiting *next;
	struct command command;
	struct asker asker;
	char correlation[]; /* what command.correlation points to */
};

static struct {
	struct waiting *first, *last; /* the first is under way where `asking` */
	unsigned count;
	bool asking;
	unsigned question;     /* its number */
	unsigned bridges_left; /* that have not answered it */
	uint64_t members;      /* that the others have */
	uint64_t ask_again_ms; /* for a bridge that was not connected */
	uint64_t give_up_ms;
} state;

/* ---- what stands in the way -------------------------------------------------------------------- */

/* As far as it is known at once; asked again when the rest is known. */
static const char *check(const struct command *c, const char **field)
{
	const char *back = room_names_now(c->to, strlen(c->to));

	*field = "to";
	if (strcmp(c->room, c->to) == 0)
		return "same_name";
	if (room_names_now(c->room, strlen(c->room))) {
		*field = "room";
		return "room_renamed";
	}
	/* what leads to the room itself is its old name: it gets it back */
	if (back && strcmp(back, c->room) != 0)
		return "room_renamed";
	if (moderation_closed(c->to, strlen(c->to), clock_real_ms()))
		return "room_closed";
	if (rooms_known(c->to, strlen(c->to)))
		return "room_in_use";
	*field = NULL;
	return moderation_count(SANCTION_NAME) < OLD_NAMES_MAX ? NULL : "full";
}

/* ---- carrying it out ---------------------------------------------------------------------------- */

/* Into force, or out of it, here and at the other nodes: later than what is known of the same. */
static enum moderation_result put(struct sanction *s)
{
	uint64_t known = moderation_known(s->kind, s->user, s->room);
	enum moderation_result result = MODERATION_OK;

	s->since_ms = clock_real_ms() > known ? clock_real_ms() : known + 1;
	if (s->lifted)
		(void)moderation_lift(s->kind, s->user, s->room, s->since_ms); /* it is there */
	if (!s->lifted || peers_any())
		result = moderation_set(s);
	if (s->lifted && result != MODERATION_OK)
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR,
		            "out of memory: what was taken away may come back from another node");
	if (s->lifted || result == MODERATION_OK) {
		moderation_store_changed();
		node_moderation_tell(s);
	}
	return result;
}

/* What is imposed on people in a room, or on the room. */
struct imposed {
	struct sanction *all; /* copies, owned */
	size_t count;
};

static bool imposed_on(enum sanction_kind kind, const char *room, struct imposed *out)
{
	const struct sanction *s = NULL;

	*out = (struct imposed){0};
	while ((s = moderation_next(kind, s)))
		out->count += strcmp(s->room, room) == 0;
	if (out->count == 0)
		return true;
	out->all = malloc(out->count * sizeof(*out->all));
	if (!out->all)
		return false;
	out->count = 0;
	while ((s = moderation_next(kind, s)))
		if (strcmp(s->room, room) == 0)
			out->all[out->count++] = *s;
	return true;
}

/* The same for that room, or not for it any more. */
static void impose(const struct imposed *imposed, const char *room, bool lifted)
{
	size_t i;
	struct sanction s;

	for (i = 0; i < imposed->count; i++) {
		s = imposed->all[i];
		s.lifted = lifted;
		memcpy(s.room, room, strlen(room) + 1);
		if (put(&s) != MODERATION_OK && !lifted)
			log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: %s is not muted or closed any more",
			            s.user[0] != '\0' ? s.user : room);
	}
}

static const char *rename_room(const struct command *c, const struct identity *by)
{
	const struct sanction *old = moderation_renamed(c->to, strlen(c->to));
	struct sanction s = {.kind = SANCTION_NAME}, back = {.kind = SANCTION_NAME};
	enum moderation_result result;

	memcpy(s.room, c->room, sizeof(s.room));
	memcpy(s.to, c->to, sizeof(s.to));
	memcpy(s.by, by->text, (size_t)by->len + 1);
	if (old) {
		back = *old;
		back.lifted = true;
		memcpy(back.by, s.by, sizeof(s.by));
	}
	result = put(&s);
	if (result != MODERATION_OK)
		return result == MODERATION_FULL ? "full" : "unavailable";
	if (old)
		(void)put(&back); /* logged */
	return NULL;
}

/* Who is muted in the room stays so, and a room that is closed stays closed: under the new name before it is
 * one, so that there is no moment in which nothing holds. */
static const char *carry_out(const struct command *c, const struct identity *by)
{
	struct imposed mutes = {0}, closing = {0};
	const char *error = "unavailable";

	if (imposed_on(SANCTION_MUTE, c->room, &mutes) && imposed_on(SANCTION_ROOM, c->room, &closing)) {
		impose(&mutes, c->to, false);
		impose(&closing, c->to, false);
		/* also where it is open: a bridge may still have it closed under this name of before */
		(void)events_room(c->to, closing.count > 0); /* logged */
		error = rename_room(c, by);
		/* no bridge is told that the old name is open: until it knows that it is an old one, nobody joins */
		impose(&mutes, error ? c->to : c->room, true);
		impose(&closing, error ? c->to : c->room, true);
		if (error)
			(void)events_room(c->to, false);
		else
			room_names_follow(moderation_renamed(c->room, strlen(c->room)));
	}
	free(mutes.all);
	free(closing.all);
	return error;
}

/* ---- asking -------------------------------------------------------------------------------------- */

const char *renames_ask(const struct command *command, const struct asker *asker, const char **field)
{
	const char *error = check(command, field);
	struct waiting *w;

	if (error)
		return error;
	w = state.count < RENAMES_MAX ? malloc(sizeof(*w) + command->correlation_len) : NULL;
	if (!w)
		return "unavailable";
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

static void end_first(const char *error, const char *field)
{
	struct waiting *w = state.first;

	state.first = w->next;
	if (!state.first)
		state.last = NULL;
	state.count--;
	state.asking = false;
	commands_note(&w->command, &w->asker.who, error);
	control_answer(&w->asker, &w->command, error, field);
	free(w);
}

static bool ask_bridges(uint64_t now_ms)
{
	state.question++;
	state.members = 0;
	state.bridges_left = bridges_running();
	state.ask_again_ms = now_ms + ASK_AGAIN_MS;
	return events_members(state.question, state.first->command.to);
}

static void begin_first(uint64_t now_ms)
{
	const struct command *c = &state.first->command;

	state.asking = true;
	state.give_up_ms = now_ms + RENAME_WAIT_MS;
	if (!history_look_for_room(c->to) || !ask_bridges(now_ms))
		end_first("unavailable", NULL);
}

void renames_members(uint64_t question, uint64_t members)
{
	if (!state.asking || question != state.question || state.bridges_left == 0)
		return; /* it has been given up */
	state.bridges_left--;
	state.members += members;
}

void renames_tick(uint64_t now_ms)
{
	const char *error, *field;
	bool found;

	if (state.first && !state.asking)
		begin_first(now_ms);
	if (!state.asking)
		return;
	if (!history_looked_for_room(&found) || state.bridges_left > 0) {
		if (now_ms >= state.give_up_ms ||
		    (state.bridges_left > 0 && now_ms >= state.ask_again_ms && !ask_bridges(now_ms)))
			end_first("unavailable", NULL);
		return;
	}
	error = check(&state.first->command, &field);
	if (!error && (found || state.members > 0)) {
		error = "room_in_use";
		field = "to";
	}
	if (!error)
		error = carry_out(&state.first->command, &state.first->asker.who);
	end_first(error, field);
}

void renames_stop(void)
{
	struct waiting *w;

	while ((w = state.first)) {
		state.first = w->next;
		free(w);
	}
	memset(&state, 0, sizeof(state));
}
