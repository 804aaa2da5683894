/* frame_guard.c - WebSocket frames of a client: one verdict, and the same pings, however the bytes are cut.
 */
#include "bridge/frame_guard.h"

#include "tests/fuzz/fuzz.h"

#define SEEN_MAX 4096

struct seen {
	struct frame_guard guard;
	uint8_t *kept;
	size_t kept_len;
	uint8_t pings[SEEN_MAX]; /* length and payload of each, as far as there is room */
	size_t pings_len;
	size_t ping_count;
};

static void on_ping(void *user, const uint8_t *payload, size_t n)
{
	struct seen *s = user;
	MUST(n <= CONTROL_PAYLOAD_MAX);
	s->ping_count++;
	if (s->pings_len + n + 1 > SEEN_MAX)
		return;
	s->pings[s->pings_len++] = (uint8_t)n;
	if (n > 0)
		memcpy(s->pings + s->pings_len, payload, n);
	s->pings_len += n;
}

/* step 0: all at once. */
static void feed(struct seen *s, struct fuzz_input in, size_t step, bool take_pings)
{
	memset(s, 0, sizeof *s);
	s->kept = malloc(in.left + 1);
	MUST(s->kept != NULL);
	while (in.left > 0 && s->guard.violation == NULL) {
		size_t n;
		uint8_t *piece = fuzz_copy(&in, step > 0 ? step : in.left, &n);
		size_t left = frame_guard_scan(&s->guard, piece, n, take_pings ? on_ping : NULL, s);
		MUST(left <= n && (take_pings || left == n || s->guard.violation != NULL));
		memcpy(s->kept + s->kept_len, piece, left);
		s->kept_len += left;
		free(piece);
	}
	MUST(s->guard.violation == NULL || s->guard.violation_code == 1002 || s->guard.violation_code == 1007);
	frame_guard_end(&s->guard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seen whole, cut, plain, again;
	struct fuzz_input in = {data, size};
	size_t step = 1u + fuzz_byte(&in) % 32;
	feed(&whole, in, 0, true);
	feed(&cut, in, step, true);
	feed(&plain, in, step, false);
	MUST(whole.guard.violation == cut.guard.violation && whole.guard.violation == plain.guard.violation);
	MUST(whole.ping_count == cut.ping_count && plain.ping_count == 0);
	MUST(whole.pings_len == cut.pings_len && memcmp(whole.pings, cut.pings, whole.pings_len) == 0);
	/* of a bad frame, the pieces before the one that showed it may have gone */
	MUST(cut.kept_len >= whole.kept_len && memcmp(cut.kept, whole.kept, whole.kept_len) == 0);
	MUST(whole.guard.violation != NULL || cut.kept_len == whole.kept_len);
	MUST(cut.kept_len - whole.kept_len < 6 + CONTROL_PAYLOAD_MAX + 4);
	/* what is left has no pings and is fine */
	struct fuzz_input rest = {whole.kept, whole.kept_len};
	feed(&again, rest, 0, true);
	MUST(again.guard.violation == NULL && again.ping_count == 0 && again.kept_len == whole.kept_len);
	free(whole.kept);
	free(cut.kept);
	free(plain.kept);
	free(again.kept);
	return 0;
}
