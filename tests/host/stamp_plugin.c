/*
 * stamp_plugin.c - somebody else's plugin for test_plugins.py: it has neither access rules nor logins, and
 * puts a mark behind each payload on stamped/#.
 */
#include "compat.h"

#include <string.h>

#define MARK " (stamped)"
#define EXPORT __attribute__((visibility("default")))

static mosquitto_plugin_id_t *self;

static int on_message(int event, void *data, void *userdata)
{
	struct mosquitto_evt_message *ed = data;
	char *payload;

	(void)event;
	(void)userdata;
	if (strncmp(ed->topic, "stamped/", strlen("stamped/")) != 0)
		return MOSQ_ERR_SUCCESS;
	payload = mosquitto_malloc(ed->payloadlen + sizeof(MARK));
	if (!payload)
		return MOSQ_ERR_NOMEM;
	if (ed->payloadlen > 0)
		memcpy(payload, ed->payload, ed->payloadlen);
	memcpy(payload + ed->payloadlen, MARK, sizeof(MARK));
	ed->payload = payload;
	ed->payloadlen += (uint32_t)strlen(MARK);
	return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_version(int count, const int *versions)
{
	int i;

	for (i = 0; i < count; i++)
		if (versions[i] == 5)
			return 5;
	return -1;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
                                 struct mosquitto_opt *options, int option_count)
{
	(void)options;
	(void)option_count;
	*userdata = NULL;
	self = identifier;
	return mosquitto_callback_register(identifier, MOSQ_EVT_MESSAGE, on_message, NULL, NULL);
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
	(void)userdata;
	(void)options;
	(void)option_count;
	return mosquitto_callback_unregister(self, MOSQ_EVT_MESSAGE, on_message, NULL);
}
