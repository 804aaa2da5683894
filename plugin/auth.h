/*
 * auth.h - may this client connect, and as whom.
 *
 * The bridges and their sessions come to the bridges' listener with the credential, which is drawn anew at
 * each start of the broker and handed to the bridge processes alone. Whoever comes there without it has been
 * tunnelled by a bridge (/mqtt, where that is on) and is an ordinary MQTT client. Of those, there and on
 * every other listener, this version (`auth none`) leaves the decision to the broker's own settings, and only
 * keeps the names of the bridges for the bridges.
 */
#ifndef CHAT_AUTH_H
#define CHAT_AUTH_H

#include <stdbool.h>

struct mosquitto;
struct mosquitto_evt_basic_auth;
struct options;

/* options: borrowed until auth_stop. admit_others: mosquitto 2.0 only, any user name may connect
 * (an open broker); else others decide. False when the system gives no randomness. */
bool auth_start(const struct options *options, bool admit_others);

/* Wipes the credential. */
void auth_stop(void);

/* CREDENTIAL_HEX characters, NUL-terminated; for the bridges and for nobody else. */
const char *auth_credential(void);

int auth_on_basic_auth(struct mosquitto_evt_basic_auth *ed);

/* Is this one of our bridges' own connections (never a session's)? Known by the broker's pointer: a user name
 * may have been let in by somebody else. */
bool auth_is_bridge(const struct mosquitto *handle);

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
