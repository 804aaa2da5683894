/*
 * A folder for one test, a file in it, messages to put there, and a disk that can be full.
 *
 * The disk is SQLite's own write call, replaced: while history_disk_error is set every write answers it.
 */
#ifndef CHAT_HISTORY_CASE_H
#define CHAT_HISTORY_CASE_H

#include "common/ulid.h"
#include "plugin/history_store.h"
#include "tests/unit/guarded.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY_ALICE "alice@example.com"
#define HISTORY_BOB "bob_b@example.com"
#define HISTORY_PAIR_NAME HISTORY_ALICE "_" HISTORY_BOB
#define HISTORY_T0 UINT64_C(1790000000000) /* when the messages of the tests begin, one each millisecond */

static char history_folder[64];
static char history_path[96];
static atomic_int history_disk_error;

static ssize_t history_write(int fd, const void *data, size_t len)
{
	errno = atomic_load(&history_disk_error);
	return errno ? -1 : write(fd, data, len);
}

static ssize_t history_pwrite(int fd, const void *data, size_t len, off_t at)
{
	errno = atomic_load(&history_disk_error);
	return errno ? -1 : pwrite(fd, data, len, at);
}

static inline int history_set_up(void **state)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	(void)state;
	(void)vfs->xSetSystemCall(vfs, "write", (sqlite3_syscall_ptr)history_write);
	(void)vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)history_pwrite);
	(void)vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)history_pwrite);
	atomic_store(&history_disk_error, 0);
	(void)snprintf(history_folder, sizeof history_folder, "/tmp/chat-history-XXXXXX");
	if (!mkdtemp(history_folder))
		return -1;
	(void)snprintf(history_path, sizeof history_path, "%s/chat.db", history_folder);
	return 0;
}

static inline int history_tear_down(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".old"};
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		(void)snprintf(path, sizeof path, "%s%s", history_path, ends[i]);
		(void)unlink(path);
	}
	return rmdir(history_folder);
}

/* The message of that number: of the room "general", or of the pair, with a reference or none. */
struct history_sample {
	struct history_message message;
	char id[ULID_LEN + 1];
	char ref[24];
	char body[256];
};

static inline void history_sample(struct history_sample *s, uint64_t n, enum history_kind kind, bool ref)
{
	static const uint8_t zeros[ULID_RANDOM];
	struct ulid_clock clock = {0};

	(void)ulid_next(&clock, HISTORY_T0 + n, zeros, s->id);
	(void)snprintf(s->ref, sizeof s->ref, "ref-%u", (unsigned)n);
	(void)snprintf(s->body, sizeof s->body, "{\"id\":\"%s\",\"sender\":\"%s\",\"message\":\"%u\"}", s->id,
	               HISTORY_ALICE, (unsigned)n);
	s->message = (struct history_message){.n = n, .id = s->id, .kind = kind, .body = s->body};
	s->message.body_len = strlen(s->body);
	s->message.place = kind == HISTORY_PAIR ? HISTORY_PAIR_NAME : "general";
	s->message.place_len = strlen(s->message.place);
	if (ref) {
		s->message.ref = s->ref;
		s->message.ref_len = strlen(s->ref);
	}
}

/* One value, as text, from the file by a connection of its own; static. "" for NULL. */
static inline const char *history_ask(const char *sql)
{
	static char answer[512];
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open_v2(history_path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
	                 SQLITE_OK);
	assert_int_equal(sqlite3_busy_timeout(db, 5000), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	answer[0] = '\0';
	if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_text(statement, 0))
		(void)snprintf(answer, sizeof answer, "%s", (const char *)sqlite3_column_text(statement, 0));
	(void)sqlite3_finalize(statement);
	(void)sqlite3_close(db);
	return answer;
}

#endif
