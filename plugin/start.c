/*
 * start.c - everything that happens once.
 */
#include "start.h"

#include "acks.h"
#include "acl.h"
#include "audit.h"
#include "auth.h"
#include "bridges.h"
#include "broker_config.h"
#include "clients.h"
#include "clock.h"
#include "compat.h"
#include "counters.h"
#include "deletions.h"
#include "device_key.h"
#include "drain.h"
#include "events.h"
#include "farewells.h"
#include "history.h"
#include "host.h"
#include "inflight.h"
#include "kicks.h"
#include "listeners.h"
#include "live_options.h"
#include "log.h"
#include "messages.h"
#include "moderation.h"
#include "moderation_store.h"
#include "moderators.h"
#include "node_metrics.h"
#include "nodes.h"
#include "notices.h"
#include "options.h"
#include "origin.h"
#include "peers.h"
#include "presence.h"
#include "properties.h"
#include "refs.h"
#include "relay.h"
#include "renames.h"
#include "room_names.h"
#include "rooms.h"
#include "seen.h"
#include "sync.h"
#include "table.h"
#include "tokens.h"
#include "typing.h"
#include "users.h"
#include "web_root.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define MODERATION_FILE "chat-moderation.jsonl"
#define OTHER_DESCRIPTORS 16384 /* for MQTT clients, listeners and files, beside the sessions */

static struct {
	bool started;
	char web_root[WEB_ROOT_MAX + 1]; /* where the page is; "" = there is none */
} state;

/* What is decided from the options and the broker's configuration together. */
struct decision {
	bool admit_others;  /* auth.h */
	bool defer;         /* acl.h */
	bool defer_control; /* acl.h */
	bool logins;        /* moderators.h */
	bool proofs;        /* auth.h */
};

/* config NULL: not known. */
static void log_fault(const struct live_fault *fault, const struct broker_config *config, int level)
{
	const struct option_fault *o = &fault->option;
	const struct config_place *place = o->name && config ? broker_config_find(config, o->name) : NULL;
	char value[LOG_TEXT_MAX];

	(void)log_text(o->value ? o->value : "", o->value ? strlen(o->value) : 0, value);
	if (fault->file && !o->name)
		log_line(level, "%s: %s", fault->file, o->reason);
	else if (fault->file)
		log_line(level, "%s:%u: %s %s: %s", fault->file, fault->line, o->name, value, o->reason);
	else if (!o->name)
		log_line(level, "%s", o->reason);
	else if (place)
		log_line(level, "%s:%u: plugin_opt_%s %s: %s", place->file, place->line, o->name, value, o->reason);
	else
		log_line(level, "plugin_opt_%s %s: %s", o->name, value, o->reason);
}

/* Whose page it is; a default one may be missing, one that was asked for may not. */
static bool find_web_root(const char *plugin_path, const struct broker_config *config)
{
	const struct options *o = live_options();
	struct live_fault fault = {.option = {.name = "web_root", .value = o->web_root}};

	memcpy(state.web_root, o->web_root, sizeof(state.web_root));
	if (o->bridge_off || o->web_off || web_root_find(plugin_path, state.web_root, fault.option.reason))
		return true;
	if (o->web_root[0] != '\0') {
		log_fault(&fault, config, MOSQ_LOG_ERR);
		return false;
	}
	log_line(MOSQ_LOG_WARNING, "%s", fault.option.reason);
	return true;
}

static bool check_host(const struct host *host)
{
	const int v = host->version, b = LIBMOSQUITTO_VERSION_NUMBER;

	if (!host_fits(host)) {
		log_line(
		    MOSQ_LOG_ERR,
		    "built for mosquitto %d.%d, but this is mosquitto %d.%d.%d: build the plugin with that version's "
		    "headers",
		    b / 1000000, b / 1000 % 1000, v / 1000000, v / 1000 % 1000, v % 1000);
		return false;
	}
	if (!host->version_known)
		log_line(MOSQ_LOG_WARNING, "the broker's version could not be learnt; taken for %d.%d.%d",
		         v / 1000000, v / 1000 % 1000, v % 1000);
	return true;
}

/* Bytes, too few for a whole packet behind the one that is looked at. */
#define LINK_READ_AHEAD 4

#if BROKER_LINE_2_1
#define UNREADABLE "they keep their say where they come after this plugin"
#else
#define UNREADABLE                                                                                           \
	"they have the say over user names and over topics outside the chat's. Where there are none, write "     \
	"plugin_opt_auth none and plugin_opt_other_topics allow"
#endif

static bool check_config(const struct broker_config *config, const struct options *options)
{
	if (config->per_listener_settings) {
		log_line(
		    MOSQ_LOG_ERR,
		    "per_listener_settings true is not supported: mosquitto then hides clients from its plugins");
		return false;
	}
	if (!config->given)
		log_line(MOSQ_LOG_WARNING,
		         "the broker's configuration file is not known, so it may hold a password_file, "
		         "an acl_file or another plugin: " UNREADABLE);
	else if (!config->complete)
		log_line(
		    MOSQ_LOG_WARNING,
		    "%s (or a file it includes) cannot be read by the broker's user, so it may hold a password_file, "
		    "an acl_file or another plugin: " UNREADABLE,
		    config->file);
	else if (!config->chat_listener && options->broker_socket[0] != '\0')
		log_line(MOSQ_LOG_WARNING,
		         "%s has no line `listener 0 %s`: without it no bridge can reach the broker", config->file,
		         options->broker_socket);
	if (BROKER_LINE_2_1 && options->node[0] != '\0' && config->link && config->read_ahead > LINK_READ_AHEAD)
		log_line(
		    MOSQ_LOG_WARNING,
		    "a link that is cut may stay down for long: mosquitto 2.1 takes what it had read ahead of it for "
		    "answers on the next connection. Write packet_buffer_size 1 (docs/scaling.md)");
	return true;
}

static struct decision decide(const struct options *options, const struct broker_config *config)
{
	/* What could not be read may hold rules, and saying yes for others would undo them. */
	bool rules = !config->complete || config->acl_file || config->other_plugin;
	bool logins = !config->complete || config->password_file || config->psk_file || config->other_plugin;
	/* A closed broker (allow_anonymous is not on) stays closed unless somebody wrote down otherwise. */
	bool closed = !config->allow_anonymous;
	struct decision d;

	d.proofs = logins;
	/* `auth none` that is written down lets everybody in with 2.0 */
	d.logins =
	    options->auth != AUTH_NONE || ((logins || closed) && (BROKER_LINE_2_1 || !options->auth_given));
	d.defer_control = BROKER_LINE_2_1 ? config->other_plugin || !config->complete : true;
	d.admit_others = !BROKER_LINE_2_1 && options->auth != AUTH_BROKER &&
	                 ((options->auth == AUTH_NONE && options->auth_given) || (!logins && !closed));
	if (options->other_topics != OTHER_UNSET)
		d.defer = options->other_topics == OTHER_DEFER;
	else
		/* 2.1 would take our "not mine" for consent where a plugin before us has deferred. */
		d.defer = BROKER_LINE_2_1 ? config->other_plugin_earlier : rules;
	return d;
}

/* The broker takes the soft limit of descriptors as it finds it, which is often 1024: far fewer than the
 * sessions that the options allow. What the system allows beyond is taken here, for the bridges too. */
static void raise_descriptor_limit(const struct options *o)
{
	rlim_t sessions = (rlim_t)o->bridges * o->max_sessions;
	rlim_t wanted = sessions + OTHER_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			log_line(MOSQ_LOG_WARNING, "the limit of open files cannot be raised: %s", strerror(errno));
	}
	if (limit.rlim_cur < sessions)
		log_line(MOSQ_LOG_WARNING,
		         "at most %llu open files are allowed, but plugin_opt_max_sessions is %u: raise the limit "
		         "(LimitNOFILE "
		         "of the systemd unit, ulimit -n)",
		         (unsigned long long)limit.rlim_cur, (unsigned)o->max_sessions);
}

/* One line that says what was chosen. */
static void log_start(const struct host *host, const struct decision *d)
{
	const struct options *o = live_options();
	const int v = host->version;
	const char *others = d->defer          ? "left to acl_file or another plugin"
	                     : BROKER_LINE_2_1 ? "as without the chat"
	                                       : "open to everybody";
	const char *logins = o->auth == AUTH_TOKEN    ? "token (every address needs one)"
	                     : o->auth == AUTH_BROKER ? "broker (its user names and passwords)"
	                     : d->admit_others        ? "none (any user name may connect)"
	                                              : "none (the broker decides who may connect)";

	if (o->bridge_off)
		log_line(MOSQ_LOG_NOTICE,
		         "mosquitto-chat " MOSQUITTO_CHAT_VERSION
		         " on mosquitto %d.%d.%d: topics %s/#, no bridge; auth %s; "
		         "other topics %s",
		         v / 1000000, v / 1000 % 1000, v % 1000, o->topic_root, logins, others);
	else
		log_line(MOSQ_LOG_NOTICE,
		         "mosquitto-chat " MOSQUITTO_CHAT_VERSION
		         " on mosquitto %d.%d.%d: topics %s/#, WebSocket on %s port "
		         "%u by %u bridge%s (fanout %s) through %s; auth %s; other topics %s",
		         v / 1000000, v / 1000 % 1000, v % 1000, o->topic_root, o->bind_address, (unsigned)o->port,
		         (unsigned)o->bridges, o->bridges == 1 ? "" : "s", o->fanout_session ? "session" : "shared",
		         o->broker_socket, logins, others);
	if (o->auth == AUTH_NONE && !o->bridge_off && !listeners_loopback(o->bind_address))
		log_line(
		    MOSQ_LOG_WARNING,
		    "plugin_opt_bind_address %s is not a loopback address and there is no authentication: whoever "
		    "reaches it may be anybody%s",
		    o->bind_address,
		    o->mqtt ? ", and MQTT clients get through /mqtt to all topics of this broker that it gives "
		              "them (plugin_opt_mqtt off closes that way)"
		            : "");
	if (BROKER_LINE_2_1 && d->defer && o->other_topics == OTHER_UNSET)
		log_line(MOSQ_LOG_NOTICE,
		         "another plugin is listed before this one: topics outside %s/# need its consent "
		         "(plugin_opt_other_topics allow asks for none)",
		         o->topic_root);
}

/* Only bridges make client ids with it. */
static bool start_key(const struct broker_config *config)
{
	if (live_options()->bridge_off || device_key_start(config))
		return true;
	log_line(MOSQ_LOG_ERR, "the system gives no random numbers");
	return false;
}

/* Where bans and mutes are kept: where the operator says, else beside the history, else beside the broker's
 * own database; else nowhere. */
static void find_moderation_file(const struct broker_config *config, char path[PATH_MAX])
{
	const struct options *o = live_options();
	const char *folder = config->persistence_location, *slash = strrchr(o->history_file, '/');
	int len = 0;

	path[0] = '\0';
	if (o->moderation_file[0] != '\0')
		len = snprintf(path, PATH_MAX, "%s", o->moderation_file);
	else if (slash)
		len = snprintf(path, PATH_MAX, "%.*s/" MODERATION_FILE, (int)(slash - o->history_file),
		               o->history_file);
	else if (config->persistence)
		len = snprintf(path, PATH_MAX, "%s%s" MODERATION_FILE, folder,
		               folder[0] == '\0' || folder[strlen(folder) - 1] == '/' ? "" : "/");
	if (len < 0 || len >= PATH_MAX)
		path[0] = '\0';
}

static bool start_moderation(const struct broker_config *config, const struct decision *d)
{
	const struct options *o = live_options();
	bool any = o->moderators[0] != '\0' || o->token_role_claim[0] != '\0';
	char path[PATH_MAX];

	moderators_start(o, d->logins);
	if (o->moderators[0] != '\0' && !d->logins) {
		log_line(MOSQ_LOG_ERR, "plugin_opt_moderators: nobody proves an address to this broker, so anybody "
		                       "could be a moderator: "
		                       "plugin_opt_auth token or broker, or a password_file");
		return false;
	}
	find_moderation_file(config, path);
	if (any && path[0] == '\0')
		log_line(
		    MOSQ_LOG_WARNING,
		    "bans and mutes end with this broker: they are kept in plugin_opt_moderation_file, beside the "
		    "history, or with `persistence true` beside the broker's database");
	return moderation_store_start(path);
}

static bool start_metrics(const struct host *host, const struct broker_config *config)
{
	if (node_metrics_start(live_options(), host->version, config->sys_interval_s))
		return true;
	log_line(MOSQ_LOG_ERR, "out of memory");
	return false;
}

/* What has been started must be stopped by the caller. */
static bool start_parts(const struct host *host, const struct broker_config *config, const struct decision *d)
{
	const struct options *o = live_options();

	if (!table_key_draw()) {
		log_line(MOSQ_LOG_ERR, "no random bytes: %s", strerror(errno));
		return false;
	}
	peers_start(o);
	properties_start(host->frees_replaced);
	relay_start(o);
	nodes_start(o);
	presence_start(o);
	farewells_start(o);
	users_limit(o->rate_messages);
	notices_start(o);
	sync_start(o);
	events_start(o);
	messages_start(o, host->frees_replaced);
	acl_start(o, d->defer, d->defer_control);
	if (!tokens_start(o))
		return false;
	if (!auth_start(o, d->admit_others, d->proofs)) {
		log_line(MOSQ_LOG_ERR, "the system gives no random numbers");
		return false;
	}
	if (!origin_start() && !o->bridge_off) {
		log_line(MOSQ_LOG_ERR,
		         "this broker was built without mosquitto_property_read_string_pair for plugins, and "
		         "libmosquitto.so.1, which also has it, was not found: install libmosquitto");
		return false;
	}
	if (!history_start(o) || !start_moderation(config, d))
		return false;
	room_names_start(o);
	acks_start(o->history_file[0] != '\0' && o->history_sync);
	log_start(host, d);
	if (o->drain_s > 0)
		log_line(MOSQ_LOG_WARNING,
		         "the line `drain` counts at a reload alone: this broker has just been started, and "
		         "lets people in");
	if (!o->bridge_off)
		raise_descriptor_limit(o);
	return o->bridge_off || bridges_start(o, auth_credential(), host->plugin_path, state.web_root);
}

bool start_all(const struct mosquitto_opt *options, int count)
{
	struct broker_config *config;
	struct live_fault fault;
	struct decision d;
	struct host *host;
	bool ok = false;

	if (state.started) {
		log_line(MOSQ_LOG_ERR, "the plugin is loaded twice: one line `plugin` is enough for all listeners");
		return false;
	}
	config = calloc(1, sizeof(*config));
	host = calloc(1, sizeof(*host));
	if (!config || !host) {
		log_line(MOSQ_LOG_ERR, "out of memory");
		goto out;
	}
	host_learn(host);
	ok = live_options_start(options, count, &fault);
	broker_config_read(host->plugin_path, live_options()->broker_socket, config);
	if (!ok) {
		log_fault(&fault, config, MOSQ_LOG_ERR);
		goto out;
	}
	log_use_json(live_options()->log_json);
	ok = check_host(host) && check_config(config, live_options()) && find_web_root(host->plugin_path, config);
	if (!ok)
		goto out;
	d = decide(live_options(), config);
	state.started = true;
	ok = start_metrics(host, config) && start_key(config) && start_parts(host, config, &d);
	if (!ok)
		stop_all();
out:
	if (!ok)
		live_options_stop();
	free(config);
	free(host);
	return ok;
}

/* An order, not a state: what it was at the start is left alone, and so is an order of a moderator's while
 * the line stays as it is. */
static void reload_drain(uint32_t before_s, uint32_t now_s)
{
	bool fine = true;

	if (now_s == before_s)
		return;
	if (now_s > 0)
		fine = drain_begin(now_s, clock_monotonic_ms());
	else if (drain_on())
		fine = drain_end();
	if (!fine)
		log_line(MOSQ_LOG_ERR, "out of memory: the bridges do not learn of `drain` in chat_config");
	else if (now_s > 0)
		log_line(MOSQ_LOG_NOTICE, "drain for %u s, as chat_config says", (unsigned)now_s);
	else
		log_line(MOSQ_LOG_NOTICE, "no drain any more, as chat_config says");
}

void reload_all(void)
{
	const struct options *o = live_options();
	uint32_t drain_s = o->drain_s;
	struct live_fault fault;

	if (!live_options_reload(&fault)) {
		log_fault(&fault, NULL, MOSQ_LOG_ERR);
		log_line(MOSQ_LOG_ERR, "nothing of chat_config has been taken over: the last good settings stay");
	} else if (o->chat_config[0] != '\0') {
		log_line(MOSQ_LOG_NOTICE, "%s has been read again", o->chat_config);
	}
	users_limit(o->rate_messages);
	reload_drain(drain_s, o->drain_s);
	tokens_reload();
	bridges_reload(); /* in any case: certificates are read again */
}

void stop_all(void)
{
	if (!state.started)
		return;
	state.started = false;
	bridges_stop();
	device_key_stop();
	origin_stop();
	auth_stop();
	tokens_stop();
	acl_stop();
	messages_stop();
	moderation_store_stop();
	moderation_stop();
	audit_stop();
	kicks_stop();
	drain_stop();
	deletions_stop();
	renames_stop();
	room_names_stop();
	acks_stop();
	history_stop();
	sync_stop();
	events_stop();
	notices_stop();
	inflight_stop();
	typing_stop();
	refs_stop();
	rooms_stop();
	clients_stop();
	nodes_stop();
	users_stop();
	seen_stop();
	relay_stop();
	peers_stop();
	moderators_stop();
	presence_stop();
	farewells_stop();
	node_metrics_stop();
	live_options_stop();
	counters_stop();
	log_stop();
}
