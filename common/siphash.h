/*
 * siphash.h - SipHash-1-3: a hash under a secret key, for tables whose keys strangers choose.
 *
 * Who does not know the key cannot make inputs that meet in one bucket. Not for signatures.
 *
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with one round for each word and
 * three at the end instead of two and four, which is what the hash tables of Rust and Python have.
 *
 * Pure: the caller draws the key. The result is the same on machines of either byte order.
 */
#ifndef CHAT_SIPHASH_H
#define CHAT_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY 16 /* bytes */

/* Any of its bits are as good as the others. */
uint64_t siphash_13(const uint8_t key[SIPHASH_KEY], const void *bytes, size_t len);

#endif
