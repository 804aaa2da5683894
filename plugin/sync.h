/*
 * sync.h - what bridges and their sessions ask of the plugin, on <root>/sync.
 *
 * A question is a line of text, "<verb> <token>", the token 1 to 20 digits of the asker's choice that the
 * answer repeats. The answer goes to where a session has its notices, or to <root>/bridges/<client id> for a
 * bridge's own connection, behind everything that the broker has already queued for the asker. It is text and
 * never begins with '{', by which a bridge tells it from what is meant for people.
 *
 *   position <token>   "position <token> <n> <id>": the number and id of the last message that history has
 *                      taken; "0 -" when there is none
 *   roster <token>     everybody who is announced as online, in pages (common/roster.h); only for a
 *                      bridge's own connection, which is told every change after that on <root>/bridges/all
 *   may, token         see there
 *   open <token>       of a session: its client is told now what the plugin has to say; no answer
 *   echo <token>       "echo <token>": the way there and back is open
 *   report <token> <process id>\n<lines>    what a bridge has counted (common/metrics.h); "report <token>"
 *   metrics <token> <process id>\n<lines>   the same, and "metrics <token>\n<text>": what the whole node has
 *                      counted, as Prometheus text; nothing behind the token when there are no metrics
 *   closed <token>     "closed <token> <room> <room>...": those that moderators have closed; changes are told
 *                      on <root>/bridges/all (events.h)
 *   renamed <token>    "renamed <token> <old> <new> <old> <new>...": names of rooms that moderators have
 * changed (room_names.h); that there is another one is told on <root>/bridges/all members <token> <question>
 * <n>          so many sessions of this bridge are in the room that it was asked for on <root>/bridges/all:
 * "members <question> <room>" (renames.h); "members <token>" drain <token>      "drain <token> <ms>": nobody
 * is to be let in, and all are to have left in so many milliseconds (drain.h); or "drain <token> none";
 * changes are told as well command <token> <frame>   a frame of that session's client, as it came; the answer
 * is a notice (control.h)
 */
#ifndef CHAT_SYNC_H
#define CHAT_SYNC_H

#include <stdbool.h>

struct client;
struct mosquitto;
struct mosquitto_evt_message;
struct options;

/* options: borrowed until sync_stop. */
void sync_start(const struct options *options);
void sync_stop(void);

/* Only a bridge's own connection and the sessions that came through one. */
bool sync_may_ask(const struct mosquitto *handle);

/* Answers; what is not understood is logged and left. The publish is not changed. */
void sync_on_message(const struct mosquitto_evt_message *ed);

/* Has the bridge of a session close it, with a code of WebSocket's and a reason of one line. */
void sync_close(const struct client *session, unsigned code, const char *reason);

#endif
