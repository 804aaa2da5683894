/*
 * nodes.h - the other nodes: who is there, what they have, who is connected to them.
 *
 * Each node publishes on <root>/nodes/<its name>, QoS 1, lines of text:
 *
 *   here <life>
 *       retained, once: that there is such a node, for those who come later
 *   beat <life> <beat> <mark> <news>
 *       every second while there is something to tell, else every three; with a line for each other node:
 *   <node> <life> <mark> have|want
 *       the last mark that has come from it; whether its people are known here, or to be told again
 *   people <life> <news> <part>
 *       part: first, next, last, only (of all its people) or change; with lines as in common/roster.h:
 *   +<address> <ms> or -<address> <ms>
 *       connected there, no longer
 *   imposed and order: node_moderation.h
 *
 * life: when that node was started, in ms since 1970; beat, mark and news: counters of that life. A beat's
 * news is the number of the last `people` before it, so that one that was lost is noticed.
 *
 * Marks. A link and the hub keep the order, so whoever has a node's mark has everything that this node had
 * before it: its own messages went the same way, and the others' had come from the hub. Up to the oldest mark
 * that all others are known to have, history is settled (history_settle): replays go by that. Two exceptions
 * of mosquitto's: what is retained goes before what waits in a queue, so no mark is retained; and what is
 * published in the moment in which a link reconnects may do so, too: a mark that did is answered up to a
 * second later, when the rest has come.
 *
 * A node that is not heard for NODE_SILENT_MS takes its people offline; after NODE_FORGOTTEN_MS it is no
 * more. Bounds: NODES_MAX, and PEOPLE_MAX of all others together; beyond them a line in the log.
 *
 * Without plugin_opt_peers every call is there and does nothing.
 */
#ifndef CHAT_NODES_H
#define CHAT_NODES_H

#include "common/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODES_MAX 64
#define PEOPLE_MAX 262144
#define NODE_BEAT_MS 1000      /* at least between two beats */
#define NODE_IDLE_BEAT_MS 3000 /* at most */
#define NODE_ALONE_BEAT_MS                                                                                   \
	10000 /* at most, while nobody is heard: beats wait in the queue of a link that is cut */
#define NODE_SILENT_MS 10000
#define NODE_FORGOTTEN_MS 3600000

struct options;
struct text_buffer;

/* options: borrowed until nodes_stop. */
void nodes_start(const struct options *options);

/* Before users_stop: people of other nodes count there. */
void nodes_stop(void);

/* Somebody has their first live client at this node now, or has lost the last one. */
void nodes_came(const struct identity *who);
void nodes_left(const struct identity *who);

/* What a peer has published on <root>/nodes/<name>. False when it is none of the above. */
bool nodes_on_message(const char *name, size_t name_len, const char *payload, size_t len);

/* Says this on this node's topic: a head of verb, life and rest, then the lines. False without peers, when
 * lines has failed, or out of memory: nothing has been said. */
bool nodes_say(const char *verb, const char *rest, const struct text_buffer *lines);

void nodes_tick(uint64_t now_ms);

#endif
