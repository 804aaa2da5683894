/*
 * fuzz.h - what the fuzz targets share. A target is a file with LLVMFuzzerTestOneInput: any bytes in, and it
 * ends the process where something does not hold that must. libFuzzer calls it (-DFUZZ=ON), or replay.c with
 * the files of corpus/.
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) ((condition) ? (void)0 : fuzz_broken(#condition, __FILE__, __LINE__))

static inline _Noreturn void fuzz_broken(const char *condition, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

/* What is left of an input. Beyond its end there are zeros. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

static inline uint64_t fuzz_number(struct fuzz_input *in, unsigned bytes)
{
	uint64_t n = 0;
	while (bytes-- > 0)
		n = n << 8 | fuzz_byte(in);
	return n;
}

/* The next n bytes, or what is there of them, in memory of exactly that size; the caller frees it. */
static inline uint8_t *fuzz_copy(struct fuzz_input *in, size_t n, size_t *len)
{
	*len = n < in->left ? n : in->left;
	uint8_t *copy = malloc(*len > 0 ? *len : 1);
	MUST(copy != NULL);
	if (*len > 0)
		memcpy(copy, in->at, *len);
	in->at += *len;
	in->left -= *len;
	return copy;
}

/* Is the span inside of the text? */
static inline bool fuzz_inside(const void *span, size_t len, const void *text, size_t n)
{
	const uint8_t *at = span, *begin = text;
	return at >= begin && at <= begin + n && len <= (size_t)(begin + n - at);
}

#endif
