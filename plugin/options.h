/*
 * options.h - plugin_opt_... lines, checked, in one struct.
 *
 * A name that is not known, a value that is not understood, an option given twice, a required
 * one left out: options_read says which and why, and the broker does not start. Nothing is
 * ignored and nothing is guessed.
 */
#ifndef CHAT_OPTIONS_H
#define CHAT_OPTIONS_H

#include "common/errors.h"
#include "common/settings.h"
#include "common/topic.h"
#include "values.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIND_ADDRESS_MAX 63 /* bytes, an IPv6 address with a zone */
#define OPTION_REASON_MAX 256
#define PEERS_MAX 64     /* links */
#define PEER_NAME_MAX 64 /* bytes of a link's user name */
#define MODERATORS_BYTES 4096
#define TOKEN_TEXT_MAX 1023 /* bytes of an issuer, an audience, the name of a claim, a path */

enum other_topics { OTHER_UNSET, OTHER_ALLOW, OTHER_DEFER };
enum auth_mode { AUTH_NONE, AUTH_TOKEN, AUTH_BROKER };

struct options {
	char chat_config[PATH_MAX]; /* "" = none */
	uint32_t port;
	char bind_address[BIND_ADDRESS_MAX + 1];
	char broker_socket[SOCKET_PATH_MAX + 1]; /* "" where no bridge runs and none was given */
	uint32_t bridges;
	bool bridge_off;               /* the plugin alone */
	char bridge_program[PATH_MAX]; /* "" = look for it */
	char topic_root[TOPIC_ROOT_MAX + 1];
	size_t topic_root_len;
	char room[ROOM_MAX + 1];
	bool fanout_session;
	bool mqtt;    /* the bridges tunnel MQTT over WebSocket */
	bool sandbox; /* of the bridges */
	bool metrics;
	bool log_json;                       /* lines of the log are objects */
	char metrics_allow[PROXIES_MAX + 1]; /* a list as of cidr.h, or "": this machine alone */
	enum other_topics other_topics;
	enum auth_mode auth;
	bool auth_given;                         /* `auth` was written down */
	char token_key_file[TOKEN_TEXT_MAX + 1]; /* one of the two with AUTH_TOKEN, else both "" */
	char token_jwks_file[TOKEN_TEXT_MAX + 1];
	char token_issuer[TOKEN_TEXT_MAX + 1];   /* "" = any */
	char token_audience[TOKEN_TEXT_MAX + 1]; /* "" = a token must have none */
	char token_email_claim[TOKEN_TEXT_MAX + 1];
	char token_role_claim[TOKEN_TEXT_MAX + 1]; /* "" = no token makes anybody a moderator */
	char moderators[MODERATORS_BYTES + 1];     /* addresses with commas between, or "" */
	char moderation_file[PATH_MAX];            /* "" = as moderation.h is kept by default (start.c) */
	char allowed_origins[ORIGINS_MAX + 1];     /* "*", a list, or "" for none */
	char trusted_proxies[PROXIES_MAX + 1];     /* a list as of cidr.h, or "" */
	uint32_t max_message_chars;
	uint32_t max_frame_bytes;
	uint32_t header_timeout_ms;
	bool unknown_fields_drop;
	struct value_rate rate_messages;
	struct value_rate rate_connects;
	uint32_t max_sessions;
	uint32_t max_sessions_per_user;
	uint32_t outbox_bytes;
	uint32_t outbox_ms;
	uint32_t ping_interval_ms;
	uint32_t ping_timeout_ms;
	enum chat_language language;
	char system_sender[SYSTEM_SENDER_MAX + 1];
	bool sessions_latest;
	uint32_t session_expiry_s;
	uint32_t presence_grace_ms;
	uint32_t drain_s;                        /* 0 = off; its change at a reload counts (start.c) */
	char history_file[HISTORY_PATH_MAX + 1]; /* "" = none */
	uint32_t history_age_s;
	uint32_t history_messages;
	bool history_sync;
	uint32_t history_queue_bytes;
	bool web_off;                         /* no page */
	char web_root[WEB_ROOT_MAX + 1];      /* "" = look for it (web_root.h) */
	char tls_cert_file[TLS_PATH_MAX + 1]; /* "" = no TLS; both or neither */
	char tls_key_file[TLS_PATH_MAX + 1];
	char node[NODE_NAME_MAX + 1]; /* "" = there is no other */
	char peers[PEERS_MAX][PEER_NAME_MAX + 1];
	uint32_t peer_count; /* 0 without a node name */
};

struct mosquitto_opt;

/* What was wrong, for the log. */
struct option_fault {
	const char *name;  /* as written, borrowed from the option list; NULL when none was at fault */
	const char *value; /* as written, or NULL */
	char reason[OPTION_REASON_MAX];
};

/* May it stand in chat_config and change at a reload? False for names that are not known, too. */
bool options_reloadable(const char *name);

/* Fills *out from the list that the broker hands to mosquitto_plugin_init. False and *fault filled
 * at the first fault. */
bool options_read(const struct mosquitto_opt *list, int count, struct options *out,
                  struct option_fault *fault);

/* The same of a list that others complete: what options say only together is not looked at. */
bool options_read_part(const struct mosquitto_opt *list, int count, struct options *out,
                       struct option_fault *fault);

#endif
