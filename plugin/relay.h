/*
 * relay.h - what comes over a link from another node (peers.h).
 *
 * Canonical messages and typing events pass as they are, on the topic that fits them, once: bytes, id and
 * sender stay; the properties are this broker's own (seq, n), but for via. What a node says of itself goes to
 * nodes.h and on to the other links. Everything else is refused and logged; so are QoS 2, by which a message
 * would be delivered at another moment than the one in which history numbers it, and retained messages.
 *
 * A message that has come before goes no further: its topic is cut down to the root, which nobody can read.
 */
#ifndef CHAT_RELAY_H
#define CHAT_RELAY_H

#include <stdbool.h>
#include <stddef.h>

struct mosquitto_evt_message;
struct options;
struct topic;

/* options: borrowed until relay_stop. */
void relay_start(const struct options *options);
void relay_stop(void);

/* The MESSAGE event of a peer; t: its topic. */
int relay_on_message(struct mosquitto_evt_message *ed, const struct topic *t);

/* May a peer write this there? Asked for each publish, and for a will, which no MESSAGE event shows. */
bool relay_may_write(const struct topic *t, const void *payload, size_t len);

#endif
