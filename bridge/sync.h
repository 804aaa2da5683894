/*
 * sync.h - what the bridge asks the plugin and is told by it, over the bridge's own connection.
 *
 * Questions go to <root>/sync, answers come on <root>/bridges/<own client id>, and what every
 * bridge is told on <root>/bridges/all. The broker keeps the order: what it was sent before a
 * question counts for the answer, what it says after an answer is newer. The rest of such a text is
 *   "<verb> <token> <rest>\n<body>"   an answer; a question may have several
 *   "<word> <rest>\n<body>"           for all bridges
 * where each of rest and body may be missing.
 *
 * Nothing is asked twice: when the connection goes, so do the questions, and everybody starts anew
 * with the next one. Questions and parts belong to their owners, who keep them where they are until
 * they are over.
 */
#ifndef CHAT_BRIDGE_SYNC_H
#define CHAT_BRIDGE_SYNC_H

#include "bridge/mqtt_codec.h"
#include "common/ulid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bridge;
struct topic;

/* Zeroed but for the callbacks and `several`; may be asked again when it is over. */
struct sync_question {
	struct sync_question *prev, *next;
	const char *verb; /* static text */
	uint64_t token;   /* 0: not under way */
	bool several;     /* it has more than one answer: it is over when the owner says sync_forget */
	/* An answer; it is the only one and the question is over, unless it is one of `several`. May ask
	 * again, and may free the question when that is over. Spans are borrowed for the call. */
	void (*on_answer)(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body);
	/* The connection is gone and no (further) answer will come. May be NULL. */
	void (*on_lost)(struct sync_question *q);
};

/* Who wants to know of the connection, or to hear what every bridge is told under one word. */
struct sync_part {
	struct sync_part *next;
	const char *word; /* static text; NULL: none */
	/* Questions may be asked now; what is told from here on will be heard. May be NULL. */
	void (*on_up)(struct sync_part *part);
	void (*on_told)(struct sync_part *part, struct mqtt_span rest, struct mqtt_span body);
	/* After the questions have been lost. May be NULL. */
	void (*on_down)(struct sync_part *part);
};

struct sync {
	struct bridge *bridge;
	struct sync_part *parts;
	struct sync_question *first, *last; /* under way, in the order asked */
	uint64_t last_token;
	uint16_t subscribe_id; /* packet id of our SUBSCRIBE, 0: it is answered */
	uint16_t visit_id;     /* of sync_visit */
	const char *visited;
	bool up;
};

void sync_start(struct sync *y, struct bridge *b);

/* For the life of the process. Before the connection is opened. */
void sync_add_part(struct sync *y, struct sync_part *part);

/* False: there is no connection, or no memory; nothing will come. q must not be under way.
 * verb: static text. */
bool sync_ask(struct sync *y, struct sync_question *q, const char *verb);

/* The same, with something behind the question's number; borrowed. */
bool sync_ask_with(struct sync *y, struct sync_question *q, const char *verb, struct mqtt_span rest);

/* The asker no longer wants to know. Idempotent. */
void sync_forget(struct sync *y, struct sync_question *q);

/* The rest of an answer to the verb `position`: n and id of the last message that history has taken;
 * n 0 and id "" when there is none yet. False when it is something else. */
bool sync_read_position(struct mqtt_span rest, uint64_t *n, char id[ULID_LEN + 1]);

/* The words of what is told: takes the first off the text. */
static inline struct mqtt_span sync_next_word(struct mqtt_span *text)
{
	const char *blank = text->len > 0 ? memchr(text->at, ' ', text->len) : NULL;
	struct mqtt_span word = {text->at, blank != NULL ? (size_t)(blank - text->at) : text->len};
	size_t used = word.len + (blank != NULL ? 1 : 0);
	*text = (struct mqtt_span){text->at + used, text->len - used};
	return word;
}

static inline bool sync_word_is(struct mqtt_span word, const char *text)
{
	return word.len == strlen(text) && memcmp(word.at, text, word.len) == 0;
}

/* Subscribes to a filter under the root (static text) and lets go as soon as that is answered: so that the
 * broker looks through what is retained there. Once at a time; when the connection is up. */
void sync_visit(struct sync *y, const char *filter);

/* ---- rooms.c, which has the connection, says: ---- */

void sync_link_up(struct sync *y);
void sync_link_down(struct sync *y);
/* Not acknowledged here. topic: of the kind TOPIC_BRIDGE. */
void sync_link_publish(struct sync *y, const struct topic *topic, struct mqtt_span payload);
/* True: that was one of ours. */
bool sync_link_suback(struct sync *y, const struct mqtt_suback *ack);

#endif
