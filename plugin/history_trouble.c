/*
 * history_trouble.c - what the history's writer has to say to the broker's log.
 */
#include "history_trouble.h"

#include "clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define BUSY_PATIENCE_MS 1000 /* that somebody else may hold the database before it is worth a line */

struct trouble {
	unsigned long count;
	char text[HISTORY_WHY_MAX];
};

static struct {
	pthread_mutex_t mutex; /* of troubles; held for a few instructions */
	struct trouble troubles[HISTORY_TROUBLES];
	atomic_uint troubled; /* a bit for each of them */
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* The writer's alone. */
static struct {
	uint64_t since_ms; /* the first of the transactions that fail; 0: they do not */
	bool complained;
} failing;

void history_trouble_clear(void)
{
	memset(&failing, 0, sizeof(failing));
	(void)pthread_mutex_lock(&shared.mutex);
	memset(shared.troubles, 0, sizeof(shared.troubles));
	atomic_store(&shared.troubled, 0);
	(void)pthread_mutex_unlock(&shared.mutex);
}

void history_trouble_report(enum history_trouble which, const char *text)
{
	struct trouble *trouble = &shared.troubles[which];

	(void)pthread_mutex_lock(&shared.mutex);
	trouble->count++;
	(void)snprintf(trouble->text, sizeof(trouble->text), "%s", text);
	(void)atomic_fetch_or(&shared.troubled, 1u << which);
	(void)pthread_mutex_unlock(&shared.mutex);
}

void history_trouble_failed(enum store_result result, const char *why)
{
	uint64_t now = clock_monotonic_ms();

	if (failing.since_ms == 0)
		failing.since_ms = now;
	if (result == STORE_BUSY && now - failing.since_ms < BUSY_PATIENCE_MS)
		return;
	failing.complained = true;
	history_trouble_report(HISTORY_TROUBLE_WRITE, why);
}

void history_trouble_written(void)
{
	char text[64];

	if (failing.complained) {
		(void)snprintf(text, sizeof(text), "after %llu s",
		               (unsigned long long)(clock_monotonic_ms() - failing.since_ms + 999) / 1000);
		history_trouble_report(HISTORY_TROUBLE_OVER, text);
	}
	memset(&failing, 0, sizeof(failing));
}

bool history_troubled(void)
{
	return atomic_load_explicit(&shared.troubled, memory_order_relaxed) != 0;
}

bool history_trouble_take(enum history_trouble which, unsigned long *count, char text[HISTORY_WHY_MAX])
{
	struct trouble *trouble = &shared.troubles[which];

	(void)pthread_mutex_lock(&shared.mutex);
	(void)atomic_fetch_and(&shared.troubled, ~(1u << which));
	*count = trouble->count;
	trouble->count = 0;
	memcpy(text, trouble->text, HISTORY_WHY_MAX);
	(void)pthread_mutex_unlock(&shared.mutex);
	return *count > 0;
}
