/*
 * history_writer.c - the queue of messages on their way to the disk, and the thread that writes them.
 */
#include "history_writer.h"

#include "clock.h"
#include "history_trim.h"
#include "history_trouble.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GAP_MS (HISTORY_FLUSH_MS / 2) /* between the beginnings of two transactions */
#define BATCH_ITEMS 2000              /* of one transaction */
#define RETRY_MIN_MS 10
#define RETRY_MAX_MS 1000
#define RETRY_STOP_MS 50 /* while stopping */
#define AGE_CHECK_MS 10000

enum task { INSERT, RENUMBER, FORGET, SETTLE, LOOK, RENAME };

struct history_item {
	struct history_item *next;
	size_t size;
	enum task task;
	uint64_t upto;                  /* SETTLE */
	struct history_message message; /* points into text; RENUMBER: n and id alone; SETTLE: the last n before
	                                   it; LOOK: n and place; RENAME: n, place, and in ref the new name */
	struct history_forgotten *forgotten; /* FORGET: id, then the result; else NULL */
	char text[];
};

struct list {
	struct history_item *first, *last;
};

/* The main thread's and the writer's. */
static struct {
	pthread_mutex_t mutex; /* of queue, forgotten, stopping and stop_by_ms; held for a few instructions */
	pthread_cond_t wake;
	struct list queue;
	struct list forgotten; /* items whose results have not been fetched */
	bool stopping;
	uint64_t stop_by_ms;
	atomic_size_t bytes;
	atomic_uint_fast64_t committed;
	atomic_uint_fast64_t looked; /* twice the number of the last question of LOOK, and 1: it has messages */
	atomic_uint_fast64_t flushes[HISTOGRAM_CELLS_MAX]; /* only the writer adds */
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* The main thread's alone. */
static struct {
	pthread_t thread;
	uint64_t last; /* the newest number */
	size_t queue_bytes;
} state;

/* The writer's alone, from its start to its end. */
static struct {
	struct history_writer_config config;
	struct history_store *store; /* NULL while the file cannot be opened */
	struct list taken;
	uint64_t begun_ms;
	unsigned retry_ms; /* 0: the last transaction was committed */
	uint64_t aged_ms;  /* when what is too old was last looked for */
	bool more_to_trim;
	unsigned long lost;
} writer;

/* --- the main thread --- */

struct history_item *history_writer_item(const struct history_message *m, bool *full)
{
	size_t size = sizeof(struct history_item) + ULID_LEN + m->place_len + m->ref_len + m->body_len;
	struct history_item *item;
	char *at;

	*full = atomic_load(&shared.bytes) + size > state.queue_bytes;
	if (*full)
		return NULL;
	item = malloc(size);
	if (!item)
		return NULL;
	item->next = NULL;
	item->size = size;
	item->task = INSERT;
	item->forgotten = NULL;
	item->message = *m;
	at = item->text;
	item->message.id = memcpy(at, m->id, ULID_LEN);
	at += ULID_LEN;
	item->message.place = memcpy(at, m->place, m->place_len);
	at += m->place_len;
	if (m->ref)
		item->message.ref = memcpy(at, m->ref, m->ref_len);
	at += m->ref_len;
	item->message.body = memcpy(at, m->body, m->body_len);
	(void)atomic_fetch_add(&shared.bytes, size);
	return item;
}

void history_writer_drop(struct history_item *item)
{
	(void)atomic_fetch_sub(&shared.bytes, item->size);
	free(item);
}

static void append(struct list *list, struct history_item *item)
{
	if (list->last)
		list->last->next = item;
	else
		list->first = item;
	list->last = item;
}

static void enqueue(struct history_item *item)
{
	bool first;

	(void)pthread_mutex_lock(&shared.mutex);
	first = !shared.queue.first;
	append(&shared.queue, item);
	(void)pthread_mutex_unlock(&shared.mutex);
	if (first)
		(void)pthread_cond_signal(&shared.wake);
}

static uint64_t put(struct history_item *item)
{
	item->message.n = ++state.last;
	enqueue(item);
	return state.last;
}

uint64_t history_writer_put(struct history_item *item, char id[ULID_LEN + 1])
{
	memcpy(id, item->message.id, ULID_LEN);
	id[ULID_LEN] = '\0';
	return put(item);
}

uint64_t history_writer_renumber(const char *id)
{
	struct history_item *item = calloc(1, sizeof(*item) + ULID_LEN);

	if (!item)
		return 0;
	item->size = sizeof(*item) + ULID_LEN;
	item->task = RENUMBER;
	item->message.id = memcpy(item->text, id, ULID_LEN);
	(void)atomic_fetch_add(&shared.bytes, item->size);
	return put(item);
}

uint64_t history_writer_next(void)
{
	return state.last + 1;
}

bool history_writer_settle(uint64_t upto)
{
	struct history_item *item = calloc(1, sizeof(*item));

	if (!item)
		return false;
	item->size = sizeof(*item);
	item->task = SETTLE;
	item->upto = upto;
	item->message.n = state.last;
	(void)atomic_fetch_add(&shared.bytes, item->size);
	enqueue(item);
	return true;
}

bool history_writer_forget(const char *id)
{
	struct history_item *item = calloc(1, sizeof(*item));
	struct history_forgotten *forgotten = calloc(1, sizeof(*forgotten));

	if (!item || !forgotten) {
		free(item);
		free(forgotten);
		return false;
	}
	memcpy(forgotten->id, id, ULID_LEN);
	item->size = sizeof(*item) + sizeof(*forgotten);
	item->task = FORGET;
	item->forgotten = forgotten;
	item->message.id = forgotten->id;
	(void)atomic_fetch_add(&shared.bytes, item->size);
	(void)put(item);
	return true;
}

bool history_writer_forgotten(struct history_forgotten *out)
{
	struct history_item *item;

	(void)pthread_mutex_lock(&shared.mutex);
	item = shared.forgotten.first;
	if (item)
		shared.forgotten.first = item->next;
	if (!shared.forgotten.first)
		shared.forgotten.last = NULL;
	(void)pthread_mutex_unlock(&shared.mutex);
	if (!item)
		return false;
	*out = *item->forgotten;
	free(item->forgotten);
	free(item);
	return true;
}

uint64_t history_writer_room(const char *room, const char *to)
{
	size_t len = strlen(room), to_len = to ? strlen(to) : 0;
	struct history_item *item = calloc(1, sizeof(*item) + len + to_len);

	if (!item)
		return 0;
	item->size = sizeof(*item) + len + to_len;
	item->task = to ? RENAME : LOOK;
	item->message.place = memcpy(item->text, room, len);
	item->message.place_len = len;
	if (to)
		item->message.ref = memcpy(item->text + len, to, to_len);
	item->message.ref_len = to_len;
	(void)atomic_fetch_add(&shared.bytes, item->size);
	return put(item);
}

bool history_writer_looked(uint64_t question, bool *found)
{
	uint64_t looked = atomic_load(&shared.looked);

	*found = looked & 1;
	return looked / 2 == question;
}

uint64_t history_writer_committed(void)
{
	return atomic_load(&shared.committed);
}

size_t history_writer_bytes(void)
{
	return atomic_load(&shared.bytes);
}

void history_writer_flushes(uint64_t cells[HISTOGRAM_CELLS_MAX])
{
	size_t i;

	for (i = 0; i < HISTOGRAM_CELLS_MAX; i++)
		cells[i] = atomic_load_explicit(&shared.flushes[i], memory_order_relaxed);
}

/* --- the writer's thread --- */

/* Waits for the condition until then at most; the mutex is held. */
static void wait_until(uint64_t then_ms)
{
	struct timespec t = {.tv_sec = (time_t)(then_ms / 1000), .tv_nsec = (long)(then_ms % 1000) * 1000000};

	(void)pthread_cond_timedwait(&shared.wake, &shared.mutex, &t);
}

/* When there is something to do next, as far as the writer knows. */
static uint64_t next_turn(void)
{
	if (writer.retry_ms != 0)
		return writer.begun_ms + writer.retry_ms;
	if (shared.queue.first || writer.taken.first || writer.more_to_trim)
		return writer.begun_ms + GAP_MS;
	return writer.aged_ms + AGE_CHECK_MS;
}

/* Sleeps until there is something to do, and takes over what is queued. False: the time to stop, by *by_ms.
 */
static bool wait_for_work(uint64_t *by_ms)
{
	bool stopping;
	uint64_t then;

	(void)pthread_mutex_lock(&shared.mutex);
	while (!shared.stopping) {
		then = next_turn();
		if (clock_monotonic_ms() >= then)
			break;
		wait_until(then);
	}
	stopping = shared.stopping;
	*by_ms = shared.stop_by_ms;
	if (shared.queue.first) {
		if (writer.taken.last)
			writer.taken.last->next = shared.queue.first;
		else
			writer.taken.first = shared.queue.first;
		writer.taken.last = shared.queue.last;
		shared.queue = (struct list){NULL, NULL};
	}
	(void)pthread_mutex_unlock(&shared.mutex);
	return !stopping;
}

/* A transaction did not succeed. It will be tried again. */
static void note_failure(enum store_result result, const char *why)
{
	if (writer.retry_ms == 0)
		writer.retry_ms = RETRY_MIN_MS;
	else
		writer.retry_ms = writer.retry_ms * 2 < RETRY_MAX_MS ? writer.retry_ms * 2 : RETRY_MAX_MS;
	history_trouble_failed(result, why);
}

static void note_success(void)
{
	writer.retry_ms = 0;
	history_trouble_written();
}

/* Sees to it that what is written is written into the file that the path leads to. */
static bool have_store(void)
{
	char why[HISTORY_WHY_MAX], id[ULID_LEN + 1];
	uint64_t newest;

	if (writer.store && history_store_in_place(writer.store))
		return true;
	if (writer.store) {
		history_trouble_report(HISTORY_TROUBLE_MISSING,
		                       "it was removed or replaced; what was in it is not known any more");
		history_store_close(writer.store);
	}
	writer.store = history_store_open(&writer.config.store, why);
	if (!writer.store) {
		note_failure(STORE_FAULT, why);
		return false;
	}
	newest = history_store_newest(writer.store, id);
	if (!writer.taken.first || newest < writer.taken.first->message.n + (writer.taken.first->task == SETTLE))
		return true;
	history_store_close(writer.store);
	writer.store = NULL;
	note_failure(STORE_FAULT, "the file that is there now holds later messages than this broker has sent: "
	                          "restart the broker to go on with it");
	return false;
}

static enum store_result write_item(const struct history_item *item, unsigned long *left_out)
{
	char text[HISTORY_WHY_MAX];
	enum store_result result = STORE_OK;
	bool found = false;

	switch (item->task) {
	case INSERT:
		result = history_store_insert(writer.store, &item->message);
		break;
	case RENUMBER:
		result = history_store_renumber(writer.store, item->message.id, item->message.n);
		break;
	case FORGET:
		result = history_store_forget(writer.store, item->forgotten);
		break;
	case SETTLE:
		return history_store_settle(writer.store, item->message.n + 1, item->upto);
	case LOOK:
		result = history_store_find_room(writer.store, item->message.place, item->message.place_len, &found);
		if (result == STORE_OK)
			atomic_store(&shared.looked, item->message.n * 2 + found);
		return result;
	case RENAME:
		return history_store_rename_room(writer.store, item->message.n, item->message.place,
		                                 item->message.place_len, item->message.ref, item->message.ref_len);
	}
	if (result != STORE_NEVER)
		return result;
	(*left_out)++;
	(void)snprintf(text, sizeof(text), "%s %.*s: %s",
	               item->task == INSERT   ? "message"
	               : item->task == FORGET ? "the deletion of message"
	                                      : "the place of message",
	               ULID_LEN, item->message.id, history_store_error(writer.store));
	history_trouble_report(HISTORY_TROUBLE_ROW, text);
	return STORE_OK;
}

static void done_with(struct history_item *item)
{
	if (item->task != FORGET) {
		free(item);
		return;
	}
	item->next = NULL;
	(void)pthread_mutex_lock(&shared.mutex);
	append(&shared.forgotten, item);
	(void)pthread_mutex_unlock(&shared.mutex);
}

/* The first items, up to and with this one, are done with. */
static void forget_up_to(const struct history_item *last)
{
	struct history_item *item;
	uint64_t n = last->message.n;
	bool all = false;

	while (!all) {
		item = writer.taken.first;
		all = item == last;
		writer.taken.first = item->next;
		(void)atomic_fetch_sub(&shared.bytes, item->size);
		done_with(item);
	}
	if (!writer.taken.first)
		writer.taken.last = NULL;
	atomic_store(&shared.committed, n);
}

static uint64_t now_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void note_duration(uint64_t us)
{
	size_t cell = histogram_cell(&histogram_flush, us), sum = histogram_cells(&histogram_flush) - 1;

	(void)atomic_fetch_add_explicit(&shared.flushes[cell], 1, memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&shared.flushes[sum], us, memory_order_relaxed);
}

/* One transaction with the first of what is taken. */
static bool write_batch(void)
{
	const struct history_item *item = writer.taken.first, *last = NULL;
	enum store_result result;
	unsigned long left_out = 0;
	bool forgets = false;
	uint64_t begun_us;
	unsigned count;

	if (!have_store())
		return false;
	begun_us = now_us();
	result = history_store_begin(writer.store);
	for (count = 0; result == STORE_OK && item && count < BATCH_ITEMS; count++) {
		result = write_item(item, &left_out);
		forgets = forgets || item->task == FORGET;
		last = item;
		item = item->next;
	}
	if (result == STORE_OK)
		result = history_store_commit(writer.store);
	if (result != STORE_OK) {
		note_failure(result, history_store_error(writer.store));
		history_store_rollback(writer.store);
		return false;
	}
	note_duration(now_us() - begun_us);
	note_success();
	if (forgets)
		history_store_wipe_log(writer.store);
	forget_up_to(last);
	return true;
}

/* One step of removing what need not be kept. */
static void trim(void)
{
	uint64_t now = clock_monotonic_ms(), real = clock_real_ms();
	bool by_age = writer.more_to_trim || now - writer.aged_ms >= AGE_CHECK_MS;
	unsigned removed = 0;

	if (by_age)
		writer.aged_ms = now;
	if (!writer.store || !history_store_in_place(writer.store))
		return;
	if (history_store_trim(writer.store,
	                       by_age && real > writer.config.keep_ms ? real - writer.config.keep_ms : 0,
	                       writer.config.keep_messages, &removed) != STORE_OK)
		history_trouble_report(HISTORY_TROUBLE_TRIM, history_store_error(writer.store));
	writer.more_to_trim = removed == HISTORY_TRIM_ROWS;
}

/* The last try, until then. */
static void write_rest(uint64_t by_ms)
{
	struct timespec pause = {.tv_nsec = RETRY_STOP_MS * 1000000L};
	struct history_item *item;
	bool written;

	while (writer.taken.first) {
		written = write_batch();
		if (clock_monotonic_ms() >= by_ms)
			break;
		if (!written)
			(void)nanosleep(&pause, NULL);
	}
	while (writer.taken.first) {
		item = writer.taken.first;
		writer.taken.first = item->next;
		if (item->task == INSERT)
			writer.lost++;
		free(item->forgotten);
		free(item);
	}
	writer.taken.last = NULL;
}

static void *run(void *unused)
{
	uint64_t by_ms;

	(void)unused;
	while (wait_for_work(&by_ms)) {
		writer.begun_ms = clock_monotonic_ms();
		if (writer.taken.first && !write_batch())
			continue;
		trim();
	}
	write_rest(by_ms);
	history_store_close(writer.store);
	writer.store = NULL;
	return NULL;
}

/* --- start and stop, on the main thread --- */

/* A thread that no signal is delivered to: they are the broker's. Returns 0 or an errno. */
static int start_thread(void)
{
	pthread_condattr_t attributes;
	sigset_t all, old;
	int error;

	error = pthread_condattr_init(&attributes);
	if (error != 0)
		return error;
	error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	if (error == 0)
		error = pthread_cond_init(&shared.wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	if (error != 0)
		return error;
	(void)sigfillset(&all);
	error = pthread_sigmask(SIG_SETMASK, &all, &old);
	if (error == 0) {
		error = pthread_create(&state.thread, NULL, run, NULL);
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (error != 0)
		(void)pthread_cond_destroy(&shared.wake);
	else
		(void)pthread_setname_np(state.thread, "chat-history");
	return error;
}

bool history_writer_start(const struct history_writer_config *config, struct history_store *store)
{
	char id[ULID_LEN + 1];

	memset(&writer, 0, sizeof(writer));
	writer.config = *config;
	writer.store = store;
	writer.more_to_trim = true; /* what has grown old while no broker ran */
	state.last = history_store_newest(store, id);
	state.queue_bytes = config->queue_bytes;
	shared.stopping = false;
	history_trouble_clear();
	atomic_store(&shared.bytes, 0);
	atomic_store(&shared.committed, state.last);
	if (start_thread() == 0)
		return true;
	history_store_close(store);
	return false;
}

unsigned long history_writer_stop(void)
{
	(void)pthread_mutex_lock(&shared.mutex);
	shared.stopping = true;
	shared.stop_by_ms = clock_monotonic_ms() + HISTORY_STOP_MS;
	(void)pthread_mutex_unlock(&shared.mutex);
	(void)pthread_cond_signal(&shared.wake);
	(void)pthread_join(state.thread, NULL);
	(void)pthread_cond_destroy(&shared.wake);
	return writer.lost;
}
