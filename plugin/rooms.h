/*
 * rooms.h - how many messages each room has had: the number that tells a bridge whether one was lost.
 *
 * Bounded: the room that has been silent longest is forgotten first, and counts from 1 again.
 */
#ifndef CHAT_ROOMS_H
#define CHAT_ROOMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROOMS_REMEMBERED 65536

/* Forgets everything. */
void rooms_stop(void);

/* The next number of this room, from 1; 0 when out of memory (the message then carries none). */
uint64_t rooms_next(const char *name, size_t len);

/* Has this room had a message since the broker's start, as far as is remembered? */
bool rooms_known(const char *name, size_t len);

/* It counts from 1 again, if it is ever used. */
void rooms_forget(const char *name, size_t len);

#endif
