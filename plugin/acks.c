/*
 * acks.c - acks that wait for the disk.
 */
#include "acks.h"

#include "compat.h"
#include "history.h"
#include "log.h"
#include "notices.h"

#include <stdlib.h>
#include <string.h>

/* The author may be gone when its time comes, so everything is a copy. */
struct ack {
	struct ack *next;
	size_t size;
	struct identity who;
	struct ref_answer answer;
	enum client_kind kind;
	char ref[REPLY_REF_MAX + 1];
	char client_id[];
};

static struct {
	bool wait;
	struct ack *first, *last;
	size_t bytes;
} state;

void acks_start(bool wait)
{
	state.wait = wait;
}

static struct ack *take_first(void)
{
	struct ack *ack = state.first;

	state.first = ack->next;
	if (!state.first)
		state.last = NULL;
	state.bytes -= ack->size;
	return ack;
}

void acks_stop(void)
{
	while (state.first)
		free(take_first());
	memset(&state, 0, sizeof(state));
}

bool acks_have_room(void)
{
	return state.bytes < ACKS_BYTES;
}

void acks_send(const struct client *author, const char *ref, const struct ref_answer *answer)
{
	size_t id_size;
	struct ack *ack;

	if (!ref || *ref == '\0')
		return;
	if (!state.wait || (!state.first && answer->n <= history_committed())) {
		notices_ack(author, ref, answer);
		return;
	}
	id_size = strlen(author->id) + 1;
	ack = calloc(1, sizeof(*ack) + id_size);
	if (!ack) {
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: an ack is lost");
		return;
	}
	ack->size = sizeof(*ack) + id_size;
	identity_copy(&ack->who, author->who);
	ack->answer = *answer;
	ack->kind = author->kind;
	memcpy(ack->ref, ref, strlen(ref) + 1);
	memcpy(ack->client_id, author->id, id_size);
	if (state.last)
		state.last->next = ack;
	else
		state.first = ack;
	state.last = ack;
	state.bytes += ack->size;
}

void acks_tick(void)
{
	uint64_t committed;
	struct client author;
	struct ack *ack;

	if (!state.first)
		return;
	committed = history_committed();
	while (state.first && state.first->answer.n <= committed) {
		ack = take_first();
		author = (struct client){.who = &ack->who, .id = ack->client_id, .kind = ack->kind};
		notices_ack(&author, ack->ref, &ack->answer);
		free(ack);
	}
}
