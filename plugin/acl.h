/*
 * acl.h - may this client read, write, subscribe to this topic.
 *
 *   events, rooms/<r>, rooms/<r>/typing, rooms/<r>/events   read by anybody who is connected
 *   users/<id>/inbox, .../typing, .../events      read by that identity
 *   users/<id>/notices/<client id>    read by that client id of that identity
 *   users/<id>/presence               read by anybody with an identity, as far as it is true (presence.h)
 *   nodes/<node>                      read and written by peers (peers.h), who also read rooms and inboxes
 *                                     and write there what relay.h lets through
 *   .../send                          written by anybody, read by nobody
 *
 * $CONTROL/chat/v1 is written by moderators (moderators.h), and its /response read by them; whatever else
 * begins with $CONTROL/chat is refused.
 *
 * Everything else under the root is refused. Filters with wildcards may be subscribed to: what they
 * let through is decided for each message, in READ, which therefore (but for ghosts, presence.h) allocates
 * nothing, logs nothing and takes the same time whatever the number of clients and rooms.
 */
#ifndef CHAT_ACL_H
#define CHAT_ACL_H

#include <stdbool.h>

struct options;
struct mosquitto_evt_acl_check;

/* options: borrowed until acl_stop. defer: topics outside the root are left to others, who must then
 * allow them. defer_control: the same for writing to $CONTROL/.... */
void acl_start(const struct options *options, bool defer, bool defer_control);
void acl_stop(void);

int acl_on_check(struct mosquitto_evt_acl_check *ed);

#endif
