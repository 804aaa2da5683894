/*
 * option_readers.h - one reader for each option: from the text of a plugin_opt_... line into struct options.
 */
#ifndef CHAT_OPTION_READERS_H
#define CHAT_OPTION_READERS_H

#include "options.h"

struct option_reader {
	const char *name;
	/* Takes the trimmed value. NULL, or what was expected: a static text. */
	const char *(*read)(const char *value, struct options *o);
};

#define OPTIONS_KNOWN_MAX 64 /* at least as many as there are */

extern const struct option_reader option_readers[];
extern const size_t option_reader_count;

#endif
