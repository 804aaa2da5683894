/*
 * schema_driver.c - schema_parse as a filter, for tests in other languages.
 *
 * In, again and again until the end of the input: a line, then the payload.
 *
 *     <payload bytes> <max chars> <0 refuse, 1 drop unknown fields> <author> <room or address>
 *
 * Out, one line for each, with tabs between its parts; <> is text in hex:
 *
 *     message <canonical form> <ref>
 *     typing <typing event> <ref>
 *     error name <field> <ref>
 *
 * id and timestamp of the canonical form are always the same.
 */
#include "plugin/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "01JDABCDEFGHJKMNPQRSTVWXYZ"
#define TIME "2026-11-22T14:07:31.482Z"

static void fail(const char *what)
{
	fprintf(stderr, "schema-driver: %s\n", what);
	exit(1);
}

/* Of exactly n bytes, so that a sanitizer sees one too many. */
static char *allocate(size_t n)
{
	char *p = malloc(n > 0 ? n : 1);

	if (!p)
		fail("out of memory");
	return p;
}

static void put_hex(const char *s, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	putchar('\t');
	for (size_t i = 0; i < n; i++) {
		putchar(digits[(unsigned char)s[i] >> 4]);
		putchar(digits[(unsigned char)s[i] & 15]);
	}
}

static void answer(const char *payload, size_t len, const struct schema_limits *limits,
                   const struct identity *author, const struct schema_target *target)
{
	char *scratch = allocate(len);
	char typing[SCHEMA_TYPING_MAX];
	char ref[REPLY_REF_MAX + 1];
	struct schema_message m;
	struct schema_fault fault;
	enum chat_error error = schema_parse(payload, len, limits, author, target, scratch, len, &m, &fault);
	char *canonical;
	size_t n;

	schema_find_ref(payload, len, ref);
	if (strcmp(ref, fault.ref) != 0)
		fail("schema_find_ref and schema_parse disagree");
	if (error) {
		printf("error\t%s", chat_error_name(error));
		put_hex(fault.field, strlen(fault.field));
	} else if (m.type == SCHEMA_TYPING) {
		printf("typing");
		put_hex(typing, schema_typing_write(author, target, typing));
	} else {
		n = schema_canonical_size(&m, author, target);
		if (n > len + 1024)
			fail("the canonical form is longer than promised");
		canonical = allocate(n);
		if (schema_canonical_write(&m, author, target, ID, TIME, canonical) != canonical + n)
			fail("the canonical form has another size than was said");
		printf("message");
		put_hex(canonical, n);
		free(canonical);
	}
	if (!error && (m.ref_len != strlen(ref) || (m.ref && memcmp(m.ref, ref, m.ref_len) != 0)))
		fail("the message has another ref than the fault");
	put_hex(ref, strlen(ref));
	putchar('\n');
	free(scratch);
}

int main(void)
{
	char author_text[IDENTITY_MAX + 1], target_text[IDENTITY_MAX + 1];
	unsigned max_chars;
	size_t len;
	int drop;

	while (scanf("%zu %u %d %254s %254s", &len, &max_chars, &drop, author_text, target_text) == 5) {
		struct schema_limits limits = {.max_message_chars = max_chars, .drop_unknown = drop != 0};
		struct schema_target target = {.room = NULL};
		struct identity author, recipient;
		char *payload = allocate(len);

		if (getchar() != '\n' || fread(payload, 1, len, stdin) != len)
			fail("the payload ends early");
		if (!identity_parse(author_text, strlen(author_text), &author))
			fail("bad author");
		if (identity_parse(target_text, strlen(target_text), &recipient)) {
			target.recipient = &recipient;
		} else {
			target.room = target_text;
			target.room_len = strlen(target_text);
		}
		answer(payload, len, &limits, &author, &target);
		free(payload);
	}
	if (!feof(stdin))
		fail("bad question");
	return 0;
}
