/*
 * mqtt_text.h - what the strings of MQTT may hold; shared by mqtt_codec.c and mqtt_encode.c only.
 */
#ifndef CHAT_MQTT_TEXT_H
#define CHAT_MQTT_TEXT_H

#include "common/utf8.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Well-formed UTF-8 without U+0000 [MQTT-1.5.4-1, -2]. */
static inline bool mqtt_text_valid(const char *s, size_t n)
{
	return n == 0 || (memchr(s, 0, n) == NULL && utf8_valid(s, n, NULL));
}

/* Not empty, no wildcard [MQTT-4.7.3-1, MQTT-3.3.2-2]. */
static inline bool mqtt_topic_valid(const char *s, size_t n)
{
	return n > 0 && memchr(s, '+', n) == NULL && memchr(s, '#', n) == NULL;
}

#endif
