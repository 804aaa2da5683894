/*
 * token_driver.c - token_keys_load and token_verify as a filter, for tests in other languages.
 *
 * In, again and again until the end of the input, a line and as many bytes as it says first:
 *
 *     file <bytes>                                               keys from here on: PEM or a secret
 *     jwks <bytes>                                               the same: a key set
 *     token <bytes> <now> <issuer> <audience> <claim>            a token; '-' for what is not asked for
 *     cost <bytes> <now> <times>                                 the same token again and again
 *
 * Out, one line for each, with tabs between its parts:
 *
 *     keys <how many> <passed over>        refused <why>
 *     good <address> <expiry>              the name of the fault
 *     <nanoseconds> of processor time for each
 */
#include "plugin/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void fail(const char *what)
{
	fprintf(stderr, "token-driver: %s\n", what);
	exit(1);
}

/* The n bytes that come next, in memory of exactly their size, so that a sanitizer sees one too many. */
static char *read_bytes(size_t n)
{
	char *p = malloc(n > 0 ? n : 1);

	if (!p)
		fail("out of memory");
	if (getchar() != '\n' || fread(p, 1, n, stdin) != n)
		fail("the input ends early");
	return p;
}

static void load(struct token_keys **keys, enum token_keys_format format, size_t len)
{
	char *bytes = read_bytes(len);
	const char *why;

	token_keys_free(*keys);
	*keys = token_keys_load(format, bytes, len, &why);
	free(bytes);
	if (*keys)
		printf("keys\t%zu\t%zu\n", token_keys_count(*keys), token_keys_passed_over(*keys));
	else
		printf("refused\t%s\n", why);
}

static const char *asked(const char *word)
{
	return strcmp(word, "-") == 0 ? NULL : word;
}

static void verify(const struct token_keys *keys, size_t len)
{
	char issuer[256], audience[256], claim[256], *text;
	struct token_rules rules;
	enum token_fault fault;
	struct token token;
	int64_t now;

	if (scanf("%" SCNd64 " %255s %255s %255s", &now, issuer, audience, claim) != 4)
		fail("bad question");
	rules = (struct token_rules){
	    .issuer = asked(issuer), .audience = asked(audience), .email_claim = asked(claim)};
	text = read_bytes(len);
	fault = token_verify(keys, &rules, now, text, len, &token);
	if (fault == TOKEN_GOOD)
		printf("good\t%s\t%" PRId64 "\n", token.who.text, token.expires_s);
	else
		printf("%s\n", token_fault_name(fault));
	free(text);
}

static double processor_s(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		fail("no clock");
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void measure(const struct token_keys *keys, size_t len)
{
	struct token_rules rules = {.issuer = NULL};
	struct token token;
	unsigned times;
	double start;
	int64_t now;
	char *text;

	if (scanf("%" SCNd64 " %u", &now, &times) != 2 || times == 0)
		fail("bad question");
	text = read_bytes(len);
	if (token_verify(keys, &rules, now, text, len, &token) != TOKEN_GOOD)
		fail("a token to measure with is not good");
	start = processor_s();
	for (unsigned i = 0; i < times; i++)
		(void)token_verify(keys, &rules, now, text, len, &token); /* as before */
	printf("%.0f\n", (processor_s() - start) / times * 1e9);
	free(text);
}

int main(void)
{
	struct token_keys *keys = NULL;
	char word[8];
	size_t len;

	while (scanf("%7s %zu", word, &len) == 2) {
		if (strcmp(word, "file") == 0)
			load(&keys, TOKEN_KEYS_FILE, len);
		else if (strcmp(word, "jwks") == 0)
			load(&keys, TOKEN_KEYS_JWKS, len);
		else if (!keys)
			fail("a question without keys");
		else if (strcmp(word, "token") == 0)
			verify(keys, len);
		else if (strcmp(word, "cost") == 0)
			measure(keys, len);
		else
			fail("bad question");
	}
	token_keys_free(keys);
	if (!feof(stdin))
		fail("bad question");
	return 0;
}
