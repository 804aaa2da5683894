/*
 * plugin.c - the three entry points, and which event goes where. Nothing is decided here.
 */
#include "acks.h"
#include "acl.h"
#include "auth.h"
#include "author.h"
#include "bridges.h"
#include "clients.h"
#include "clock.h"
#include "compat.h"
#include "control.h"
#include "counters.h"
#include "deletions.h"
#include "events.h"
#include "farewells.h"
#include "history.h"
#include "kicks.h"
#include "log.h"
#include "messages.h"
#include "moderation.h"
#include "moderation_store.h"
#include "node_metrics.h"
#include "nodes.h"
#include "presence.h"
#include "refs.h"
#include "renames.h"
#include "start.h"
#include "tokens.h"
#include "typing.h"
#include "users.h"

#define INTERFACE_VERSION 5
#define TICK_MS 100  /* how long an idle broker may sleep */
#define TIDY_MS 1000 /* between two rounds of tidying up */
#define EXPORT __attribute__((visibility("default")))

static struct {
	mosquitto_plugin_id_t *id;
	uint64_t tidied_ms;
} state;

static int on_basic_auth(int event, void *data, void *userdata)
{
	(void)event;
	(void)userdata;
	return auth_on_basic_auth(data);
}

static int on_acl_check(int event, void *data, void *userdata)
{
	(void)event;
	(void)userdata;
	return acl_on_check(data);
}

static int on_message(int event, void *data, void *userdata)
{
	(void)event;
	(void)userdata;
	auth_connect_over();
	return messages_on_message(data);
}

static int on_control(int event, void *data, void *userdata)
{
	(void)event;
	(void)userdata;
	auth_connect_over();
	return control_on_message(data);
}

static void client_gone(const struct mosquitto *handle)
{
	if (auth_is_connecting(handle))
		auth_connect_over();
	auth_forget(handle);
	clients_leave(handle);
}

static int on_disconnect(int event, void *data, void *userdata)
{
	struct mosquitto_evt_disconnect *ed = data;

	(void)event;
	(void)userdata;
	client_gone(ed->client);
	return MOSQ_ERR_SUCCESS;
}

static int on_reload(int event, void *data, void *userdata)
{
	(void)event;
	(void)data;
	(void)userdata;
	auth_reload();
	reload_all();
	return RC_RELOAD_OK;
}

static void sanction_over(const struct sanction *s)
{
	if (s->kind == SANCTION_ROOM)
		(void)events_room(s->room, false); /* logged */
}

static int on_tick(int event, void *data, void *userdata)
{
	struct mosquitto_evt_tick *ed = data;
	uint64_t now = clock_monotonic_ms();

	(void)event;
	(void)userdata;
	TICK_NEXT_MS(ed, TICK_MS);
	auth_connect_over();
	auth_reload_over();
	history_tick();
	acks_tick();
	presence_tick(now);
	farewells_tick(now);
	nodes_tick(now);
	tokens_tick(now);
	bridges_tick(now);
	deletions_tick();
	renames_tick(now);
	kicks_tick(now);
	moderation_store_tick(now);
	if (now - state.tidied_ms >= TIDY_MS) {
		state.tidied_ms = now;
		users_tidy(now);
		refs_tidy(now);
		typing_tidy(now);
		if (moderation_tidy(clock_real_ms(), sanction_over))
			moderation_store_changed();
		log_tick(now);
		counters_tick(now);
		node_metrics_tick(now);
	}
	return MOSQ_ERR_SUCCESS;
}

#if BROKER_LINE_2_1
static int on_connect(int event, void *data, void *userdata)
{
	struct mosquitto_evt_connect *ed = data;

	(void)event;
	(void)userdata;
	author_seen(ed->client);
	return MOSQ_ERR_SUCCESS;
}

static int on_client_offline(int event, void *data, void *userdata)
{
	struct mosquitto_evt_client_offline *ed = data;

	(void)event;
	(void)userdata;
	client_gone(ed->client);
	return MOSQ_ERR_SUCCESS;
}
#endif

static const struct {
	int event;
	MOSQ_FUNC_generic_callback call;
	const char *what; /* MOSQ_EVT_CONTROL: its topic */
} callbacks[] = {
    {MOSQ_EVT_BASIC_AUTH, on_basic_auth, NULL},
    {MOSQ_EVT_ACL_CHECK, on_acl_check, NULL},
    {MOSQ_EVT_MESSAGE, on_message, NULL},
    {MOSQ_EVT_DISCONNECT, on_disconnect, NULL},
    {MOSQ_EVT_RELOAD, on_reload, NULL},
    {MOSQ_EVT_TICK, on_tick, NULL},
    {MOSQ_EVT_CONTROL, on_control, CONTROL_TOPIC},
#if BROKER_LINE_2_1
    {MOSQ_EVT_CONNECT, on_connect, NULL},
    {MOSQ_EVT_CLIENT_OFFLINE, on_client_offline, NULL},
#endif
};

#define CALLBACKS (sizeof(callbacks) / sizeof(callbacks[0]))

/* 2.0 leaves callbacks that point into a plugin it has unloaded; so none is left behind. */
static void unregister(size_t count)
{
	size_t i;

	for (i = count; i > 0; i--)
		(void)mosquitto_callback_unregister(state.id, callbacks[i - 1].event, callbacks[i - 1].call,
		                                    callbacks[i - 1].what);
}

EXPORT int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
	int i;

	for (i = 0; i < supported_version_count; i++)
		if (supported_versions[i] == INTERFACE_VERSION)
			return INTERFACE_VERSION;
	return -1;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
                                 struct mosquitto_opt *options, int option_count)
{
	size_t i;
	int rc;

	*userdata = NULL;
	if (!start_all(options, option_count))
		return MOSQ_ERR_INVAL;
	state.id = identifier;
#if BROKER_LINE_2_1
	(void)mosquitto_plugin_set_info(identifier, "mosquitto-chat", MOSQUITTO_CHAT_VERSION);
#endif
	for (i = 0; i < CALLBACKS; i++) {
		rc = mosquitto_callback_register(identifier, callbacks[i].event, callbacks[i].call, callbacks[i].what,
		                                 NULL);
		if (rc == MOSQ_ERR_SUCCESS)
			continue;
		/* mosquitto_strerror is not for plugins in every build of 2.1. */
		log_line(MOSQ_LOG_ERR, "the broker takes no callback for event %d: error %d", callbacks[i].event, rc);
		unregister(i);
		stop_all();
		return rc;
	}
	return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
	(void)userdata;
	(void)options;
	(void)option_count;
	if (state.id)
		unregister(CALLBACKS);
	state.id = NULL;
	stop_all();
	return MOSQ_ERR_SUCCESS;
}
