/*
 * broker_config.h - what the operator's own configuration says about access.
 *
 * A plugin is told its own options and nothing else. To leave the operator's rules as they are,
 * this one has to know whether there are any: so it reads the broker's configuration file itself
 * (the path stands in the command line; include_dir is followed). It takes nothing from there but
 * the facts below. Where the file cannot be read (a broker that has dropped its privileges), `complete`
 * is false, and what was not found may be there all the same.
 */
#ifndef CHAT_BROKER_CONFIG_H
#define CHAT_BROKER_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define CONFIG_PLACES_MAX 64 /* plugin_opt lines of ours that are remembered */
#define CONFIG_NAME_MAX 64

struct config_place {
	char name[CONFIG_NAME_MAX]; /* without plugin_opt_ */
	char file[PATH_MAX];
	unsigned line;
};

struct broker_config {
	bool given;    /* the broker was started with a configuration file */
	bool complete; /* and all of it could be read */
	char file[PATH_MAX];
	bool password_file;
	bool acl_file;
	bool psk_file;
	bool allow_anonymous; /* `allow_anonymous true` */
	bool per_listener_settings;
	bool other_plugin;                   /* that may have rules of its own (storage plugins do not count) */
	bool other_plugin_earlier;           /* listed before this one */
	bool chat_listener;                  /* a line `listener 0 <broker_socket>` */
	bool persistence;                    /* `persistence true` */
	char persistence_location[PATH_MAX]; /* "" where none is named: the working directory */
	unsigned sys_interval_s;             /* `sys_interval` */
	bool link;                           /* a `connection`: this broker opens a link to another one */
	unsigned read_ahead;                 /* `packet_buffer_size`, bytes; UINT_MAX where none is named */
	size_t place_count;
	struct config_place places[CONFIG_PLACES_MAX];
};

/* plugin_path: this plugin with links resolved, to tell its own lines from other plugins'.
 * broker_socket: as the option has it, or "". */
void broker_config_read(const char *plugin_path, const char *broker_socket, struct broker_config *out);

/* Where an option of ours stands, the last one of that name; NULL where that is not known. */
const struct config_place *broker_config_find(const struct broker_config *config, const char *option);

#endif
