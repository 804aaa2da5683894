/*
 * chat_config.h - the file that plugin_opt_chat_config names: options that can change while the broker runs.
 *
 * mosquitto hands a plugin no options when it reloads, so those that may change then stand in a file of their
 * own: lines `name value` with the names of plugin_opt_..., blank lines, and lines that begin with '#'.
 * At most CHAT_CONFIG_BYTES_MAX bytes and CHAT_CONFIG_ENTRIES_MAX options.
 *
 * This reads the lines; options.h says what they mean and which names are known.
 */
#ifndef CHAT_CHAT_CONFIG_H
#define CHAT_CHAT_CONFIG_H

#include "compat.h"

#include <stdbool.h>
#include <stddef.h>

#define CHAT_CONFIG_BYTES_MAX 65536
#define CHAT_CONFIG_ENTRIES_MAX 64
#define CHAT_CONFIG_REASON_MAX 256

/* Borrows its entries' texts from `text`. */
struct chat_config {
	struct mosquitto_opt entries[CHAT_CONFIG_ENTRIES_MAX];
	unsigned lines[CHAT_CONFIG_ENTRIES_MAX];
	int count;
	char *text;
};

/* False and the reason, which names the line where one is at fault. Free *out in either case. */
bool chat_config_read(const char *path, struct chat_config *out, char reason[CHAT_CONFIG_REASON_MAX]);

void chat_config_free(struct chat_config *config);

#endif
