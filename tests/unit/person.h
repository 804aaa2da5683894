/*
 * person.h - identities for tests, as many as are wanted.
 */
#ifndef TEST_PERSON_H
#define TEST_PERSON_H

#include "common/identity.h"

#include "tests/unit/guarded.h"

#include <stdio.h>

static inline struct identity person(unsigned n)
{
	struct identity who;
	char text[64];
	int len = snprintf(text, sizeof(text), "u%u@example.com", n);

	assert_true(identity_parse(text, (size_t)len, &who));
	return who;
}

#endif
