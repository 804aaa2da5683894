/*
 * socket_calls.h - recv(), send(), shutdown() and close() of this process, libraries included.
 *
 * They stand in for the C library's, so that libwebsockets, which reads and writes plain sockets, does so
 * through TLS where a descriptor speaks it (tls.h), and never sees a frame whose head is against RFC 6455
 * (frame_guard.h). All other descriptors pass untouched, and so do the calls of other threads. What hangs
 * on a descriptor ends with it.
 */
#ifndef CHAT_BRIDGE_SOCKET_CALLS_H
#define CHAT_BRIDGE_SOCKET_CALLS_H

/* The calling thread is the one that owns the connections. To be called once, first. */
void socket_calls_start(void);

#endif
