/*
 * origin.c - the user property by which a bridge knows its own session's messages again.
 */
#include "origin.h"

#include "common/settings.h"

#include <dlfcn.h>
#include <string.h>

typedef const mosquitto_property *(*pair_reader)(const mosquitto_property *, int, char **, char **, bool);

static struct {
	pair_reader read;
	void *libmosquitto; /* NULL where the broker has the function itself */
} state;

bool origin_start(void)
{
	static const char name[] = "mosquitto_property_read_string_pair";
	void *found = dlsym(RTLD_DEFAULT, name);

	if (!found && !BROKER_LINE_2_1) {
		state.libmosquitto = dlopen("libmosquitto.so.1", RTLD_NOW | RTLD_LOCAL);
		found = state.libmosquitto ? dlsym(state.libmosquitto, name) : NULL;
	}
	/* POSIX wants this to be possible, ISO C has no cast for it. */
	memcpy(&state.read, &found, sizeof(state.read));
	return state.read != NULL;
}

void origin_stop(void)
{
	if (state.libmosquitto)
		(void)dlclose(state.libmosquitto);
	memset(&state, 0, sizeof(state));
}

int origin_copy(mosquitto_property **list, const mosquitto_property *from)
{
	char *name, *value;
	bool again = false;
	int rc = MOSQ_ERR_SUCCESS;

	while (from && state.read) {
		from = state.read(from, MQTT_PROP_USER_PROPERTY, &name, &value, again);
		if (!from)
			break;
		again = true;
		if (name && value && strcmp(name, PROPERTY_ORIGIN) == 0 && strlen(value) <= ORIGIN_MAX) {
			rc = mosquitto_property_add_string_pair(list, MQTT_PROP_USER_PROPERTY, PROPERTY_ORIGIN, value);
			from = NULL;
		}
		property_text_free(name);
		property_text_free(value);
	}
	return rc;
}

bool origin_is_session(const mosquitto_property *from)
{
	char *name, *value;
	bool again = false, session = false;

	while (from && state.read && !session) {
		from = state.read(from, MQTT_PROP_USER_PROPERTY, &name, &value, again);
		if (!from)
			break;
		again = true;
		session = name && value && strcmp(name, PROPERTY_VIA) == 0 && strcmp(value, "ws") == 0;
		property_text_free(name);
		property_text_free(value);
	}
	return session;
}
