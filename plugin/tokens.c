/*
 * tokens.c - see tokens.h
 */
#include "tokens.h"

#include "clients.h"
#include "clock.h"
#include "compat.h"
#include "log.h"
#include "notices.h"
#include "options.h"
#include "sync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS 500
#define WARNING_S 60     /* before exp */
#define FAREWELLS_MAX 64 /* clients that are sent away in one tick; the others' turn comes with the next */
#define KICK_AFTER_S 10  /* a session that its bridge has not closed by then is closed by the broker */

#define CAUSE_OF(fault)                                                                                      \
	((enum log_cause)((int)LOG_CAUSE_TOKEN_MALFORMED + (int)(fault) - (int)TOKEN_MALFORMED))

_Static_assert(CAUSE_OF(TOKEN_BAD_SIGNATURE) == LOG_CAUSE_TOKEN_BAD_SIGNATURE &&
                   CAUSE_OF(TOKEN_FAULTS) == LOG_CAUSE_TOKEN_MISSING,
               "a cause for each fault, in the same order");

static struct {
	const struct options *options;
	/* In force; of one reading, so that no rules go with keys that they were not written for. */
	struct token_keys *keys; /* NULL: none */
	char issuer[TOKEN_TEXT_MAX + 1], audience[TOKEN_TEXT_MAX + 1], email_claim[TOKEN_TEXT_MAX + 1];
	char role_claim[TOKEN_TEXT_MAX + 1];
	uint64_t ticked_ms;
} state;

/* ---- keys ---------------------------------------------------------------------------------- */

/* The whole file, wiped and freed by the caller; NULL and in *why what is wrong. */
static char *read_file(const char *path, size_t *len, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char *bytes = NULL;
	struct stat st;
	ssize_t n = 0;

	*len = 0;
	if (fd < 0 || fstat(fd, &st) != 0) {
		*why = strerror(errno);
	} else if (!S_ISREG(st.st_mode)) {
		*why = "no regular file";
	} else if (!(bytes = malloc(TOKEN_KEYS_BYTES_MAX + 1))) {
		*why = "out of memory";
	} else {
		while (*len <= TOKEN_KEYS_BYTES_MAX &&
		       (n = read(fd, bytes + *len, TOKEN_KEYS_BYTES_MAX + 1 - *len)) > 0)
			*len += (size_t)n;
		*why = n < 0 ? strerror(errno) : *len > TOKEN_KEYS_BYTES_MAX ? "more than 65536 bytes" : NULL;
	}
	if (fd >= 0)
		(void)close(fd); /* only read */
	if (!*why)
		return bytes;
	free(bytes);
	return NULL;
}

/* NULL, with a line in the log. */
static struct token_keys *read_keys(void)
{
	bool jwks = state.options->token_jwks_file[0] != '\0';
	const char *path = jwks ? state.options->token_jwks_file : state.options->token_key_file;
	const char *why = NULL;
	struct token_keys *keys = NULL;
	size_t len;
	char *bytes = read_file(path, &len, &why);

	if (bytes) {
		keys = token_keys_load(jwks ? TOKEN_KEYS_JWKS : TOKEN_KEYS_FILE, bytes, len, &why);
		explicit_bzero(bytes, len);
		free(bytes);
	}
	if (!keys)
		log_line(MOSQ_LOG_ERR, "plugin_opt_token_%s %s: %s", jwks ? "jwks_file" : "key_file", path,
		         why ? why : "no reason known");
	else
		log_line(MOSQ_LOG_NOTICE, "%zu key%s for tokens from %s%s", token_keys_count(keys),
		         token_keys_count(keys) == 1 ? "" : "s", path,
		         token_keys_passed_over(keys) > 0 ? " (others there are not for this)" : "");
	return keys;
}

/* False: everything stays as it was, and the log says why. */
static bool take_over(void)
{
	const struct options *o = state.options;
	struct token_keys *keys = read_keys();

	if (!keys)
		return false;
	token_keys_free(state.keys);
	state.keys = keys;
	memcpy(state.issuer, o->token_issuer, sizeof(state.issuer));
	memcpy(state.audience, o->token_audience, sizeof(state.audience));
	memcpy(state.email_claim, o->token_email_claim, sizeof(state.email_claim));
	memcpy(state.role_claim, o->token_role_claim, sizeof(state.role_claim));
	return true;
}

bool tokens_start(const struct options *options)
{
	memset(&state, 0, sizeof(state));
	state.options = options;
	return options->auth != AUTH_TOKEN || take_over();
}

void tokens_reload(void)
{
	if (tokens_wanted() && !take_over())
		log_line(MOSQ_LOG_ERR,
		         "the keys for tokens stay as they were, with the issuer and audience they had");
}

void tokens_stop(void)
{
	token_keys_free(state.keys);
	memset(&state, 0, sizeof(state));
}

bool tokens_wanted(void)
{
	return state.options->auth == AUTH_TOKEN;
}

/* ---- tokens -------------------------------------------------------------------------------- */

static const char *or_null(const char *s)
{
	return s[0] != '\0' ? s : NULL;
}

static int64_t now_s(void)
{
	return (int64_t)(clock_real_ms() / 1000);
}

static void refuse(enum log_cause cause, const char *why, const char *from)
{
	char text[LOG_TEXT_MAX];

	log_limited(cause, MOSQ_LOG_NOTICE, "refused a token from %s: %s",
	            log_text(from, from ? strlen(from) : 0, text), why);
}

enum token_fault tokens_verify(const char *text, size_t len, const char *from, struct token *out)
{
	struct token_rules rules = {or_null(state.issuer), or_null(state.audience), or_null(state.email_claim),
	                            or_null(state.role_claim)};
	enum token_fault fault = TOKEN_MALFORMED;

	if (state.keys && text && len > 0)
		fault = token_verify(state.keys, &rules, now_s(), text, len, out);
	if (!text || len == 0)
		refuse(LOG_CAUSE_TOKEN_MISSING, "missing", from);
	else if (fault != TOKEN_GOOD)
		refuse(CAUSE_OF(fault), token_fault_name(fault), from);
	return fault;
}

enum token_fault tokens_verify_for(const struct identity *who, const char *text, size_t len, const char *from,
                                   struct token *out)
{
	enum token_fault fault = tokens_verify(text, len, from, out);

	if (fault != TOKEN_GOOD || identity_equal(&out->who, who))
		return fault;
	refuse(LOG_CAUSE_TOKEN_ANOTHER_ADDRESS, "another_address", from);
	return TOKEN_NOT_AN_ADDRESS;
}

/* ---- the end of a token --------------------------------------------------------------------- */

/* The bridge closes a session with a code of its own, and is told again in each tick, for it may not have
 * been there; an MQTT client knows only the broker's. */
static void send_away(const struct client *client, int64_t now)
{
	const int64_t end = client->expires_s + TOKEN_LEEWAY_S;

	if (client->kind == CLIENT_SESSION && now < end + KICK_AFTER_S) {
		sync_close(client, 4002, "token expired");
		return;
	}
	clients_told(client); /* whatever comes of it, once */
	(void)mosquitto_kick_client_by_clientid(client->id, true);
}

void tokens_tick(uint64_t now_ms)
{
	const struct client *client, *next;
	unsigned left = FAREWELLS_MAX;
	int64_t now;

	if (state.options->auth != AUTH_TOKEN || now_ms - state.ticked_ms < TICK_MS)
		return;
	state.ticked_ms = now_ms;
	now = now_s();
	for (client = clients_next(NULL); client && left > 0; client = next) {
		next = clients_next(client); /* a kick takes its client out, and no other */
		if (client->expires_s == 0 || now < client->expires_s - WARNING_S)
			continue;
		if (now >= client->expires_s + TOKEN_LEEWAY_S) {
			send_away(client, now);
			left--;
		} else if (client->open && !client->warned) { /* before, nobody would hear it */
			clients_warned(client);
			notices_token_expiring(client);
		}
	}
}
