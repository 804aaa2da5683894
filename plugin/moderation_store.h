/*
 * moderation_store.h - the file in which moderation.h and audit.h outlive the broker.
 *
 * A thread of its own writes it, so that the broker never waits for the disk: the main thread makes the text,
 * the thread writes it beside the file, forces it onto the disk and gives it the file's name. So the file is
 * always whole, the old one or the new one. Only the newest text counts; what cannot be written is tried
 * again every second and said in the log. Mode 0600.
 */
#ifndef CHAT_MODERATION_STORE_H
#define CHAT_MODERATION_STORE_H

#include <stdbool.h>
#include <stdint.h>

/* Reads the file (none is well) and starts the thread. "" = nothing is kept. False, and a line in the log,
 * when it is there and cannot be read, or its folder not written. */
bool moderation_store_start(const char *path);

/* What is in force or in the audit has changed: it is written soon. */
void moderation_store_changed(void);

/* In every tick: hands a new text to the thread, logs what it has met with. */
void moderation_store_tick(uint64_t now_ms);

/* Writes what is not written, ends the thread. May be called without a start. */
void moderation_store_stop(void);

#endif
