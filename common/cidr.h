/*
 * cidr.h - network addresses and ranges of them, as people and proxies write them.
 *
 * Pure. An IPv4 address and its IPv6 form (::ffff:192.0.2.1) are the same address.
 */
#ifndef CHAT_CIDR_H
#define CHAT_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_TEXT_MAX 46 /* with the NUL, as INET6_ADDRSTRLEN */
#define CIDR_LIST_MAX 64    /* ranges of one list */

struct address {
	uint8_t bytes[16]; /* IPv6, or IPv4 as ::ffff:a.b.c.d */
};

struct cidr {
	struct address base; /* bits behind the prefix are zero */
	uint8_t prefix;      /* bits, of 128 */
};

struct cidr_list {
	size_t count;
	struct cidr ranges[CIDR_LIST_MAX];
};

/* "192.0.2.1", "2001:db8::1", in brackets or not, and, as some proxies add it, with a port: "192.0.2.1:4711",
 * "[2001:db8::1]:4711". No zone, no name. */
bool address_parse(const char *s, size_t n, struct address *out);

struct in_addr;
struct address address_from_v4(const struct in_addr *v4);
bool address_is_v4(const struct address *a);

/* 127.0.0.0/8 and ::1 */
bool address_is_loopback(const struct address *a);

/* As inet_ntop writes it, IPv4 without the prefix. */
void address_format(const struct address *a, char out[ADDRESS_TEXT_MAX]);

/* Ranges with commas between, blanks allowed around them: "10.0.0.0/8, ::1". An address alone is a range of
 * one. False: something is no range, has bits set behind its prefix ("10.0.0.1/8", where it is not clear what
 * is meant), or there are more than CIDR_LIST_MAX. The empty text is an empty list. */
bool cidr_list_parse(const char *s, size_t n, struct cidr_list *out);

bool cidr_list_has(const struct cidr_list *list, const struct address *a);

/* Whose connection this is: peer, unless it is one of the proxies; then the last address of X-Forwarded-For
 * that is no proxy, read from the right, for everything further left is what the client claims. Where that
 * leads to something that is no address, the last proxy before it.
 * lines: the values of the header in the order of the request. */
struct address_line {
	const char *at;
	size_t len;
};
struct address cidr_client(const struct cidr_list *proxies, const struct address *peer,
                           const struct address_line *lines, size_t count);

#endif
