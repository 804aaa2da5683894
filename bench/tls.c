/* tls.c - see tls.h. The structs are OpenSSL's own under other names. */
#include "bench/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

struct tls_context *tls_context_new(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (context == NULL)
		return NULL;
	/* What the kernel does not take is sent again from elsewhere (ws_client's backlog). */
	(void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	                                    SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	return (struct tls_context *)context;
}

void tls_context_free(struct tls_context *context)
{
	SSL_CTX_free((SSL_CTX *)context);
}

struct tls *tls_new(struct tls_context *context, int fd)
{
	SSL *ssl = SSL_new((SSL_CTX *)context);

	if (ssl != NULL && SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	if (ssl != NULL)
		SSL_set_connect_state(ssl);
	return (struct tls *)ssl;
}

void tls_free(struct tls *tls)
{
	SSL_free((SSL *)tls);
}

enum tls_step tls_handshake(struct tls *tls)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake((SSL *)tls);
	if (rc == 1)
		return TLS_DONE;
	switch (SSL_get_error((SSL *)tls, rc)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANTS_IN;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANTS_OUT;
	default:
		return TLS_FAILED;
	}
}

/* What a call that moved nothing means. */
static ssize_t outcome(SSL *ssl, int rc)
{
	switch (SSL_get_error(ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		errno = errno != 0 ? errno : EPROTO;
		return -1;
	default:
		errno = EPROTO;
		return -1;
	}
}

ssize_t tls_read(struct tls *tls, void *out, size_t cap)
{
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_read((SSL *)tls, out, cap < INT_MAX ? (int)cap : INT_MAX);
	return rc > 0 ? rc : outcome((SSL *)tls, rc);
}

ssize_t tls_write(struct tls *tls, const void *bytes, size_t n)
{
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_write((SSL *)tls, bytes, n < INT_MAX ? (int)n : INT_MAX);
	if (rc > 0)
		return rc;
	rc = (int)outcome((SSL *)tls, rc);
	if (rc == 0)
		errno = EPIPE;
	return -1;
}
