/*
 * sandbox.h - what the bridge may still ask of the system once it serves strangers: the calls, files and
 * sockets that it needs, and nothing else. For the day on which somebody gets their own code to run in it.
 *
 * Two steps. sandbox_prepare comes before any library starts: from there on no program can be started, no
 * right gained, no other process touched, and io_uring, which carries calls out where no filter sees them, is
 * not there. sandbox_start comes when everything is open and no thread but the caller's runs; what holds for
 * the process then holds for every thread that it starts later.
 *
 *   seccomp      calls that only an attacker makes end the process (SIGSYS); what else is not needed is
 * answered with ENOSYS, so that a new C library which tries something does not end a chat server Landlock the
 * files that struct sandbox_needs names, /dev/null and /dev/urandom can be opened, no others; no TCP
 * connection can be made; no process outside can be signalled the rest     no capabilities, not even where
 * the broker runs as root; no /proc/PID/mem for others of the same user
 *
 * Nothing here fails: what the kernel does not offer is left out, and one line in the log says what is in
 * force.
 */
#ifndef CHAT_BRIDGE_SANDBOX_H
#define CHAT_BRIDGE_SANDBOX_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Sanitizers make calls of their own, and their search for leaks starts a process that traces this one. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_POSSIBLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANDBOX_POSSIBLE 0
#endif
#endif
#ifndef SANDBOX_POSSIBLE
#define SANDBOX_POSSIBLE 1
#endif

/* What is needed after the start. All borrowed during the call, "" for what there is not. */
struct sandbox_needs {
	const struct sockaddr_un *broker; /* of sandbox_address: nothing else can be connected to */
	const char *history_file;         /* it, its -wal and its -shm, as they are now: later ones are others */
	const char *tls_cert_file; /* whatever lies in its folder, for a renewal brings new files; where the */
	const char *tls_key_file;  /* path is a symbolic link, in the folder that it leads to as well */
};

/* The first step. on: false: neither step does anything but log that. */
void sandbox_prepare(bool on);

/* The address of the broker's unix socket in memory of its own, where sandbox_start makes it read-only for
 * good: a filter can compare pointers and not what they point to. path: at most 107 bytes. Lives as long as
 * the process. NULL when out of memory. */
const struct sockaddr_un *sandbox_address(const char *path);

/* The second step. Logs what is in force. */
void sandbox_start(const struct sandbox_needs *needs);

/* Could this file be read, were it not for the sandbox? For the log, after a failure. */
bool sandbox_hides(const char *path);

#endif
