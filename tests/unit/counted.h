/*
 * counted.h - how many pieces of memory are held, for tests linked with COUNTED (tests/unit/CMakeLists.txt):
 * a table that forgets is one that frees.
 */
#ifndef TEST_COUNTED_H
#define TEST_COUNTED_H

#include <stddef.h>

static size_t held;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void __real_free(void *at);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *at);

void *__wrap_malloc(size_t size)
{
	held++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	held++;
	return __real_calloc(n, size);
}

void __wrap_free(void *at)
{
	held -= at ? 1 : 0;
	__real_free(at);
}

#endif
