/*
 * options.h - the command line of chat-load.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_PIDS_MAX 16
#define OPTIONS_SESSIONS_MAX 100000u
#define OPTIONS_SIZE_MIN 32u /* bytes of a text: run, author, number and time must find room */
#define OPTIONS_SIZE_MAX 60000u

enum pace {
	PACE_LAST, /* a message is outstanding until the session that connected last has it */
	PACE_ALL,  /* … until every other session has it */
};

struct options {
	const char *host; /* of the url, without brackets; owned, see options_free */
	const char *port;
	const char *path;     /* starts with '/'; {n} stands for the number of the session */
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
};

/* 0: go on. Otherwise help or a complaint has been printed and the process ends with
 * -1: status 0, else that status. */
int options_parse(struct options *o, int argc, char **argv);
void options_free(struct options *o);

#endif
