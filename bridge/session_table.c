/*
 * session_table.c - finding sessions: by number, by identity; and the client ids that they
 * carry at the broker.
 */
#include "bridge/bridge.h"

#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- client ids ------------------------------------------------------------------------- */

/* 22 characters of base64url for 16 bytes. */
static void write_id(struct session *s, const uint8_t bytes[16])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char *at = s->client_id;
	memcpy(at, SESSION_CLIENT_PREFIX, sizeof SESSION_CLIENT_PREFIX - 1);
	at += sizeof SESSION_CLIENT_PREFIX - 1;
	for (unsigned bit = 0; bit < 128; bit += 6) {
		unsigned byte = bit / 8;
		unsigned pair = (unsigned)bytes[byte] << 8 | (byte + 1 < 16 ? bytes[byte + 1] : 0u);
		*at++ = alphabet[(pair >> (10 - bit % 8)) & 63];
	}
	*at = '\0';
}

/* Random, or for a named device the same for every session of it on any of this broker's bridges:
 * the broker then lets the newer one replace the older. */
bool session_make_client_id(struct session *s)
{
	uint8_t bytes[EVP_MAX_MD_SIZE];
	if (s->device == NULL) {
		if (getrandom(bytes, 16, 0) != 16)
			return false;
	} else {
		char text[IDENTITY_MAX + 1 + DEVICE_MAX];
		size_t len = s->who->identity->len;
		unsigned digest_len;
		const char *key = s->bridge->settings.device_key;
		memcpy(text, s->who->identity->text, len);
		text[len++] = '\0';
		memcpy(text + len, s->device, strlen(s->device));
		len += strlen(s->device);
		if (HMAC(EVP_sha256(), key, (int)strlen(key), (unsigned char *)text, len, bytes, &digest_len) == NULL)
			return false;
	}
	write_id(s, bytes);
	return true;
}

/* ---- tables ----------------------------------------------------------------------------- */

static struct session **bucket(struct sessions *all, uint64_t number)
{
	return &all->buckets[number & (all->bucket_count - 1)];
}

struct session *sessions_find(struct sessions *all, uint64_t number)
{
	struct session *s = *bucket(all, number);
	while (s != NULL && s->number != number)
		s = s->hash_next;
	return s;
}

void sessions_add(struct sessions *all, struct session *s)
{
	struct session **at = bucket(all, s->number);
	s->hash_next = *at;
	*at = s;
	s->prev = all->last;
	if (all->last != NULL)
		all->last->next = s;
	else
		all->first = s;
	all->last = s;
	all->count++;
}

void sessions_remove(struct sessions *all, struct session *s)
{
	struct session **at = bucket(all, s->number);
	while (*at != s)
		at = &(*at)->hash_next;
	*at = s->hash_next;
	if (all->ping_cursor == s)
		all->ping_cursor = s->next;
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		all->first = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	else
		all->last = s->prev;
	all->count--;
}

struct identity_sessions *sessions_of(struct sessions *all, const char *address, size_t len)
{
	struct identity_sessions *who;
	HASH_FIND(hh, all->identities, address, len, who);
	return who;
}

bool sessions_add_identity(struct session *s, const struct identity *identity)
{
	struct sessions *all = &s->bridge->sessions;
	struct identity_sessions *who;
	HASH_FIND(hh, all->identities, identity->text, identity->len, who);
	if (who == NULL) {
		who = calloc(1, sizeof *who + identity_size(identity));
		if (who == NULL)
			return false;
		who->identity = identity_put(who->identity_room, identity);
		HASH_ADD_KEYPTR(hh, all->identities, who->identity->text, who->identity->len, who);
		if (who->hh.tbl == NULL) { /* HASH_NONFATAL_OOM: not added */
			free(who);
			return false;
		}
	}
	s->who = who;
	s->same_next = who->first;
	if (who->first != NULL)
		who->first->same_prev = s;
	who->first = s;
	return true;
}

void sessions_remove_identity(struct session *s)
{
	struct identity_sessions *who = s->who;
	if (who == NULL)
		return;
	if (s->same_prev != NULL)
		s->same_prev->same_next = s->same_next;
	else
		who->first = s->same_next;
	if (s->same_next != NULL)
		s->same_next->same_prev = s->same_prev;
	if (s->counted)
		who->count--;
	s->who = NULL;
	if (who->first == NULL) {
		HASH_DEL(s->bridge->sessions.identities, who);
		free(who->given);
		free(who);
	}
}
