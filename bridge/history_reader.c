/* history_reader.c - see history_reader.h */
#include "bridge/history_reader.h"
#include "bridge/bridge.h"
#include "bridge/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 32 /* questions for one trip to the worker */
#define BEHIND_MS 10 /* between two looks for what is not written yet */

/* ---- questions --------------------------------------------------------------------------- */

struct history_question *history_question_new(void *owner, void (*on_answer)(struct history_question *q))
{
	struct history_question *q = calloc(1, sizeof *q);
	if (q != NULL) {
		q->owner = owner;
		q->on_answer = on_answer;
	}
	return q;
}

void history_cancel(struct history_question *q)
{
	if (q != NULL)
		q->owner = NULL;
}

static void question_free(struct history_question *q)
{
	chunk_release(q->replay.frames);
	free(q->page.messages);
	free(q);
}

static void free_list(struct history_question **list)
{
	while (*list != NULL) {
		struct history_question *q = *list;
		*list = q->next;
		question_free(q);
	}
}

/* ---- the worker ----------------------------------------------------------------------------- */

/* In the worker's thread: q->owner and on_answer belong to the loop's and are not looked at. */
static void on_work(uv_work_t *work)
{
	struct history_reader *r = work->data;
	for (struct history_question *q = r->with_worker; q != NULL; q = q->next) {
		q->status = q->is_replay ? history_db_replay(r->db, &q->replay) : history_db_page(r->db, &q->page);
		q->read = true;
	}
}

static void start_work(struct history_reader *r);

static void append(struct history_reader *r, struct history_question *q)
{
	q->next = NULL;
	if (r->last != NULL)
		r->last->next = q;
	else
		r->first = q;
	r->last = q;
}

static void on_behind(uv_timer_t *timer)
{
	struct history_reader *r = timer->data;
	while (r->behind != NULL) {
		struct history_question *q = r->behind;
		r->behind = q->next;
		append(r, q);
	}
	start_work(r);
}

static void wait_for_writer(struct history_reader *r, struct history_question *q)
{
	uint64_t now = r->bridge->loop.now_ms;
	uint64_t reached = q->is_replay ? q->replay.reached : q->page.reached;
	uint64_t upto = q->is_replay ? q->replay.upto : q->page.upto;
	if (q->give_up_ms == 0)
		q->give_up_ms = now + HISTORY_WAIT_MS;
	/* one has waited for all while nothing is written */
	if (now >= q->give_up_ms) {
		r->stuck_until_ms = now + HISTORY_STUCK_MS;
		r->stuck_at = reached;
		r->stuck_upto = upto;
	}
	if (now < r->stuck_until_ms && r->stuck_at == reached && upto <= r->stuck_upto) {
		static struct log_limit limit;
		log_limited(&limit, now, LOG_LEVEL_WARNING,
		            "history lags behind by more than %d ms: it is read without the last messages",
		            HISTORY_WAIT_MS);
		q->replay.impatient = q->page.impatient = true;
	}
	q->next = r->behind;
	r->behind = q;
	if (!uv_is_active((uv_handle_t *)&r->timer))
		(void)uv_timer_start(&r->timer, on_behind, BEHIND_MS,
		                     0); /* fails only for a handle that is closing */
}

static void answer(struct history_reader *r, struct history_question *q)
{
	if (q->owner == NULL) {
		question_free(q);
		return;
	}
	if (q->status == HISTORY_BEHIND) {
		wait_for_writer(r, q);
		return;
	}
	if (q->status == HISTORY_FAILED && q->read) {
		static struct log_limit limit;
		bool hidden = sandbox_hides(r->bridge->settings.history_file);
		log_limited(&limit, r->bridge->loop.now_ms, LOG_LEVEL_ERROR, "history cannot be read: %s: %s%s",
		            r->bridge->settings.history_file, history_db_error(r->db),
		            hidden ? "; it is not the file of the start, and the sandbox opens no other: "
		                     "restart the broker"
		                   : "");
	}
	q->on_answer(q);
	question_free(q);
}

static void on_worked(uv_work_t *work, int status)
{
	struct history_reader *r = work->data;
	struct history_question *q = r->with_worker;
	r->with_worker = NULL;
	r->working = false;
	r->bridge->loop.now_ms = loop_now_ns() / 1000000u;
	if (r->stopping || status != 0) {
		free_list(&q);
		return;
	}
	while (q != NULL) {
		struct history_question *next = q->next;
		answer(r, q);
		q = next;
	}
	start_work(r);
}

static void start_work(struct history_reader *r)
{
	if (r->working || r->stopping || r->first == NULL)
		return;
	struct history_question **end = &r->with_worker;
	for (int i = 0; i < BATCH_MAX && r->first != NULL;) {
		struct history_question *q = r->first;
		r->first = q->next;
		if (q->owner == NULL) { /* nobody waits for it any more: who asks and leaves makes no work */
			question_free(q);
			continue;
		}
		*end = q;
		end = &q->next;
		i++;
	}
	*end = NULL;
	if (r->first == NULL)
		r->last = NULL;
	if (r->with_worker == NULL)
		return;
	r->work.data = r;
	r->working = uv_queue_work(&r->bridge->loop.uv, &r->work, on_work, on_worked) == 0;
	if (r->working)
		return;
	/* only a mistake of ours makes libuv refuse; nobody must wait for ever */
	struct history_question *q = r->with_worker;
	r->with_worker = NULL;
	while (q != NULL) {
		struct history_question *next = q->next;
		q->status = HISTORY_FAILED;
		answer(r, q);
		q = next;
	}
}

/* A room is read under its present name. Asked for as late as that, for a bridge that has just started hears
 * of the names before it gets its first position. */
static void read_as_called(struct history_question *q)
{
	struct history_place *place = &q->page.place;
	const char *now = NULL;
	if (!q->is_replay && place->kind == VIEW_ROOM)
		now = renamed_rooms_now(&q->reader->bridge->renamed, place->name, strlen(place->name));
	if (now != NULL)
		(void)snprintf(place->name, sizeof place->name, "%s", now);
}

/* ---- the position of a page ------------------------------------------------------------------ */

static void unlist_unplaced(struct history_question *q)
{
	struct history_question **at = &q->reader->unplaced;
	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
}

static void on_position(struct sync_question *question, struct mqtt_span rest, struct mqtt_span body)
{
	struct history_question *q = (struct history_question *)question; /* its first member */
	char id[ULID_LEN + 1];
	(void)body;
	unlist_unplaced(q);
	q->status = HISTORY_FAILED;
	if (!sync_read_position(rest, &q->page.upto, id)) {
		answer(q->reader, q);
		return;
	}
	read_as_called(q);
	append(q->reader, q);
	start_work(q->reader);
}

static void on_position_lost(struct sync_question *question)
{
	struct history_question *q = (struct history_question *)question;
	unlist_unplaced(q);
	q->status = HISTORY_FAILED;
	answer(q->reader, q);
}

void history_submit(struct history_reader *r, struct history_question *q)
{
	q->reader = r;
	q->position.on_answer = on_position;
	q->position.on_lost = on_position_lost;
	/* without a connection to the broker nothing new is accepted: what is there is all there is */
	if (q->is_replay || !sync_ask(&r->bridge->sync, &q->position, "position")) {
		read_as_called(q);
		append(r, q);
		start_work(r);
		return;
	}
	q->next = r->unplaced;
	r->unplaced = q;
}

/* ---- life ------------------------------------------------------------------------------------- */

bool history_reader_start(struct history_reader *r, struct bridge *b)
{
	memset(r, 0, sizeof *r);
	r->bridge = b;
	r->on = b->settings.history_file[0] != '\0';
	if (uv_timer_init(&b->loop.uv, &r->timer) != 0)
		return false;
	r->timer.data = r;
	if (!r->on)
		return true;
	r->db = history_db_new(b->settings.history_file);
	if (r->db == NULL)
		return false;
	/* Now, for the sandbox knows what is there now; and as long as it is open here, the writer leaves its
	 * -wal and -shm in place. The worker, which has it from here on, does not run yet. */
	if (!history_db_open(r->db))
		log_line(LOG_LEVEL_WARNING, "history cannot be read yet: %s: %s", b->settings.history_file,
		         history_db_error(r->db));
	return true;
}

void history_reader_stop(struct history_reader *r)
{
	r->stopping = true;
	uv_close((uv_handle_t *)&r->timer, NULL);
	free_list(&r->first);
	free_list(&r->behind);
	for (struct history_question *q = r->unplaced; q != NULL; q = q->next)
		sync_forget(&r->bridge->sync, &q->position);
	free_list(&r->unplaced);
	r->last = NULL;
}

void history_reader_end(struct history_reader *r)
{
	history_db_free(r->db);
	r->db = NULL;
}
