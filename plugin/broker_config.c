/*
 * broker_config.c - what the operator's own configuration says about access.
 */
#include "broker_config.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMAND_LINE_MAX 65536
#define SYS_INTERVAL_DEFAULT_S 10

struct reading {
	struct broker_config *out;
	const char *plugin_path;
	const char *broker_socket;
	const char *file;
	unsigned line;
	bool seen_own; /* our plugin line has been read */
	bool in_own;   /* the last plugin line was ours */
	bool readable; /* nothing so far that could not be read */
};

/* Fills out with the argument of -c. False when there is none. */
static bool config_path(char out[PATH_MAX])
{
	char *line = malloc(COMMAND_LINE_MAX);
	bool next = false, found = false;
	ssize_t n, i, start = 0;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

	n = fd >= 0 && line ? read(fd, line, COMMAND_LINE_MAX) : -1;
	if (fd >= 0)
		close(fd);
	for (i = 0; i < n; i++) {
		if (line[i] != '\0')
			continue;
		/* As the broker has it: of several -c the last one names the file. */
		if (next) {
			found = i - start < PATH_MAX;
			if (found)
				memcpy(out, line + start, (size_t)(i - start) + 1);
		}
		next = !next && (strcmp(line + start, "-c") == 0 || strcmp(line + start, "--config-file") == 0);
		start = i + 1;
	}
	free(line);
	return found;
}

/* What follows the first word and the blanks behind it. */
static const char *after_word(const char *s)
{
	s += strcspn(s, " \t");
	return s + strspn(s, " \t");
}

static bool same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Plugins that keep the broker's data and have no access rules. */
static bool is_storage(const char *path)
{
	const char *name = strrchr(path, '/');

	return strncmp(name ? name + 1 : path, "mosquitto_persist_", strlen("mosquitto_persist_")) == 0;
}

static bool is_true(const char *value)
{
	return strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0;
}

/* The broker has checked it. */
static unsigned seconds(const char *value)
{
	unsigned long n = strtoul(value, NULL, 10);

	return n <= 65535 ? (unsigned)n : SYS_INTERVAL_DEFAULT_S;
}

static void plugin_line(struct reading *r, const char *path)
{
	r->in_own = same_file(path, r->plugin_path);
	if (r->in_own) {
		r->seen_own = true;
	} else if (!is_storage(path)) {
		r->out->other_plugin = true;
		r->out->other_plugin_earlier |= !r->seen_own;
	}
}

static void option_line(struct reading *r, const char *name)
{
	struct config_place *place;

	if (!r->in_own || r->out->place_count == CONFIG_PLACES_MAX || strlen(name) >= CONFIG_NAME_MAX)
		return;
	place = &r->out->places[r->out->place_count++];
	memcpy(place->name, name, strlen(name) + 1);
	(void)snprintf(place->file, sizeof(place->file), "%s", r->file);
	place->line = r->line;
}

static void listener_line(struct reading *r, const char *value)
{
	if (value[0] != '0' || (value[1] != ' ' && value[1] != '\t'))
		return;
	value += 1 + strspn(value + 1, " \t");
	if (*value != '\0' && strcmp(value, r->broker_socket) == 0)
		r->out->chat_listener = true;
}

/* One line, cut into its first word and the rest. */
static void take_line(struct reading *r, const char *word, const char *value)
{
	struct broker_config *out = r->out;

	if (strcmp(word, "password_file") == 0)
		out->password_file = true;
	else if (strcmp(word, "acl_file") == 0)
		out->acl_file = true;
	else if (strcmp(word, "psk_file") == 0)
		out->psk_file = true;
	else if (strcmp(word, "allow_anonymous") == 0)
		out->allow_anonymous = is_true(value);
	else if (strcmp(word, "persistence") == 0 || strcmp(word, "retained_persistence") == 0)
		out->persistence = is_true(value);
	else if (strcmp(word, "persistence_location") == 0)
		(void)snprintf(out->persistence_location, sizeof(out->persistence_location), "%s", value);
	else if (strcmp(word, "sys_interval") == 0)
		out->sys_interval_s = seconds(value);
	else if (strcmp(word, "per_listener_settings") == 0)
		out->per_listener_settings = is_true(value);
	else if (strcmp(word, "plugin") == 0 || strcmp(word, "auth_plugin") == 0 ||
	         strcmp(word, "global_plugin") == 0)
		plugin_line(r, value);
	else if (strcmp(word, "plugin_load") == 0)
		plugin_line(r, after_word(value));
	else if (strncmp(word, "plugin_opt_", strlen("plugin_opt_")) == 0)
		option_line(r, word + strlen("plugin_opt_"));
	else if (strncmp(word, "auth_opt_", strlen("auth_opt_")) == 0)
		option_line(r, word + strlen("auth_opt_"));
	else if (strcmp(word, "listener") == 0)
		listener_line(r, value);
	else if (strcmp(word, "connection") == 0)
		out->link = true;
	else if (strcmp(word, "packet_buffer_size") == 0 || strcmp(word, "websockets_headers_size") == 0)
		out->read_ahead = (unsigned)strtoul(value, NULL, 10); /* the broker has checked it */
}

/* An open file of the configuration. */
struct source {
	FILE *f;
	char *line;
	size_t size;
	unsigned number; /* of the line */
};

/* The next line that says something, cut in two. False at the end. */
static bool next_line(struct source *source, char **word, char **value)
{
	size_t len;
	ssize_t n;

	while ((n = getline(&source->line, &source->size, source->f)) >= 0) {
		source->number++;
		while (n > 0 && strchr(" \t\r\n", source->line[n - 1]))
			source->line[--n] = '\0';
		*word = source->line + strspn(source->line, " \t");
		if (**word == '\0' || **word == '#')
			continue;
		len = strcspn(*word, " \t");
		*value = (char *)(uintptr_t)after_word(*word);
		(*word)[len] = '\0';
		return true;
	}
	return false;
}

static bool open_source(struct reading *r, struct source *source, const char *path)
{
	memset(source, 0, sizeof(*source));
	source->f = fopen(path, "re");
	if (!source->f)
		r->readable = false;
	return source->f != NULL;
}

static void close_source(struct reading *r, struct source *source)
{
	if (ferror(source->f))
		r->readable = false;
	(void)fclose(source->f);
	free(source->line);
}

static void read_included(struct reading *r, const char *path)
{
	struct source source;
	char *word, *value;

	if (!open_source(r, &source, path))
		return;
	r->file = path;
	while (next_line(&source, &word, &value)) {
		r->line = source.number;
		take_line(r, word, value);
	}
	close_source(r, &source);
	r->file = "";
}

static int is_conf(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 5 && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcasecmp((*a)->d_name, (*b)->d_name);
}

static void read_directory(struct reading *r, const char *path)
{
	struct dirent **entries = NULL;
	char file[PATH_MAX];
	int count, i, n;

	count = scandir(path, &entries, is_conf, by_name);
	if (count < 0) {
		r->readable = false;
		return;
	}
	for (i = 0; i < count; i++) {
		n = snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		if (n > 0 && (size_t)n < sizeof(file))
			read_included(r, file);
		else
			r->readable = false;
		free(entries[i]);
	}
	free(entries);
}

/* Only here does include_dir mean anything. */
static void read_main(struct reading *r, const char *path)
{
	struct source source;
	char *word, *value;

	if (!open_source(r, &source, path))
		return;
	while (next_line(&source, &word, &value)) {
		r->file = path;
		r->line = source.number;
		if (strcmp(word, "include_dir") == 0)
			read_directory(r, value);
		else
			take_line(r, word, value);
	}
	close_source(r, &source);
}

void broker_config_read(const char *plugin_path, const char *broker_socket, struct broker_config *out)
{
	struct reading r = {
	    .out = out, .plugin_path = plugin_path, .broker_socket = broker_socket, .file = "", .readable = true};

	memset(out, 0, sizeof(*out));
	out->sys_interval_s = SYS_INTERVAL_DEFAULT_S;
	out->read_ahead = UINT_MAX;
	out->given = config_path(out->file);
	if (!out->given)
		return;
	read_main(&r, out->file);
	out->complete = r.readable;
}

const struct config_place *broker_config_find(const struct broker_config *config, const char *option)
{
	size_t i;

	for (i = config->place_count; i > 0; i--)
		if (strcmp(config->places[i - 1].name, option) == 0)
			return &config->places[i - 1];
	return NULL;
}
