/* json.c - the reader of flat objects: spans inside the text, escapes there and back, and no more lenient
 * than cJSON. */
#include "common/json.h"
#include "common/utf8.h"

#include "tests/fuzz/fuzz.h"

#include <cjson/cJSON.h>

static void check_escapes(const char *s, size_t n)
{
	size_t size = json_escaped_size(s, n);
	char *escaped = malloc(size + 1);
	char *back = malloc(size + 1);
	MUST(escaped != NULL && back != NULL);
	MUST(json_escape(s, n, escaped) == escaped + size);
	MUST(json_unescape(escaped, size, back) == n && (n == 0 || memcmp(back, s, n) == 0));
	free(back);
	free(escaped);
}

static void check_span(const char *raw, size_t n, bool escaped, bool whole)
{
	char *plain = malloc(n + 1);
	MUST(plain != NULL);
	size_t len = json_unescape(raw, n, plain);
	MUST(len <= n && (escaped || len == n));
	plain[len] = '\0';
	if (whole) {
		MUST(utf8_valid(plain, len, NULL));
		MUST(json_span_equals(raw, n, escaped, plain) == (memchr(plain, '\0', len) == NULL));
		check_escapes(plain, len);
	}
	free(plain);
}

static size_t walk(const char *text, size_t n, bool whole, enum json_status *status)
{
	struct json_reader reader;
	struct json_member m;
	size_t count = 0;
	json_reader_start(&reader, text, n);
	while ((*status = json_reader_next(&reader, &m)) == JSON_MEMBER) {
		MUST(fuzz_inside(m.key, m.key_len, text, n) && fuzz_inside(m.value, m.value_len, text, n));
		MUST(m.key_escaped == (memchr(m.key, '\\', m.key_len) != NULL));
		check_span(m.key, m.key_len, m.key_escaped, whole);
		if (m.type == JSON_STRING)
			check_span(m.value, m.value_len, m.value_escaped, whole);
		count++;
	}
	MUST(json_reader_next(&reader, &m) == *status);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	enum json_status status;
	size_t count = walk(text, size, false, &status);
	if (status != JSON_END)
		return 0;
	MUST(utf8_valid(text, size, NULL));
	MUST(walk(text, size, true, &status) == count && status == JSON_END);
	cJSON *parsed = cJSON_ParseWithLength(text, size);
	MUST(parsed != NULL && cJSON_IsObject(parsed) && (size_t)cJSON_GetArraySize(parsed) == count);
	cJSON_Delete(parsed);
	return 0;
}
