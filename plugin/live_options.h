/*
 * live_options.h - the options in force: what mosquitto.conf says, and on top of it what chat_config says,
 * which is read again at each reload.
 *
 * Everybody borrows the one struct for as long as the plugin runs. Its values change at a reload, between two
 * events of the broker, and only those that options.h calls reloadable; who has made something of such a
 * value is told (start.h).
 */
#ifndef CHAT_LIVE_OPTIONS_H
#define CHAT_LIVE_OPTIONS_H

#include "chat_config.h"
#include "options.h"

#include <stdbool.h>

struct live_fault {
	struct option_fault option; /* name NULL: no single option is at fault */
	const char *file;           /* chat_config, where it is at fault; else NULL */
	unsigned line;              /* in that file, 0: none */
	char name[64], value[256];  /* what option.name and .value point to */
};

/* The list is copied. False and *fault filled; nothing is left then. */
bool live_options_start(const struct mosquitto_opt *list, int count, struct live_fault *fault);

const struct options *live_options(void);

/* Reads chat_config again. False and *fault filled: everything stays as it was. */
bool live_options_reload(struct live_fault *fault);

void live_options_stop(void);

#endif
