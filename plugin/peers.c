/*
 * peers.c - the links to other nodes, by their user names.
 */
#include "peers.h"

#include "compat.h"
#include "options.h"

#include <string.h>

static const struct options *with; /* NULL: without peers */

void peers_start(const struct options *options)
{
	with = options->peer_count > 0 ? options : NULL;
}

void peers_stop(void)
{
	with = NULL;
}

bool peers_any(void)
{
	return with != NULL;
}

bool peers_named(const char *user_name)
{
	uint32_t i;

	for (i = 0; with && i < with->peer_count; i++)
		if (strcmp(with->peers[i], user_name) == 0)
			return true;
	return false;
}

bool peers_is(const struct mosquitto *handle)
{
	const char *name = with ? mosquitto_client_username(handle) : NULL;

	return name && peers_named(name);
}
