/* tls.c - see tls.h */
#include "bridge/tls.h"
#include "bridge/log.h"
#include "bridge/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FEEDS_MAX 16 /* reads of one connection in a row, so that the others have their turn */

struct connection {
	SSL *ssl;
	bool failed;                  /* SSL_shutdown and all else would be wrong now */
	bool refused;                 /* what the other side speaks is no TLS that we accept */
	bool unread;                  /* on the list of those with decrypted bytes */
	int prev_unread, next_unread; /* descriptors, -1: none */
};

static SSL_CTX *context;
static struct connection **table; /* by descriptor */
static int table_size;
static int first_unread = -1, last_unread = -1;
static unsigned unread_count;

/* ---- the certificate -------------------------------------------------------------------------- */

/* A key with a passphrase is refused instead of asked about on a terminal. */
static int no_passphrase(char *out, int cap, int writing, void *user)
{
	(void)out;
	(void)cap;
	(void)writing;
	(void)user;
	return 0;
}

/* Whoever offers protocols must offer this one. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned offered_len, void *user)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;
	(void)ssl;
	(void)user;
	if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, offered, offered_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* The first one: what follows it says less ("PEM lib"). */
static const char *error_text(void)
{
	unsigned long code = ERR_peek_error();
	const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
	/* system errors have no text of OpenSSL's own in every version */
	if (text == NULL && ERR_SYSTEM_ERROR(code))
		text = strerror(ERR_GET_REASON(code));
	return text != NULL ? text : "no reason given";
}

static bool configure(SSL_CTX *c)
{
	/* An end without close_notify is as common as the proper one, and what counts is WebSocket's own. Taken
	 * for an error it would be answered by an alert, behind the last words of a connection. */
	(void)SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
	                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	                              SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); /* tickets do it without memory of ours */
	SSL_CTX_set_default_passwd_cb(c, no_passphrase);
	SSL_CTX_set_alpn_select_cb(c, choose_protocol, NULL);
	return SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1 && SSL_CTX_set_num_tickets(c, 1) == 1 &&
	       SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

bool tls_load(const char *cert_file, const char *key_file, char reason[TLS_REASON_MAX])
{
	ERR_clear_error();
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());
	if (c == NULL || !configure(c))
		(void)snprintf(reason, TLS_REASON_MAX, "OpenSSL does not start: %s", error_text());
	else if (SSL_CTX_use_certificate_chain_file(c, cert_file) != 1)
		(void)snprintf(reason, TLS_REASON_MAX, "no certificate can be read from %.300s: %s", cert_file,
		               error_text());
	else if (SSL_CTX_use_PrivateKey_file(c, key_file, SSL_FILETYPE_PEM) != 1)
		(void)snprintf(reason, TLS_REASON_MAX,
		               "no private key for the certificate can be read from %.300s: %s", key_file,
		               error_text());
	else if (SSL_CTX_check_private_key(c) != 1)
		(void)snprintf(reason, TLS_REASON_MAX, "certificate and key do not belong together: %s",
		               error_text());
	else {
		SSL_CTX_free(context); /* its connections hold it as long as they need it */
		context = c;
		return true;
	}
	ERR_clear_error();
	SSL_CTX_free(c);
	return false;
}

bool tls_on(void)
{
	return context != NULL;
}

/* ---- connections ---------------------------------------------------------------------------------- */

static struct connection *find(int fd)
{
	return fd >= 0 && fd < table_size ? table[fd] : NULL;
}

bool tls_has(int fd)
{
	return find(fd) != NULL;
}

bool tls_opening(int fd)
{
	const struct connection *c = find(fd);
	return c != NULL && !SSL_is_init_finished(c->ssl);
}

bool tls_refused(int fd)
{
	const struct connection *c = find(fd);
	return c != NULL && c->refused;
}

static bool grow_table(int fd)
{
	if (fd < table_size)
		return true;
	int size = table_size > 0 ? table_size : 1024;
	while (size <= fd)
		size *= 2;
	struct connection **grown = realloc(table, (size_t)size * sizeof(struct connection *));
	if (grown == NULL)
		return false;
	for (int i = table_size; i < size; i++)
		grown[i] = NULL;
	table = grown;
	table_size = size;
	return true;
}

bool tls_start(int fd)
{
	tls_end(fd);
	struct connection *c = grow_table(fd) ? calloc(1, sizeof *c) : NULL;
	if (c == NULL)
		return false;
	c->ssl = SSL_new(context);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1) {
		SSL_free(c->ssl);
		free(c);
		ERR_clear_error();
		return false;
	}
	SSL_set_accept_state(c->ssl);
	table[fd] = c;
	return true;
}

static void enter_unread(int fd, struct connection *c)
{
	if (c->unread)
		return;
	c->unread = true;
	c->next_unread = -1;
	c->prev_unread = last_unread;
	if (last_unread >= 0)
		table[last_unread]->next_unread = fd;
	else
		first_unread = fd;
	last_unread = fd;
	unread_count++;
}

static void leave_unread(int fd)
{
	struct connection *c = table[fd];
	if (!c->unread)
		return;
	c->unread = false;
	if (c->prev_unread >= 0)
		table[c->prev_unread]->next_unread = c->next_unread;
	else
		first_unread = c->next_unread;
	if (c->next_unread >= 0)
		table[c->next_unread]->prev_unread = c->prev_unread;
	else
		last_unread = c->prev_unread;
	unread_count--;
}

void tls_shutdown(int fd)
{
	struct connection *c = find(fd);
	if (c == NULL || c->failed || !SSL_is_init_finished(c->ssl))
		return;
	ERR_clear_error();
	if (SSL_shutdown(c->ssl) < 0)
		c->failed = true; /* not to be tried again */
	ERR_clear_error();
}

void tls_end(int fd)
{
	struct connection *c = find(fd);
	if (c == NULL)
		return;
	leave_unread(fd);
	tls_shutdown(fd);
	SSL_free(c->ssl);
	free(c);
	table[fd] = NULL;
}

/* ---- reading and writing ---------------------------------------------------------------------------- */

static void log_failure(int fd, const char *what)
{
	static struct log_limit limit;
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof peer;
	char address[INET6_ADDRSTRLEN] = "somebody";
	if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0) {
		if (peer.ss_family == AF_INET6)
			(void)inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&peer)->sin6_addr, address, sizeof address);
		else if (peer.ss_family == AF_INET)
			(void)inet_ntop(AF_INET, &((struct sockaddr_in *)&peer)->sin_addr, address, sizeof address);
	}
	log_limited(&limit, loop_now_ns() / 1000000u, LOG_LEVEL_INFO, "TLS with %s failed: %s", address, what);
}

/* Somebody speaks HTTP to a port that wants HTTPS, most likely a person with a browser. */
static void answer_plain_http(int fd)
{
	static const char answer[] =
	    "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 78\r\n"
	    "Connection: close\r\n\r\n{\"error\":\"tls_required\",\"message\":\"this port speaks TLS: https:// "
	    "or wss://\"}\n";
	(void)sendto(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
}

/* What a call of OpenSSL that returned n <= 0 means to somebody who reads or writes a socket. */
static ssize_t outcome(int fd, struct connection *c, int n)
{
	switch (SSL_get_error(c->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		c->failed = true;
		if (errno == 0)
			errno = ECONNRESET;
		return -1;
	default:
		break;
	}
	c->failed = true;
	unsigned long code = ERR_peek_error();
	if (ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST)
		answer_plain_http(fd);
	c->refused = true;
	log_failure(fd, code != 0 ? ERR_reason_error_string(code) : "no reason given");
	ERR_clear_error();
	errno = ECONNRESET;
	return -1;
}

ssize_t tls_recv(int fd, void *buffer, size_t len, bool peek)
{
	struct connection *c = find(fd);
	if (c == NULL || c->failed) {
		errno = c == NULL ? EBADF : ECONNRESET;
		return -1;
	}
	ERR_clear_error();
	errno = 0;
	int want = len > INT_MAX ? INT_MAX : (int)len;
	int n = peek ? SSL_peek(c->ssl, buffer, want) : SSL_read(c->ssl, buffer, want);
	if (n <= 0)
		return outcome(fd, c, n);
	if (SSL_pending(c->ssl) > 0)
		enter_unread(fd, c);
	return n;
}

ssize_t tls_send(int fd, const void *bytes, size_t len)
{
	struct connection *c = find(fd);
	if (c == NULL || c->failed) {
		errno = c == NULL ? EBADF : EPIPE;
		return -1;
	}
	if (len == 0)
		return 0;
	/* one record after the other, until the socket takes no more: a short count is as good as from a socket
	 */
	size_t sent = 0;
	while (sent < len) {
		size_t left = len - sent;
		ERR_clear_error();
		errno = 0;
		int n = SSL_write(c->ssl, (const char *)bytes + sent, left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0) {
			sent += (size_t)n;
			continue;
		}
		ssize_t r = outcome(fd, c, n);
		if (sent > 0)
			break;
		if (r == 0) { /* a sender wants an error */
			errno = EPIPE;
			r = -1;
		}
		return r;
	}
	return (ssize_t)sent;
}

/* Lets somebody read from one connection. True when that has left something for the next time. */
static bool feed_one(int fd, struct connection *c, void (*feed)(int fd, void *user), void *user)
{
	int before = SSL_pending(c->ssl);
	for (int i = 0; i < FEEDS_MAX; i++) {
		feed(fd, user);
		if (find(fd) != c) /* it has ended */
			return false;
		int left = SSL_pending(c->ssl);
		if (left == 0)
			return false;
		if (left == before) { /* nobody wants it now; it stays on the list */
			enter_unread(fd, c);
			return false;
		}
		before = left;
	}
	return true;
}

bool tls_feed(void (*feed)(int fd, void *user), void *user)
{
	bool more = false;
	/* whoever is read from and has more comes to the end of the list again */
	for (unsigned n = unread_count; n > 0 && first_unread >= 0; n--) {
		int fd = first_unread;
		struct connection *c = table[fd];
		leave_unread(fd);
		more |= feed_one(fd, c, feed, user);
	}
	return more;
}

void tls_stop(void)
{
	for (int fd = 0; fd < table_size; fd++)
		tls_end(fd);
	free(table);
	table = NULL;
	table_size = 0;
	SSL_CTX_free(context);
	context = NULL;
}
