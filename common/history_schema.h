/*
 * history_schema.h - the database of kept messages, as the plugin writes it and bridges read it.
 *
 * SQLite in WAL mode: one writer, the plugin's thread; readers open it read-only and see whole batches. Text
 * columns are UTF-8.
 *
 * messages.n is the order of delivery, and what replays and pages go by. It grows, without being dense: a
 * message that was published with QoS 2 gets a new, higher one when the broker releases it. `id` is the ULID
 * that people see; ids are in the order of n but for those same messages, and for those of
 * other nodes. mailbox holds each direct message
 * once for each of its people (once in all for one to oneself).
 *
 * Pure: no I/O here.
 */
#ifndef CHAT_HISTORY_SCHEMA_H
#define CHAT_HISTORY_SCHEMA_H

#include "identity.h"

#include <stddef.h>

#define HISTORY_APPLICATION_ID 0x6d634854 /* "mcHT", PRAGMA application_id */
#define HISTORY_USER_VERSION 1            /* PRAGMA user_version; another one is not for this build */

/* places.kind */
enum history_kind {
	HISTORY_ROOM = 0, /* name: the room's */
	HISTORY_PAIR = 1  /* name: history_pair_name */
};

#define HISTORY_PLACE_MAX (2 * IDENTITY_MAX + 1) /* bytes of a place's name */

/* With other nodes: when a message with a number of n or more was delivered here, everything up to the number
 * `upto` had been delivered at every node. The row with the largest n not above a message's number tells for
 * it. No rows without other nodes. (Files of versions that knew none have no such table until they are
 * opened.) */
#define HISTORY_SETTLED "CREATE TABLE IF NOT EXISTS settled(n INTEGER PRIMARY KEY,upto INTEGER NOT NULL);"

#define HISTORY_SCHEMA                                                                                       \
	"CREATE TABLE messages("                                                                                 \
	"n INTEGER PRIMARY KEY,"                                                                                 \
	"id TEXT NOT NULL UNIQUE,"          /* ULID */                                                           \
	"place INTEGER NOT NULL,"           /* places.place */                                                   \
	"ref TEXT,"                         /* the author's own reference, where there was one */                \
	"body TEXT NOT NULL,"               /* canonical JSON, the bytes that were delivered; empty: deleted */  \
	"late INTEGER NOT NULL DEFAULT 0);" /* 1: accepted with QoS 2 and not seen released; 2: released, and    \
	                                       given a new number then */                                        \
	"CREATE INDEX messages_late ON messages(id) WHERE late=1;" HISTORY_SETTLED "CREATE TABLE places("        \
	"place INTEGER PRIMARY KEY,"                                                                             \
	"kind INTEGER NOT NULL,"                                                                                 \
	"name TEXT NOT NULL,"                                                                                    \
	"UNIQUE(kind,name));"                                                                                    \
	"CREATE TABLE progress(n INTEGER NOT NULL);" /* one row: everything up to this number has been dealt     \
	                                                with */                                                  \
	"INSERT INTO progress VALUES(0);"                                                                        \
	"CREATE TABLE users("                                                                                    \
	"user INTEGER PRIMARY KEY,"                                                                              \
	"address TEXT NOT NULL UNIQUE);"                                                                         \
	"CREATE TABLE mailbox("                                                                                  \
	"user INTEGER NOT NULL,"                                                                                 \
	"n INTEGER NOT NULL,"                                                                                    \
	"PRIMARY KEY(user,n)) WITHOUT ROWID;"                                                                    \
	"CREATE INDEX messages_place ON messages(place);" /* with the rowid, which is n: paging */

/* The name of a pair's place: the two addresses in ascending byte order joined by '_', NUL-terminated.
 * Returns its length. */
size_t history_pair_name(const struct identity *a, const struct identity *b, char out[HISTORY_PLACE_MAX + 1]);

/* Where the second address begins in the name of a pair's place: behind the first '_' behind the first '@',
 * for a domain holds none. 0 when it is no such name. Both parts may still be no addresses. */
size_t history_pair_second(const char *name, size_t len);

#endif
