/*
 * options.h - the command line of chat-load.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_PIDS_MAX 16
#define OPTIONS_SESSIONS_MAX 100000u
#define OPTIONS_SIZE_MIN 16u /* bytes of a text: run, author, number and time must find room */
#define OPTIONS_SIZE_MAX 60000u
#define OPTIONS_TOPIC_MAX 256

enum pace {
	PACE_LAST, /* a message is outstanding until the session that connected last has it */
	PACE_ALL,  /* … until every other session has it */
};

struct options {
	const char *host; /* of the url, without brackets; owned, see options_free */
	const char *port;
	const char *path;     /* starts with '/'; {n} and {room} are holes (holes.h) */
	uint32_t authors;     /* sessions 0 to authors-1; they read as well */
	uint32_t readers;     /* the sessions after them, which only read */
	uint32_t outstanding; /* closed loop: messages under way for each author */
	enum pace pace;
	double rate;   /* open loop: messages a second of all authors together; 0: closed loop */
	uint32_t size; /* bytes of a text */
	double seconds, warmup, drain;
	double connect_seconds;   /* limit for connecting and for joining, each */
	uint32_t connect_pending; /* connections being opened at once */
	int pids[OPTIONS_PIDS_MAX];
	unsigned pid_count;
	const char *label; /* goes into the output, or NULL */
	bool json;
	bool tls;            /* wss:// */
	bool mqtt;           /* MQTT 3.1.1 over the WebSockets instead of texts */
	const char *topic;   /* … that all subscribe to, holes as in path */
	const char *send_to; /* … that authors publish to; NULL: topic */
	uint32_t rooms;      /* session n is in room n % rooms and expects that room's messages alone */
};

/* 0: go on. Otherwise help or a complaint has been printed and the process ends with
 * -1: status 0, else that status. */
int options_parse(struct options *o, int argc, char **argv);
void options_free(struct options *o);

#endif
