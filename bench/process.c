/* process.c - see process.h. */
#include "bench/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The whole of a small file of /proc, NUL-terminated. */
static bool read_file(int pid, const char *name, char *out, size_t cap)
{
	char path[64];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	n = fread(out, 1, cap - 1, f);
	out[n] = 0;
	(void)fclose(f);
	return n > 0;
}

static uint64_t status_bytes(const char *status, const char *field)
{
	const char *at = strstr(status, field);
	unsigned long long kib = 0;

	if (at == NULL || sscanf(at + strlen(field), "%llu", &kib) != 1)
		return 0; /* a zombie has none */
	return kib * 1024;
}

/* What the scheduler gave the threads that live; 0 where the kernel does not tell. */
static double threads_cpu_seconds(int pid)
{
	unsigned long long sum = 0, ran;
	char path[64], text[128];
	struct dirent *entry;
	DIR *threads;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	threads = opendir(path);
	if (threads == NULL)
		return 0;
	while ((entry = readdir(threads)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
		char name[32];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "task/%.10s/schedstat", entry->d_name);
		if (read_file(pid, name, text, sizeof(text)) && sscanf(text, "%llu", &ran) == 1)
			sum += ran;
	}
	(void)closedir(threads);
	return (double)sum / 1e9;
}

bool process_sample(int pid, struct process_sample *out)
{
	unsigned long long user, kernel;
	char text[4096], *open, *close;
	double exact;

	memset(out, 0, sizeof(*out));
	if (!read_file(pid, "stat", text, sizeof(text)))
		return false;
	/* The name stands in parentheses and may hold some itself. */
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (open == NULL || close == NULL ||
	    sscanf(close + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &kernel) != 2)
		return false;
	*close = 0;
	(void)snprintf(out->name, sizeof(out->name), "%s", open + 1);
	out->cpu_seconds = (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
	exact = threads_cpu_seconds(pid);
	out->cpu_seconds = exact > out->cpu_seconds ? exact : out->cpu_seconds;
	if (!read_file(pid, "status", text, sizeof(text)))
		return false;
	out->rss_bytes = status_bytes(text, "VmRSS:");
	out->peak_bytes = status_bytes(text, "VmHWM:");
	return true;
}

double process_own_cpu_seconds(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) != 0)
		return 0;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
