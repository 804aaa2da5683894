/*
 * tls.h - TLS on accepted connections, by descriptor, below everything that reads and writes them.
 *
 * Why not libwebsockets' own: it would read the request head itself (http_head.h says what is wrong with
 * that), speaks HTTP/2 unless told otherwise, and before 4.4.2 loops forever when a TLS connection is not
 * read for a while. So TLS sits under recv(), send(), shutdown() and close() (socket_calls.c), and nobody
 * above knows about it.
 *
 * TLS 1.2 with forward secrecy and authenticated ciphers, and 1.3; ALPN http/1.1 and nothing else; no
 * renegotiation, no early data, no compression. Calls behave as those of a non-blocking socket.
 *
 * One thread. What a connection holds is bounded by OpenSSL: one record each way, given back when idle.
 */
#ifndef CHAT_BRIDGE_TLS_H
#define CHAT_BRIDGE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TLS_REASON_MAX 512

/* Certificate (chain, PEM) and its key for connections from now on. False and the reason: nothing has
 * changed. Connections keep what they began with. */
bool tls_load(const char *cert_file, const char *key_file, char reason[TLS_REASON_MAX]);

/* Is there a certificate? */
bool tls_on(void);

/* fd, just accepted, speaks TLS: the handshake is part of the first reads. False when out of memory. */
bool tls_start(int fd);

bool tls_has(int fd);

/* Is its handshake still to be made? Has it failed for what the other side said? */
bool tls_opening(int fd);
bool tls_refused(int fd);

/* As recv() and send(): -1 with errno EAGAIN where the socket has to be waited for, 0 where the other
 * side has ended, -1 with ECONNRESET where what it speaks is no TLS that we accept. peek: MSG_PEEK. */
ssize_t tls_recv(int fd, void *buffer, size_t len, bool peek);
ssize_t tls_send(int fd, const void *bytes, size_t len);

/* Tells the other side that nothing more comes, if the socket takes that now. */
void tls_shutdown(int fd);

/* The descriptor is about to be closed. */
void tls_end(int fd);

/* Bytes that are read and decrypted already show in no poll: calls feed for each such descriptor, which
 * should read from it. True: somebody has read and there is still more, so do not sleep now. */
bool tls_feed(void (*feed)(int fd, void *user), void *user);

/* Frees everything. */
void tls_stop(void);

#endif
