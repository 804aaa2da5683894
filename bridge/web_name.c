/* web_name.c - see web_name.h */
#include "bridge/web_name.h"

#include <stddef.h>
#include <string.h>

/* No script or style but from files of this server, and nobody frames the page. */
#define PAGE                                                                                                 \
	"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "      \
	"data:; "                                                                                                \
	"font-src 'self'; connect-src 'self' ws: wss:; manifest-src 'self'; base-uri 'none'; form-action "       \
	"'none'; "                                                                                               \
	"frame-ancestors 'none'; require-trusted-types-for 'script'\r\n"
/* An image that is opened as a page of its own runs nothing. */
#define DRAWING "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; sandbox\r\n"

static const struct web_kind kinds[] = {
    {"html", "text/html; charset=utf-8", PAGE},
    {"css", "text/css; charset=utf-8", ""},
    {"js", "text/javascript; charset=utf-8", ""},
    {"mjs", "text/javascript; charset=utf-8", ""},
    {"json", "application/json", ""}, /* always UTF-8, and has no such parameter: RFC 8259 11 */
    {"svg", "image/svg+xml; charset=utf-8", DRAWING},
    {"png", "image/png", ""},
    {"ico", "image/x-icon", ""},
    {"txt", "text/plain; charset=utf-8", ""},
    {"woff2", "font/woff2", ""},
    {"webmanifest", "application/manifest+json", ""},
};

bool web_part_valid(const char *part)
{
	size_t len = strspn(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");
	return len > 0 && part[len] == '\0' && part[0] != '.';
}

const struct web_kind *web_kind_of(const char *name)
{
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot != NULL && i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(dot + 1, kinds[i].extension) == 0)
			return &kinds[i];
	return NULL;
}
