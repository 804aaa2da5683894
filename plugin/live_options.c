/*
 * live_options.c - see live_options.h
 */
#include "live_options.h"

#include "compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	struct options options;
	struct mosquitto_opt *given; /* mosquitto.conf's, with copies of all texts */
	int given_count;
} state;

static char *copy_text(const char *s)
{
	return s ? strdup(s) : NULL;
}

static bool copy_given(const struct mosquitto_opt *list, int count)
{
	bool fine = true;
	int i;

	state.given = calloc((size_t)count + 1, sizeof(*state.given));
	if (!state.given)
		return false;
	state.given_count = count;
	for (i = 0; i < count; i++) {
		state.given[i].key = copy_text(list[i].key);
		state.given[i].value = copy_text(list[i].value);
		fine &= state.given[i].key && (state.given[i].value || !list[i].value);
	}
	return fine;
}

static bool fail(struct live_fault *fault, const char *file, unsigned line, const char *reason)
{
	memset(fault, 0, sizeof(*fault));
	fault->file = file;
	fault->line = line;
	(void)snprintf(fault->option.reason, sizeof(fault->option.reason), "%s", reason);
	return false;
}

/* Moves what an option_fault borrows into the fault itself, and finds its place. */
static bool place_fault(struct live_fault *fault, const struct chat_config *config, const char *file)
{
	int i;

	for (i = 0; config && i < config->count; i++) {
		if (fault->option.name != config->entries[i].key)
			continue;
		fault->file = file;
		fault->line = config->lines[i];
	}
	if (fault->option.name) {
		(void)snprintf(fault->name, sizeof(fault->name), "%s", fault->option.name);
		(void)snprintf(fault->value, sizeof(fault->value), "%s",
		               fault->option.value ? fault->option.value : "");
		fault->option.name = fault->name;
		fault->option.value = fault->value;
	}
	return false;
}

/* mosquitto.conf's options with those of chat_config behind them. */
static bool read_both(const struct chat_config *config, const char *file, struct options *out,
                      struct live_fault *fault)
{
	struct mosquitto_opt *all = calloc((size_t)(state.given_count + config->count) + 1, sizeof(*all));
	bool fine;
	int i;

	if (!all)
		return fail(fault, file, 0, "out of memory");
	for (i = 0; i < state.given_count; i++)
		all[i] = state.given[i];
	for (i = 0; i < config->count; i++)
		all[state.given_count + i] = config->entries[i];
	fine = options_read(all, state.given_count + config->count, out, &fault->option) ||
	       place_fault(fault, config, file);
	free(all);
	return fine;
}

static bool read_chat_config(const char *file, struct options *out, struct live_fault *fault)
{
	char reason[CHAT_CONFIG_REASON_MAX];
	struct chat_config config;
	bool fine = chat_config_read(file, &config, reason);
	int i;

	if (!fine)
		(void)fail(fault, file, 0, reason);
	for (i = 0; fine && i < config.count; i++) {
		if (options_reloadable(config.entries[i].key))
			continue;
		fault->option =
		    (struct option_fault){.name = config.entries[i].key, .value = config.entries[i].value};
		(void)snprintf(fault->option.reason, sizeof(fault->option.reason),
		               "no option that can change at a reload; it belongs into mosquitto.conf, if anywhere");
		fine = place_fault(fault, &config, file);
	}
	fine = fine && read_both(&config, file, out, fault);
	chat_config_free(&config);
	return fine;
}

static bool read_all(struct options *out, struct live_fault *fault)
{
	char file[PATH_MAX];

	memset(fault, 0, sizeof(*fault));
	if (!options_read_part(state.given, state.given_count, out, &fault->option))
		return place_fault(fault, NULL, NULL);
	if (out->chat_config[0] == '\0')
		return options_read(state.given, state.given_count, out, &fault->option) ||
		       place_fault(fault, NULL, NULL);
	memcpy(file, out->chat_config, sizeof(file));
	if (read_chat_config(file, out, fault))
		return true;
	if (fault->file)
		fault->file = state.options.chat_config; /* outlives this call */
	return false;
}

bool live_options_start(const struct mosquitto_opt *list, int count, struct live_fault *fault)
{
	if (!copy_given(list, count)) {
		live_options_stop();
		return fail(fault, NULL, 0, "out of memory");
	}
	return read_all(&state.options, fault);
}

const struct options *live_options(void)
{
	return &state.options;
}

bool live_options_reload(struct live_fault *fault)
{
	struct options *fresh = calloc(1, sizeof(*fresh));
	bool fine = fresh ? read_all(fresh, fault) : fail(fault, NULL, 0, "out of memory");

	if (fine)
		state.options = *fresh;
	free(fresh);
	return fine;
}

void live_options_stop(void)
{
	int i;

	for (i = 0; i < state.given_count; i++) {
		free(state.given[i].key);
		free(state.given[i].value);
	}
	free(state.given);
	state.given = NULL;
	state.given_count = 0;
}
