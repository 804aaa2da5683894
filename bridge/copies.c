/* copies.c - see copies.h */
#include "bridge/copies.h"
#include "common/topic.h"

#include <stdlib.h>
#include <string.h>

struct copied_name {
	struct copied_name *next;
	uint64_t first;   /* on its own topic */
	uint64_t last;    /* copy … */
	uint64_t last_ms; /* … and when it was accepted */
	size_t len;
	char name[ROOM_MAX];
};

static void forget_oldest(struct copies *c)
{
	struct copied_name **at = &c->names;
	while (*at != NULL && (*at)->next != NULL)
		at = &(*at)->next;
	free(*at);
	*at = NULL;
	c->count--;
}

/* NULL when out of memory, or where it is no name. */
static struct copied_name *find(struct copies *c, const char *room, size_t len)
{
	for (struct copied_name *at = c->names; at != NULL; at = at->next)
		if (at->len == len && memcmp(at->name, room, len) == 0)
			return at;
	struct copied_name *made = len > 0 && len <= ROOM_MAX ? calloc(1, sizeof *made) : NULL;
	if (made == NULL)
		return NULL;
	if (c->count == COPIES_NAMES_MAX)
		forget_oldest(c);
	memcpy(made->name, room, len);
	made->len = len;
	made->next = c->names;
	c->names = made;
	c->count++;
	return made;
}

void copies_note_first(uint64_t *first, uint64_t seq)
{
	if (seq == 1 || *first == 0) /* 1: the plugin has begun anew */
		*first = seq;
}

void copies_note(struct copies *c, const char *room, size_t len, uint64_t seq)
{
	struct copied_name *name = seq > 0 ? find(c, room, len) : NULL;
	if (name != NULL)
		copies_note_first(&name->first, seq);
}

bool copies_want(struct copies *c, const char *room, size_t len, uint64_t seq, uint64_t sent_ms,
                 uint64_t first)
{
	struct copied_name *name = find(c, room, len);
	if (first != 0 && seq >= first)
		return false;
	if (name == NULL)
		return true; /* rather twice than not at all */
	/* the plugin has begun anew; the same message is the copy of another old name */
	if (seq == 1 && (name->last != 1 || name->last_ms != sent_ms))
		name->last = 0;
	if ((name->first != 0 && seq >= name->first) || seq <= name->last)
		return false;
	name->last = seq;
	name->last_ms = sent_ms;
	return true;
}

void copies_clear(struct copies *c)
{
	while (c->names != NULL) {
		struct copied_name *name = c->names;
		c->names = name->next;
		free(name);
	}
	c->count = 0;
}
