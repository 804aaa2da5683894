/*
 * tls.h - the client's end of TLS connections on sockets that do not block. The certificate is
 * not verified: a load generator talks to the server that stands beside it.
 */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tls_context; /* SSL_CTX */
struct tls;         /* SSL */

enum tls_step {
	TLS_DONE,
	TLS_WANTS_IN,  /* again when the socket can be read */
	TLS_WANTS_OUT, /* again when it can be written */
	TLS_FAILED,
};

/* NULL: no memory. */
struct tls_context *tls_context_new(void);
void tls_context_free(struct tls_context *context);

/* NULL: no memory. The descriptor stays the caller's. */
struct tls *tls_new(struct tls_context *context, int fd);
void tls_free(struct tls *tls);

enum tls_step tls_handshake(struct tls *tls);

/* As recv and send: how many bytes, 0 from tls_read for the end, -1 with errno (EAGAIN: later; EPROTO). */
ssize_t tls_read(struct tls *tls, void *out, size_t cap);
ssize_t tls_write(struct tls *tls, const void *bytes, size_t n);

#endif
