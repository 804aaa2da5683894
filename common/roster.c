/*
 * roster.c - see roster.h
 */
#include "roster.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char answer_word[] = "roster ";
static const char feed_word[] = "presence";
static const char more_word[] = " more";
static const char last_word[] = " last";

static size_t digits(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] >= '0' && s[i] <= '9')
		i++;
	return i;
}

static bool is_text(const char *s, size_t n, const char *text)
{
	return n == strlen(text) && memcmp(s, text, n) == 0;
}

/* The next line without its end; NULL where there is no whole one. */
static const char *next_line(struct roster_reader *r, size_t *len)
{
	const char *line = r->at;
	const char *end = r->at < r->end ? memchr(r->at, '\n', (size_t)(r->end - r->at)) : NULL;

	if (!end)
		return NULL;
	*len = (size_t)(end - line);
	r->at = end + 1;
	return line;
}

bool roster_read_head(struct roster_reader *r, const char *text, size_t len, struct roster_head *out)
{
	const size_t word = sizeof(answer_word) - 1;
	struct roster_head head = {0};
	const char *line;
	size_t n;

	*r = (struct roster_reader){.at = text, .end = text + len};
	line = next_line(r, &n);
	if (!line)
		return false;
	if (!is_text(line, n, feed_word)) {
		if (n < word || memcmp(line, answer_word, word) != 0)
			return false;
		head.answer = true;
		head.token = line + word;
		head.token_len = digits(line + word, n - word);
		if (head.token_len == 0 || head.token_len > ROSTER_TOKEN_MAX)
			return false;
		line += word + head.token_len;
		n -= word + head.token_len;
		head.last = is_text(line, n, last_word);
		if (!head.last && !is_text(line, n, more_word))
			return false;
	}
	*out = head;
	return true;
}

/* Decimal without a sign or leading zeros. */
static bool read_ms(const char *s, size_t n, uint64_t *out)
{
	uint64_t value = 0;
	size_t i;

	if (n == 0 || n > 15 || digits(s, n) != n || (n > 1 && s[0] == '0'))
		return false;
	for (i = 0; i < n; i++)
		value = value * 10 + (uint64_t)(s[i] - '0');
	*out = value;
	return value <= ROSTER_MS_MAX;
}

static bool is_canonical(const char *s, size_t n)
{
	struct identity who;

	return identity_parse(s, n, &who) && memcmp(who.text, s, n) == 0;
}

static bool read_entry(const char *line, size_t n, struct roster_entry *out)
{
	const char *space;

	if (n < 1 || (line[0] != '+' && line[0] != '-'))
		return false;
	out->online = line[0] == '+';
	out->address = line + 1;
	space = memchr(line, ' ', n);
	if (!space)
		return false;
	out->address_len = (size_t)(space - out->address);
	return is_canonical(out->address, out->address_len) &&
	       read_ms(space + 1, n - out->address_len - 2, &out->ms);
}

enum roster_status roster_read_entry(struct roster_reader *r, struct roster_entry *out)
{
	struct roster_reader before = *r;
	struct roster_entry entry;
	const char *line;
	size_t n;

	if (r->at == r->end)
		return ROSTER_END;
	line = next_line(r, &n);
	if (line && read_entry(line, n, &entry)) {
		*out = entry;
		return ROSTER_ENTRY;
	}
	*r = before;
	return ROSTER_BAD;
}

/* What snprintf has written, or 0 where it had no room for it. */
static size_t written(int n, size_t cap)
{
	return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

/* text of n bytes to out, where there is room. */
static size_t put(const char *text, size_t n, char *out, size_t cap)
{
	if (n == 0 || n > cap)
		return 0;
	memcpy(out, text, n);
	return n;
}

size_t roster_put_answer(const char *token, bool last, char *out, size_t cap)
{
	size_t len = strlen(token);
	char line[ROSTER_HEAD_MAX];
	int n;

	if (len == 0 || len > ROSTER_TOKEN_MAX || digits(token, len) != len)
		return 0;
	n = snprintf(line, sizeof(line), "%s%s%s\n", answer_word, token, last ? last_word : more_word);
	return put(line, written(n, sizeof(line)), out, cap);
}

size_t roster_put_feed(char *out, size_t cap)
{
	static const char line[] = "presence\n";

	return put(line, sizeof(line) - 1, out, cap);
}

size_t roster_put_entry(const struct identity *who, bool online, uint64_t ms, char *out, size_t cap)
{
	char line[ROSTER_ENTRY_MAX + 1];
	int n;

	if (ms > ROSTER_MS_MAX || !is_canonical(who->text, who->len))
		return 0;
	n = snprintf(line, sizeof(line), "%c%s %" PRIu64 "\n", online ? '+' : '-', who->text, ms);
	return put(line, written(n, sizeof(line)), out, cap);
}
