/*
 * tokens.h - the operator's keys in force, and what their tokens allow: `auth token`.
 *
 * The one place that reads key files, asks the clock, counts and logs refusals. What a good token is, is said
 * in token.h. No line of the log holds anything of a token.
 */
#ifndef CHAT_TOKENS_H
#define CHAT_TOKENS_H

#include "token.h"

#include <stdbool.h>
#include <stdint.h>

struct options;

/* options: borrowed until tokens_stop. False, with a line in the log, when the keys cannot be read. Without
 * `auth token` nothing is read, and every token is refused. */
bool tokens_start(const struct options *options);

/* Reads the keys again. What is wrong with them is logged, and those before stay, with their issuer and
 * audience. */
void tokens_reload(void);

void tokens_stop(void);

/* Is it `auth token`? */
bool tokens_wanted(void);

/* Is this a good token now (and for whom)? text may be NULL: none. A refusal is counted and logged; where it
 * came from: text for people, NULL: unknown. */
enum token_fault tokens_verify(const char *text, size_t len, const char *from, struct token *out);

/* As tokens_verify, and it must be this identity's. */
enum token_fault tokens_verify_for(const struct identity *who, const char *text, size_t len, const char *from,
                                   struct token *out);

/* Once a second at least: clients whose tokens end soon are warned, those whose tokens have ended leave. */
void tokens_tick(uint64_t now_ms);

#endif
