/*
 * peers.h - the links to other nodes, by their user names (plugin_opt_peers): that of a `connection` which
 * this broker opens (local_username), or of one that arrives here (remote_username).
 *
 * A link is known by its user name. The broker gives such a name to its own `connection`s, as configured, and
 * to clients that have proved it: auth.c lets nobody in under one of these names where nothing asks for a
 * password or a certificate. Without plugin_opt_peers nobody is a peer, at the cost of one comparison.
 */
#ifndef CHAT_PEERS_H
#define CHAT_PEERS_H

#include <stdbool.h>

struct mosquitto;
struct options;

/* options: borrowed until peers_stop. */
void peers_start(const struct options *options);
void peers_stop(void);

/* Are there any? */
bool peers_any(void);

bool peers_named(const char *user_name);

/* Also of a client that the broker makes up for a check. */
bool peers_is(const struct mosquitto *handle);

#endif
