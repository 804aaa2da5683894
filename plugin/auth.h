/*
 * auth.h - may this client connect, and as whom.
 *
 * The bridges and their sessions come to the bridges' listener with the credential, which is drawn anew at
 * each start of the broker and handed to the bridge processes alone; behind it stands what a session's client
 * has shown. Whoever comes there without it has been tunnelled by a bridge (/mqtt, where that is on) and is
 * an ordinary MQTT client, as on every other listener. The names of the bridges are kept for the bridges.
 * Beyond that
 *
 *   auth none     leaves MQTT clients to the broker's own settings, and asks nothing of sessions
 *   auth token    wants a token for every address, as a password or from the session; user names that are
 *                 no address are left to the broker, and have nothing to say here
 *   auth broker   leaves sessions to the broker as well, with what they have shown as their password
 */
#ifndef CHAT_AUTH_H
#define CHAT_AUTH_H

#include <stdbool.h>

struct mosquitto;
struct mosquitto_evt_basic_auth;
struct options;

/* options: borrowed until auth_stop. admit_others: mosquitto 2.0 only, any user name may connect
 * (an open broker); else others decide. logins: there is something that asks for passwords (a password_file,
 * another plugin), without which nobody is let in under the user name of a peer. False when the system gives
 * no randomness. */
bool auth_start(const struct options *options, bool admit_others, bool logins);

/* Wipes the credential. */
void auth_stop(void);

/* CREDENTIAL_HEX characters, NUL-terminated; for the bridges and for nobody else. */
const char *auth_credential(void);

int auth_on_basic_auth(struct mosquitto_evt_basic_auth *ed);

/* Is this one of our bridges' own connections (never a session's)? Known by the broker's pointer: a user name
 * may have been let in by somebody else. */
bool auth_is_bridge(const struct mosquitto *handle);

/* Is this a session, judged by its listener and its client id, which nobody else may have? For those whom
 * somebody else has let in. */
bool auth_is_session(struct mosquitto *handle);

/* This client is gone; most are no bridge's. */
void auth_forget(const struct mosquitto *handle);

/* Is the broker still inside the CONNECT of this client, as far as can be told: was it the last one to
 * be asked about, and has nothing happened since? Never true for clients that log in by certificate
 * alone, for which no plugin is asked. */
bool auth_is_connecting(const struct mosquitto *handle);

/* Something else has happened: any other event, or a subscription; no other access check. */
void auth_connect_over(void);

/* The broker is about to ask for all its clients again, those that are not connected included: until
 * auth_reload_over no client counts as newly connected. */
void auth_reload(void);
void auth_reload_over(void);

#endif
