/*
 * identity.c - the WHATWG rule for e-mail addresses, as two tables and two loops.
 */
#include "identity.h"

#include <string.h>

#define LABEL_MAX 63 /* bytes of one domain label, RFC 1035 2.3.4 */

/* "atext / '.'" of the rule: any order, dots at either end and in a row included. */
static bool is_local(unsigned char c)
{
	static const bool yes[256] = {
	    ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true, ['*'] = true,
	    ['+'] = true, ['-'] = true, ['.'] = true, ['/'] = true, ['0'] = true, ['1'] = true,  ['2'] = true,
	    ['3'] = true, ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true,  ['9'] = true,
	    ['='] = true, ['?'] = true, ['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true,  ['E'] = true,
	    ['F'] = true, ['G'] = true, ['H'] = true, ['I'] = true, ['J'] = true, ['K'] = true,  ['L'] = true,
	    ['M'] = true, ['N'] = true, ['O'] = true, ['P'] = true, ['Q'] = true, ['R'] = true,  ['S'] = true,
	    ['T'] = true, ['U'] = true, ['V'] = true, ['W'] = true, ['X'] = true, ['Y'] = true,  ['Z'] = true,
	    ['^'] = true, ['_'] = true, ['`'] = true, ['a'] = true, ['b'] = true, ['c'] = true,  ['d'] = true,
	    ['e'] = true, ['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true, ['j'] = true,  ['k'] = true,
	    ['l'] = true, ['m'] = true, ['n'] = true, ['o'] = true, ['p'] = true, ['q'] = true,  ['r'] = true,
	    ['s'] = true, ['t'] = true, ['u'] = true, ['v'] = true, ['w'] = true, ['x'] = true,  ['y'] = true,
	    ['z'] = true, ['{'] = true, ['|'] = true, ['}'] = true, ['~'] = true,
	};

	return yes[c];
}

/* Letters, digits and '-' in lower case; 0 for what no domain label holds. */
static char label_char(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')
		return (char)c;
	return 0;
}

bool identity_parse(const char *s, size_t n, struct identity *out)
{
	char domain[IDENTITY_MAX];
	size_t at = 0;
	size_t label; /* where the current label starts */
	size_t i;

	if (n > IDENTITY_MAX)
		return false;
	while (at < n && is_local((unsigned char)s[at]))
		at++;
	if (at == 0 || at > IDENTITY_LOCAL_MAX || at == n || s[at] != '@')
		return false;

	label = at + 1;
	for (i = at + 1; i < n; i++) {
		if (s[i] == '.') {
			if (i == label || i - label > LABEL_MAX || s[i - 1] == '-')
				return false;
			label = i + 1;
			domain[i - at - 1] = '.';
			continue;
		}
		domain[i - at - 1] = label_char((unsigned char)s[i]);
		if (!domain[i - at - 1] || (i == label && s[i] == '-'))
			return false;
	}
	if (n == label || n - label > LABEL_MAX || s[n - 1] == '-')
		return false;

	memcpy(out->text, s, at + 1);
	memcpy(out->text + at + 1, domain, n - at - 1);
	out->text[n] = '\0';
	out->len = (uint8_t)n;
	return true;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

const struct identity *identity_put(unsigned char *room, const struct identity *who)
{
	memcpy(room, who, identity_size(who));
	return (const struct identity *)room; /* all its members are bytes */
}

void identity_copy(struct identity *to, const struct identity *from)
{
	memcpy(to, from, identity_size(from));
}
