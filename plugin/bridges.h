/*
 * bridges.h - the bridge processes: started, watched, started again, stopped; their log lines.
 *
 * No signal handler, no thread, nothing that blocks once the broker runs: everything happens in
 * bridges_tick. Only at start, before the broker serves anybody, is there a wait (at most five
 * seconds) for each bridge to say that it is ready; and at the end one of at most two seconds.
 */
#ifndef CHAT_BRIDGES_H
#define CHAT_BRIDGES_H

#include <stdbool.h>
#include <stdint.h>

struct options;

/* Binds the port, finds and starts the programs, waits for all of them. plugin_path: "" where unknown;
 * web_root: the folder of the page, "" for none. False after a line in the log; nothing is left behind then.
 * options, credential and web_root: borrowed until bridges_stop. */
bool bridges_start(const struct options *options, const char *credential, const char *plugin_path,
                   const char *web_root);

/* Passes log lines on, notices deaths, starts anew what is due. Cheap when called often. */
void bridges_tick(uint64_t now_ms);

/* How many of them run and are ready. */
unsigned bridges_running(void);

/* Tells each bridge its settings again. What a bridge does not take now (it hangs) it learns when it is
 * started anew; the log says so. */
void bridges_reload(void);

/* Closes the control sockets, which tells each bridge to end, and kills what has not ended in 1.5 s. */
void bridges_stop(void);

#endif
