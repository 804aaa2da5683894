/*
 * roster.h - who is online, as the plugin tells the bridges: lines of text.
 *
 *   answer   "roster <token> more\n" or "roster <token> last\n", then entries: one page of the whole
 *            roster, and whether others follow. The token is 1 to 20 digits.
 *   feed     "presence\n", then entries: what has changed.
 *   entry    "+<address> <ms>\n" online since then, "-<address> <ms>\n" offline since then; milliseconds
 *            since 1970 in decimal. Addresses are as an identity stores them.
 *
 * A publish holds one head and its entries and is at most ROSTER_PUBLISH_MAX bytes.
 *
 * Pure: no allocation, no I/O, any bytes. Everything is borrowed; what is read points into the text.
 */
#ifndef CHAT_COMMON_ROSTER_H
#define CHAT_COMMON_ROSTER_H

#include "identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROSTER_PUBLISH_MAX 60000
#define ROSTER_TOKEN_MAX 20                      /* digits */
#define ROSTER_HEAD_MAX 40                       /* bytes of any head */
#define ROSTER_MS_MAX UINT64_C(253402300799999)  /* the end of the year 9999 */
#define ROSTER_ENTRY_MAX (IDENTITY_MAX + 2 + 16) /* bytes of any entry */

struct roster_head {
	bool answer; /* else it is the feed */
	bool last;   /* answer: no page follows */
	const char *token;
	size_t token_len; /* answer; else 0 */
};

struct roster_entry {
	bool online;
	const char *address; /* a valid address in its canonical form, no NUL behind it */
	size_t address_len;
	uint64_t ms; /* since 1970: when it came online or went offline */
};

enum roster_status {
	ROSTER_ENTRY, /* *out holds the next entry */
	ROSTER_END,   /* the text is over, behind a whole line */
	ROSTER_BAD,   /* this is no entry; what was handed out before stays true */
};

/* What is left to read; private. */
struct roster_reader {
	const char *at;
	const char *end;
};

/* Reads the first line. False when it is neither of the heads: then the text is something else. */
bool roster_read_head(struct roster_reader *r, const char *text, size_t len, struct roster_head *out);

/* Call until it answers something other than ROSTER_ENTRY; that answer then stays. */
enum roster_status roster_read_entry(struct roster_reader *r, struct roster_entry *out);

/* Each writes one line without a NUL and returns its length, or 0 when it does not fit into cap (or
 * holds a token or an address that no reader takes). The two heads of an answer are of one length: a page's
 * head can be written over when it turns out to be the last. */
size_t roster_put_answer(const char *token, bool last, char *out, size_t cap);
size_t roster_put_feed(char *out, size_t cap);
size_t roster_put_entry(const struct identity *who, bool online, uint64_t ms, char *out, size_t cap);

#endif
