/*
 * mqtt.h - as much of MQTT 3.1.1 as a load needs: connect, subscribe to one topic and publish,
 * all with QoS 0, and what comes back. Packets are made into buffers of the caller; a stream of
 * bytes in pieces of any size is cut into packets again, with one buffer for each stream for
 * what is not whole yet. No I/O.
 */
#ifndef BENCH_MQTT_H
#define BENCH_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MQTT_NAME_MAX 512u              /* bytes of a topic, a client id */
#define MQTT_HEAD (MQTT_NAME_MAX + 16u) /* at most, of a packet, besides a publish's payload */
#define MQTT_PACKET_BYTES (128u << 10)  /* the longest packet that is read */

/* Each writes one packet and returns its length. Names are cut at MQTT_NAME_MAX. */
size_t mqtt_connect(uint8_t *out, const char *client_id); /* clean session, no keep alive */
size_t mqtt_subscribe(uint8_t *out, const char *topic);   /* packet id 1 */
size_t mqtt_publish(uint8_t *out, const char *topic, const uint8_t *payload, size_t n);

struct mqtt_stream {
	uint8_t *stash; /* the beginning of a packet; owned */
	uint32_t len, cap;
	uint32_t used; /* of the stash, by the packet that was handed out last */
};

enum mqtt_next {
	MQTT_NOTHING,    /* no whole packet left */
	MQTT_CONNECTED,  /* CONNACK, accepted */
	MQTT_SUBSCRIBED, /* SUBACK, granted */
	MQTT_MESSAGE,    /* PUBLISH: *payload and *len, valid until the next call */
	MQTT_BAD,        /* refused, not understood, too long, or no memory: the stream is over */
};

/* The next packet of what the stream has kept and the *n bytes at *at, of which it takes as much
 * as it needs. Call it until it is MQTT_NOTHING; then *n is 0 and what was left has been kept. */
enum mqtt_next mqtt_next(struct mqtt_stream *s, const uint8_t **at, size_t *n, const uint8_t **payload,
                         size_t *len);
void mqtt_stream_free(struct mqtt_stream *s);

#endif
