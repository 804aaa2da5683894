/*
 * renewal.h - {"type":"token","token":JWT,"ref":R}: a session goes on with a new token.
 */
#ifndef CHAT_RENEWAL_H
#define CHAT_RENEWAL_H

#include <stddef.h>

struct client;
struct mosquitto;

/* The session's frame of len bytes, as its client has sent it. Answers with an ack where the frame has a ref,
 * or an error; a token that is refused changes nothing. */
void renewal_on_frame(const struct mosquitto *handle, const struct client *session, const char *text,
                      size_t len);

#endif
