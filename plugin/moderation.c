/*
 * moderation.c - see moderation.h
 */
#include "moderation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	struct table tables[SANCTION_KINDS];
	struct table lifted[SANCTION_KINDS];
} state;

/* Address, a blank (which neither has), room. Returns its length, 0 for what cannot be a key. */
static size_t make_key(const char *user, const char *room, size_t room_len,
                       char out[IDENTITY_MAX + ROOM_MAX + 2])
{
	size_t user_len = strlen(user);

	if (user_len > IDENTITY_MAX || room_len > ROOM_MAX)
		return 0;
	memcpy(out, user, user_len);
	out[user_len] = ' ';
	memcpy(out + user_len + 1, room, room_len);
	out[user_len + 1 + room_len] = '\0';
	return user_len + 1 + room_len;
}

static struct table *table_of(enum sanction_kind kind, bool lifted)
{
	return lifted ? &state.lifted[kind] : &state.tables[kind];
}

static void forget(struct sanction *s)
{
	table_remove(table_of(s->kind, s->lifted), s);
	free(s);
}

void moderation_stop(void)
{
	struct sanction *s;
	int kind;

	for (kind = 0; kind < SANCTION_KINDS; kind++) {
		while ((s = table_oldest(&state.tables[kind])))
			forget(s);
		while ((s = table_oldest(&state.lifted[kind])))
			forget(s);
	}
}

static bool over(const struct sanction *s, uint64_t now_ms)
{
	return s->until_ms != 0 && s->until_ms <= now_ms;
}

static struct sanction *find_in(const struct table *table, const char *user, const char *room,
                                size_t room_len)
{
	char key[IDENTITY_MAX + ROOM_MAX + 2];
	size_t len;

	/* the usual case costs nothing */
	if (!table_oldest(table))
		return NULL;
	len = make_key(user, room, room_len, key);
	return len > 0 ? table_find(table, key, len) : NULL;
}

static struct sanction *find(enum sanction_kind kind, const char *user, const char *room, size_t room_len)
{
	return find_in(&state.tables[kind], user, room, room_len);
}

/* What the other table says of the same. */
static void forget_other(const struct sanction *s)
{
	struct sanction *other = find_in(table_of(s->kind, !s->lifted), s->user, s->room, strlen(s->room));

	if (other)
		forget(other);
}

enum moderation_result moderation_set(const struct sanction *wanted)
{
	struct table *table = table_of(wanted->kind, wanted->lifted);
	struct sanction *old = find_in(table, wanted->user, wanted->room, strlen(wanted->room));
	struct sanction *s;
	size_t len;

	if (!old && table_count(table) >= MODERATION_MAX) {
		if (!wanted->lifted)
			return MODERATION_FULL;
		forget(table_oldest(table));
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return MODERATION_NO_MEMORY;
	*s = *wanted;
	memset(&s->entry, 0, sizeof(s->entry));
	len = make_key(s->user, s->room, strlen(s->room), s->key);
	if (old)
		table_remove(table, old);
	if (table_add(table, s, s->key, len)) {
		free(old);
		forget_other(s);
		return MODERATION_OK;
	}
	free(s);
	/* the place that it had is free */
	if (old && !table_add(table, old, old->key, len))
		free(old);
	return MODERATION_NO_MEMORY;
}

bool moderation_lift(enum sanction_kind kind, const char *user, const char *room, uint64_t now_ms)
{
	struct sanction *s = find(kind, user, room, strlen(room));
	bool there = s && !over(s, now_ms);

	if (s)
		forget(s);
	return there;
}

uint64_t moderation_known(enum sanction_kind kind, const char *user, const char *room)
{
	const struct sanction *s = find(kind, user, room, strlen(room));
	const struct sanction *lifted = find_in(&state.lifted[kind], user, room, strlen(room));
	uint64_t since = s ? s->since_ms : 0;

	return lifted && lifted->since_ms > since ? lifted->since_ms : since;
}

static const struct sanction *in_force(enum sanction_kind kind, const char *user, const char *room,
                                       size_t room_len, uint64_t now_ms)
{
	const struct sanction *s = find(kind, user, room, room_len);

	return s && !over(s, now_ms) ? s : NULL;
}

const struct sanction *moderation_find(enum sanction_kind kind, const char *user, const char *room,
                                       uint64_t now_ms)
{
	return in_force(kind, user, room, strlen(room), now_ms);
}

const struct sanction *moderation_ban(const struct identity *who, uint64_t now_ms)
{
	return in_force(SANCTION_BAN, who->text, "", 0, now_ms);
}

bool moderation_muted(const struct identity *who, const char *room, size_t room_len, uint64_t now_ms)
{
	return moderation_ban(who, now_ms) || in_force(SANCTION_MUTE, who->text, "", 0, now_ms) ||
	       (room && in_force(SANCTION_MUTE, who->text, room, room_len, now_ms));
}

bool moderation_closed(const char *room, size_t room_len, uint64_t now_ms)
{
	return in_force(SANCTION_ROOM, "", room, room_len, now_ms) != NULL;
}

const struct sanction *moderation_renamed(const char *room, size_t room_len)
{
	return find(SANCTION_NAME, "", room, room_len);
}

const struct sanction *moderation_next(enum sanction_kind kind, const struct sanction *after)
{
	return after ? table_after(after) : table_oldest(&state.tables[kind]);
}

const struct sanction *moderation_next_lifted(enum sanction_kind kind, const struct sanction *after)
{
	return after ? table_after(after) : table_oldest(&state.lifted[kind]);
}

size_t moderation_count(enum sanction_kind kind)
{
	return table_count(&state.tables[kind]);
}

bool moderation_tidy(uint64_t now_ms, void (*gone)(const struct sanction *s))
{
	struct sanction *s, *next;
	bool any = false;
	int kind;

	for (kind = 0; kind < SANCTION_KINDS; kind++)
		for (s = table_oldest(&state.tables[kind]); s; s = next) {
			next = table_after(s);
			if (!over(s, now_ms))
				continue;
			if (gone)
				gone(s);
			forget(s);
			any = true;
		}
	return any;
}
