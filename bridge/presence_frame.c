/* presence_frame.c - see presence_frame.h */
#include "bridge/presence_frame.h"

#include "common/json.h"
#include "common/timestamp.h"

#include <string.h>

#define TYPE "\"type\":\"presence\""

/* "user":U,"status":S,"<when>":T */
static char *write_members(const struct presence_entry *e, const char *when, char *at)
{
	char time[TIMESTAMP_LEN + 1];
	timestamp_format(e->ms, time);
	at = stpcpy(at, "\"user\":\"");
	at = json_escape(e->address, e->address_len, at);
	at = stpcpy(at, e->online ? "\",\"status\":\"online\",\"" : "\",\"status\":\"offline\",\"");
	at = stpcpy(at, when);
	at = stpcpy(at, "\":\"");
	at = stpcpy(at, time);
	return stpcpy(at, "\"");
}

char *presence_user(const struct presence_entry *e, char *out)
{
	out = stpcpy(out, "{");
	out = write_members(e, "since", out);
	return stpcpy(out, "}");
}

size_t presence_frame(const struct presence_entry *entries, size_t n, bool together, char *out, size_t *len)
{
	char *at = out;
	size_t taken = 0;
	if (!together) {
		at = stpcpy(at, "{" TYPE ",");
		at = write_members(&entries[0], "timestamp", at);
		*len = (size_t)(stpcpy(at, "}") - out);
		return 1;
	}
	at = stpcpy(at, "{" TYPE ",\"users\":[");
	/* one more always fits: a comma, the person, the end */
	while (taken < n && taken < PRESENCE_USERS_MAX &&
	       (size_t)(at - out) + PRESENCE_USER_MAX + 8 <= PRESENCE_FRAME_MAX) {
		at = stpcpy(at, taken > 0 ? ",{" : "{");
		at = write_members(&entries[taken++], "timestamp", at);
		at = stpcpy(at, "}");
	}
	*len = (size_t)(stpcpy(at, "]}") - out);
	return taken;
}
