/*
 * http_history.h - pages of history over HTTP.
 *
 *   GET /rooms/{room}/messages?before=ID&after=ID&limit=N   {"messages":[canonical…],"complete":B}
 *   GET /messages/{a}_{b}?…    the direct messages of two people in the form of the original service:
 *                              [{"chat_id","sender_id","receiver_id","message","timestamp"},…]
 *
 * Oldest first; without before and after the newest. Without limit 50 of a room and 200 of a pair. A pair
 * that has no messages is []; what is no pair of addresses is refused (400).
 */
#ifndef CHAT_BRIDGE_HTTP_HISTORY_H
#define CHAT_BRIDGE_HTTP_HISTORY_H

#include "bridge/http_api.h"

/* As the routes of http_api.c. x->path begins with "/rooms/" or "/messages/". */
bool http_history_room(struct http_exchange *x);
bool http_history_pair(struct http_exchange *x);

#endif
