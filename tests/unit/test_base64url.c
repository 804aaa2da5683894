/*
 * Base64url: one text for each sequence of bytes, and nothing else.
 */
#include "plugin/base64url.h"

#include "tests/unit/guarded.h"
#include "tests/unit/token_maker.h"

static void there_and_back(void **state)
{
	uint8_t bytes[300];
	char text[512];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 151 + 7);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		size_t size = base64url(bytes, n, text);
		char *out = guarded_space(1, BASE64URL_BYTES(size));

		assert_true(base64url_decode(guarded(0, text, size), size, out, &len));
		assert_int_equal(len, n);
		assert_memory_equal(out, bytes, n);
	}
}

/* Of all texts of up to three characters out of a few, those are taken that decode to what encodes to them.
 */
static void one_text_for_each(void **state)
{
	static const char few[] = "AZaz09-_BQgw+/=. \n\xff";
	char text[4], back[8];
	uint8_t out[BASE64URL_BYTES(4)];
	size_t len, taken = 0;

	(void)state;
	for (size_t a = 0; a < sizeof(few); a++) { /* the NUL, too */
		for (size_t b = 0; b < sizeof(few); b++) {
			for (size_t c = 0; c < sizeof(few); c++) {
				for (size_t n = 1; n <= 3; n++) {
					text[0] = few[a];
					text[1] = few[b];
					text[2] = few[c];
					if (!base64url_decode(guarded(0, text, n), n, out, &len))
						continue;
					taken++;
					assert_int_equal(base64url(out, len, back), n);
					assert_memory_equal(text, back, n);
				}
			}
		}
	}
	assert_true(taken > 1000);
}

static void every_digit(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
		const char *at = c ? strchr(digits, c) : NULL;
		char text[4] = {'A', 'A', 'A', (char)c};
		uint8_t out[BASE64URL_BYTES(4)];
		size_t len;

		assert_int_equal(base64url_decode(text, 4, out, &len), at != NULL);
		if (at)
			assert_int_equal(out[2], at - digits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(one_text_for_each),
	    cmocka_unit_test(every_digit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
