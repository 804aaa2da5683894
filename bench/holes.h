/*
 * holes.h - a path or topic with holes: {n} is a session's number, {room} that of its room.
 * Pure.
 */
#ifndef BENCH_HOLES_H
#define BENCH_HOLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes text with its holes filled, and a NUL. False: it has no room in cap bytes. */
bool holes_fill(char *out, size_t cap, const char *text, uint32_t n, uint32_t room);

#endif
