/*
 * chat_config.c - see chat_config.h
 */
#include "chat_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r"

static bool fail(char reason[CHAT_CONFIG_REASON_MAX], const char *why)
{
	(void)snprintf(reason, CHAT_CONFIG_REASON_MAX, "%s", why);
	return false;
}

static bool fail_at(char reason[CHAT_CONFIG_REASON_MAX], unsigned line, const char *why)
{
	(void)snprintf(reason, CHAT_CONFIG_REASON_MAX, "line %u: %s", line, why);
	return false;
}

/* The whole file, NUL-terminated, from malloc; NULL and the reason. */
static char *read_file(const char *path, char reason[CHAT_CONFIG_REASON_MAX])
{
	FILE *file = fopen(path, "re");
	char *text = file ? malloc(CHAT_CONFIG_BYTES_MAX + 1) : NULL;
	size_t n = text ? fread(text, 1, CHAT_CONFIG_BYTES_MAX + 1, file) : 0;
	bool bad = !text || ferror(file) != 0;

	if (bad)
		(void)fail(reason, strerror(errno));
	else if (n > CHAT_CONFIG_BYTES_MAX)
		bad = !fail(reason, "it is larger than 64 KB");
	else if (memchr(text, '\0', n))
		bad = !fail(reason, "it is no text");
	else
		text[n] = '\0';
	if (file)
		(void)fclose(file); /* nothing was written */
	if (!bad)
		return text;
	free(text);
	return NULL;
}

/* One line, which is cut into name and value in place. */
static bool take_line(char *line, unsigned number, struct chat_config *out,
                      char reason[CHAT_CONFIG_REASON_MAX])
{
	char *value, *end;

	line += strspn(line, BLANKS);
	if (*line == '\0' || *line == '#')
		return true;
	value = line + strcspn(line, BLANKS);
	if (*value != '\0')
		*value++ = '\0';
	value += strspn(value, BLANKS);
	for (end = value + strlen(value); end > value && strchr(BLANKS, end[-1]); end--)
		;
	*end = '\0';
	if (*value == '\0')
		return fail_at(reason, number, "a name and a value are expected");
	if (strncmp(line, "plugin_opt_", strlen("plugin_opt_")) == 0)
		return fail_at(reason, number, "options stand here without plugin_opt_");
	if (out->count == CHAT_CONFIG_ENTRIES_MAX)
		return fail_at(reason, number, "these are too many options");
	out->lines[out->count] = number;
	out->entries[out->count++] = (struct mosquitto_opt){line, value};
	return true;
}

bool chat_config_read(const char *path, struct chat_config *out, char reason[CHAT_CONFIG_REASON_MAX])
{
	unsigned number = 0;
	char *line, *next;

	memset(out, 0, sizeof(*out));
	out->text = read_file(path, reason);
	for (line = out->text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!take_line(line, ++number, out, reason))
			return false;
	}
	return out->text != NULL;
}

void chat_config_free(struct chat_config *config)
{
	free(config->text);
	memset(config, 0, sizeof(*config));
}
