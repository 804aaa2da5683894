/*
 * device_key.h - the secret of this installation with which a named device's client id is made.
 *
 * A client id of a named device must be the same after a restart of the broker, for what waits for the device
 * waits under that id, and nobody outside may know how to make one. Where the broker keeps its sessions
 * (`persistence true`) the key is kept beside them: the file chat-device.key in persistence_location (or
 * the broker's working directory), 64 hexadecimal digits, readable for the broker's user alone; made when it
 * is missing. Elsewhere, and where the file is of no use (which is a warning in the log), the key is good for
 * one life of the broker.
 *
 * The key is never logged.
 */
#ifndef CHAT_DEVICE_KEY_H
#define CHAT_DEVICE_KEY_H

#include <stdbool.h>

struct broker_config;

#define DEVICE_KEY_FILE "chat-device.key"

/* Reads, makes or draws the key. False when the system gives no randomness. */
bool device_key_start(const struct broker_config *config);

/* Wipes it. */
void device_key_stop(void);

/* DEVICE_KEY_HEX digits, NUL-terminated; for the bridges and for nobody else. */
const char *device_key(void);

#endif
