/*
 * http_access.h - may whoever sends this request have the answer? The plugin says.
 *
 * Where clients need not show anything (settings.logins off) nobody is asked.
 */
#ifndef CHAT_BRIDGE_HTTP_ACCESS_H
#define CHAT_BRIDGE_HTTP_ACCESS_H

#include "bridge/http_api.h"
#include "common/identity.h"

/* Goes on with `then`, now or when the plugin has agreed; else answers 401, 403 or 503. a, b: the two whose
 * conversation it is about, NULL: what everybody may see who may see anything. data, from malloc or NULL, is
 * handed to `then` for the call and freed; then's answer is as of a route of http_api.c. */
bool http_access_ask(struct http_exchange *x, const struct identity *a, const struct identity *b,
                     bool (*then)(struct http_exchange *x, const void *data), void *data);

#endif
