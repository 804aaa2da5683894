/*
 * paging.c - requests for pages of history, over HTTP and in a session's frame: what is passed on to the
 * reader is a valid question, whatever was asked.
 */
#include "bridge/bridge.h"
#include "bridge/http_access.h"
#include "bridge/http_history.h"
#include "common/json.h"
#include "common/reply.h"

#include "tests/fuzz/fuzz.h"

/* ---- what stands in for the rest of the bridge ---------------------------------------------------- */

static struct bridge bridge;
static struct history_question question;
static unsigned answers, errors, submitted;

struct history_question *history_question_new(void *owner, void (*on_answer)(struct history_question *q))
{
	memset(&question, 0, sizeof question);
	question.owner = owner;
	question.on_answer = on_answer;
	return &question;
}

void history_submit(struct history_reader *reader, struct history_question *q)
{
	MUST(reader == &bridge.history && q == &question);
	submitted++;
}

void history_cancel(struct history_question *q)
{
	MUST(q == &question);
}

/* As where nobody needs to show anything. */
bool http_access_ask(struct http_exchange *x, const struct identity *a, const struct identity *b,
                     bool (*then)(struct http_exchange *x, const void *data), void *data)
{
	MUST((a == NULL) == (b == NULL));
	bool answered = then(x, data);
	free(data);
	return answered;
}

void http_api_answer(struct http_exchange *x, const struct http_status *status, struct chunk *body)
{
	(void)x;
	MUST(status->code >= 200 && (body == NULL || body->len > 0));
	answers++;
}

void session_send_error(struct session *s, enum chat_error error, const char *field, const char *ref,
                        size_t ref_len)
{
	(void)s;
	MUST(error != CHAT_OK && (field == NULL || strlen(field) <= REPLY_FIELD_MAX));
	MUST(ref == NULL || (ref_len >= 1 && ref_len <= REPLY_REF_MAX));
	errors++;
}

void session_send_text(struct session *s, const char *payload, size_t len)
{
	(void)s;
	MUST(payload[0] == '{' && payload[len - 1] == '}');
	answers++;
}

/* ---- the target ---------------------------------------------------------------------------------- */

static void check_page(const struct history_page *p)
{
	size_t n = strlen(p->place.name);
	MUST(p->limit >= 1 && p->limit <= HISTORY_LIMIT_MAX);
	MUST(p->before[0] == '\0' || ulid_valid(p->before, strlen(p->before)));
	MUST(p->after[0] == '\0' || ulid_valid(p->after, strlen(p->after)));
	if (p->place.kind == VIEW_ROOM) {
		MUST(room_name_valid(p->place.name, n));
	} else {
		struct identity a, b;
		MUST(p->place.kind == VIEW_PAIR && history_pair_parse(p->place.name, n, &a, &b));
	}
}

static void ask_over_http(const char *target, size_t n)
{
	const char *mark = n > 0 ? memchr(target, '?', n) : NULL;
	struct http_exchange x = {.bridge = &bridge};
	x.path = (struct http_span){target, mark != NULL ? (size_t)(mark - target) : n};
	if (mark != NULL)
		x.query = (struct http_span){mark + 1, (size_t)(target + n - mark - 1)};
	bool answered;
	if (x.path.len >= 7 && memcmp(target, "/rooms/", 7) == 0)
		answered = http_history_room(&x);
	else if (x.path.len >= 10 && memcmp(target, "/messages/", 10) == 0)
		answered = http_history_pair(&x);
	else
		return;
	MUST(answered == (answers == 1) && answered == (submitted == 0));
	if (answered)
		return;
	check_page(&question.page);
	question.status = HISTORY_DONE;
	question.on_answer(&question);
	MUST(answers == 1);
}

static void ask_in_a_frame(const char *text, size_t n)
{
	static struct session session;
	static struct identity_sessions who;
	struct json_reader reader;
	struct json_member m;
	enum json_status status;
	json_reader_start(&reader, text, n);
	while ((status = json_reader_next(&reader, &m)) == JSON_MEMBER)
		;
	if (status != JSON_END)
		return; /* never called with it */
	session.bridge = &bridge;
	session.who = &who;
	static struct identity alice;
	MUST(identity_parse("alice@x.org", 11, &alice));
	who.identity = &alice;
	session_history_frame(&session, text, n, NULL, 0);
	MUST(errors + submitted == 1);
	if (submitted == 0)
		return;
	check_page(&question.page);
	question.status = HISTORY_DONE;
	question.on_answer(&question);
	MUST(answers == 1 && session.asked == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bridge.history.on = true;
	answers = errors = submitted = 0;
	if (size > 0 && data[0] == '/')
		ask_over_http((const char *)data, size);
	else
		ask_in_a_frame((const char *)data, size);
	return 0;
}
