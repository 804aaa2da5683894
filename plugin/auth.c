/*
 * auth.c - may this client connect, and as whom.
 */
#include "auth.h"

#include "clients.h"
#include "clock.h"
#include "common/identity.h"
#include "compat.h"
#include "kicks.h"
#include "log.h"
#include "moderation.h"
#include "options.h"
#include "peers.h"
#include "secret.h"
#include "sync.h"
#include "tokens.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define BRIDGE_LINKS_MAX                                                                                     \
	256 /* 64 bridges, some of which come back before the broker has noticed that they left */

static struct {
	const struct options *options;
	bool admit_others;
	bool logins;
	bool rechecking;                    /* between SIGHUP and the next tick */
	const struct mosquitto *connecting; /* never looked into */
	char credential[CREDENTIAL_HEX + 1];
	const struct mosquitto *bridges[BRIDGE_LINKS_MAX]; /* NULL = free; never looked into */
} state;

bool auth_start(const struct options *options, bool admit_others, bool logins)
{
	state.options = options;
	state.logins = logins;
	state.admit_others = admit_others;
	state.rechecking = false;
	state.connecting = NULL;
	memset(state.bridges, 0, sizeof(state.bridges));
	return secret_draw(state.credential);
}

void auth_stop(void)
{
	explicit_bzero(state.credential, sizeof(state.credential));
	state.options = NULL;
}

const char *auth_credential(void)
{
	return state.credential;
}

/* Takes the same time for every password of the right length. What follows it is what the client of a session
 * has shown: its token, or with `auth broker` its password. */
static bool credential_matches(const char *password)
{
	unsigned char difference = 0;
	size_t i;

	if (!password || strlen(password) < CREDENTIAL_HEX)
		return false;
	for (i = 0; i < CREDENTIAL_HEX; i++)
		difference |= (unsigned char)(password[i] ^ state.credential[i]);
	return difference == 0;
}

static bool starts_with(const char *s, const char *prefix)
{
	return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Who is banned gets in nowhere. A session's bridge is told why, which CONNACK cannot say: it asks before it
 * takes a refusal for one of the login (session_link.c). */
static bool keep_out(const struct identity *who, const char *id, enum client_kind kind)
{
	const struct sanction *ban = state.rechecking ? NULL : moderation_ban(who, clock_real_ms());
	const struct client client = {.who = who, .id = id, .kind = kind};
	char why[MODERATION_REASON_MAX + 16];

	if (!ban)
		return false;
	log_limited(LOG_CAUSE_BANNED, MOSQ_LOG_NOTICE, "refused a client of %s: banned", who->text);
	(void)snprintf(why, sizeof(why), "banned%s%s", ban->reason[0] != '\0' ? ": " : "", ban->reason);
	if (kind == CLIENT_SESSION)
		sync_close(&client, KICK_CODE, why);
	return true;
}

/* A client that is let in: into the table, unless the broker is only asking again. */
static int admit(struct mosquitto *handle, const struct identity *who, const char *id, enum client_kind kind)
{
	if (state.rechecking || clients_enter(handle, who, id, kind))
		return MOSQ_ERR_SUCCESS;
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a client is refused");
	return MOSQ_ERR_AUTH;
}

/* False when there are too many, which only a bridge gone wild can bring about. */
static bool remember_bridge(const struct mosquitto *handle)
{
	size_t i, room = BRIDGE_LINKS_MAX;

	for (i = 0; i < BRIDGE_LINKS_MAX; i++) {
		if (state.bridges[i] == handle)
			return true;
		if (!state.bridges[i] && room == BRIDGE_LINKS_MAX)
			room = i;
	}
	if (room == BRIDGE_LINKS_MAX)
		return false;
	state.bridges[room] = handle;
	return true;
}

bool auth_is_bridge(const struct mosquitto *handle)
{
	size_t i;

	for (i = 0; i < BRIDGE_LINKS_MAX && handle; i++)
		if (state.bridges[i] == handle)
			return true;
	return false;
}

void auth_forget(const struct mosquitto *handle)
{
	size_t i;

	for (i = 0; i < BRIDGE_LINKS_MAX; i++)
		if (state.bridges[i] == handle)
			state.bridges[i] = NULL;
}

/* Whoever shows a token must be whom it is for, and stays as long as it is good. */
static int admit_with_token(struct mosquitto_evt_basic_auth *ed, const struct identity *who, const char *id,
                            const char *text, enum client_kind kind)
{
	/* where a session comes from only its bridge knows, and says */
	const char *from = kind == CLIENT_SESSION ? who->text : mosquitto_client_address(ed->client);
	struct token token;
	int rc;

	/* Asked again at SIGHUP, with a token that may have been renewed since: who is here stays. */
	if (state.rechecking && clients_find(ed->client))
		return MOSQ_ERR_SUCCESS;
	if (tokens_verify_for(who, text, text ? strlen(text) : 0, from, &token) != TOKEN_GOOD)
		return MOSQ_ERR_AUTH;
	rc = admit(ed->client, who, id, kind);
	if (rc == MOSQ_ERR_SUCCESS) {
		clients_expire(ed->client, token.expires_s);
		clients_moderate(ed->client, token.moderator);
	}
	return rc;
}

/* A session's login, `auth broker`: the broker's own rules judge what its client has shown. Once cut off, the
 * credential is not there when the broker asks again. */
static int leave_to_broker(struct mosquitto_evt_basic_auth *ed)
{
	char *password = ed->password;

	memmove(password, password + CREDENTIAL_HEX, strlen(password + CREDENTIAL_HEX) + 1);
	return RC_NOT_JUDGED;
}

/* Who has given the credential: a bridge's own connection, or a session. */
static int admit_own(struct mosquitto_evt_basic_auth *ed, const char *name, const char *id)
{
	const char *shown = ed->password + CREDENTIAL_HEX;
	struct identity who;

	if (name && strcmp(name, BRIDGE_USERNAME) == 0 && starts_with(id, BRIDGE_CLIENT_PREFIX))
		return *shown == '\0' && remember_bridge(ed->client) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
	if (!name || !starts_with(id, SESSION_CLIENT_PREFIX) || !identity_parse(name, strlen(name), &who))
		return MOSQ_ERR_AUTH;
	if (keep_out(&who, id, CLIENT_SESSION))
		return MOSQ_ERR_AUTH;
	switch (state.options->auth) {
	case AUTH_NONE:
		return *shown == '\0' ? admit(ed->client, &who, id, CLIENT_SESSION) : MOSQ_ERR_AUTH;
	case AUTH_TOKEN:
		return admit_with_token(ed, &who, id, shown, CLIENT_SESSION);
	case AUTH_BROKER:
		return *shown != '\0' ? leave_to_broker(ed) : MOSQ_ERR_AUTH;
	}
	return MOSQ_ERR_AUTH;
}

/* A link of another node: its password is the broker's to judge. */
static int judge_peer(const char *name)
{
	if (state.logins)
		return RC_NOT_JUDGED;
	log_limited(LOG_CAUSE_PEER_LOGIN, MOSQ_LOG_WARNING,
	            "refused a client with the user name %s of a peer: there is no password_file, so anybody "
	            "could have it",
	            name);
	return MOSQ_ERR_AUTH;
}

/* Everybody else who has a user name. */
static int judge_other(struct mosquitto_evt_basic_auth *ed, const char *name, const char *id)
{
	struct identity who;
	bool address = identity_parse(name, strlen(name), &who);

	if (peers_named(name))
		return judge_peer(name);
	if (address && keep_out(&who, id, CLIENT_MQTT))
		return MOSQ_ERR_AUTH;
	if (state.options->auth == AUTH_TOKEN && address)
		return admit_with_token(ed, &who, id, ed->password, CLIENT_MQTT);
	if (!state.admit_others)
		return RC_NOT_JUDGED;
	return address ? admit(ed->client, &who, id, CLIENT_MQTT) : MOSQ_ERR_SUCCESS;
}

int auth_on_basic_auth(struct mosquitto_evt_basic_auth *ed)
{
	const char *address = mosquitto_client_address(ed->client);
	const char *name = mosquitto_client_username(ed->client);
	const char *id = mosquitto_client_id(ed->client);
	char id_text[LOG_TEXT_MAX], address_text[LOG_TEXT_MAX];
	bool inside;

	state.connecting = state.rechecking ? NULL : ed->client;
	/* A session from the broker's database that is not connected: it will log in when it comes. */
	if (!address)
		return MOSQ_ERR_SUCCESS;
	inside = state.options->broker_socket[0] != '\0' && strcmp(address, state.options->broker_socket) == 0;
	if (inside && credential_matches(ed->password))
		return admit_own(ed, name, id);
	/* Its credential was cut off when it came. */
	if (state.rechecking && state.options->auth == AUTH_BROKER && auth_is_session(ed->client))
		return RC_NOT_JUDGED;
	/* Anybody else there came through /mqtt, and is judged as on any other listener. The password is a
	 * user's, or a guess: it is not for the log. */
	if (inside && !state.options->mqtt) {
		log_limited(LOG_CAUSE_CREDENTIAL, MOSQ_LOG_WARNING,
		            "refused client %s on %s: this listener is for the chat's own bridges",
		            log_text(id, id ? strlen(id) : 0, id_text), state.options->broker_socket);
		return MOSQ_ERR_AUTH;
	}
	if (starts_with(id, SESSION_CLIENT_PREFIX) || starts_with(id, BRIDGE_CLIENT_PREFIX) ||
	    (name && strcmp(name, BRIDGE_USERNAME) == 0)) {
		log_limited(LOG_CAUSE_RESERVED, MOSQ_LOG_WARNING,
		            "refused client %s from %s: its client id or user name is kept for the chat's bridges",
		            log_text(id, id ? strlen(id) : 0, id_text),
		            log_text(address, strlen(address), address_text));
		return MOSQ_ERR_AUTH;
	}
	/* Without a user name it is allow_anonymous that decides, and it does so when nobody else has. */
	return name ? judge_other(ed, name, id) : RC_NOT_JUDGED;
}

bool auth_is_session(struct mosquitto *handle)
{
	const char *address = mosquitto_client_address(handle);

	return address && state.options->broker_socket[0] != '\0' &&
	       strcmp(address, state.options->broker_socket) == 0 &&
	       starts_with(mosquitto_client_id(handle), SESSION_CLIENT_PREFIX);
}

bool auth_is_connecting(const struct mosquitto *handle)
{
	return handle == state.connecting;
}

void auth_connect_over(void)
{
	state.connecting = NULL;
}

void auth_reload(void)
{
	state.rechecking = true;
}

void auth_reload_over(void)
{
	state.rechecking = false;
}
