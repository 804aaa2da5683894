/*
 * request.h - the words of a command line as a command of $CONTROL/chat/v1.
 *
 * Pure. What a value may be is the broker's to say: here only numbers must be numbers, and text UTF-8.
 */
#ifndef CHAT_CTRL_REQUEST_H
#define CHAT_CTRL_REQUEST_H

#include <stddef.h>

#define REQUEST_MAX 32768 /* bytes */

/* {"commands":[{"command":W,...}]} for words[0..count), NUL-terminated; NULL, or what is wrong. A word --name
 * value behind the command is a member of its own, what stands alone is the member that the command is about,
 * in the order of request_usage. */
const char *request_make(int count, const char *const *words, char out[REQUEST_MAX]);

/* The commands and what they are about, for people. */
extern const char request_usage[];

#endif
