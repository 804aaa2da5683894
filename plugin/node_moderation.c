/*
 * node_moderation.c - see node_moderation.h
 */
#include "node_moderation.h"

#include "clock.h"
#include "commands.h"
#include "compat.h"
#include "control.h"
#include "events.h"
#include "ids.h"
#include "kicks.h"
#include "log.h"
#include "moderation.h"
#include "moderation_store.h"
#include "moderation_text.h"
#include "moderators.h"
#include "nodes.h"
#include "peers.h"
#include "room_names.h"
#include "seen.h"

#include "common/roster.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 16384 /* of one sanction or order, everything in it escaped */

/* ---- what is said ---------------------------------------------------------------- */

static void lost(const char *what)
{
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: other nodes are not told of %s", what);
}

void node_moderation_tell(const struct sanction *s)
{
	struct text_buffer lines = text_buffer_new(LINE_MAX_BYTES);

	if (!peers_any())
		return;
	moderation_text_put(&lines, s);
	if (!nodes_say("imposed", "news", &lines))
		lost("what a moderator has imposed");
	text_buffer_free(&lines);
}

/* Adds one; what is full is said first. */
static bool add(struct text_buffer *page, const struct sanction *s)
{
	bool said = true;

	if (page->len + LINE_MAX_BYTES > page->max) {
		said = nodes_say("imposed", "all", page);
		text_buffer_free(page);
	}
	moderation_text_put(page, s);
	return said;
}

bool node_moderation_tell_all(void)
{
	struct text_buffer page = text_buffer_new(ROSTER_PUBLISH_MAX);
	uint64_t now = clock_real_ms();
	const struct sanction *s;
	bool ok = true;
	int kind;

	for (kind = 0; kind < SANCTION_KINDS; kind++) {
		for (s = moderation_next((enum sanction_kind)kind, NULL); s;
		     s = moderation_next((enum sanction_kind)kind, s))
			if (s->until_ms == 0 || s->until_ms > now)
				ok &= add(&page, s);
		for (s = moderation_next_lifted((enum sanction_kind)kind, NULL); s;
		     s = moderation_next_lifted((enum sanction_kind)kind, s))
			ok &= add(&page, s);
	}
	if (page.len > 0 || page.failed)
		ok &= nodes_say("imposed", "all", &page);
	text_buffer_free(&page);
	return ok;
}

static void put_command(struct text_buffer *out, const struct command *c)
{
	text_puts(out, "{");
	text_put_member(out, "command", c->name);
	if (c->has_user)
		text_put_member(out, "user", c->user.text);
	if (c->has_room)
		text_put_member(out, "room", c->room);
	if (c->id[0] != '\0')
		text_put_member(out, "id", c->id);
	if (c->text[0] != '\0')
		text_put_member(out, c->which == COMMAND_ANNOUNCE ? "message" : "reason", c->text);
	text_puts(out, "}\n");
}

void node_moderation_order(const struct command *command, const struct identity *by)
{
	struct text_buffer lines = text_buffer_new(LINE_MAX_BYTES);
	struct ref_answer mark;

	if (!peers_any())
		return;
	text_puts(&lines, by->text);
	text_puts(&lines, "\n");
	put_command(&lines, command);
	if (!ids_next(&mark) || !nodes_say("order", mark.id, &lines))
		lost("a command");
	text_buffer_free(&lines);
}

/* ---- what others say --------------------------------------------------------------- */

static void not_done(const char *node, const char *what, const char *user, const char *why)
{
	log_limited(LOG_CAUSE_NODE_MODERATION, MOSQ_LOG_WARNING,
	            "moderation at node %s is not followed here: %s%s%s: %s", node, what,
	            *user != '\0' ? " " : "", user, why);
}

/* The same as one of this node's own commands: for the log and the audit. */
static void note(const struct sanction *s)
{
	static const char *const names[SANCTION_KINDS][2] = {
	    [SANCTION_BAN] = {"ban", "unban"},
	    [SANCTION_MUTE] = {"mute", "unmute"},
	    [SANCTION_ROOM] = {"closeRoom", "openRoom"},
	    [SANCTION_NAME] = {"renameRoom", "renameRoom"},
	};
	static const enum command_which which[SANCTION_KINDS][2] = {
	    [SANCTION_BAN] = {COMMAND_BAN, COMMAND_UNBAN},
	    [SANCTION_MUTE] = {COMMAND_MUTE, COMMAND_UNMUTE},
	    [SANCTION_ROOM] = {COMMAND_CLOSE_ROOM, COMMAND_OPEN_ROOM},
	    [SANCTION_NAME] = {COMMAND_RENAME_ROOM, COMMAND_RENAME_ROOM},
	};
	struct command c;
	struct identity by;

	/* a name that is given back: the word that gives it is noted */
	if (s->kind == SANCTION_NAME && s->lifted)
		return;
	memset(&c, 0, sizeof(c));
	c.which = which[s->kind][s->lifted];
	(void)snprintf(c.name, sizeof(c.name), "%s", names[s->kind][s->lifted]);
	c.has_user = s->user[0] != '\0' && identity_parse(s->user, strlen(s->user), &c.user);
	memcpy(c.room, s->room, sizeof(c.room));
	memcpy(c.to, s->to, sizeof(c.to));
	memcpy(c.text, s->reason, sizeof(s->reason));
	c.has_seconds = !s->lifted && s->until_ms > s->since_ms;
	if (c.has_seconds)
		c.seconds = (uint32_t)((s->until_ms - s->since_ms) / 1000);
	if (identity_parse(s->by, strlen(s->by), &by))
		commands_note(&c, &by, NULL);
}

static bool is_spared(const struct sanction *s)
{
	struct identity who;

	return !s->lifted && s->user[0] != '\0' && identity_parse(s->user, strlen(s->user), &who) &&
	       moderators_listed(&who);
}

/* Whoever is banned must leave, bridges and history must know of rooms. */
static void follow(const char *node, const struct sanction *s)
{
	char why[COMMAND_REASON_MAX + 16];
	struct identity who;
	unsigned count;

	if (s->kind == SANCTION_ROOM)
		(void)events_room(s->room, !s->lifted); /* logged */
	if (s->kind == SANCTION_NAME)
		room_names_follow(s);
	if (s->kind != SANCTION_BAN || s->lifted || !identity_parse(s->user, strlen(s->user), &who))
		return;
	commands_explain("banned", s->reason, why, sizeof(why));
	/* may say nothing any more, and not come back, in any case */
	if (!kicks_user(&who, why, true, clock_monotonic_ms(), &count))
		not_done(node, "the end of the sessions of", who.text, "too many at once");
}

/* True when it was not known and is now. */
static bool take_one(const char *node, const struct sanction *s)
{
	uint64_t now = clock_real_ms();

	if (s->since_ms <= moderation_known(s->kind, s->user, s->room) ||
	    (!s->lifted && s->until_ms != 0 && s->until_ms <= now))
		return false;
	if (is_spared(s)) {
		not_done(node, "a ban or mute of", s->user, "a moderator of this node");
		return false;
	}
	switch (moderation_set(s)) {
	case MODERATION_OK:
		moderation_store_changed();
		follow(node, s);
		return true;
	case MODERATION_FULL:
		not_done(node, "a ban, mute, closed or renamed room", s->user, "there are too many");
		return false;
	case MODERATION_NO_MEMORY:
		break;
	}
	not_done(node, "a ban, mute, closed or renamed room", s->user, "out of memory");
	return false;
}

bool node_moderation_take(const char *node, const char *rest, const char *at, const char *end)
{
	bool all = strcmp(rest, "all") == 0;
	unsigned count = 0;
	struct sanction s;
	const char *next;

	if (!all && strcmp(rest, "news") != 0)
		return false;
	for (; at < end; at = next + 1) {
		next = memchr(at, '\n', (size_t)(end - at));
		if (!next || !moderation_text_take(at, (size_t)(next - at), &s))
			return false;
		if (!take_one(node, &s))
			continue;
		count++;
		if (!all)
			note(&s);
	}
	if (all && count > 0)
		log_line(MOSQ_LOG_NOTICE,
		         "moderation: node %s knew of %u bans, mutes and rooms that were imposed or taken away "
		         "and not known here",
		         node, count);
	return true;
}

static void carry_out(const char *node, const struct command *c, const struct identity *by, uint64_t given_ms)
{
	struct asker asker = {.who = *by, .other_node = true};
	struct text_buffer data = text_buffer_new(LINE_MAX_BYTES);
	const char *error, *field;

	if (c->which == COMMAND_KICK && given_ms + NODE_KICK_MS < clock_real_ms()) {
		not_done(node, "a kick of", c->user.text, "it comes too late");
		return;
	}
	error = commands_run(c, &asker, &data, &field);
	text_buffer_free(&data);
	if (error == commands_later)
		return;
	commands_note(c, by, error);
	if (error)
		not_done(node, c->name, c->has_user ? c->user.text : c->id, error);
}

bool node_moderation_take_order(const char *node, const char *rest, const char *at, const char *end)
{
	const char *by_end = memchr(at, '\n', (size_t)(end - at)), *field;
	struct identity by;
	struct command c;

	/* one object and the end of its line */
	if (!ulid_valid(rest, strlen(rest)) || !by_end || end[-1] != '\n' || by_end + 1 == end ||
	    !identity_parse(at, (size_t)(by_end - at), &by) ||
	    command_read(by_end + 1, (size_t)(end - by_end - 2), &c, &field) != NULL)
		return false;
	if (c.which != COMMAND_KICK && c.which != COMMAND_DELETE_MESSAGE && c.which != COMMAND_ANNOUNCE)
		return false;
	if (seen_find(rest))
		return true; /* a link has repeated it */
	seen_add(rest, SEEN_ALL, 0);
	carry_out(node, &c, &by, ulid_milliseconds(rest));
	return true;
}
