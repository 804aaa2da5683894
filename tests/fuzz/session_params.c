/* session_params.c - GET /ws/{address}?query: what is taken is valid, and says the same when it is written
 * anew. */
#include "bridge/session_params.h"

#include "tests/fuzz/fuzz.h"

static size_t write_anew(const struct session_params *p, char *out, size_t cap)
{
	char level[TOPIC_LEVEL_MAX + 1];
	size_t len = topic_level_encode(p->identity.text, p->identity.len, level, sizeof level);
	int n = snprintf(out, cap, "/ws/%.*s?echo=%d", (int)len, level, p->echo ? 1 : 0);
	for (size_t i = 0; i < p->room_count; i++)
		n += snprintf(out + n, cap - (size_t)n, "%s%s", i == 0 ? "&room=" : ",", p->rooms[i]);
	if (p->device[0] != '\0')
		n += snprintf(out + n, cap - (size_t)n, "&device=%s", p->device);
	if (p->since[0] != '\0')
		n += snprintf(out + n, cap - (size_t)n, "&since=%s", p->since);
	if (p->wants_presence || p->wants_typing)
		n += snprintf(out + n, cap - (size_t)n, "&events=%s%s%s", p->wants_presence ? "presence" : "",
		              p->wants_presence && p->wants_typing ? "," : "", p->wants_typing ? "typing" : "");
	MUST(n > 0 && (size_t)n < cap);
	return (size_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *target = (const char *)data;
	struct session_params p, q;
	char anew[8192];
	if (!session_params_is_session(target, size))
		return 0;
	const char *fault = session_params_parse(target, size, &p);
	if (fault != NULL) {
		MUST(fault[0] != '\0' && strlen(fault) <= 123);
		return 0;
	}
	MUST(p.room_count <= SESSION_ROOMS_MAX);
	for (size_t i = 0; i < p.room_count; i++) {
		MUST(room_name_valid(p.rooms[i], strlen(p.rooms[i])));
		for (size_t k = 0; k < i; k++)
			MUST(strcmp(p.rooms[i], p.rooms[k]) != 0);
	}
	MUST(p.since[0] == '\0' || ulid_valid(p.since, strlen(p.since)));
	size_t n = write_anew(&p, anew, sizeof anew);
	MUST(session_params_parse(anew, n, &q) == NULL);
	MUST(identity_equal(&p.identity, &q.identity) && p.room_count == q.room_count && p.echo == q.echo);
	for (size_t i = 0; i < p.room_count; i++)
		MUST(strcmp(p.rooms[i], q.rooms[i]) == 0);
	MUST(strcmp(p.device, q.device) == 0 && strcmp(p.since, q.since) == 0);
	MUST(p.wants_presence == q.wants_presence && p.wants_typing == q.wants_typing);
	return 0;
}
