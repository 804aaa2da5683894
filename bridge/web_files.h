/*
 * web_files.h - the page: the few files of plugin_opt_web_root, read into memory once, at start.
 *
 * A request path is compared with the names that were found, byte by byte; no path is ever opened, so
 * none leads out of the folder. Only regular files are read, symbolic links are not followed, and what
 * is not served (name, kind, size, too many) is named in the log.
 *
 * Limits: WEB_FILES_MAX files, WEB_BYTES_MAX bytes in all, one level of folders. Blocks on the disk,
 * at start only. Each body is one chunk that all answers share.
 */
#ifndef CHAT_BRIDGE_WEB_FILES_H
#define CHAT_BRIDGE_WEB_FILES_H

#include "bridge/http_head.h"
#include "bridge/web_name.h"

#include <stddef.h>

struct chunk;

#define WEB_FILES_MAX 64
#define WEB_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define WEB_ETAG_HEX 32     /* 128 bits of SHA-256 */
#define WEB_FIELDS_MAX 1024 /* bytes of header lines */

struct web_file {
	char name[WEB_NAME_MAX + 1];
	const char *content_type;
	char etag[WEB_ETAG_HEX + 3]; /* with its quotes; the same for the same bytes in any process */
	char fields[WEB_FIELDS_MAX]; /* header lines of its own, each with CRLF */
	struct chunk *body;
};

struct web_files {
	struct web_file files[WEB_FILES_MAX];
	size_t count;
	size_t bytes;
	size_t skipped;
};

/* root "": none. What cannot be read is logged and left out: a bridge runs without its page, too. */
void web_files_load(struct web_files *all, const char *root);
void web_files_free(struct web_files *all);

/* The file of a request path ("/app.js"; "/" is index.html), or NULL. Borrowed. */
const struct web_file *web_files_find(const struct web_files *all, struct http_span path);

#endif
