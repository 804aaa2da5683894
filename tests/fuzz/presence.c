/* presence.c - the roster's lines, and the frames that tell clients who is there. */
#include "bridge/presence_frame.h"
#include "common/json.h"
#include "common/roster.h"

#include "tests/fuzz/fuzz.h"

#define ENTRIES_MAX 600

static void check_entry(const struct roster_entry *e)
{
	char line[ROSTER_ENTRY_MAX];
	struct identity who;
	struct roster_reader reader;
	struct roster_entry again;
	MUST(identity_parse(e->address, e->address_len, &who));
	MUST(who.len == e->address_len && memcmp(who.text, e->address, who.len) == 0 && e->ms <= ROSTER_MS_MAX);
	size_t n = roster_put_entry(&who, e->online, e->ms, line, sizeof line);
	MUST(n > 0);
	MUST(roster_put_entry(&who, e->online, e->ms, line, n - 1) == 0);
	MUST(roster_put_entry(&who, e->online, e->ms, line, n) == n);
	reader = (struct roster_reader){line, line + n};
	MUST(roster_read_entry(&reader, &again) == ROSTER_ENTRY && again.online == e->online &&
	     again.ms == e->ms);
	MUST(roster_read_entry(&reader, &again) == ROSTER_END);
}

static void check_frames(const struct presence_entry *entries, size_t n, bool together)
{
	static char out[PRESENCE_FRAME_MAX];
	while (n > 0) {
		struct json_reader reader;
		struct json_member m;
		enum json_status status;
		size_t len;
		size_t count = presence_frame(entries, n, together, out, &len);
		MUST(count >= 1 && count <= n && (together || count == 1) && len <= sizeof out);
		json_reader_start(&reader, out, len);
		while ((status = json_reader_next(&reader, &m)) == JSON_MEMBER)
			;
		MUST(status == JSON_END);
		entries += count;
		n -= count;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct presence_entry entries[ENTRIES_MAX];
	const char *text = (const char *)data;
	struct roster_reader reader;
	struct roster_head head;
	struct roster_entry e;
	enum roster_status status;
	size_t n = 0;
	if (!roster_read_head(&reader, text, size, &head))
		return 0;
	char line[ROSTER_HEAD_MAX];
	size_t len = head.answer ? 0 : roster_put_feed(line, sizeof line);
	if (head.answer) {
		char token[ROSTER_TOKEN_MAX + 1];
		MUST(head.token_len >= 1 && head.token_len <= ROSTER_TOKEN_MAX &&
		     fuzz_inside(head.token, head.token_len, text, size));
		memcpy(token, head.token, head.token_len);
		token[head.token_len] = '\0';
		len = roster_put_answer(token, head.last, line, sizeof line);
	}
	MUST(len > 0 && len <= size && memcmp(line, text, len) == 0);
	while ((status = roster_read_entry(&reader, &e)) == ROSTER_ENTRY) {
		MUST(fuzz_inside(e.address, e.address_len, text, size));
		check_entry(&e);
		if (n < ENTRIES_MAX)
			entries[n++] = (struct presence_entry){e.address, (uint8_t)e.address_len, e.online, e.ms};
	}
	MUST(roster_read_entry(&reader, &e) == status);
	check_frames(entries, n, true);
	check_frames(entries, n < 20 ? n : 20, false);
	for (size_t i = 0; i < n; i++) {
		char user[PRESENCE_USER_MAX];
		MUST(presence_user(&entries[i], user) <= user + sizeof user);
	}
	return 0;
}
