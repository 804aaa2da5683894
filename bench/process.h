/*
 * process.h - processor time and memory of a process as /proc tells them, and of this one.
 */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_sample {
	double cpu_seconds;  /* user and system time since its start: the scheduler's nanoseconds of its threads,
	                        or  ticks of usually 10 ms where the kernel has only these or threads have ended */
	uint64_t rss_bytes;  /* resident memory now */
	uint64_t peak_bytes; /* the most resident memory ever */
	char name[32];       /* as /proc/<pid>/comm has it */
};

/* False when there is no such process or it cannot be read. */
bool process_sample(int pid, struct process_sample *out);

/* User and system time of this process, to the microsecond. */
double process_own_cpu_seconds(void);

#endif
