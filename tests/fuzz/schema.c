/* schema.c - payloads of …/send: what is accepted has one canonical form, which says the same. */
#include "plugin/schema.h"
#include "common/json.h"
#include "common/utf8.h"

#include "tests/fuzz/fuzz.h"

#define ID "01JDABCDEFGHJKMNPQRSTVWXYZ"
#define TIME "2026-11-22T14:07:31.482Z"

static void check_canonical(const char *text, size_t n, bool direct)
{
	static const char *const names[] = {"id", "sender", NULL, "message", "timestamp"};
	struct json_reader reader;
	struct json_member m;
	size_t count = 0;
	enum json_status status;
	MUST(utf8_valid(text, n, NULL));
	json_reader_start(&reader, text, n);
	while ((status = json_reader_next(&reader, &m)) == JSON_MEMBER) {
		MUST(count < 5 && m.type == JSON_STRING);
		const char *name = names[count] != NULL ? names[count] : direct ? "to" : "room";
		MUST(json_span_equals(m.key, m.key_len, m.key_escaped, name));
		count++;
	}
	MUST(status == JSON_END && count == 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	uint8_t how = fuzz_byte(&in);
	struct identity author, bob;
	struct schema_limits limits = {.max_message_chars = (how & 2) ? 5 : 4000, .drop_unknown = (how & 4) != 0};
	struct schema_target target = {.room = "general", .room_len = 7};
	MUST(identity_parse("alice@x.org", 11, &author) && identity_parse("bob@x.org", 9, &bob));
	if (how & 1)
		target = (struct schema_target){.recipient = &bob};

	size_t n;
	char *payload = (char *)fuzz_copy(&in, in.left, &n);
	char *scratch = malloc(n > 0 ? n : 1);
	struct schema_message m;
	struct schema_fault fault;
	char ref[REPLY_REF_MAX + 1];
	MUST(scratch != NULL);
	enum chat_error error = schema_parse(payload, n, &limits, &author, &target, scratch, n, &m, &fault);
	schema_find_ref(payload, n, ref);
	MUST(strcmp(ref, fault.ref) == 0 && strlen(ref) <= REPLY_REF_MAX);
	MUST(strlen(fault.field) <= REPLY_FIELD_MAX && (error != CHAT_OK || fault.field[0] == '\0'));
	if (error == CHAT_OK && m.type == SCHEMA_TYPING) {
		char typing[SCHEMA_TYPING_MAX];
		MUST(schema_typing_write(&author, &target, typing) == strlen(typing));
	} else if (error == CHAT_OK) {
		size_t chars = 0;
		MUST(m.message_len > 0 && utf8_valid(m.message, m.message_len, &chars));
		MUST(chars >= 1 && chars <= limits.max_message_chars &&
		     memchr(m.message, '\0', m.message_len) == NULL);
		size_t len = schema_canonical_size(&m, &author, &target);
		MUST(len <= n + 1024);
		char *canonical = malloc(len);
		char *second = malloc(len);
		MUST(canonical != NULL && second != NULL);
		MUST(schema_canonical_write(&m, &author, &target, ID, TIME, canonical) == canonical + len);
		check_canonical(canonical, len, target.recipient != NULL);
		/* read again, but for the fields that the server adds */
		struct schema_message again;
		char *scratch2 = malloc(len);
		MUST(scratch2 != NULL);
		limits.drop_unknown = true;
		MUST(schema_parse(canonical, len, &limits, &author, &target, scratch2, len, &again, &fault) ==
		     CHAT_OK);
		MUST(again.message_len == m.message_len && memcmp(again.message, m.message, m.message_len) == 0);
		MUST(schema_canonical_size(&again, &author, &target) == len);
		MUST(schema_canonical_write(&again, &author, &target, ID, TIME, second) == second + len);
		MUST(memcmp(canonical, second, len) == 0);
		free(scratch2);
		free(second);
		free(canonical);
	}
	free(scratch);
	free(payload);
	return 0;
}
