/*
 * options.c - plugin_opt_... lines, checked, in one struct.
 */
#include "options.h"

#include "compat.h"
#include "option_readers.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define VALUE_MAX 8191 /* bytes of an option's value */

static const struct options defaults = {
    .port = 8000,
    .bind_address = "127.0.0.1",
    .bridges = 1,
    .topic_root = "chat",
    .room = "general",
    .mqtt = true,
    .sandbox = true,
    .metrics = true,
    .max_message_chars = 4000,
    .max_frame_bytes = 64 * 1024,
    .header_timeout_ms = 5000,
    .rate_messages = {20, 40},
    .rate_connects = {20, 100},
    .max_sessions = 10000,
    .max_sessions_per_user = 32,
    .outbox_bytes = 1024 * 1024,
    .outbox_ms = 30000,
    .ping_interval_ms = 25000,
    .ping_timeout_ms = 10000,
    .language = CHAT_ENGLISH,
    .session_expiry_s = 300,
    .presence_grace_ms = 3000,
    .history_age_s = 30 * 86400,
    .history_messages = 1000000,
    .history_queue_bytes = 16 * 1024 * 1024,
};

static bool fail(struct option_fault *fault, const struct mosquitto_opt *option, const char *reason)
{
	fault->name = option ? option->key : NULL;
	fault->value = option ? option->value : NULL;
	(void)snprintf(fault->reason, sizeof(fault->reason), "%s", reason);
	return false;
}

/* The value without the blanks at its ends, which the broker keeps. False when it does not fit. */
static bool trim(const char *value, char out[VALUE_MAX + 1])
{
	size_t n;

	value += strspn(value, " \t");
	n = strlen(value);
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	if (n > VALUE_MAX)
		return false;
	memcpy(out, value, n);
	out[n] = '\0';
	return true;
}

/* Which known option this is, or option_reader_count. */
static size_t find(const char *name)
{
	size_t i;

	for (i = 0; i < option_reader_count; i++)
		if (strcmp(option_readers[i].name, name) == 0)
			break;
	return i;
}

bool options_reloadable(const char *name)
{
	static const char *const names[] = {
	    "token_key_file",
	    "token_jwks_file",
	    "token_issuer",
	    "token_audience",
	    "allowed_origins",
	    "trusted_proxies",
	    "max_message_chars",
	    "rate_messages",
	    "rate_connects",
	    "max_sessions",
	    "max_sessions_per_user",
	    "outbox_bytes",
	    "outbox_seconds",
	    "metrics_allow",
	    "moderators",
	    "drain",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* The known name nearest to a mistyped one, or NULL: the same letters in another case or order. */
static const char *nearest(const char *name)
{
	size_t i, k, n = strlen(name);
	int letters[256];

	for (k = 0; k < option_reader_count; k++) {
		if (strcasecmp(option_readers[k].name, name) == 0)
			return option_readers[k].name;
		if (strlen(option_readers[k].name) != n)
			continue;
		memset(letters, 0, sizeof(letters));
		for (i = 0; i < n; i++) {
			letters[(unsigned char)option_readers[k].name[i]]++;
			letters[(unsigned char)name[i]]--;
		}
		for (i = 0; i < 256 && letters[i] == 0; i++)
			;
		if (i == 256)
			return option_readers[k].name;
	}
	return NULL;
}

static bool check_auth(struct options *out, const bool seen[OPTIONS_KNOWN_MAX], struct option_fault *fault)
{
	bool key = out->token_key_file[0] != '\0', jwks = out->token_jwks_file[0] != '\0';
	size_t i;

	if (!seen[find("allowed_origins")] && out->auth == AUTH_NONE)
		memcpy(out->allowed_origins, "*", 2);
	if (out->auth == AUTH_TOKEN && key == jwks)
		return fail(fault, NULL,
		            "plugin_opt_auth token needs plugin_opt_token_key_file or plugin_opt_token_jwks_file, "
		            "and not both");
	for (i = 0; out->auth != AUTH_TOKEN && i < option_reader_count; i++) {
		if (!seen[i] || strncmp(option_readers[i].name, "token_", strlen("token_")) != 0)
			continue;
		(void)fail(fault, NULL, "");
		(void)snprintf(fault->reason, sizeof(fault->reason),
		               "plugin_opt_%s is for plugin_opt_auth token alone", option_readers[i].name);
		return false;
	}
	return true;
}

/* What the options say together; and defaults that depend on others. */
static bool complete(struct options *out, const bool seen[OPTIONS_KNOWN_MAX], struct option_fault *fault)
{
	out->topic_root_len = strlen(out->topic_root);
	if (out->system_sender[0] == '\0')
		(void)snprintf(out->system_sender, sizeof(out->system_sender), "%s",
		               out->language == CHAT_SPANISH ? "Sistema" : "System");
	if (!out->bridge_off && out->broker_socket[0] == '\0')
		return fail(fault, NULL,
		            "plugin_opt_broker_socket is missing: the path of a line `listener 0 <path>` of this "
		            "broker (or plugin_opt_bridge_program off)");
	if (out->max_sessions_per_user > out->max_sessions) {
		if (seen[find("max_sessions_per_user")])
			return fail(fault, NULL,
			            "plugin_opt_max_sessions_per_user is larger than plugin_opt_max_sessions");
		out->max_sessions_per_user = out->max_sessions;
	}
	if ((out->tls_cert_file[0] != '\0') != (out->tls_key_file[0] != '\0'))
		return fail(fault, NULL,
		            "plugin_opt_tls_cert_file and plugin_opt_tls_key_file are given together or not at all");
	if ((out->node[0] != '\0') != (out->peer_count > 0))
		return fail(fault, NULL, "plugin_opt_node and plugin_opt_peers are given together or not at all");
	if (out->sessions_latest && out->bridges > 1)
		return fail(
		    fault, NULL,
		    "plugin_opt_sessions latest needs plugin_opt_bridges 1: each bridge knows its own sessions "
		    "alone, so with several of them there would be several latest ones");
	return check_auth(out, seen, fault);
}

static bool read_list(const struct mosquitto_opt *list, int count, bool seen[OPTIONS_KNOWN_MAX],
                      struct options *out, struct option_fault *fault)
{
	char value[VALUE_MAX + 1];
	const char *reason, *guess;
	size_t which;
	int i;

	*out = defaults;
	for (i = 0; i < count; i++) {
		which = find(list[i].key);
		if (which == option_reader_count) {
			(void)fail(fault, &list[i], "unknown option");
			guess = nearest(list[i].key);
			if (guess)
				(void)snprintf(fault->reason, sizeof(fault->reason), "unknown option; is %s meant?", guess);
			return false;
		}
		if (seen[which])
			return fail(fault, &list[i], "given twice");
		seen[which] = true;
		if (!list[i].value || !trim(list[i].value, value))
			return fail(fault, &list[i], "a value is missing or too long");
		reason = option_readers[which].read(value, out);
		if (reason)
			return fail(fault, &list[i], reason);
	}
	return true;
}

bool options_read(const struct mosquitto_opt *list, int count, struct options *out,
                  struct option_fault *fault)
{
	bool seen[OPTIONS_KNOWN_MAX] = {false};

	return read_list(list, count, seen, out, fault) && complete(out, seen, fault);
}

bool options_read_part(const struct mosquitto_opt *list, int count, struct options *out,
                       struct option_fault *fault)
{
	bool seen[OPTIONS_KNOWN_MAX] = {false};

	return read_list(list, count, seen, out, fault);
}
