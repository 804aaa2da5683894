/*
 * ids.c - the next message id, and the time that it tells.
 */
#include "ids.h"

#include "clock.h"
#include "common/timestamp.h"
#include "common/ulid.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

#define POOL (25 * ULID_RANDOM) /* getrandom gives up to 256 bytes without interruption */

static struct {
	struct ulid_clock clock; /* outlives a reload of the plugin's settings, so ids never go back */
	uint8_t pool[POOL];
	size_t used;
	size_t filled;
} state;

bool ids_next(struct ref_answer *out)
{
	ssize_t n;
	uint64_t ms;

	if (state.filled - state.used < ULID_RANDOM) {
		do
			n = getrandom(state.pool, sizeof(state.pool), 0);
		while (n < 0 && errno == EINTR);
		if (n < ULID_RANDOM)
			return false;
		state.filled = (size_t)n;
		state.used = 0;
	}
	ms = ulid_next(&state.clock, clock_real_ms(), state.pool + state.used, out->id);
	state.used += ULID_RANDOM;
	timestamp_format(ms, out->timestamp);
	return true;
}

void ids_pass(const char *id)
{
	ulid_clock_pass(&state.clock, id);
}
