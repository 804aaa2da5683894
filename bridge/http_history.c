/* http_history.c - see http_history.h */
#include "bridge/http_history.h"
#include "bridge/bridge.h"
#include "bridge/http_access.h"

#include <stdlib.h>
#include <string.h>

static const struct http_status bad_room = {400, "Bad Request", "invalid_room", "this is no name of a room",
                                            ""};
static const struct http_status bad_path = {400, "Bad Request", "bad_request",
                                            "the path is badly percent-encoded", ""};
static const struct http_status bad_encoding = {400, "Bad Request", "bad_request",
                                                "the query is badly percent-encoded", ""};
static const struct http_status bad_before = {400, "Bad Request", "bad_parameter",
                                              "before is not the id of a message, or is given twice", ""};
static const struct http_status bad_after = {400, "Bad Request", "bad_parameter",
                                             "after is not the id of a message, or is given twice", ""};
static const struct http_status bad_limit = {400, "Bad Request", "bad_parameter",
                                             "limit is not a number from 1 to 200, or is given twice", ""};
static const struct http_status bad_pair = {400, "Bad Request", "invalid_email",
                                            "this is not two addresses joined by _", ""};
static const struct http_status no_history = {404, "Not Found", "not_found", "no history is kept here", ""};

/* ---- the request ------------------------------------------------------------------------------ */

static bool take_id(const char *value, size_t len, char out[ULID_LEN + 1])
{
	if (out[0] != '\0' || !ulid_valid(value, len))
		return false;
	memcpy(out, value, ULID_LEN);
	return true;
}

static bool take_limit(const char *value, size_t len, uint32_t *out)
{
	uint32_t n = 0;
	if (*out != 0 || len == 0 || len > 3)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return false;
		n = n * 10 + (uint32_t)(value[i] - '0');
	}
	*out = n;
	return n >= 1 && n <= HISTORY_LIMIT_MAX;
}

static bool span_starts(struct http_span s, const char *name)
{
	size_t len = strlen(name);
	return s.len > len && memcmp(s.at, name, len) == 0 && s.at[len] == '=';
}

/* NULL, or what is wrong. Parameters of other names are not ours. */
static const struct http_status *read_query(struct http_span query, struct history_page *page)
{
	size_t at = 0;
	while (query.at != NULL && at < query.len) {
		const char *start = query.at + at;
		const char *amp = memchr(start, '&', query.len - at);
		struct http_span pair = {start, amp != NULL ? (size_t)(amp - start) : query.len - at};
		at += pair.len + 1;
		bool before = span_starts(pair, "before"), after = span_starts(pair, "after");
		if (!before && !after && !span_starts(pair, "limit"))
			continue;
		const struct http_status *bad = before ? &bad_before : after ? &bad_after : &bad_limit;
		size_t name = before ? 7 : 6;
		char value[3 * ULID_LEN];
		if (pair.len - name > sizeof value)
			return bad;
		long n = http_percent_decode(pair.at + name, pair.len - name, value);
		if (n < 0)
			return &bad_encoding;
		bool fine = before  ? take_id(value, (size_t)n, page->before)
		            : after ? take_id(value, (size_t)n, page->after)
		                    : take_limit(value, (size_t)n, &page->limit);
		if (!fine)
			return bad;
	}
	if (page->limit == 0) /* the original form has no ids to ask for more by */
		page->limit = page->form == HISTORY_ORIGINAL ? HISTORY_LIMIT_MAX : HISTORY_LIMIT_DEFAULT;
	return NULL;
}

/* ---- the answer ----------------------------------------------------------------------------------- */

static struct chunk *make_body(const struct history_page *page)
{
	bool original = page->form == HISTORY_ORIGINAL;
	const char *head = original ? "[" : "{\"messages\":[";
	const char *tail = original ? "]" : page->complete ? "],\"complete\":true}" : "],\"complete\":false}";
	struct chunk *body = chunk_new(strlen(head) + page->len + strlen(tail));
	if (body == NULL)
		return NULL;
	memcpy(body->bytes, head, strlen(head));
	body->len = (uint32_t)strlen(head);
	if (page->len > 0)
		memcpy(body->bytes + body->len, page->messages, page->len);
	body->len += (uint32_t)page->len;
	memcpy(body->bytes + body->len, tail, strlen(tail));
	body->len += (uint32_t)strlen(tail);
	return body;
}

static void give_page(struct http_exchange *x, const struct history_page *page)
{
	struct chunk *body = make_body(page);
	http_api_answer(x, body != NULL ? &http_ok : &http_overloaded, body);
	chunk_release(body);
}

static void on_answer(struct history_question *q)
{
	struct http_exchange *x = q->owner;
	if (q->status == HISTORY_DONE)
		give_page(x, &q->page);
	else
		http_api_answer(x, &http_unavailable, NULL);
}

static void on_cancel(struct http_exchange *x)
{
	history_cancel(x->user);
}

/* data: a page, what was asked. */
static bool read_page(struct http_exchange *x, const void *data)
{
	const struct history_page *page = data;
	struct history_question *q = history_question_new(x, on_answer);
	if (q == NULL) {
		http_api_answer(x, &http_overloaded, NULL);
		return true;
	}
	q->page = *page;
	x->user = q;
	x->cancel = on_cancel;
	history_submit(&x->bridge->history, q);
	return false;
}

/* page: what was asked; copied. a, b: of a pair, else NULL. */
static bool ask(struct http_exchange *x, const struct history_page *page, const struct identity *a,
                const struct identity *b)
{
	struct history_page *kept = malloc(sizeof *kept);
	if (kept == NULL) {
		http_api_answer(x, &http_overloaded, NULL);
		return true;
	}
	*kept = *page;
	return http_access_ask(x, a, b, read_page, kept);
}

/* ---- the routes ------------------------------------------------------------------------------------ */

static bool refuse(struct http_exchange *x, const struct http_status *status)
{
	http_api_answer(x, status, NULL);
	return true;
}

bool http_history_room(struct http_exchange *x)
{
	static const char head[] = "/rooms/", tail[] = "/messages";
	const char *name = x->path.at + sizeof head - 1;
	size_t len = x->path.len - (sizeof head - 1);
	const char *slash = memchr(name, '/', len);
	size_t name_len = slash != NULL ? (size_t)(slash - name) : len;
	if (slash == NULL || len - name_len != sizeof tail - 1 || memcmp(slash, tail, sizeof tail - 1) != 0)
		return refuse(x, &http_not_found);
	struct history_page page = {.place = {.kind = VIEW_ROOM}};
	char room[3 * ROOM_MAX];
	long n = name_len <= sizeof room ? http_percent_decode(name, name_len, room) : 0;
	if (n < 0)
		return refuse(x, &bad_path);
	if (!room_name_valid(room, (size_t)n))
		return refuse(x, &bad_room);
	memcpy(page.place.name, room, (size_t)n);
	const struct http_status *bad = read_query(x->query, &page);
	if (bad == NULL && !x->bridge->history.on)
		bad = &no_history;
	return bad != NULL ? refuse(x, bad) : ask(x, &page, NULL, NULL);
}

bool http_history_pair(struct http_exchange *x)
{
	static const char head[] = "/messages/";
	const char *raw = x->path.at + sizeof head - 1;
	size_t len = x->path.len - (sizeof head - 1);
	struct history_page page = {.place = {.kind = VIEW_PAIR}, .form = HISTORY_ORIGINAL};
	char name[3 * HISTORY_PLACE_MAX];
	struct identity a, b;
	long n = -1;
	if (len <= sizeof name && memchr(raw, '/', len) == NULL)
		n = http_percent_decode(raw, len, name);
	if (n < 0)
		return refuse(x, &bad_path);
	const struct http_status *bad = read_query(x->query, &page);
	if (bad == NULL && !x->bridge->history.on)
		bad = &no_history;
	if (bad != NULL)
		return refuse(x, bad);
	/* not []: the original's front end, asked for what "Sistema" has said, keeps it as long as it gets no
	 * list */
	if (!history_pair_parse(name, (size_t)n, &a, &b))
		return refuse(x, &bad_pair);
	(void)history_pair_name(&a, &b, page.place.name); /* it always fits */
	return ask(x, &page, &a, &b);
}
