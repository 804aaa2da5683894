/*
 * session_renames.c - a session whose room has another name: it is moved, and its client is told.
 *
 * Its client hears {"type":"renamed","room":"old","to":"new",...} behind the messages that came before, and
 * once for each name that it has used: when the room is renamed while it is there, or when it joins under the
 * old name.
 */
#include "bridge/bridge.h"
#include "common/reply.h"

#include <stdlib.h>
#include <string.h>

/* A name that the client is told of as soon as the session is open. */
struct old_name {
	struct old_name *next;
	char name[];
};

static void tell(struct session *s, const char *name)
{
	const struct bridge_settings *settings = &s->bridge->settings;
	const char *now = renamed_rooms_now(&s->bridge->renamed, name, strlen(name));
	char frame[REPLY_MAX];
	if (now == NULL)
		return; /* it has been renamed back meanwhile */
	size_t len = reply_renamed(settings->language, settings->system_sender, name, now, frame, sizeof frame);
	session_send_text(s, frame, len);
}

void session_note_renamed(struct session *s, const char *name, size_t len)
{
	struct old_name **end = &s->old_names;
	for (; *end != NULL; end = &(*end)->next)
		if (strlen((*end)->name) == len && memcmp((*end)->name, name, len) == 0)
			return;
	struct old_name *old = calloc(1, sizeof *old + len + 1);
	if (old == NULL) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return;
	}
	memcpy(old->name, name, len);
	*end = old;
	if (s->state == SESSION_OPEN)
		session_tell_renamed(s);
}

void session_forget_renamed(struct session *s)
{
	while (s->old_names != NULL) {
		struct old_name *old = s->old_names;
		s->old_names = old->next;
		free(old);
	}
}

void session_tell_renamed(struct session *s)
{
	for (const struct old_name *old = s->old_names; old != NULL; old = old->next)
		tell(s, old->name);
	session_forget_renamed(s);
}

void session_move(struct session *s, struct room *room, const char *now)
{
	if (session_leaving(s))
		return; /* it leaves at the end of the round */
	/* what is replayed stands under the new name in history */
	if (s->replay != NULL) {
		session_close(s, CLOSE_OVERLOADED, "a room was renamed, resume with since");
		return;
	}
	/* its name, for the room may end when this member leaves */
	char name[ROOM_MAX + 1];
	memcpy(name, room->name, sizeof name);
	session_note_renamed(s, name, strlen(name));
	if (session_leaving(s))
		return;
	if (session_change_room(s, room, now, strlen(now)))
		session_check_joined(s); /* the room that it waited for may be one that it has already */
	else
		session_close(s, CLOSE_INTERNAL, "out of memory");
}
