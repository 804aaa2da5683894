/*
 * web_name.h - which files of the web root are served, and as what. Pure.
 *
 * A name is "app.js" or, one level down, "img/icon.svg": parts of A-Z a-z 0-9 - _ . that do not begin
 * with a dot, so neither ".." nor a hidden file is one, with an extension from a short list.
 */
#ifndef CHAT_BRIDGE_WEB_NAME_H
#define CHAT_BRIDGE_WEB_NAME_H

#include <stdbool.h>

#define WEB_NAME_MAX 127 /* bytes, both parts and the slash */

struct web_kind {
	const char *extension; /* lower case, without the dot */
	const char *content_type;
	const char *fields; /* further header lines, each with CRLF */
};

/* One part of a name: that of a file, or of a folder. */
bool web_part_valid(const char *part);

/* By what follows the last dot; NULL: such files are not served. */
const struct web_kind *web_kind_of(const char *name);

#endif
