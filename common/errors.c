/*
 * errors.c - the table of errors.h, unfolded.
 */
#include "errors.h"

#include <stddef.h>

static const struct {
	const char *name;
	const char *text[2]; /* by enum chat_language */
} errors[CHAT_ERROR_COUNT] = {[CHAT_OK] = {"ok", {"ok", "ok"}},
#define X(id, name, en, es) [CHAT_ERROR_##id] = {name, {en, es}},
                              CHAT_ERRORS(X)
#undef X
};

/* A value from outside the table would be a bug of ours; people still get a sentence. */
static size_t row_of(enum chat_error e)
{
	size_t row = (size_t)e;

	return row < CHAT_ERROR_COUNT ? row : (size_t)CHAT_ERROR_UNAVAILABLE;
}

const char *chat_error_name(enum chat_error e)
{
	return errors[row_of(e)].name;
}

const char *chat_error_text(enum chat_error e, enum chat_language language)
{
	return errors[row_of(e)].text[language == CHAT_SPANISH];
}
