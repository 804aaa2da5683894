/*
 * properties.c - the MQTT 5 properties of a canonical message, and putting them on a publish.
 */
#include "properties.h"

#include "common/settings.h"

#include <inttypes.h>
#include <stdio.h>

static bool frees_replaced;

void properties_start(bool broker_frees_replaced)
{
	frees_replaced = broker_frees_replaced;
}

static bool add_pair(mosquitto_property **list, const char *name, const char *value)
{
	return mosquitto_property_add_string_pair(list, MQTT_PROP_USER_PROPERTY, name, value) == MOSQ_ERR_SUCCESS;
}

/* 0 = none. */
static bool add_number(mosquitto_property **list, const char *name, uint64_t value)
{
	char number[24];

	if (value == 0)
		return true;
	(void)snprintf(number, sizeof(number), "%" PRIu64, value);
	return add_pair(list, name, number);
}

mosquitto_property *properties_make(const char *via, uint64_t seq, uint64_t n, bool late)
{
	mosquitto_property *list = NULL;

	if (mosquitto_property_add_byte(&list, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1) == MOSQ_ERR_SUCCESS &&
	    mosquitto_property_add_string(&list, MQTT_PROP_CONTENT_TYPE, "application/json") ==
	        MOSQ_ERR_SUCCESS &&
	    add_pair(&list, PROPERTY_VIA, via) && add_number(&list, PROPERTY_SEQ, seq) &&
	    add_number(&list, PROPERTY_NUMBER, n) && (!late || add_pair(&list, PROPERTY_LATE, "1")))
		return list;
	mosquitto_property_free_all(&list);
	return NULL;
}

void properties_replace(struct mosquitto_evt_message *ed, mosquitto_property *list)
{
	mosquitto_property *old = ed->properties;

	ed->properties = list;
	if (!frees_replaced)
		mosquitto_property_free_all(&old);
}
