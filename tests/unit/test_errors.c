/*
 * The table of errors: names of the wire contract, a sentence in each language.
 */
#include "common/errors.h"

#include "tests/unit/guarded.h"

#include "common/utf8.h"

static void names_and_texts(void **state)
{
	(void)state;
	assert_string_equal(chat_error_name(CHAT_ERROR_INVALID_JSON), "invalid_json");
	assert_string_equal(chat_error_name(CHAT_ERROR_UNAVAILABLE), "unavailable");
	assert_string_equal(chat_error_text(CHAT_ERROR_EMPTY_MESSAGE, CHAT_ENGLISH), "the message is empty");
	assert_string_equal(chat_error_text(CHAT_ERROR_EMPTY_MESSAGE, CHAT_SPANISH), "el mensaje está vacío");
	assert_string_equal(chat_error_name(CHAT_OK), "ok");
}

/* Names go into JSON unescaped and are told apart by clients. */
static void the_whole_table(void **state)
{
	(void)state;
	assert_int_equal(CHAT_ERROR_COUNT, 25);
	for (int e = 1; e < CHAT_ERROR_COUNT; e++) {
		const char *name = chat_error_name((enum chat_error)e);

		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz8_"), strlen(name));
		for (int other = 1; other < e; other++)
			assert_string_not_equal(name, chat_error_name((enum chat_error)other));
		for (int language = CHAT_ENGLISH; language <= CHAT_SPANISH; language++) {
			const char *text = chat_error_text((enum chat_error)e, (enum chat_language)language);

			assert_true(strlen(text) > 0);
			assert_true(utf8_valid(text, strlen(text), NULL));
		}
		assert_string_not_equal(chat_error_text((enum chat_error)e, CHAT_ENGLISH),
		                        chat_error_text((enum chat_error)e, CHAT_SPANISH));
	}
}

static void outside_the_table(void **state)
{
	(void)state;
	assert_string_equal(chat_error_name(CHAT_ERROR_COUNT), "unavailable");
	assert_string_equal(chat_error_text((enum chat_error)1000, CHAT_ENGLISH), "not available now, try again");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_and_texts),
	    cmocka_unit_test(the_whole_table),
	    cmocka_unit_test(outside_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
