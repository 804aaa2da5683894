/*
 * guarded.h - input for parsers in memory with nothing behind it: one byte too far is a crash,
 * with or without a sanitizer.
 */
#ifndef TEST_GUARDED_H
#define TEST_GUARDED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>

#define GUARDED_BYTES ((size_t)1 << 19)
#define GUARDED_SLOTS 4 /* inputs that can be there at the same time */

/* n bytes at the end of a slot's memory. Lives until the slot is used again. */
static inline char *guarded_space(unsigned slot, size_t n)
{
	static char *end[GUARDED_SLOTS];

	if (!end[slot]) {
		char *area =
		    mmap(NULL, 2 * GUARDED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		assert_true(area != MAP_FAILED);
		assert_int_equal(mprotect(area + GUARDED_BYTES, GUARDED_BYTES, PROT_NONE), 0);
		end[slot] = area + GUARDED_BYTES;
	}
	assert_true(n <= GUARDED_BYTES);
	return end[slot] - n;
}

static inline char *guarded(unsigned slot, const void *bytes, size_t n)
{
	return memcpy(guarded_space(slot, n), bytes, n);
}

/* The same with a text and without its NUL. */
static inline char *guarded_text(unsigned slot, const char *text)
{
	return guarded(slot, text, strlen(text));
}

#endif
