/*
 * node_moderation.h - moderators at other nodes: what they do is done here too, and theirs what is done here.
 *
 * Said on the topic of each node (nodes.h), QoS 1:
 *
 *   imposed <life> news|all
 *       with one line for each ban, mute, closed and renamed room, or what has been taken away, as in
 *       moderation_text.h. news: a moderator has just said so. all: what is in force or remembered, in one
 *       publish or several, whenever another node appears; so a node that was away for however long, or is
 *       new, learns them.
 *   order <life> <id>
 *       what is done once: a kick, the deletion of a message, an announcement; <id> as of a message, so that
 *       one that a link repeats is known (seen.h). Two lines: who has given it, and the command as in
 *       command.h.
 *
 * Of two nodes that say different things of the same user and room the later one counts (moderation.h): by
 * the clocks, but a command is always later than what its node knew.
 *
 * A peer is trusted with this, as with authors (docs/security.md), but for whom this node's operator has
 * named as a moderator: they are kicked, banned and muted from nowhere. What is not done here is logged.
 */
#ifndef CHAT_NODE_MODERATION_H
#define CHAT_NODE_MODERATION_H

#include <stdbool.h>
#include <stddef.h>

struct command;
struct identity;
struct sanction;

#define NODE_KICK_MS                                                                                         \
	60000 /* a kick that comes later than that is not carried out: people may have come back */

/* To the others: imposed here or taken away here just now. Without peers nothing happens, here and below.
 * What cannot be said for want of memory is logged. */
void node_moderation_tell(const struct sanction *s);

/* To the others: everything. False: not all of it could be said. */
bool node_moderation_tell_all(void);

/* To the others: a command that is done once. */
void node_moderation_order(const struct command *command, const struct identity *by);

/* What another node has said; rest: of the head, behind the life; at: the lines. False when it is none of the
 * above; what stood before the bad line has been taken. */
bool node_moderation_take(const char *node, const char *rest, const char *at, const char *end);
bool node_moderation_take_order(const char *node, const char *rest, const char *at, const char *end);

#endif
