/*
 * command.h - one command of a moderator: {"command":"kick","user":"bob@x.org","correlationData":"7"},
 * checked.
 *
 * Which members a command takes, and which it must have, stands in one table in command.c. Pure: nothing is
 * allocated, and of the text only the correlation data is borrowed.
 */
#ifndef CHAT_COMMAND_H
#define CHAT_COMMAND_H

#include "common/identity.h"
#include "common/topic.h"
#include "common/ulid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_NAME_MAX 31
#define COMMAND_REASON_MAX 100               /* bytes */
#define COMMAND_MESSAGE_MAX 2000             /* bytes, of an announcement */
#define COMMAND_CORRELATION_MAX 256          /* bytes as they are written */
#define COMMAND_SECONDS_MAX (3650u * 86400u) /* ten years; without `seconds` it is for good */
#define COMMAND_PAGE_MAX 100
#define COMMAND_PAGE 50 /* entries, where no `count` is given */

/* name, members that it may have, those of them that it must have (bits of command.c) */
#define COMMANDS(X)                                                                                          \
	X(LIST_SESSIONS, "listSessions", USER | COUNT | OFFSET, 0)                                               \
	X(KICK, "kick", USER | REASON, USER)                                                                     \
	X(BAN, "ban", USER | SECONDS | REASON, USER)                                                             \
	X(UNBAN, "unban", USER, USER)                                                                            \
	X(LIST_BANS, "listBans", USER | COUNT | OFFSET, 0)                                                       \
	X(MUTE, "mute", USER | ROOM | SECONDS | REASON, USER)                                                    \
	X(UNMUTE, "unmute", USER | ROOM, USER)                                                                   \
	X(LIST_MUTES, "listMutes", USER | ROOM | COUNT | OFFSET, 0)                                              \
	X(CLOSE_ROOM, "closeRoom", ROOM | SECONDS | REASON, ROOM)                                                \
	X(OPEN_ROOM, "openRoom", ROOM, ROOM)                                                                     \
	X(LIST_CLOSED_ROOMS, "listClosedRooms", COUNT | OFFSET, 0)                                               \
	X(RENAME_ROOM, "renameRoom", ROOM | TO, ROOM | TO)                                                       \
	X(LIST_RENAMED_ROOMS, "listRenamedRooms", COUNT | OFFSET, 0)                                             \
	X(DELETE_MESSAGE, "deleteMessage", ID, ID)                                                               \
	X(ANNOUNCE, "announce", ROOM | MESSAGE, MESSAGE)                                                         \
	X(GET_AUDIT, "getAudit", COUNT | OFFSET, 0)                                                              \
	X(DRAIN, "drain", SECONDS, 0)                                                                            \
	X(UNDRAIN, "undrain", 0, 0)

enum command_which {
#define X(id, name, may, must) COMMAND_##id,
	COMMANDS(X)
#undef X
	    COMMAND_COUNT
};

/* What may be wrong with one. The first in the order of the list is named. */
#define COMMAND_INVALID "invalid_command" /* no object, or a member twice */
#define COMMAND_UNKNOWN "unknown_command"

struct command {
	enum command_which which;        /* COMMAND_COUNT: not known */
	char name[COMMAND_NAME_MAX + 1]; /* as it was written where that can be shown, else "" */
	const char *correlation;         /* the inside of a JSON string; NULL for none */
	size_t correlation_len;
	bool has_user, has_room, has_seconds;
	struct identity user;
	char room[ROOM_MAX + 1];
	char to[ROOM_MAX + 1]; /* "" for none */
	char id[ULID_LEN + 1];
	char text[COMMAND_MESSAGE_MAX + 1]; /* reason or message, "" for none */
	uint32_t seconds;
	uint32_t count, offset;
};

/* NULL and *out filled, or the name of what is wrong and in *field the member at fault (static, or NULL);
 * name and correlation are filled then as well where they can be read. */
const char *command_read(const char *text, size_t len, struct command *out, const char **field);

/* Does it change anything? Those that do are kept in the audit. */
bool command_changes(enum command_which which);

#endif
