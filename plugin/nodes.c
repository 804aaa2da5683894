/*
 * nodes.c - the other nodes: who is there, what they have.
 */
#include "nodes.h"

#include "clock.h"
#include "common/topic.h"
#include "compat.h"
#include "history.h"
#include "log.h"
#include "node_moderation.h"
#include "node_people.h"
#include "options.h"
#include "table.h"
#include "text_buffer.h"
#include "users.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPIC_MAX (TOPIC_ROOT_MAX + NODE_NAME_MAX + 16)
#define HEAD_MAX 128 /* bytes of the first line of any publish */
#define BEAT_MAX (HEAD_MAX + NODES_MAX * (NODE_NAME_MAX + 64))
#define NEWS_MS 100  /* between two publishes of changes */
#define TELL_MS 1000 /* between two tellings of all */
#define MARKS 512    /* of this node that are remembered; then every other one is forgotten */

struct node {
	struct table_entry entry;
	char name[NODE_NAME_MAX + 1]; /* the key */
	uint64_t life, beat, mark;    /* the last that came from it */
	uint64_t heard_ms;            /* monotonic; when it was first known, before it was ever heard */
	bool alive;
	bool echoes;  /* it has named a mark of this life */
	uint64_t has; /* echoes: the number in history that it is known to have everything up to */
	struct node_people people;
};

/* What stood in the history when a mark was made. */
struct mark {
	uint64_t mark, n;
};

static struct {
	const struct options *options; /* NULL: without peers */
	size_t name_len;
	struct table all;
	uint64_t life, beat, news;
	uint64_t started_ms, beaten_ms, told_ms, imposed_ms, changed_ms;
	bool here;                /* has been said */
	bool beat_soon;           /* there is something to tell */
	bool tell;                /* somebody wants to know all people */
	bool appeared;            /* a node that is to hear what moderators have imposed */
	struct mark marks[MARKS]; /* oldest first */
	size_t mark_count;
	uint64_t settled;
	char *changes; /* NULL or from mosquitto_malloc with ROSTER_PUBLISH_MAX bytes; its head is written at the
	                  end */
	size_t changes_len;
} state;

void nodes_start(const struct options *options)
{
	memset(&state, 0, sizeof(state));
	if (options->peer_count == 0)
		return;
	state.options = options;
	state.name_len = strlen(options->node);
	state.life = clock_real_ms();
	state.started_ms = clock_monotonic_ms();
	/* The first `people` tells nobody, and makes whoever remembers this node ask for all. */
	state.news = 1;
	state.beat_soon = true;
}

static void forget(struct node *node)
{
	node_people_clear(&node->people);
	table_remove(&state.all, node);
	free(node);
}

void nodes_stop(void)
{
	struct node *node;

	while ((node = table_oldest(&state.all)))
		forget(node);
	mosquitto_free(state.changes);
	memset(&state, 0, sizeof(state));
}

/* ---- what this node says -------------------------------------------------------- */

/* text: from mosquitto_malloc; becomes the broker's. False, and it is still the caller's, when that did not
 * take it. */
static bool publish(char *text, size_t len, bool retain)
{
	char topic[TOPIC_MAX];

	return topic_format(TOPIC_NODE, state.options->topic_root, state.options->node, state.name_len, NULL, 0,
	                    topic, sizeof(topic)) > 0 &&
	       mosquitto_broker_publish(NULL, topic, (int)len, text, 1, retain, NULL) == MOSQ_ERR_SUCCESS;
}

/* Room for a head of any length; the text is moved up to it at the end. */
static char *new_page(size_t *len)
{
	*len = HEAD_MAX;
	return mosquitto_malloc(ROSTER_PUBLISH_MAX);
}

/* Puts the head before the entries and publishes. False: nothing has happened. */
static bool publish_people(char *page, size_t len, const char *part)
{
	char head[HEAD_MAX];
	size_t n = (size_t)snprintf(head, sizeof(head), "people %" PRIu64 " %" PRIu64 " %s\n", state.life,
	                            state.news + 1, part);
	char *text = mosquitto_malloc(n + len - HEAD_MAX);

	if (!text)
		return false;
	memcpy(text, head, n);
	memcpy(text + n, page + HEAD_MAX, len - HEAD_MAX);
	if (!publish(text, n + len - HEAD_MAX, false)) {
		mosquitto_free(text);
		return false;
	}
	state.news++;
	return true;
}

bool nodes_say(const char *verb, const char *rest, const struct text_buffer *lines)
{
	char head[HEAD_MAX], *text;
	size_t n;

	if (!state.options || lines->failed)
		return false;
	n = (size_t)snprintf(head, sizeof(head), "%s %" PRIu64 " %s\n", verb, state.life, rest);
	text = mosquitto_malloc(n + lines->len);
	if (!text)
		return false;
	memcpy(text, head, n);
	memcpy(text + n, lines->at, lines->len);
	if (publish(text, n + lines->len, false))
		return true;
	mosquitto_free(text);
	return false;
}

static bool flush_changes(void)
{
	if (!state.changes)
		return true;
	if (!publish_people(state.changes, state.changes_len, "change"))
		return false;
	mosquitto_free(state.changes);
	state.changes = NULL;
	return true;
}

static void changed(const struct identity *who, bool here)
{
	if (!state.options)
		return;
	if (state.changes && state.changes_len + ROSTER_ENTRY_MAX > ROSTER_PUBLISH_MAX && !flush_changes())
		state.tell = true;
	if (!state.changes)
		state.changes = new_page(&state.changes_len);
	if (!state.changes || state.changes_len + ROSTER_ENTRY_MAX > ROSTER_PUBLISH_MAX) {
		state.tell = true; /* then with all */
		return;
	}
	state.changes_len += roster_put_entry(who, here, clock_real_ms(), state.changes + state.changes_len,
	                                      ROSTER_PUBLISH_MAX - state.changes_len);
}

void nodes_came(const struct identity *who)
{
	changed(who, true);
}

void nodes_left(const struct identity *who)
{
	changed(who, false);
}

/* Everybody who is connected here, in pages. False: not all of it has gone. */
static bool tell_all(void)
{
	const struct user *user = users_next_here(NULL);
	bool first = true, ok = true;
	size_t len;
	char *page;

	do {
		page = new_page(&len);
		if (!page)
			return false;
		for (; user && len + ROSTER_ENTRY_MAX <= ROSTER_PUBLISH_MAX; user = users_next_here(user))
			len += roster_put_entry(users_identity(user), true, clock_real_ms(), page + len,
			                        ROSTER_PUBLISH_MAX - len);
		ok = publish_people(page, len, first ? user ? "first" : "only" : user ? "next" : "last");
		mosquitto_free(page);
		first = false;
	} while (ok && user);
	return ok;
}

/* A mark where history has grown since the last. */
static uint64_t make_mark(void)
{
	char id[ULID_LEN + 1];
	uint64_t n = history_position(id),
	         last = state.mark_count > 0 ? state.marks[state.mark_count - 1].mark : 0;
	size_t i;

	if (state.mark_count > 0 && state.marks[state.mark_count - 1].n == n)
		return last;
	if (state.mark_count == MARKS) {
		for (i = 0; i < MARKS / 2; i++)
			state.marks[i] = state.marks[2 * i];
		state.mark_count = MARKS / 2;
	}
	state.marks[state.mark_count++] = (struct mark){.mark = last + 1, .n = n};
	return last + 1;
}

static bool send_beat(void)
{
	char *text = mosquitto_malloc(BEAT_MAX);
	const struct node *node;
	size_t len;

	if (!text)
		return false;
	len = (size_t)snprintf(text, BEAT_MAX, "beat %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
	                       state.life, state.beat + 1, make_mark(), state.news);
	for (node = table_oldest(&state.all); node; node = table_after(node))
		len += (size_t)snprintf(text + len, BEAT_MAX - len, "%s %" PRIu64 " %" PRIu64 " %s\n", node->name,
		                        node->life, node->mark, node->people.known ? "have" : "want");
	if (!publish(text, len, false)) {
		mosquitto_free(text);
		return false;
	}
	state.beat++;
	return true;
}

static bool say_here(void)
{
	char *text = mosquitto_malloc(HEAD_MAX);

	if (text && publish(text, (size_t)snprintf(text, HEAD_MAX, "here %" PRIu64 "\n", state.life), true))
		return true;
	mosquitto_free(text);
	return false;
}

/* ---- what others say --------------------------------------------------------------- */

static void hear(struct node *node)
{
	node->heard_ms = clock_monotonic_ms();
	if (!node->alive) {
		log_line(MOSQ_LOG_NOTICE, "node %s is there", node->name);
		state.beat_soon = true;
		state.appeared = true;
	}
	node->alive = true;
	node_people_show(&node->people, true);
}

static struct node *find_or_add(const char *name, size_t len)
{
	struct node *node = table_find(&state.all, name, len);

	if (node || len > NODE_NAME_MAX || !node_name_valid(name, len))
		return node;
	if (table_count(&state.all) >= NODES_MAX) {
		log_limited(LOG_CAUSE_NODES_FULL, MOSQ_LOG_WARNING,
		            "there are more than %d other nodes: one is left out", NODES_MAX);
		return NULL;
	}
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	memcpy(node->name, name, len);
	node->heard_ms = clock_monotonic_ms();
	if (!table_add(&state.all, node, node->name, len)) {
		free(node);
		return NULL;
	}
	state.beat_soon = true;
	return node;
}

/* Another life has other counters and other people. */
static void live(struct node *node, uint64_t life)
{
	if (node->life == life)
		return;
	node->life = life;
	node->beat = node->mark = 0;
	node->echoes = false;
	node_people_clear(&node->people);
	state.beat_soon = true;
	state.appeared = true;
}

/* It has everything up to that mark of ours, or the next older one that is remembered. */
static void take_echo(struct node *node, uint64_t mark)
{
	size_t i;

	for (i = state.mark_count; i > 0 && state.marks[i - 1].mark > mark; i--)
		;
	if (i == 0)
		return;
	node->echoes = true;
	if (state.marks[i - 1].n > node->has)
		node->has = state.marks[i - 1].n;
}

/* Up to where do all have everything? Who was cut off for too long is not waited for any more. */
static void settle(void)
{
	uint64_t n = UINT64_MAX;
	const struct node *node;

	if (clock_monotonic_ms() - state.started_ms < NODE_SILENT_MS)
		return; /* others may not be known yet */
	for (node = table_oldest(&state.all); node; node = table_after(node)) {
		if (!node->echoes)
			return;
		if (node->has < n)
			n = node->has;
	}
	if (n == UINT64_MAX || n <= state.settled)
		return;
	state.settled = n;
	history_settle(n);
}

/* The next line, as a string in out. False where there is none that fits. */
static bool next_line(const char **at, const char *end, char *out, size_t cap)
{
	const char *line = *at, *newline = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
	size_t len = newline ? (size_t)(newline - line) : 0;

	if (!newline || len >= cap || memchr(line, '\0', len))
		return false;
	memcpy(out, line, len);
	out[len] = '\0';
	*at = newline + 1;
	return true;
}

/* The next word of a line, of fewer than cap bytes. */
static bool take_word(const char **at, char *out, size_t cap)
{
	size_t n = strcspn(*at, " ");

	if (n == 0 || n >= cap)
		return false;
	memcpy(out, *at, n);
	out[n] = '\0';
	*at += n;
	*at += **at == ' ';
	return true;
}

/* As a decimal number. */
static bool take_number(const char **at, uint64_t *out)
{
	char word[21];
	size_t i;

	if (!take_word(at, word, sizeof(word)) || word[strspn(word, "0123456789")] != '\0')
		return false;
	*out = 0;
	for (i = 0; word[i] != '\0'; i++)
		*out = *out * 10 + (uint64_t)(word[i] - '0');
	return true;
}

static bool take_lines(struct node *node, const char *at, const char *end)
{
	char line[HEAD_MAX], name[NODE_NAME_MAX + 1], word[8];
	const char *rest = line;
	uint64_t life, mark;

	while (at < end) {
		if (!next_line(&at, end, line, sizeof(line)))
			return false;
		rest = line;
		if (!take_word(&rest, name, sizeof(name)) || !take_number(&rest, &life) ||
		    !take_number(&rest, &mark) || !take_word(&rest, word, sizeof(word)))
			return false;
		if (strcmp(name, state.options->node) != 0 || life != state.life)
			continue;
		take_echo(node, mark);
		if (strcmp(word, "want") == 0)
			state.tell = true;
	}
	return true;
}

static bool take_beat(struct node *node, uint64_t life, const char *head, const char *at, const char *end)
{
	uint64_t beat, mark, news;

	if (!take_number(&head, &beat) || !take_number(&head, &mark) || !take_number(&head, &news))
		return false;
	live(node, life);
	if (beat <= node->beat)
		return true; /* a link has repeated it */
	node->beat = beat;
	hear(node);
	if (mark != node->mark)
		state.beat_soon = true;
	node->mark = mark;
	if (news != node->people.news)
		node->people.known = node->people.reading = false;
	if (!take_lines(node, at, end))
		return false;
	settle();
	return true;
}

static bool take_people(struct node *node, uint64_t life, const char *head, const char *at, const char *end)
{
	static const char *const parts[] = {[PEOPLE_CHANGE] = "change",
	                                    [PEOPLE_FIRST] = "first",
	                                    [PEOPLE_NEXT] = "next",
	                                    [PEOPLE_LAST] = "last",
	                                    [PEOPLE_ONLY] = "only"};
	struct roster_reader entries = {.at = at, .end = end};
	bool known = node->people.known;
	uint64_t news;
	char word[8];
	size_t i;
	bool ok;

	if (!take_number(&head, &news) || !take_word(&head, word, sizeof(word)))
		return false;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]) && strcmp(parts[i], word) != 0; i++)
		;
	if (i == sizeof(parts) / sizeof(parts[0]))
		return false;
	live(node, life);
	if (news <= node->people.news && node->people.known)
		return true; /* a link has repeated it */
	ok = node_people_take(&node->people, news, (enum people_part)i, entries);
	if (node->people.known != known)
		state.beat_soon = true;
	return ok;
}

bool nodes_on_message(const char *name, size_t name_len, const char *payload, size_t len)
{
	const char *at = payload, *end = payload ? payload + len : payload;
	char line[HEAD_MAX], verb[8];
	const char *head = line;
	struct node *node;
	uint64_t life;

	if (!payload || !next_line(&at, end, line, sizeof(line)) || !take_word(&head, verb, sizeof(verb)) ||
	    !take_number(&head, &life))
		return false;
	if (name_len == state.name_len && memcmp(name, state.options->node, name_len) == 0) {
		if (life > state.life)
			log_limited(LOG_CAUSE_NODES_FULL, MOSQ_LOG_ERR,
			            "another node is named %s, too: each needs its own plugin_opt_node",
			            state.options->node);
		return true; /* what a hub retains or echoes */
	}
	node = find_or_add(name, name_len);
	if (!node)
		return false;
	if (strcmp(verb, "here") == 0)
		live(node, life);
	if (strcmp(verb, "beat") == 0)
		return take_beat(node, life, head, at, end);
	if (strcmp(verb, "people") == 0)
		return take_people(node, life, head, at, end);
	if (strcmp(verb, "imposed") == 0)
		return node_moderation_take(node->name, head, at, end);
	if (strcmp(verb, "order") == 0)
		return node_moderation_take_order(node->name, head, at, end);
	return strcmp(verb, "here") == 0;
}

/* ---- as time goes by ------------------------------------------------------------------ */

static bool watch(uint64_t now_ms)
{
	struct node *node = table_oldest(&state.all), *next;
	bool alone = true;

	for (; node; node = next) {
		next = table_after(node);
		if (node->alive && now_ms - node->heard_ms >= NODE_SILENT_MS) {
			node->alive = false;
			log_limited(LOG_CAUSE_NODE_LOST, MOSQ_LOG_WARNING,
			            "node %s is not heard any more: its people are offline", node->name);
			node_people_show(&node->people, false);
		}
		alone &= !node->alive;
		if (now_ms - node->heard_ms >= NODE_FORGOTTEN_MS)
			forget(node);
	}
	return alone;
}

void nodes_tick(uint64_t now_ms)
{
	uint64_t passed = now_ms - state.beaten_ms;
	char id[ULID_LEN + 1];
	bool alone, due;

	if (!state.options)
		return;
	alone = watch(now_ms);
	if (now_ms - state.changed_ms >= NEWS_MS) {
		state.changed_ms = now_ms;
		(void)flush_changes(); /* else at the next tick */
	}
	if (state.tell && now_ms - state.told_ms >= TELL_MS && flush_changes()) {
		state.told_ms = now_ms;
		state.tell = !tell_all();
	}
	if (state.appeared && now_ms - state.imposed_ms >= TELL_MS) {
		state.imposed_ms = now_ms;
		state.appeared = !node_moderation_tell_all();
	}
	due = state.beat_soon || state.mark_count == 0 ||
	      state.marks[state.mark_count - 1].n != history_position(id);
	if (passed < NODE_BEAT_MS ||
	    (alone ? !state.beat_soon && passed < NODE_ALONE_BEAT_MS : !due && passed < NODE_IDLE_BEAT_MS))
		return;
	state.beaten_ms = now_ms;
	state.here = state.here || say_here();
	state.beat_soon = !send_beat();
}
