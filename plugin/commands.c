/*
 * commands.c - see commands.h
 */
#include "commands.h"

#include "audit.h"
#include "clients.h"
#include "clock.h"
#include "compat.h"
#include "control.h"
#include "counters.h"
#include "deletions.h"
#include "drain.h"
#include "events.h"
#include "kicks.h"
#include "log.h"
#include "moderation.h"
#include "moderation_store.h"
#include "moderators.h"
#include "node_moderation.h"
#include "peers.h"
#include "renames.h"
#include "room_names.h"
#include "seen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WHY_MAX (COMMAND_REASON_MAX + 16)

_Static_assert(COMMAND_REASON_MAX <= MODERATION_REASON_MAX, "a command's reason is kept whole");

const char commands_later[] = "later";

struct run {
	const struct command *command;
	const struct asker *asker;
	const struct identity *by;
	struct text_buffer *data;
	const char *field;
};

/* ---- what commands have in common ---------------------------------------------------------- */

void commands_explain(const char *what, const char *text, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%s%s%.*s", what, *text != '\0' ? ": " : "", COMMAND_REASON_MAX, text);
}

/* Nobody moderates those whom the operator has named, but themselves. */
static bool is_spared(const struct run *r)
{
	return moderators_listed(&r->command->user) && !identity_equal(&r->command->user, r->by);
}

static const char *refuse(struct run *r, const char *error, const char *field)
{
	r->field = field;
	return error;
}

/* What the command says, as of now; later than what is known of the same, also from another node whose clock
 * is ahead. */
static struct sanction sanction_of(const struct run *r, enum sanction_kind kind)
{
	const struct command *c = r->command;
	struct sanction s = {.kind = kind, .since_ms = clock_real_ms()};
	uint64_t known;

	if (c->has_user)
		memcpy(s.user, c->user.text, (size_t)c->user.len + 1);
	memcpy(s.room, c->room, sizeof(s.room));
	memcpy(s.by, r->by->text, (size_t)r->by->len + 1);
	known = moderation_known(kind, s.user, s.room);
	if (s.since_ms <= known)
		s.since_ms = known + 1;
	return s;
}

static const char *impose(struct run *r, enum sanction_kind kind)
{
	const struct command *c = r->command;
	struct sanction s = sanction_of(r, kind);

	memcpy(s.reason, c->text, strlen(c->text) + 1);
	if (c->has_seconds)
		s.until_ms = s.since_ms + (uint64_t)c->seconds * 1000;
	switch (moderation_set(&s)) {
	case MODERATION_OK:
		moderation_store_changed();
		node_moderation_tell(&s);
		return NULL;
	case MODERATION_FULL:
		return "full";
	case MODERATION_NO_MEMORY:
		break;
	}
	return "unavailable";
}

static const char *lift(struct run *r, enum sanction_kind kind)
{
	struct sanction s = sanction_of(r, kind);

	if (!moderation_lift(kind, s.user, s.room, clock_real_ms()))
		return "not_found";
	moderation_store_changed();
	s.lifted = true;
	/* it is taken away here in any case, and the others are told */
	if (peers_any() && moderation_set(&s) != MODERATION_OK)
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR,
		            "out of memory: what was taken away may come back from another node");
	node_moderation_tell(&s);
	return NULL;
}

/* One entry of a list, within the page or not. */
struct page {
	struct text_buffer *out;
	uint32_t count, offset; /* asked for */
	uint64_t total;
	bool any;
};

static struct page open_page(struct run *r, const char *name)
{
	text_puts(r->data, "{");
	text_put_name(r->data, name);
	text_puts(r->data, "[");
	return (struct page){.out = r->data, .count = r->command->count, .offset = r->command->offset};
}

/* True when the entry is on the page: it is begun, and the caller ends it with '}'. */
static bool on_page(struct page *p)
{
	uint64_t at = p->total++;

	if (at < p->offset || at - p->offset >= p->count)
		return false;
	text_puts(p->out, p->any ? ",{" : "{");
	p->any = true;
	return true;
}

static void close_page(struct page *p)
{
	text_puts(p->out, "]");
	text_put_count(p->out, "totalCount", p->total);
	text_puts(p->out, "}");
}

static void put_some(struct text_buffer *out, const char *name, const char *text)
{
	if (*text != '\0')
		text_put_member(out, name, text);
}

static const char *list_sanctions(struct run *r, enum sanction_kind kind, const char *name)
{
	const struct command *c = r->command;
	struct page page = open_page(r, name);
	const struct sanction *s;

	for (s = moderation_next(kind, NULL); s; s = moderation_next(kind, s)) {
		if ((c->has_user && strcmp(s->user, c->user.text) != 0) ||
		    (c->has_room && strcmp(s->room, c->room) != 0) || !on_page(&page))
			continue;
		put_some(r->data, "user", s->user);
		put_some(r->data, "room", s->room);
		put_some(r->data, "to", s->to);
		text_put_time(r->data, "since", s->since_ms);
		if (s->until_ms != 0)
			text_put_time(r->data, "until", s->until_ms);
		put_some(r->data, "by", s->by);
		put_some(r->data, "reason", s->reason);
		text_puts(r->data, "}");
	}
	close_page(&page);
	return NULL;
}

/* ---- people -------------------------------------------------------------------------------- */

static const char *list_sessions(struct run *r)
{
	const struct command *c = r->command;
	struct page page = open_page(r, "sessions");
	const struct client *client;

	for (client = clients_next(NULL); client; client = clients_next(client)) {
		if ((c->has_user && !identity_equal(client->who, &c->user)) || !on_page(&page))
			continue;
		text_put_member(r->data, "user", client->who->text);
		text_put_member(r->data, "kind", client->kind == CLIENT_SESSION ? "websocket" : "mqtt");
		text_put_time(r->data, "since", client->since_ms);
		text_puts(r->data, "}");
	}
	close_page(&page);
	return NULL;
}

static const char *send_away(struct run *r, const char *what, bool for_good)
{
	char why[WHY_MAX];
	unsigned count;

	commands_explain(what, r->command->text, why, sizeof(why));
	if (!kicks_user(&r->command->user, why, for_good, clock_monotonic_ms(), &count))
		return "unavailable";
	text_puts(r->data, "{");
	text_put_count(r->data, "sessions", count);
	text_puts(r->data, "}");
	return NULL;
}

/* What is done once is done at the other nodes, too. */
static const char *pass_on(const struct run *r, const char *error)
{
	if (!error && !r->asker->other_node)
		node_moderation_order(r->command, r->by);
	return error;
}

static const char *kick(struct run *r)
{
	return is_spared(r) ? refuse(r, "not_allowed", "user") : pass_on(r, send_away(r, "kicked", false));
}

static const char *ban(struct run *r)
{
	const char *error;

	/* not even oneself: nobody could undo it who is alone */
	if (moderators_listed(&r->command->user) || identity_equal(&r->command->user, r->by))
		return refuse(r, "not_allowed", "user");
	error = impose(r, SANCTION_BAN);
	if (error)
		return error;
	error = send_away(r, "banned", true);
	/* all of it or nothing */
	if (error)
		(void)lift(r, SANCTION_BAN);
	return error;
}

static const char *unban(struct run *r)
{
	return lift(r, SANCTION_BAN);
}

static const char *list_bans(struct run *r)
{
	return list_sanctions(r, SANCTION_BAN, "bans");
}

/* What is imposed on an old name would hold nowhere. */
static bool is_old_name(const struct run *r)
{
	return r->command->has_room && room_names_now(r->command->room, strlen(r->command->room)) != NULL;
}

static const char *mute(struct run *r)
{
	if (is_old_name(r))
		return refuse(r, "room_renamed", "room");
	/* oneself: why not */
	return is_spared(r) ? refuse(r, "not_allowed", "user") : impose(r, SANCTION_MUTE);
}

static const char *unmute(struct run *r)
{
	return lift(r, SANCTION_MUTE);
}

static const char *list_mutes(struct run *r)
{
	return list_sanctions(r, SANCTION_MUTE, "mutes");
}

/* ---- rooms --------------------------------------------------------------------------------- */

static const char *close_room(struct run *r)
{
	const char *error = is_old_name(r) ? refuse(r, "room_renamed", "room") : impose(r, SANCTION_ROOM);

	if (!error)
		(void)events_room(r->command->room, true); /* logged; the plugin lets nothing through in any case */
	return error;
}

static const char *open_room(struct run *r)
{
	const char *error = lift(r, SANCTION_ROOM);

	/* also where it had just run out: bridges may not know yet */
	(void)events_room(r->command->room, false);
	return error;
}

static const char *list_closed_rooms(struct run *r)
{
	return list_sanctions(r, SANCTION_ROOM, "rooms");
}

static const char *rename_room(struct run *r)
{
	const char *error = renames_ask(r->command, r->asker, &r->field);

	return error ? error : commands_later;
}

static const char *list_renamed_rooms(struct run *r)
{
	return list_sanctions(r, SANCTION_NAME, "rooms");
}

static const char *delete_message(struct run *r)
{
	const char *error = deletions_ask(r->command, r->asker);

	/* should it come only now from another node: it is known, and goes no further */
	if (peers_any())
		seen_add(r->command->id, SEEN_ALL, 0);
	(void)pass_on(r, error);
	return error ? error : commands_later;
}

static const char *announce(struct run *r)
{
	if (is_old_name(r))
		return refuse(r, "room_renamed", "room");
	return pass_on(r,
	               events_system("announcement", r->command->text, r->command->room) ? NULL : "unavailable");
}

/* ---- the node ------------------------------------------------------------------------------ */

/* A role in a token is about people and rooms; who empties the node is its operator's to say. */
static bool is_operators(const struct run *r)
{
	return moderators_listed(r->by);
}

static const char *drain(struct run *r)
{
	const struct command *c = r->command;
	uint32_t seconds = c->has_seconds ? c->seconds : DRAIN_SECONDS;
	const struct client *client;
	uint64_t sessions = 0;

	if (!is_operators(r))
		return "not_allowed";
	if (seconds > DRAIN_SECONDS_MAX)
		return refuse(r, "out_of_range", "seconds");
	if (!drain_begin(seconds, clock_monotonic_ms()))
		return "unavailable";
	for (client = clients_next(NULL); client; client = clients_next(client))
		sessions += client->kind == CLIENT_SESSION;
	text_puts(r->data, "{");
	text_put_count(r->data, "sessions", sessions);
	text_put_count(r->data, "seconds", seconds);
	text_puts(r->data, "}");
	return NULL;
}

static const char *undrain(struct run *r)
{
	if (!is_operators(r))
		return "not_allowed";
	if (!drain_on())
		return "not_found";
	return drain_end() ? NULL : "unavailable";
}

/* ---- the audit ----------------------------------------------------------------------------- */

static const char *get_audit(struct run *r)
{
	struct page page = open_page(r, "entries");
	const struct audit_entry *e;
	size_t back;

	for (back = 0; (e = audit_get(back)); back++) {
		if (!on_page(&page))
			continue;
		text_put_time(r->data, "at", e->at_ms);
		put_some(r->data, "by", e->by);
		put_some(r->data, "command", e->command);
		put_some(r->data, "user", e->user);
		put_some(r->data, "room", e->room);
		put_some(r->data, "to", e->to);
		put_some(r->data, "id", e->id);
		if (e->seconds > 0)
			text_put_count(r->data, "seconds", e->seconds);
		put_some(r->data, "text", e->text);
		put_some(r->data, "result", e->result);
		text_puts(r->data, "}");
	}
	close_page(&page);
	return NULL;
}

static void cut_to(char *out, size_t max, const char *text)
{
	size_t len = strlen(text);

	if (len > max) {
		len = max;
		/* not within a character */
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(out, text, len);
	out[len] = '\0';
}

static void log_command(const struct audit_entry *e)
{
	char text[LOG_TEXT_MAX], seconds[32] = "";

	if (e->seconds > 0)
		(void)snprintf(seconds, sizeof(seconds), " for %" PRIu64 " s", e->seconds);
	log_line(MOSQ_LOG_NOTICE, "moderation: %s: %s%s%s%s%s%s%s%s%s%s%s%s%s: %s", e->by,
	         e->command[0] != '\0' ? e->command : "(a command without a name)", e->user[0] != '\0' ? " " : "",
	         e->user, e->room[0] != '\0' ? " room " : "", e->room, e->to[0] != '\0' ? " to " : "", e->to,
	         e->id[0] != '\0' ? " " : "", e->id, seconds, e->text[0] != '\0' ? " (" : "",
	         e->text[0] != '\0' ? log_text(e->text, strlen(e->text), text) : "",
	         e->text[0] != '\0' ? ")" : "", e->result);
}

void commands_note(const struct command *c, const struct identity *by, const char *error)
{
	struct audit_entry e;

	memset(&e, 0, sizeof(e));
	e.at_ms = clock_real_ms();
	e.seconds = c->has_seconds ? c->seconds : 0;
	memcpy(e.by, by->text, (size_t)by->len + 1);
	cut_to(e.command, AUDIT_WORD_MAX, c->name);
	cut_to(e.result, AUDIT_WORD_MAX, error ? error : "ok");
	if (c->has_user)
		memcpy(e.user, c->user.text, (size_t)c->user.len + 1);
	memcpy(e.room, c->room, sizeof(e.room));
	memcpy(e.to, c->to, sizeof(e.to));
	memcpy(e.id, c->id, sizeof(e.id));
	cut_to(e.text, AUDIT_TEXT_MAX, c->text);
	count(error ? COUNTER_COMMANDS_FAILED : COUNTER_COMMANDS_OK);
	log_command(&e);
	if (!command_changes(c->which))
		return;
	if (audit_add(&e))
		moderation_store_changed();
	else
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: the audit of moderation lacks an entry");
}

/* ---- which is which ------------------------------------------------------------------------ */

static const char *(*const runs[COMMAND_COUNT])(struct run *r) = {
    [COMMAND_LIST_SESSIONS] = list_sessions,
    [COMMAND_KICK] = kick,
    [COMMAND_BAN] = ban,
    [COMMAND_UNBAN] = unban,
    [COMMAND_LIST_BANS] = list_bans,
    [COMMAND_GET_AUDIT] = get_audit,
    [COMMAND_MUTE] = mute,
    [COMMAND_UNMUTE] = unmute,
    [COMMAND_LIST_MUTES] = list_mutes,
    [COMMAND_CLOSE_ROOM] = close_room,
    [COMMAND_OPEN_ROOM] = open_room,
    [COMMAND_LIST_CLOSED_ROOMS] = list_closed_rooms,
    [COMMAND_RENAME_ROOM] = rename_room,
    [COMMAND_LIST_RENAMED_ROOMS] = list_renamed_rooms,
    [COMMAND_DELETE_MESSAGE] = delete_message,
    [COMMAND_ANNOUNCE] = announce,
    [COMMAND_DRAIN] = drain,
    [COMMAND_UNDRAIN] = undrain,
};

const char *commands_run(const struct command *command, const struct asker *asker, struct text_buffer *data,
                         const char **field)
{
	struct run r = {.command = command, .asker = asker, .by = &asker->who, .data = data};
	const char *error = runs[command->which](&r);

	*field = r.field;
	return error;
}
