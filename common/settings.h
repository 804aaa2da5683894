/*
 * settings.h - what the plugin tells a bridge process at its start: one line of JSON
 * over an inherited socket, never argv or environment, for it holds the credential.
 *
 * Both programs come from one build; the version field makes a mixed pair refuse to run.
 */
#ifndef CHAT_SETTINGS_H
#define CHAT_SETTINGS_H

#include "errors.h"
#include "topic.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTINGS_VERSION 1
#define SETTINGS_CONTROL_FD 3    /* socketpair to the plugin: settings in, "ready" out, end of file = stop */
#define SETTINGS_LISTEN_FD 4     /* listening TCP socket, bound by the plugin */
#define SETTINGS_BYTES_MAX 65536 /* the line, newline included */

#define CREDENTIAL_HEX 64     /* 256 random bits in hex */
#define SOCKET_PATH_MAX 107   /* bytes, sun_path without its NUL */
#define ORIGINS_MAX 4096      /* bytes of the comma-separated list */
#define PROXIES_MAX 3072      /* bytes of the comma-separated list */
#define SYSTEM_SENDER_MAX 64  /* bytes */
#define HISTORY_PATH_MAX 1023 /* bytes */
#define WEB_ROOT_MAX 1023     /* bytes */
#define TLS_PATH_MAX 1023     /* bytes */
#define DEVICE_KEY_HEX 64     /* 256 bits in hex */

/* User name of a bridge's own connection (the one that reads rooms). No address, so never anybody's. */
#define BRIDGE_USERNAME "$chat-bridge"
/* Client ids: a bridge's own connection, and its sessions. Refused for everybody else. */
#define BRIDGE_CLIENT_PREFIX "chat-bridge-" /* then the index */
#define SESSION_CLIENT_PREFIX "ws-"         /* then random or derived characters */

/* In place of a client id in <root>/bridges/<cid>: what every bridge is told. */
#define BRIDGES_ALL "all"

/* MQTT 5 user properties that the plugin puts on canonical messages. */
#define PROPERTY_VIA "via" /* "ws" or "mqtt" */
#define PROPERTY_SEQ                                                                                         \
	"seq" /* decimal, per room, +1 for each message delivered in the step that                               \
	         accepted it; starts again at 1 when the plugin has forgotten the room */
#define PROPERTY_ORIGIN                                                                                      \
	"origin" /* echo of what a bridge's session put on its publish: lets the bridge                          \
	            leave out the author's own session; opaque, at most ORIGIN_MAX bytes */
#define PROPERTY_COPY                                                                                        \
	"copy" /* on the topic of a room's old name: the room, as it is called now, in which this was said */
#define PROPERTY_LATE                                                                                        \
	"late" /* "1" on what was published with QoS 2: delivered some time after it was accepted, and           \
	          until then under an earlier number in history */
#define PROPERTY_NUMBER                                                                                      \
	"n" /* decimal, the message's number in history (history_schema.h): only with other nodes, whose         \
	       messages make ids tell nothing of the order of delivery */
#define ORIGIN_MAX 24

struct bridge_settings {
	unsigned version;
	unsigned index;                      /* this bridge, from 0 */
	char credential[CREDENTIAL_HEX + 1]; /* password on the broker's unix listener */
	char broker_socket[SOCKET_PATH_MAX + 1];
	char topic_root[TOPIC_ROOT_MAX + 1];
	char room[ROOM_MAX + 1]; /* where a session goes that names no room */
	bool fanout_session;     /* false: one subscription per room and bridge */
	bool mqtt;               /* /mqtt is a tunnel to the broker */
	bool logins;             /* clients must show something: history and users are given after asking */
	bool sandbox;            /* the bridge gives up what it does not need */
	bool metrics;            /* /metrics is there, and the bridge reports what it counts */
	enum chat_language language;
	char system_sender[SYSTEM_SENDER_MAX + 1];
	char allowed_origins[ORIGINS_MAX + 1]; /* "*", or exact origins with commas, or "" for none */
	char trusted_proxies[PROXIES_MAX + 1]; /* a list as of cidr.h, "" for none */
	char metrics_allow[PROXIES_MAX + 1];   /* who may see /metrics beside this machine: the same */
	uint32_t max_frame_bytes;
	uint32_t header_timeout_ms;
	uint32_t max_sessions;
	uint32_t max_sessions_per_user;
	uint32_t outbox_bytes;
	uint32_t outbox_ms; /* plugin_opt_outbox_seconds */
	uint32_t ping_interval_ms;
	uint32_t ping_timeout_ms;
	uint32_t connect_rate; /* plugin_opt_rate_connects, per second and address; 0 = off */
	uint32_t connect_burst;
	bool sessions_latest;      /* only the newest session of an identity receives */
	uint32_t session_expiry_s; /* how long the broker keeps what a named device misses; 0: not at all */
	char device_key[DEVICE_KEY_HEX + 1];     /* client ids of named devices are made with it */
	char history_file[HISTORY_PATH_MAX + 1]; /* "" = no history */
	char web_root[WEB_ROOT_MAX + 1];         /* "" = no page */
	char tls_cert_file[TLS_PATH_MAX + 1];    /* "" = no TLS, and then tls_key_file is empty, too */
	char tls_key_file[TLS_PATH_MAX + 1];
};

/* One line of JSON with a newline at its end, NUL-terminated, from malloc; NULL when out of memory.
 * The caller wipes and frees it. */
char *settings_to_line(const struct bridge_settings *s);

/* True and *out filled; else false and a reason (static text) in *why. Checks every field's type and bounds.
 */
bool settings_from_line(const char *line, size_t len, struct bridge_settings *out, const char **why);

#endif
