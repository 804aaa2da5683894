/*
 * option_readers.c - one reader for each option; those of option_trust.h are only listed here.
 */
#include "option_readers.h"

#include "option_trust.h"

#include "common/utf8.h"
#include "drain.h"
#include "schema.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#define RATE_MAX 1000000

static const char *read_switch(const char *v, bool *out)
{
	if (strcmp(v, "on") != 0 && strcmp(v, "off") != 0)
		return "`on` or `off` is expected";
	*out = strcmp(v, "on") == 0;
	return NULL;
}

static const char *read_port(const char *v, struct options *o)
{
	return value_count(v, 1, 65535, &o->port) ? NULL : "a port number from 1 to 65535 is expected";
}

static const char *read_bind_address(const char *v, struct options *o)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
	struct addrinfo *found;

	if (strlen(v) > BIND_ADDRESS_MAX || getaddrinfo(v, NULL, &hints, &found) != 0)
		return "a numeric IPv4 or IPv6 address is expected, such as 127.0.0.1, 0.0.0.0 or ::";
	freeaddrinfo(found);
	memcpy(o->bind_address, v, strlen(v) + 1);
	return NULL;
}

static const char *read_broker_socket(const char *v, struct options *o)
{
	if (*v == '\0' || strlen(v) > SOCKET_PATH_MAX)
		return "a path of at most 107 bytes is expected, written as in the line `listener 0 <path>`";
	memcpy(o->broker_socket, v, strlen(v) + 1);
	return NULL;
}

static const char *read_bridges(const char *v, struct options *o)
{
	return value_count(v, 1, 64, &o->bridges) ? NULL : "a number from 1 to 64 is expected";
}

static const char *read_bridge_program(const char *v, struct options *o)
{
	o->bridge_off = strcmp(v, "off") == 0;
	if (o->bridge_off)
		return NULL;
	if (v[0] != '/' || strlen(v) >= sizeof(o->bridge_program))
		return "an absolute path or `off` is expected";
	memcpy(o->bridge_program, v, strlen(v) + 1);
	return NULL;
}

static const char *read_topic_root(const char *v, struct options *o)
{
	if (!topic_root_valid(v, strlen(v)))
		return "1 to 64 of A-Z a-z 0-9 - _ . are expected, levels joined by /";
	memcpy(o->topic_root, v, strlen(v) + 1);
	return NULL;
}

static const char *read_room(const char *v, struct options *o)
{
	if (!room_name_valid(v, strlen(v)))
		return "a room name is expected: 1 to 64 of a-z 0-9 - _ .";
	memcpy(o->room, v, strlen(v) + 1);
	return NULL;
}

static const char *read_fanout(const char *v, struct options *o)
{
	if (strcmp(v, "shared") != 0 && strcmp(v, "session") != 0)
		return "`shared` or `session` is expected";
	o->fanout_session = strcmp(v, "session") == 0;
	return NULL;
}

static const char *read_mqtt(const char *v, struct options *o)
{
	return read_switch(v, &o->mqtt);
}

static const char *read_other_topics(const char *v, struct options *o)
{
	if (strcmp(v, "allow") != 0 && strcmp(v, "defer") != 0)
		return "`allow` or `defer` is expected";
	o->other_topics = strcmp(v, "allow") == 0 ? OTHER_ALLOW : OTHER_DEFER;
	return NULL;
}

static const char *read_auth(const char *v, struct options *o)
{
	static const struct {
		const char *name;
		enum auth_mode mode;
	} modes[] = {{"none", AUTH_NONE}, {"token", AUTH_TOKEN}, {"broker", AUTH_BROKER}};
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, v) != 0)
			continue;
		o->auth = modes[i].mode;
		o->auth_given = true;
		return NULL;
	}
	return "`none`, `token` or `broker` is expected";
}

static const char *read_token_file(const char *v, char out[TOKEN_TEXT_MAX + 1])
{
	if (v[0] != '/' || strlen(v) > TOKEN_TEXT_MAX)
		return "an absolute path is expected";
	memcpy(out, v, strlen(v) + 1);
	return NULL;
}

static const char *read_token_key_file(const char *v, struct options *o)
{
	return read_token_file(v, o->token_key_file);
}

static const char *read_token_jwks_file(const char *v, struct options *o)
{
	return read_token_file(v, o->token_jwks_file);
}

static const char *read_token_text(const char *v, char out[TOKEN_TEXT_MAX + 1])
{
	if (*v == '\0' || strlen(v) > TOKEN_TEXT_MAX || !utf8_valid(v, strlen(v), NULL))
		return "1 to 1023 bytes of UTF-8 are expected";
	memcpy(out, v, strlen(v) + 1);
	return NULL;
}

static const char *read_token_issuer(const char *v, struct options *o)
{
	return read_token_text(v, o->token_issuer);
}

static const char *read_token_audience(const char *v, struct options *o)
{
	return read_token_text(v, o->token_audience);
}

static const char *read_token_email_claim(const char *v, struct options *o)
{
	return read_token_text(v, o->token_email_claim);
}

static const char *read_token_role_claim(const char *v, struct options *o)
{
	return read_token_text(v, o->token_role_claim);
}

static const char *read_max_message_chars(const char *v, struct options *o)
{
	return value_count(v, 1, 65000, &o->max_message_chars) ? NULL : "a number from 1 to 65000 is expected";
}

/* No longer text can be a message, and a broker with the shipped max_packet_size takes so much. */
static const char *read_max_frame_bytes(const char *v, struct options *o)
{
	return value_size(v, 1024, SCHEMA_PAYLOAD_MAX, &o->max_frame_bytes)
	           ? NULL
	           : "a size from 1k to 256k is expected, such as 64k";
}

static const char *read_header_timeout(const char *v, struct options *o)
{
	return value_time(v, 1000, 600000, &o->header_timeout_ms)
	           ? NULL
	           : "a time from 1s to 10m with its unit is expected, such as 5s";
}

static const char *read_unknown_fields(const char *v, struct options *o)
{
	if (strcmp(v, "reject") != 0 && strcmp(v, "drop") != 0)
		return "`reject` or `drop` is expected";
	o->unknown_fields_drop = strcmp(v, "drop") == 0;
	return NULL;
}

static const char rate_expected[] =
    "`off` or a rate is expected, such as 20/s burst 40 (both from 1 to 1000000)";

static const char *read_rate_messages(const char *v, struct options *o)
{
	return value_rate(v, RATE_MAX, &o->rate_messages) ? NULL : rate_expected;
}

static const char *read_rate_connects(const char *v, struct options *o)
{
	return value_rate(v, RATE_MAX, &o->rate_connects) ? NULL : rate_expected;
}

static const char *read_max_sessions(const char *v, struct options *o)
{
	return value_count(v, 1, 1000000, &o->max_sessions) ? NULL : "a number from 1 to 1000000 is expected";
}

static const char *read_max_sessions_per_user(const char *v, struct options *o)
{
	return value_count(v, 1, 1000000, &o->max_sessions_per_user) ? NULL
	                                                             : "a number from 1 to 1000000 is expected";
}

static const char *read_outbox_bytes(const char *v, struct options *o)
{
	return value_size(v, 64 * 1024, 1024 * 1024 * 1024, &o->outbox_bytes)
	           ? NULL
	           : "a size from 64k to 1024m is expected, such as 1m";
}

static const char *read_outbox_seconds(const char *v, struct options *o)
{
	return value_time(v, 1000, 3600000, &o->outbox_ms)
	           ? NULL
	           : "a time from 1s to 1h with its unit is expected, such as 30s";
}

static const char *read_ping_interval(const char *v, struct options *o)
{
	return value_time(v, 1000, 3600000, &o->ping_interval_ms)
	           ? NULL
	           : "a time from 1s to 1h with its unit is expected, such as 25s";
}

static const char *read_ping_timeout(const char *v, struct options *o)
{
	return value_time(v, 1000, 600000, &o->ping_timeout_ms)
	           ? NULL
	           : "a time from 1s to 10m with its unit is expected, such as 10s";
}

static const char *read_notices(const char *v, struct options *o)
{
	if (strcmp(v, "en") != 0 && strcmp(v, "es") != 0)
		return "`en` or `es` is expected";
	o->language = strcmp(v, "es") == 0 ? CHAT_SPANISH : CHAT_ENGLISH;
	return NULL;
}

static const char *read_system_sender(const char *v, struct options *o)
{
	size_t n = strlen(v), i;

	if (n == 0 || n > SYSTEM_SENDER_MAX || !utf8_valid(v, n, NULL))
		return "1 to 64 bytes of UTF-8 are expected";
	for (i = 0; i < n; i++)
		if ((unsigned char)v[i] < 0x20 || v[i] == 0x7f)
			return "text without control characters is expected";
	memcpy(o->system_sender, v, n + 1);
	return NULL;
}

static const char *read_sessions(const char *v, struct options *o)
{
	if (strcmp(v, "all") != 0 && strcmp(v, "latest") != 0)
		return "`all` or `latest` is expected";
	o->sessions_latest = strcmp(v, "latest") == 0;
	return NULL;
}

static const char *read_session_expiry(const char *v, struct options *o)
{
	return value_seconds(v, 0, 30 * 86400, &o->session_expiry_s)
	           ? NULL
	           : "a time from 0s to 30d with its unit is expected, such as 5m";
}

static const char *read_drain(const char *v, struct options *o)
{
	o->drain_s = 0;
	return strcmp(v, "off") == 0 || value_seconds(v, 1, DRAIN_SECONDS_MAX, &o->drain_s)
	           ? NULL
	           : "a time from 1s to 1h, or off, is expected";
}

static const char *read_presence_grace(const char *v, struct options *o)
{
	return value_time(v, 0, 600000, &o->presence_grace_ms)
	           ? NULL
	           : "a time from 0s to 10m with its unit is expected, such as 3s";
}

static const char *read_history_file(const char *v, struct options *o)
{
	if (v[0] != '/' || strlen(v) > HISTORY_PATH_MAX)
		return "an absolute path is expected";
	memcpy(o->history_file, v, strlen(v) + 1);
	return NULL;
}

static const char *read_history_days(const char *v, struct options *o)
{
	return value_seconds(v, 1, 36500u * 86400u, &o->history_age_s)
	           ? NULL
	           : "a time with its unit is expected, such as 30d";
}

static const char *read_history_messages(const char *v, struct options *o)
{
	return value_number(v, 1, 4000000000u, &o->history_messages)
	           ? NULL
	           : "a number of messages is expected, such as 500000, 500k or 1m";
}

static const char *read_history_sync(const char *v, struct options *o)
{
	return read_switch(v, &o->history_sync);
}

static const char *read_history_queue_bytes(const char *v, struct options *o)
{
	return value_size(v, 1024 * 1024, 1024 * 1024 * 1024, &o->history_queue_bytes)
	           ? NULL
	           : "a size from 1m to 1024m is expected, such as 16m";
}

static const char *read_sandbox(const char *v, struct options *o)
{
	return read_switch(v, &o->sandbox);
}

static const char *read_metrics(const char *v, struct options *o)
{
	return read_switch(v, &o->metrics);
}

static const char *read_log_format(const char *v, struct options *o)
{
	if (strcmp(v, "text") != 0 && strcmp(v, "json") != 0)
		return "`text` or `json` is expected";
	o->log_json = strcmp(v, "json") == 0;
	return NULL;
}

static const char *read_web_root(const char *v, struct options *o)
{
	o->web_off = strcmp(v, "off") == 0;
	if (o->web_off)
		return NULL;
	if (v[0] != '/' || strlen(v) > WEB_ROOT_MAX)
		return "an absolute path or `off` is expected";
	memcpy(o->web_root, v, strlen(v) + 1);
	return NULL;
}

static const char *read_tls_file(const char *v, char out[TLS_PATH_MAX + 1])
{
	if (v[0] != '/' || strlen(v) > TLS_PATH_MAX)
		return "an absolute path is expected";
	memcpy(out, v, strlen(v) + 1);
	return NULL;
}

static const char *read_tls_cert_file(const char *v, struct options *o)
{
	return read_tls_file(v, o->tls_cert_file);
}

static const char *read_tls_key_file(const char *v, struct options *o)
{
	return read_tls_file(v, o->tls_key_file);
}

static const char *read_chat_config(const char *v, struct options *o)
{
	if (v[0] != '/' || strlen(v) >= sizeof(o->chat_config))
		return "an absolute path is expected";
	memcpy(o->chat_config, v, strlen(v) + 1);
	return NULL;
}

const struct option_reader option_readers[] = {
    {"port", read_port},
    {"bind_address", read_bind_address},
    {"broker_socket", read_broker_socket},
    {"bridges", read_bridges},
    {"bridge_program", read_bridge_program},
    {"topic_root", read_topic_root},
    {"room", read_room},
    {"fanout", read_fanout},
    {"mqtt", read_mqtt},
    {"sandbox", read_sandbox},
    {"other_topics", read_other_topics},
    {"auth", read_auth},
    {"token_key_file", read_token_key_file},
    {"token_jwks_file", read_token_jwks_file},
    {"token_issuer", read_token_issuer},
    {"token_audience", read_token_audience},
    {"token_email_claim", read_token_email_claim},
    {"token_role_claim", read_token_role_claim},
    {"moderators", option_read_moderators},
    {"moderation_file", option_read_moderation_file},
    {"allowed_origins", option_read_allowed_origins},
    {"trusted_proxies", option_read_trusted_proxies},
    {"max_message_chars", read_max_message_chars},
    {"max_frame_bytes", read_max_frame_bytes},
    {"header_timeout", read_header_timeout},
    {"unknown_fields", read_unknown_fields},
    {"rate_messages", read_rate_messages},
    {"rate_connects", read_rate_connects},
    {"max_sessions", read_max_sessions},
    {"max_sessions_per_user", read_max_sessions_per_user},
    {"outbox_bytes", read_outbox_bytes},
    {"outbox_seconds", read_outbox_seconds},
    {"ping_interval", read_ping_interval},
    {"ping_timeout", read_ping_timeout},
    {"notices", read_notices},
    {"system_sender", read_system_sender},
    {"sessions", read_sessions},
    {"session_expiry", read_session_expiry},
    {"presence_grace", read_presence_grace},
    {"drain", read_drain},
    {"history_file", read_history_file},
    {"history_days", read_history_days},
    {"history_messages", read_history_messages},
    {"history_sync", read_history_sync},
    {"history_queue_bytes", read_history_queue_bytes},
    {"web_root", read_web_root},
    {"log_format", read_log_format},
    {"metrics", read_metrics},
    {"metrics_allow", option_read_metrics_allow},
    {"tls_cert_file", read_tls_cert_file},
    {"tls_key_file", read_tls_key_file},
    {"node", option_read_node},
    {"peers", option_read_peers},
    {"chat_config", read_chat_config},
};

const size_t option_reader_count = sizeof(option_readers) / sizeof(option_readers[0]);
