/*
 * compat.h - the broker's plugin interface, 2.0.11 to 2.1.x, under one set of names.
 *
 * A plugin is compiled for one of the two lines and must not be loaded by the other: what
 * RELOAD has to answer differs (a wrong answer ends 2.1), and so does the meaning of
 * "this is not mine". host.c checks that at start.
 */
#ifndef CHAT_COMPAT_H
#define CHAT_COMPAT_H

#include <mosquitto.h>
#if LIBMOSQUITTO_VERSION_NUMBER < 2001000
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>

#include <stdlib.h>

#define BROKER_LINE_2_1 0
#define RC_RELOAD_OK MOSQ_ERR_PLUGIN_DEFER

/* 2.0 knows no "as if this plugin were not there": allow, or leave it to others. */
#define RC_NOT_MINE(defer) ((defer) ? MOSQ_ERR_PLUGIN_DEFER : MOSQ_ERR_SUCCESS)
#define RC_NOT_JUDGED MOSQ_ERR_PLUGIN_DEFER
#define TICK_NEXT_MS(ed, ms) ((void)(ed))

/* What the mosquitto_property_read_... calls return. */
#define property_text_free free
#else
#define BROKER_LINE_2_1 1
#define RC_RELOAD_OK MOSQ_ERR_SUCCESS
#define RC_NOT_MINE(defer) ((defer) ? MOSQ_ERR_PLUGIN_DEFER : MOSQ_ERR_PLUGIN_IGNORE)
#define RC_NOT_JUDGED MOSQ_ERR_PLUGIN_IGNORE

/* The broker sleeps up to a day where no plugin says otherwise. */
#define TICK_NEXT_MS(ed, ms) ((ed)->next_s = 0, (ed)->next_ms = (ms))
#define property_text_free mosquitto_free
#endif

/* Before this version the broker forgets, rather than frees, a topic or a property list that a
 * plugin has replaced. */
#define BROKER_FREES_REPLACED 2000015

#endif
