/*
 * history_reader.h - questions to history, answered by a worker thread so that no disk holds up the
 * event loop.
 *
 * A question belongs to the reader from history_submit until its answer has been handed to
 * on_answer, in the loop's thread; then it is freed. An owner that goes away first calls history_cancel.
 *
 * One worker at a time, in the order of asking, several questions for each trip to it. The number
 * of questions is bounded by those who ask: one replay for each session, a few pages
 * for each session, one for each HTTP visitor.
 *
 * What was accepted before a question counts for its answer, although it is written a moment later: a page
 * first asks the plugin how far history goes (the asker of a replay has done so), and both wait here until
 * that much is written, at most HISTORY_WAIT_MS; then they are given as they are, a replay with
 * complete:false.
 *
 * A page of a room that was renamed is that of the room as it is called now: page.place has its name then.
 */
#ifndef CHAT_BRIDGE_HISTORY_READER_H
#define CHAT_BRIDGE_HISTORY_READER_H

#include "bridge/history_db.h"
#include "bridge/sync.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct bridge;

#define HISTORY_WAIT_MS 2000
#define HISTORY_STUCK_MS 500 /* for so long nobody else waits in vain */

struct history_question {
	struct sync_question position; /* first: an answer finds the question by it */
	struct history_reader *reader; /* where it was submitted */
	bool is_replay;
	bool read; /* the worker has had it: its status is the database's word */
	struct history_replay replay;
	struct history_page page;
	enum history_status status;
	/* In the loop's thread. What replay.frames or page.messages hold is the callback's to take
	 * (and to set to NULL); what it leaves is freed with the question. */
	void (*on_answer)(struct history_question *q);
	void *owner; /* for the callback; NULL: cancelled */
	uint64_t give_up_ms;
	struct history_question *next;
};

struct history_reader {
	struct bridge *bridge;
	bool on;                               /* there is a history */
	struct history_question *first, *last; /* asked, not with the worker yet */
	struct history_question *with_worker;  /* touched by the worker alone while `working` */
	struct history_question *behind;       /* asked again at the next tick of the timer */
	struct history_question *unplaced;     /* pages whose position is awaited */
	bool working, stopping;
	uint64_t stuck_until_ms; /* somebody has waited for the writer in vain a moment ago, */
	uint64_t stuck_at;       /* and this was the newest message then, */
	uint64_t stuck_upto;     /* and that the one that it waited for */
	uv_work_t work;
	uv_timer_t timer;
	struct history_db *db; /* the worker's */
};

/* False when out of memory. Opens nothing: the first question does. */
bool history_reader_start(struct history_reader *r, struct bridge *b);

/* Nobody is answered any more; the loop must then be run to its end. */
void history_reader_stop(struct history_reader *r);

/* After the loop's end. */
void history_reader_end(struct history_reader *r);

/* All zero; NULL when out of memory. */
struct history_question *history_question_new(void *owner, void (*on_answer)(struct history_question *q));

/* Takes q. */
void history_submit(struct history_reader *r, struct history_question *q);

/* Its owner is gone: the answer is dropped. NULL is nothing to cancel. */
void history_cancel(struct history_question *q);

#endif
