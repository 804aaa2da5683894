/*
 * start.h - everything that happens once, or once more at a reload: options checked, the broker looked at,
 * the parts started in their order and stopped in the reverse one.
 */
#ifndef CHAT_START_H
#define CHAT_START_H

#include <stdbool.h>

struct mosquitto_opt;

/* False after a line in the log that says why; nothing is left running then. */
bool start_all(const struct mosquitto_opt *options, int count);

/* SIGHUP: chat_config is read again, and whoever has made something of its values is told. */
void reload_all(void);

/* May be called when nothing was started. */
void stop_all(void);

#endif
