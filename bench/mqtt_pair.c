/*
 * mqtt_pair.c - mqtt-pair: one MQTT client publishes by the clock, another one receives; plain
 * TCP, QoS 0. Prints one JSON object with the latency from the moment when each message was due,
 * in microseconds. It shows how a broker serves others while it carries a load.
 *
 *   mqtt-pair PORT [MESSAGES-A-SECOND [SECONDS]]      127.0.0.1; 200 a second, 3 seconds
 *
 * Status 0; 1: messages were lost; 2: it could not run.
 */
#include "bench/histogram.h"
#include "bench/mqtt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TOPIC "bench/pair"
#define SIZE 128u /* bytes of a payload: a number, then zeros */
#define ANSWER_MS 10000
#define LATE_US 2000000u /* how long late messages are awaited */

struct pair {
	int publisher, subscriber;
	struct mqtt_stream stream; /* of the subscriber */
	struct histogram latency;
	uint64_t *due; /* microseconds, by number; 0: has arrived */
	uint32_t sent, total, arrived;
	uint64_t last; /* when the last message is due */
};

static bool fail(const char *what)
{
	(void)fprintf(stderr, "mqtt-pair: %s: %s\n", what, strerror(errno));
	return false;
}

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool send_all(int fd, const uint8_t *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		if (sent < 0)
			return fail("send");
		bytes += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Waits for one packet of that kind; nothing else comes before the first publish. */
static bool expect(int fd, enum mqtt_next kind)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	struct mqtt_stream stream = {.len = 0};
	enum mqtt_next next = MQTT_NOTHING;
	uint8_t byte;

	while (next == MQTT_NOTHING) { /* one byte at a time takes nothing that follows */
		const uint8_t *at = &byte, *payload;
		size_t left = 1, n;

		errno = ETIMEDOUT;
		if (poll(&readable, 1, ANSWER_MS) != 1 || recv(fd, &byte, 1, 0) != 1)
			break;
		errno = EPROTO;
		next = mqtt_next(&stream, &at, &left, &payload, &n);
	}
	mqtt_stream_free(&stream);
	return next == kind || fail("the broker's answer");
}

static bool connect_client(int *fd, uint16_t port, const char *id)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	uint8_t packet[MQTT_HEAD];
	int on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0 || connect(*fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		return fail("connect");
	if (setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
		return fail("setsockopt");
	return send_all(*fd, packet, mqtt_connect(packet, id)) && expect(*fd, MQTT_CONNECTED);
}

static bool take(struct pair *p)
{
	uint8_t bytes[65536];
	const uint8_t *at = bytes, *payload;
	ssize_t got = recv(p->subscriber, bytes, sizeof(bytes), 0);
	uint64_t now = now_us();
	enum mqtt_next next;
	size_t left, n;

	if (got <= 0)
		return fail("recv");
	left = (size_t)got;
	while ((next = mqtt_next(&p->stream, &at, &left, &payload, &n)) == MQTT_MESSAGE) {
		uint32_t number;

		if (n != SIZE)
			continue;
		memcpy(&number, payload, sizeof(number));
		if (number >= p->sent || p->due[number] == 0)
			continue; /* another pair's, or a double */
		histogram_record(&p->latency, now - p->due[number]);
		p->due[number] = 0;
		p->arrived++;
	}
	return next == MQTT_NOTHING || fail("MQTT");
}

static bool publish(struct pair *p, uint64_t due)
{
	uint8_t payload[SIZE] = {0}, packet[MQTT_HEAD + SIZE];

	memcpy(payload, &p->sent, sizeof(p->sent));
	p->due[p->sent++] = due;
	return send_all(p->publisher, packet, mqtt_publish(packet, TOPIC, payload, SIZE));
}

static bool run(struct pair *p, double rate)
{
	struct pollfd readable = {.fd = p->subscriber, .events = POLLIN};
	uint64_t start = now_us() + 1000, now;

	p->last = start + (uint64_t)llround((p->total - 1) * 1e6 / rate);
	while ((now = now_us()) < p->last + LATE_US && p->arrived < p->total) {
		uint64_t due =
		    p->sent < p->total ? start + (uint64_t)llround(p->sent * 1e6 / rate) : p->last + LATE_US;
		struct timespec wait = {.tv_nsec = due > now ? (long)((due - now) % 1000000) * 1000 : 0};

		wait.tv_sec = due > now ? (time_t)((due - now) / 1000000) : 0;
		if (due <= now) {
			if (!publish(p, due))
				return false;
			continue;
		}
		if (ppoll(&readable, 1, &wait, NULL) > 0 && !take(p))
			return false;
	}
	return true;
}

static int report(const struct pair *p)
{
	const struct histogram *h = &p->latency;

	(void)printf("{\"messages\":%u,\"lost\":%u,\"latency_us\":{\"p50\":%llu,\"p99\":%llu,\"max\":%llu}}\n",
	             p->sent, p->sent - p->arrived, (unsigned long long)histogram_quantile(h, 0.5),
	             (unsigned long long)histogram_quantile(h, 0.99), (unsigned long long)h->max);
	return p->arrived == p->total ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct pair p = {.publisher = -1, .subscriber = -1};
	double port = argc > 1 ? strtod(argv[1], NULL) : 0, rate = argc > 2 ? strtod(argv[2], NULL) : 200,
	       seconds = argc > 3 ? strtod(argv[3], NULL) : 3;
	uint8_t packet[MQTT_HEAD];
	char name[2][32];
	int status = 2;

	if (argc > 4 || port < 1 || port > 65535 || !(rate * seconds >= 1 && rate * seconds <= 1e7)) {
		(void)fprintf(stderr, "usage: mqtt-pair PORT [MESSAGES-A-SECOND [SECONDS]]\n");
		return 2;
	}
	p.total = (uint32_t)(rate * seconds);
	p.due = calloc(p.total, sizeof(*p.due));
	for (int i = 0; i < 2; i++)
		(void)snprintf(name[i], sizeof(name[i]), "pair-%c-%ld", "ps"[i], (long)getpid());
	if (p.due != NULL && connect_client(&p.subscriber, (uint16_t)port, name[1]) &&
	    send_all(p.subscriber, packet, mqtt_subscribe(packet, TOPIC)) &&
	    expect(p.subscriber, MQTT_SUBSCRIBED) && connect_client(&p.publisher, (uint16_t)port, name[0]) &&
	    run(&p, rate))
		status = report(&p);
	mqtt_stream_free(&p.stream);
	free(p.due);
	return status;
}
