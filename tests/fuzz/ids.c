/* ids.c - ULIDs that only ever rise, and times in RFC 3339. */
#include "common/timestamp.h"
#include "common/ulid.h"

#include "tests/fuzz/fuzz.h"

#define MS_MAX ((UINT64_C(1) << 48) - 1)

static void check_clock(struct fuzz_input in)
{
	struct ulid_clock clock = {0};
	char last[ULID_LEN + 1] = "", id[ULID_LEN + 1];
	while (in.left > 0) {
		uint8_t random[ULID_RANDOM];
		uint8_t how = fuzz_byte(&in);
		/* far from the end of the 48 bits, where a clock of ours never is */
		uint64_t now = fuzz_number(&in, 1 + how % 5);
		for (size_t i = 0; i < ULID_RANDOM; i++)
			random[i] = (how & 64) ? 0xff : fuzz_byte(&in);
		if ((how & 128) && in.left >= ULID_LEN && ulid_valid((const char *)in.at, ULID_LEN) &&
		    in.at[0] < '7') {
			ulid_clock_pass(&clock, (const char *)in.at);
			if (memcmp(last, in.at, ULID_LEN) < 0)
				memcpy(last, in.at, ULID_LEN);
		}
		uint64_t ms = ulid_next(&clock, now, random, id);
		MUST(ulid_valid(id, ULID_LEN) && id[ULID_LEN] == '\0' && ms >= now && ulid_milliseconds(id) == ms);
		MUST(strcmp(id, last) > 0);
		memcpy(last, id, sizeof last);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct fuzz_input in = {data, size};
	char out[TIMESTAMP_LEN + 1];
	if (timestamp_valid(text, size)) {
		MUST(size >= 20 && memchr(text, '\0', size) == NULL);
		MUST(text[10] == 'T' || text[10] == 't');
	}
	if (ulid_valid(text, size))
		MUST(size == ULID_LEN && ulid_milliseconds(text) <= MS_MAX);
	timestamp_format(fuzz_number(&in, 6) % UINT64_C(253402300800000), out);
	MUST(strlen(out) == TIMESTAMP_LEN && timestamp_valid(out, TIMESTAMP_LEN));
	check_clock(in);
	return 0;
}
