/* http_head.c - request heads: spans inside the bytes, and one verdict however they are cut. */
#include "bridge/http_head.h"
#include "bridge/bearer.h"

#include "tests/fuzz/fuzz.h"

static void check_span(struct http_span s, const char *bytes, size_t n)
{
	char *decoded = malloc(s.len + 1);
	MUST(decoded != NULL);
	if (s.at != NULL) {
		MUST(fuzz_inside(s.at, s.len, bytes, n));
		long len = http_percent_decode(s.at, s.len, decoded);
		MUST(len >= -1 && len <= (long)s.len);
	} else {
		MUST(s.len == 0);
	}
	(void)http_list_has(s, "websocket");
	free(decoded);
}

/* What it shows of who asks. */
static void check_bearer(const struct http_head *head)
{
	static char shown[BEARER_MAX];
	size_t len;
	enum bearer found = bearer_find(head, shown, &len);
	MUST(found == BEARER_FOUND ? len > 0 && len <= sizeof shown && memchr(shown, '\0', len) == NULL
	                           : len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	uint8_t cuts[8];
	for (size_t i = 0; i < sizeof cuts; i++)
		cuts[i] = fuzz_byte(&in);
	const char *bytes = (const char *)in.at;
	size_t n = in.left;
	struct http_head head;
	enum http_head_result result = http_head_parse(bytes, n, &head);
	if (result == HTTP_HEAD_DONE) {
		const struct http_span spans[] = {head.method,
		                                  head.target,
		                                  head.host,
		                                  head.origin,
		                                  head.authorization,
		                                  head.websocket_key,
		                                  head.websocket_version,
		                                  head.websocket_protocol};
		check_bearer(&head);
		MUST(head.size >= 16 && head.size <= n && head.size <= HTTP_HEAD_MAX);
		MUST(memcmp(bytes + head.size - 4, "\r\n\r\n", 4) == 0);
		for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
			check_span(spans[i], bytes, head.size);
		check_span(head.if_none_match, bytes, head.size);
		MUST(head.forwarded_count <= HTTP_FORWARDED_MAX);
		for (size_t i = 0; i < head.forwarded_count; i++)
			check_span(head.forwarded_for[i], bytes, head.size);
		MUST(!head.upgrade_websocket || !head.upgrade_other);
		/* what follows the head has no say */
		struct http_head alone;
		MUST(http_head_parse(bytes, head.size, &alone) == HTTP_HEAD_DONE && alone.size == head.size);
		MUST(alone.target.at == head.target.at && alone.target.len == head.target.len);
		MUST(http_head_parse(bytes, head.size - 1, &alone) == HTTP_HEAD_PARTIAL);
	}
	for (size_t i = 0; i < sizeof cuts; i++) {
		size_t len;
		struct fuzz_input from = in;
		char *part = (char *)fuzz_copy(&from, n * cuts[i] / 255, &len);
		struct http_head early;
		enum http_head_result r = http_head_parse(part, len, &early);
		/* a verdict that has been given stands */
		MUST(r == HTTP_HEAD_PARTIAL || r == result);
		MUST(r != HTTP_HEAD_DONE || early.size == head.size);
		free(part);
	}
	return 0;
}
