/*
 * reply.h - the frames by which the server answers an author: acks, errors, system notices.
 *
 * Both programs write them: the plugin for what it decides, the bridge for what never
 * reaches the broker. Pure: into the caller's buffer, NUL-terminated; the length without the
 * NUL, or 0 when it does not fit (REPLY_MAX always does). Strings are valid UTF-8.
 */
#ifndef CHAT_REPLY_H
#define CHAT_REPLY_H

#include "common/errors.h"

#include <stdbool.h>
#include <stddef.h>

#define REPLY_MAX 2048     /* bytes of any reply with everything in it escaped */
#define REPLY_REF_MAX 64   /* bytes of a ref */
#define REPLY_FIELD_MAX 64 /* bytes of a field name */

/* {"type":"ack","ref":R,"id":I,"timestamp":T}; id and timestamp may be NULL: left out. */
size_t reply_ack(const char *ref, size_t ref_len, const char *id, const char *timestamp, char *out,
                 size_t cap);

/* {"type":"error","code":C,"message":TEXT,"sender":S,"field":F,"ref":R}; field and ref may be NULL. */
size_t reply_error(enum chat_error error, enum chat_language language, const char *sender, const char *field,
                   const char *ref, size_t ref_len, char *out, size_t cap);

/* {"type":"error","code":"room_renamed","message":"the room is called TO now","sender":S,"to":TO,"ref":R};
 * ref may be NULL. */
size_t reply_room_renamed(enum chat_language language, const char *sender, const char *to, const char *ref,
                          size_t ref_len, char *out, size_t cap);

/* {"type":"renamed","room":ROOM,"to":TO,"sender":S,"message":"the room ROOM is called TO now"} */
size_t reply_renamed(enum chat_language language, const char *sender, const char *room, const char *to,
                     char *out, size_t cap);

/* A member's raw name as the `field` of an error, NUL-terminated: 1 to REPLY_FIELD_MAX printable ASCII
 * characters without escapes. False, and nothing written, where it is none. */
bool reply_field_name(const char *key, size_t len, bool escaped, char out[REPLY_FIELD_MAX + 1]);

/* {"type":"system","code":"recipient_offline","sender":S,"message":"bob@x.org is not connected"} */
size_t reply_recipient_offline(enum chat_language language, const char *sender, const char *recipient,
                               char *out, size_t cap);

/* {"type":"system","code":"token_expiring","sender":S,"message":TEXT} */
size_t reply_token_expiring(enum chat_language language, const char *sender, char *out, size_t cap);

#endif
