/* options.c - see options.h. */
#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD_USAGE 2

static const char help[] =
    "chat-load - WebSocket load for a chat server: who receives what, how fast, how complete\n"
    "\n"
    "  --url U              ws:// or wss://host:port/path, {n} in the path is the session's number, {room} "
    "that\n"
    "                       of its room\n"
    "                       (ws://127.0.0.1:8000/ws/user{n}@bench.example)\n"
    "  --readers N          sessions that only read (1000)\n"
    "  --authors N          sessions that send, and read the others' messages (1); 0: connect and stay idle\n"
    "  --rooms R            session n is in room n % R and expects that room's messages alone (1)\n"
    "  --protocol text|mqtt messages are text frames, or publishes of MQTT 3.1.1 in binary ones (text)\n"
    "  --topic T            MQTT: what all subscribe to, with holes as in the url (load)\n"
    "  --send-to T          MQTT: what authors publish to (the same)\n"
    "  --outstanding K      closed loop: each author has K messages under way (8)\n"
    "  --pace last|all      … until the session that connected last has it, or every session (last)\n"
    "  --rate R             open loop instead: R messages a second in all, sent by the clock,\n"
    "                       latency counted from the moment when each was due\n"
    "  --size S             bytes of a text, 16 to 60000 (128)\n"
    "  --seconds D          measured time (10)\n"
    "  --warmup W           time before it, not measured (2)\n"
    "  --drain T            at most that long for late messages after it (5)\n"
    "  --connect-seconds T  at most that long to connect, and again to join (60)\n"
    "  --connect-pending N  connections being opened at once (64)\n"
    "  --pid P              sample processor time and memory of process P; up to 16 times\n"
    "  --label TEXT         goes into the output\n"
    "  --json               one JSON object instead of text\n"
    "\n"
    "Status 0: all well. 1: messages lost, doubled or out of order, errors or closed sessions.\n"
    "2: it could not run.\n";

enum {
	OPT_URL = 256,
	OPT_READERS,
	OPT_AUTHORS,
	OPT_OUTSTANDING,
	OPT_PACE,
	OPT_RATE,
	OPT_SIZE,
	OPT_SECONDS,
	OPT_WARMUP,
	OPT_DRAIN,
	OPT_CONNECT_SECONDS,
	OPT_CONNECT_PENDING,
	OPT_PID,
	OPT_LABEL,
	OPT_JSON,
	OPT_ROOMS,
	OPT_PROTOCOL,
	OPT_TOPIC,
	OPT_SEND_TO,
	OPT_HELP,
};

static const struct option names[] = {
    {"url", required_argument, NULL, OPT_URL},
    {"readers", required_argument, NULL, OPT_READERS},
    {"authors", required_argument, NULL, OPT_AUTHORS},
    {"rooms", required_argument, NULL, OPT_ROOMS},
    {"protocol", required_argument, NULL, OPT_PROTOCOL},
    {"topic", required_argument, NULL, OPT_TOPIC},
    {"send-to", required_argument, NULL, OPT_SEND_TO},
    {"outstanding", required_argument, NULL, OPT_OUTSTANDING},
    {"pace", required_argument, NULL, OPT_PACE},
    {"rate", required_argument, NULL, OPT_RATE},
    {"size", required_argument, NULL, OPT_SIZE},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"drain", required_argument, NULL, OPT_DRAIN},
    {"connect-seconds", required_argument, NULL, OPT_CONNECT_SECONDS},
    {"connect-pending", required_argument, NULL, OPT_CONNECT_PENDING},
    {"pid", required_argument, NULL, OPT_PID},
    {"label", required_argument, NULL, OPT_LABEL},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool number(const char *name, const char *text, double min, double max, double *out)
{
	char *end;

	errno = 0;
	*out = strtod(text, &end);
	if (end == text || *end != 0 || errno != 0 || !isfinite(*out) || *out < min || *out > max) {
		(void)fprintf(stderr, "chat-load: --%s %s: a number from %g to %g is needed\n", name, text, min, max);
		return false;
	}
	return true;
}

static bool count(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	double value;

	if (!number(name, text, min, max, &value))
		return false;
	if (value != floor(value)) {
		(void)fprintf(stderr, "chat-load: --%s %s: a whole number is needed\n", name, text);
		return false;
	}
	*out = (uint32_t)value;
	return true;
}

/* Takes ws[s]://host[:port][/path] apart; an IPv6 address stands in brackets. */
static bool set_url(struct options *o, const char *url)
{
	bool tls = strncmp(url, "wss://", strlen("wss://")) == 0;
	const char *at = url + strlen(tls ? "wss://" : "ws://"), *host_end, *path, *usual = tls ? "443" : "80";
	char *host, *port, *target;

	if (!tls && strncmp(url, "ws://", strlen("ws://")) != 0) {
		(void)fprintf(stderr, "chat-load: --url %s: only ws:// and wss:// are spoken here\n", url);
		return false;
	}
	path = at + strcspn(at, "/?#");
	if (*at == '[') {
		at++;
		host_end = at + strcspn(at, "]");
		port = host_end < path && host_end[1] == ':' ? strndup(host_end + 2, (size_t)(path - host_end - 2))
		                                             : strdup(usual);
	} else {
		host_end = at + strcspn(at, ":/?#");
		port = *host_end == ':' ? strndup(host_end + 1, (size_t)(path - host_end - 1)) : strdup(usual);
	}
	host = strndup(at, (size_t)(host_end - at));
	target = strdup(*path == '/' ? path : "/");
	options_free(o);
	o->tls = tls;
	o->host = host;
	o->port = port;
	o->path = target;
	if (host == NULL || port == NULL || target == NULL || *host == 0 || *port == 0 ||
	    strpbrk(target, " \r\n#") != NULL) {
		(void)fprintf(stderr, "chat-load: --url %s: ws://host:port/path is needed\n", url);
		return false;
	}
	return true;
}

static bool add_pid(struct options *o, const char *text)
{
	uint32_t pid;

	if (!count("pid", text, 1, INT32_MAX, &pid))
		return false;
	if (o->pid_count == OPTIONS_PIDS_MAX) {
		(void)fprintf(stderr, "chat-load: at most %d times --pid\n", OPTIONS_PIDS_MAX);
		return false;
	}
	o->pids[o->pid_count++] = (int)pid;
	return true;
}

static bool set_pace(struct options *o, const char *text)
{
	if (strcmp(text, "last") != 0 && strcmp(text, "all") != 0) {
		(void)fprintf(stderr, "chat-load: --pace %s: last or all is needed\n", text);
		return false;
	}
	o->pace = *text == 'a' ? PACE_ALL : PACE_LAST;
	return true;
}

static bool set_protocol(struct options *o, const char *text)
{
	if (strcmp(text, "text") != 0 && strcmp(text, "mqtt") != 0) {
		(void)fprintf(stderr, "chat-load: --protocol %s: text or mqtt is needed\n", text);
		return false;
	}
	o->mqtt = *text == 'm';
	return true;
}

static bool set_topic(const char **topic, const char *text)
{
	if (*text == 0 || strlen(text) > OPTIONS_TOPIC_MAX || strpbrk(text, "+#") != NULL) {
		(void)fprintf(stderr, "chat-load: %s: a topic of 1 to %d bytes without wildcards is needed\n", text,
		              OPTIONS_TOPIC_MAX);
		return false;
	}
	*topic = text;
	return true;
}

static bool set(struct options *o, int option, const char *text)
{
	switch (option) {
	case OPT_URL:
		return set_url(o, text);
	case OPT_READERS:
		return count("readers", text, 0, OPTIONS_SESSIONS_MAX, &o->readers);
	case OPT_AUTHORS:
		return count("authors", text, 0, OPTIONS_SESSIONS_MAX, &o->authors);
	case OPT_ROOMS:
		return count("rooms", text, 1, OPTIONS_SESSIONS_MAX, &o->rooms);
	case OPT_PROTOCOL:
		return set_protocol(o, text);
	case OPT_TOPIC:
		return set_topic(&o->topic, text);
	case OPT_SEND_TO:
		return set_topic(&o->send_to, text);
	case OPT_OUTSTANDING:
		return count("outstanding", text, 1, 4096, &o->outstanding);
	case OPT_PACE:
		return set_pace(o, text);
	case OPT_RATE:
		return number("rate", text, 0.001, 1e7, &o->rate);
	case OPT_SIZE:
		return count("size", text, OPTIONS_SIZE_MIN, OPTIONS_SIZE_MAX, &o->size);
	case OPT_SECONDS:
		return number("seconds", text, 0.1, 86400, &o->seconds);
	case OPT_WARMUP:
		return number("warmup", text, 0, 3600, &o->warmup);
	case OPT_DRAIN:
		return number("drain", text, 0, 600, &o->drain);
	case OPT_CONNECT_SECONDS:
		return number("connect-seconds", text, 0.1, 3600, &o->connect_seconds);
	case OPT_CONNECT_PENDING:
		return count("connect-pending", text, 1, OPTIONS_SESSIONS_MAX, &o->connect_pending);
	case OPT_PID:
		return add_pid(o, text);
	case OPT_LABEL:
		o->label = text;
		return true;
	case OPT_JSON:
		o->json = true;
		return true;
	default: /* getopt_long has said what is wrong */
		return false;
	}
}

int options_parse(struct options *o, int argc, char **argv)
{
	int option;

	*o = (struct options){
	    .authors = 1,
	    .readers = 1000,
	    .rooms = 1,
	    .topic = "load",
	    .outstanding = 8,
	    .size = 128,
	    .seconds = 10,
	    .warmup = 2,
	    .drain = 5,
	    .connect_seconds = 60,
	    .connect_pending = 64,
	};
	if (!set_url(o, "ws://127.0.0.1:8000/ws/user{n}@bench.example"))
		return BAD_USAGE;
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == OPT_HELP)
			return fputs(help, stdout) < 0 ? BAD_USAGE : -1;
		if (!set(o, option, optarg))
			return BAD_USAGE;
	}
	if (optind < argc) {
		(void)fprintf(stderr, "chat-load: %s: not an option\n", argv[optind]);
		return BAD_USAGE;
	}
	if (o->authors + o->readers == 0 || (o->authors > 0 && o->authors + o->readers < 2)) {
		(void)fprintf(stderr, "chat-load: an author and somebody else to read are needed, or --authors 0\n");
		return BAD_USAGE;
	}
	if (o->send_to == NULL)
		o->send_to = o->topic;
	if (o->authors > 0 && (o->authors < o->rooms || o->authors + o->readers < 2 * o->rooms)) {
		(void)fprintf(stderr, "chat-load: each room needs an author and somebody else\n");
		return BAD_USAGE;
	}
	return 0;
}

void options_free(struct options *o)
{
	free((char *)o->host);
	free((char *)o->port);
	free((char *)o->path);
	o->host = o->port = o->path = NULL;
}
