/* sync.c - see sync.h */
#include "bridge/bridge.h"
#include "bridge/log.h"

#include <stdio.h>
#include <string.h>

#define QUESTION_MAX 64 /* bytes */
#define TOPIC_MAX (TOPIC_ROOT_MAX + 64)

/* ---- sending -------------------------------------------------------------------------- */

/* The packet id, or 0 when it cannot be sent. */
static uint16_t subscribe(struct sync *y, const struct mqtt_filter *filters, size_t n)
{
	struct rooms *r = &y->bridge->rooms;
	size_t size = mqtt_subscribe_size(filters, n);
	uint8_t *at = size > 0 ? mqtt_link_reserve(&r->link, size) : NULL;
	if (at == NULL)
		return 0;
	uint16_t id = rooms_packet_id(r);
	mqtt_link_commit(&r->link, mqtt_encode_subscribe(at, size, id, filters, n));
	return id;
}

static void unsubscribe(struct sync *y, struct mqtt_span filter)
{
	struct rooms *r = &y->bridge->rooms;
	size_t size = mqtt_unsubscribe_size(&filter, 1);
	uint8_t *at = size > 0 ? mqtt_link_reserve(&r->link, size) : NULL;
	if (at != NULL)
		mqtt_link_commit(&r->link, mqtt_encode_unsubscribe(at, size, rooms_packet_id(r), &filter, 1));
}

/* head and rest as one payload. */
static bool publish(struct sync *y, const char *text, size_t len, struct mqtt_span rest)
{
	struct rooms *r = &y->bridge->rooms;
	char topic[TOPIC_MAX];
	struct mqtt_publish_out p = {
	    .topic = {topic, topic_format(TOPIC_SYNC, y->bridge->settings.topic_root, NULL, 0, NULL, 0, topic,
	                                  sizeof topic)},
	    .packet_id = rooms_packet_id(r),
	    .qos = 1,
	};
	size_t total = len + rest.len;
	size_t head = mqtt_publish_head_size(&p, total);
	uint8_t *at = head > 0 ? mqtt_link_reserve(&r->link, head + total) : NULL;
	if (at == NULL || mqtt_encode_publish_head(at, head, &p, total) != head)
		return false;
	memcpy(at + head, text, len);
	if (rest.len > 0)
		memcpy(at + head + len, rest.at, rest.len);
	mqtt_link_commit(&r->link, head + total);
	return true;
}

/* ---- questions ------------------------------------------------------------------------ */

static void list(struct sync *y, struct sync_question *q)
{
	q->next = NULL;
	q->prev = y->last;
	if (y->last != NULL)
		y->last->next = q;
	else
		y->first = q;
	y->last = q;
}

static void unlist(struct sync *y, struct sync_question *q)
{
	if (q->prev != NULL)
		q->prev->next = q->next;
	else
		y->first = q->next;
	if (q->next != NULL)
		q->next->prev = q->prev;
	else
		y->last = q->prev;
	q->prev = q->next = NULL;
}

bool sync_ask(struct sync *y, struct sync_question *q, const char *verb)
{
	return sync_ask_with(y, q, verb, (struct mqtt_span){NULL, 0});
}

bool sync_ask_with(struct sync *y, struct sync_question *q, const char *verb, struct mqtt_span rest)
{
	char head[QUESTION_MAX];
	int len = snprintf(head, sizeof head, "%s %llu%s", verb, (unsigned long long)(y->last_token + 1),
	                   rest.len > 0 ? " " : "");
	if (!y->up || !publish(y, head, (size_t)len, rest))
		return false;
	q->verb = verb;
	q->token = ++y->last_token;
	list(y, q);
	return true;
}

void sync_forget(struct sync *y, struct sync_question *q)
{
	if (q->token == 0)
		return;
	unlist(y, q);
	q->token = 0;
}

void sync_visit(struct sync *y, const char *filter)
{
	char text[TOPIC_MAX];
	int len = snprintf(text, sizeof text, "%s/%s", y->bridge->settings.topic_root, filter);
	struct mqtt_filter wish = {.filter = {text, (size_t)len}, .qos = 0, .retain_handling = 0};
	y->visited = filter;
	y->visit_id = subscribe(y, &wish, 1);
}

/* ---- what arrives --------------------------------------------------------------------- */

/* Cuts what stands before the first mark off; text keeps what follows it (nothing where there is none). */
static struct mqtt_span cut(struct mqtt_span *text, char mark)
{
	const char *at = text->len > 0 ? memchr(text->at, mark, text->len) : NULL;
	struct mqtt_span before = {text->at, at != NULL ? (size_t)(at - text->at) : text->len};
	size_t used = before.len + (at != NULL ? 1 : 0);
	*text = (struct mqtt_span){text->at + used, text->len - used};
	return before;
}

static bool span_is(struct mqtt_span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

/* Digits only. 0 where it is no number: none of ours is 0. */
static uint64_t read_number(struct mqtt_span s)
{
	uint64_t n = 0;
	if (s.len == 0 || s.len > 19) /* which hold any n below 10^19 */
		return 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return 0;
		n = n * 10 + (uint64_t)(s.at[i] - '0');
	}
	return n;
}

bool sync_read_position(struct mqtt_span rest, uint64_t *n, char id[ULID_LEN + 1])
{
	struct mqtt_span number = cut(&rest, ' ');
	*n = read_number(number);
	id[0] = '\0';
	if (*n == 0)
		return span_is(number, "0") && span_is(rest, "-");
	if (rest.len != ULID_LEN)
		return false;
	memcpy(id, rest.at, ULID_LEN);
	id[ULID_LEN] = '\0';
	return true;
}

static void take_answer(struct sync *y, struct mqtt_span verb, struct mqtt_span line, struct mqtt_span body)
{
	uint64_t token = read_number(cut(&line, ' '));
	struct sync_question *q = y->first; /* mostly the oldest */
	while (q != NULL && q->token != token)
		q = q->next;
	if (q == NULL || !span_is(verb, q->verb))
		return; /* forgotten while it was on its way */
	if (!q->several)
		sync_forget(y, q);
	q->on_answer(q, line, body);
}

void sync_link_publish(struct sync *y, const struct topic *topic, struct mqtt_span payload)
{
	struct mqtt_span line = cut(&payload, '\n');
	struct mqtt_span word = cut(&line, ' ');
	if (!y->up)
		return;
	if (!span_is((struct mqtt_span){topic->name, topic->name_len}, BRIDGES_ALL)) {
		take_answer(y, word, line, payload);
		return;
	}
	for (struct sync_part *part = y->parts; part != NULL; part = part->next)
		if (part->word != NULL && span_is(word, part->word))
			part->on_told(part, line, payload);
}

bool sync_link_suback(struct sync *y, const struct mqtt_suback *ack)
{
	bool refused = false;
	for (size_t i = 0; i < ack->reason_count; i++)
		refused |= ack->reasons[i] >= 0x80;
	if (ack->packet_id == y->visit_id) {
		char text[TOPIC_MAX];
		int len = snprintf(text, sizeof text, "%s/%s", y->bridge->settings.topic_root, y->visited);
		y->visit_id = 0;
		unsubscribe(y, (struct mqtt_span){text, (size_t)len});
	} else if (ack->packet_id == y->subscribe_id) {
		y->subscribe_id = 0;
	} else {
		return false;
	}
	if (refused)
		log_line(LOG_LEVEL_ERROR, "the broker refuses a subscription of the bridge's own; is the chat plugin "
		                          "the first `plugin` line?");
	return true;
}

/* ---- the connection ------------------------------------------------------------------- */

void sync_link_up(struct sync *y)
{
	struct mqtt_connect self = {0};
	char topics[2][TOPIC_MAX];
	const char *root = y->bridge->settings.topic_root;
	rooms_identify(&y->bridge->rooms, &self);
	struct mqtt_filter filters[2] = {{.qos = 1, .retain_handling = 2}, {.qos = 1, .retain_handling = 2}};
	filters[0].filter =
	    (struct mqtt_span){topics[0], topic_format(TOPIC_BRIDGE, root, self.client_id.at, self.client_id.len,
	                                               NULL, 0, topics[0], sizeof topics[0])};
	filters[1].filter =
	    (struct mqtt_span){topics[1], topic_format(TOPIC_BRIDGE, root, BRIDGES_ALL, strlen(BRIDGES_ALL), NULL,
	                                               0, topics[1], sizeof topics[1])};
	y->subscribe_id = subscribe(y, filters, 2);
	if (y->subscribe_id == 0) {
		log_line(LOG_LEVEL_ERROR, "out of memory: nothing can be asked of the plugin");
		return;
	}
	/* not when the SUBACK comes: the broker takes one after the other */
	y->up = true;
	for (struct sync_part *part = y->parts; part != NULL; part = part->next)
		if (part->on_up != NULL)
			part->on_up(part);
}

void sync_link_down(struct sync *y)
{
	if (!y->up)
		return;
	y->up = false;
	y->subscribe_id = y->visit_id = 0;
	while (y->first != NULL) {
		struct sync_question *q = y->first;
		sync_forget(y, q);
		if (q->on_lost != NULL)
			q->on_lost(q);
	}
	for (struct sync_part *part = y->parts; part != NULL; part = part->next)
		if (part->on_down != NULL)
			part->on_down(part);
}

void sync_add_part(struct sync *y, struct sync_part *part)
{
	part->next = y->parts;
	y->parts = part;
}

void sync_start(struct sync *y, struct bridge *b)
{
	memset(y, 0, sizeof *y);
	y->bridge = b;
}
