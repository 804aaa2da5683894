/*
 * history_trouble.h - what the history's writer has to say to the broker's log.
 *
 * The writer's thread must not log, so it leaves a line here and the main thread fetches it. Of each kind the
 * last line is kept and how many there were: a disk that is full for days takes no memory.
 *
 * Each transaction that fails is counted, and the first that succeeds after them says for how long they did.
 * Somebody else who holds the database (a copy being made) is worth a line only after a second.
 *
 * Any thread may call history_trouble_report, history_troubled and history_trouble_take. What was not fetched
 * when a writer ends is gone when the next one starts.
 */
#ifndef CHAT_HISTORY_TROUBLE_H
#define CHAT_HISTORY_TROUBLE_H

#include "history_store.h"

#include <stdbool.h>

/* What there is to say; each with a line of text. */
enum history_trouble {
	HISTORY_TROUBLE_WRITE,   /* messages cannot be written at present */
	HISTORY_TROUBLE_OVER,    /* now they can */
	HISTORY_TROUBLE_ROW,     /* a message was left out */
	HISTORY_TROUBLE_MISSING, /* the file is gone, or another */
	HISTORY_TROUBLE_TRIM,    /* what is too old cannot be removed */
	HISTORY_TROUBLES
};

/* Nothing has been said. While no writer runs. */
void history_trouble_clear(void);

/* Leaves a line, cut off after HISTORY_WHY_MAX - 1 bytes. */
void history_trouble_report(enum history_trouble which, const char *text);

/* The writer's thread alone: a transaction has failed and will be tried again, or one was committed. */
void history_trouble_failed(enum store_result result, const char *why);
void history_trouble_written(void);

/* True when there is any trouble to fetch; costs a look at one variable. */
bool history_troubled(void);

/* True when there is some of this kind since the last call; text says what the last one was and *count how
 * many. */
bool history_trouble_take(enum history_trouble which, unsigned long *count, char text[HISTORY_WHY_MAX]);

#endif
