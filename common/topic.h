/*
 * topic.h - the names of the topics under the chat root, and nothing of who may use them.
 *
 *   <root>/rooms/<room>             canonical messages        TOPIC_ROOM
 *   <root>/rooms/<room>/send        messages as sent          TOPIC_ROOM_SEND
 *   <root>/rooms/<room>/typing      typing events             TOPIC_ROOM_TYPING
 *   <root>/rooms/<room>/events      what moderators do there  TOPIC_ROOM_EVENTS
 *   <root>/users/<id>/inbox         direct messages           TOPIC_INBOX
 *   <root>/users/<id>/send          direct messages as sent   TOPIC_USER_SEND
 *   <root>/users/<id>/presence      presence, retained        TOPIC_PRESENCE
 *   <root>/users/<id>/typing        typing events             TOPIC_USER_TYPING
 *   <root>/users/<id>/events        the same of direct messages    TOPIC_USER_EVENTS
 *   <root>/users/<id>/notices/<cid> acks and errors           TOPIC_NOTICES
 *   <root>/nodes/<node>             what one node tells the others          TOPIC_NODE
 *   <root>/bridges/<cid>            what the plugin tells one bridge process, or one of its sessions
 *                                                             TOPIC_BRIDGE
 *   <root>/events                   what moderators say to all    TOPIC_EVENTS
 *   <root>/sync                     what bridges and their sessions ask the plugin    TOPIC_SYNC
 *
 * <id> and <cid> are topic levels: every byte outside A-Za-z0-9-_.~@ is
 * percent-encoded with upper-case hex digits, so that no '+', '#' or '/' of an
 * address or a client id ever reaches a topic.
 *
 * Pure: no allocation, no I/O. Everything is borrowed; lengths are bytes.
 */
#ifndef CHAT_TOPIC_H
#define CHAT_TOPIC_H

#include "identity.h"

#include <stdbool.h>
#include <stddef.h>

#define ROOM_MAX 64                        /* bytes of a room name */
#define TOPIC_LEVEL_MAX (3 * IDENTITY_MAX) /* bytes of an encoded address */
#define TOPIC_ROOT_MAX 64                  /* bytes of the root */
#define NODE_NAME_MAX 32                   /* bytes of a node's name */

enum topic_kind {
	TOPIC_OUTSIDE, /* not under the root: not ours */
	TOPIC_UNKNOWN, /* under the root (or the root itself), but none of the shapes above */
	TOPIC_ROOM,
	TOPIC_ROOM_SEND,
	TOPIC_ROOM_TYPING,
	TOPIC_INBOX,
	TOPIC_USER_SEND,
	TOPIC_PRESENCE,
	TOPIC_USER_TYPING,
	TOPIC_NOTICES,
	TOPIC_BRIDGE,
	TOPIC_SYNC,
	TOPIC_NODE,
	TOPIC_ROOM_EVENTS,
	TOPIC_USER_EVENTS,
	TOPIC_EVENTS,
};

/* The parts of a topic, pointing into the string that was parsed. Parsing is
 * structural: name may still be no valid room or encoded address. */
struct topic {
	enum topic_kind kind;
	const char *name; /* the room, or the encoded address; for TOPIC_BRIDGE the encoded client id, for
	                     TOPIC_NODE its name */
	size_t name_len;
	const char *client; /* TOPIC_NOTICES: the encoded client id, else NULL */
	size_t client_len;
};

/* Takes a topic apart. O(length of the topic); a topic outside the root costs one memcmp. */
struct topic topic_parse(const char *root, size_t root_len, const char *topic, size_t len);

/* 1 to 64 of a-z 0-9 - _ . */
bool room_name_valid(const char *s, size_t n);

/* A-Z a-z 0-9 - _ . and at least one of them; how many may be is its reader's business. */
bool node_name_valid(const char *s, size_t n);

/* 1 to 64 bytes, levels of A-Za-z0-9-_. joined by '/', none empty, not starting with '$'. */
bool topic_root_valid(const char *s, size_t n);

/* Percent-encodes n bytes as a topic level. Returns the length written (no NUL),
 * or 0 when n is 0 or the result does not fit into cap. */
size_t topic_level_encode(const char *s, size_t n, char *out, size_t cap);

/* The address that a level names: true and *out filled when the level is the
 * canonical encoding of a valid, canonical (lower-case domain) address. */
bool topic_level_identity(const char *level, size_t n, struct identity *out);

/* As topic_level_identity, but accepts every encoding and case of the same
 * address ("%40" for '@', lower-case hex, upper-case domain): for topics that
 * a client publishes to, which the plugin then rewrites. */
bool topic_level_identity_lenient(const char *level, size_t n, struct identity *out);

/* True when level is the canonical encoding of the n bytes at s. No allocation. */
bool topic_level_equals(const char *level, size_t level_len, const char *s, size_t n);

/* Writes one of the topics above, NUL-terminated. name is a room, a plain
 * (unencoded) address, a plain client id (TOPIC_BRIDGE), a node's name or ignored (TOPIC_SYNC, TOPIC_EVENTS),
 * client a plain client id (TOPIC_NOTICES only, else NULL). Returns the length without the NUL, or 0 when it
 * does not fit into cap. */
size_t topic_format(enum topic_kind kind, const char *root, const char *name, size_t name_len,
                    const char *client, size_t client_len, char *out, size_t cap);

#endif
