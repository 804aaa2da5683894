/*
 * host.h - which broker this plugin finds itself in.
 *
 * The plugin interface does not tell the broker's version, and two things depend on it: whether
 * this build fits at all (2.0 or 2.1), and who frees a replaced topic or property list. So the
 * broker's own program is asked once, at start.
 */
#ifndef CHAT_HOST_H
#define CHAT_HOST_H

#include <limits.h>
#include <stdbool.h>

struct host {
	int version;                /* 2000011 for 2.0.11; where not learnt, that of the headers */
	bool version_known;         /* the program itself said so */
	bool frees_replaced;        /* the broker frees a topic or property list that a plugin replaced */
	char plugin_path[PATH_MAX]; /* this .so, links resolved; "" where unknown */
};

/* Learns it all; takes at most two seconds. Never fails: what cannot be learnt is assumed. */
void host_learn(struct host *out);

/* True when this build may run in that broker: both 2.0, or both 2.1. */
bool host_fits(const struct host *host);

/* The number in a line like "mosquitto version 2.0.11", or 0. Pure. */
int host_version_number(const char *line);

#endif
