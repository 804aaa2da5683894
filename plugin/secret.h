/*
 * secret.h - 256 random bits as text.
 */
#ifndef CHAT_SECRET_H
#define CHAT_SECRET_H

#include <stdbool.h>

#define SECRET_HEX 64 /* digits, without a NUL */

/* NUL-terminated lower-case hex digits in out. False when the system gives no randomness; out means nothing
 * then. */
bool secret_draw(char out[SECRET_HEX + 1]);

#endif
