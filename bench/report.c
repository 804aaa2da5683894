/* report.c - see report.h. */
#include "bench/report.h"

#include <stdio.h>

static double rate(double count, double seconds)
{
	return seconds > 0 ? count / seconds : 0;
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static void latency_text(const char *name, const struct histogram *h)
{
	(void)printf(
	    "%-12s p50 %llu  p90 %llu  p99 %llu  p99.9 %llu  max %llu  mean %.0f us  (%llu)\n", name,
	    (unsigned long long)histogram_quantile(h, 0.5), (unsigned long long)histogram_quantile(h, 0.9),
	    (unsigned long long)histogram_quantile(h, 0.99), (unsigned long long)histogram_quantile(h, 0.999),
	    (unsigned long long)h->max, histogram_mean(h), (unsigned long long)h->total);
}

static void counts_text(const struct result *r)
{
	if (!r->ledger)
		(void)printf("complete     not counted\n");
	else
		(void)printf("complete     lost %llu  doubled %llu  disordered %llu  sessions affected %u\n",
		             (unsigned long long)r->counts.lost, (unsigned long long)r->counts.doubled,
		             (unsigned long long)r->counts.disordered, r->readers_affected);
	if (r->readers_affected > 0)
		(void)printf("worst        session %u: lost %llu  doubled %llu  disordered %llu\n", r->worst_session,
		             (unsigned long long)r->worst.lost, (unsigned long long)r->worst.doubled,
		             (unsigned long long)r->worst.disordered);
	(void)printf(
	    "trouble      errors %llu  closed %u  unsent %llu  stalls %llu  own copies %llu  other frames %llu\n",
	    (unsigned long long)r->errors, r->closed, (unsigned long long)r->unsent,
	    (unsigned long long)r->stalls, (unsigned long long)r->own, (unsigned long long)r->others);
	if (r->errors > 0)
		(void)printf("first error  %s\n", r->first_error);
	if (r->closed > 0)
		(void)printf("first closed %s\n", r->first_closed);
}

static void processes_text(const struct options *o, const struct result *r)
{
	(void)printf("generator    %.2f CPU s, %.1f %% of a core\n", r->own_cpu_seconds,
	             100 * rate(r->own_cpu_seconds, r->window_seconds));
	for (unsigned i = 0; i < o->pid_count; i++) {
		double cpu = r->end[i].cpu_seconds - r->begin[i].cpu_seconds;

		(void)printf("process      %d %s: %.2f CPU s, %.1f %% of a core; RSS %.1f MiB before, %.1f at the "
		             "beginning, %.1f at the end, %.1f peak; %.2f KiB a session\n",
		             o->pids[i], r->end[i].name, cpu, 100 * rate(cpu, r->window_seconds),
		             mib(r->before[i].rss_bytes), mib(r->begin[i].rss_bytes), mib(r->end[i].rss_bytes),
		             mib(r->end[i].peak_bytes),
		             ((double)r->end[i].rss_bytes - (double)r->before[i].rss_bytes) / 1024 / r->sessions);
	}
}

bool report_text(const struct options *o, const struct result *r)
{
	if (o->label != NULL)
		(void)printf("label        %s\n", o->label);
	(void)printf("sessions     %u authors, %u readers, %u rooms, texts of %u bytes%s%s\n", o->authors,
	             o->readers, o->rooms, o->size, o->mqtt ? ", MQTT" : "", o->tls ? ", TLS" : "");
	if (o->authors == 0)
		(void)printf("load         none\n");
	else if (o->rate > 0)
		(void)printf("load         open loop, %g messages/s\n", o->rate);
	else
		(void)printf("load         closed loop, %u outstanding for each author, paced by %s\n",
		             o->outstanding, o->pace == PACE_ALL ? "all sessions" : "the last session");
	(void)printf("connect      %.0f sessions/s (%.3f s), joined %.3f s later\n",
	             rate(r->sessions, r->connect_seconds), r->connect_seconds, r->join_seconds);
	latency_text("handshake", &r->connect);
	(void)printf("window       %.3f s\n", r->window_seconds);
	if (o->authors > 0) {
		(void)printf("throughput   %.0f deliveries/s  %.0f messages/s  %.1f MiB/s\n",
		             rate((double)r->deliveries, r->window_seconds), rate((double)r->sent, r->window_seconds),
		             rate(mib(r->bytes_in), r->window_seconds));
		latency_text("latency", &r->latency);
		if (o->rate > 0)
			latency_text("send delay", &r->lateness);
		(void)printf("whole run    %llu messages, %llu deliveries\n", (unsigned long long)r->sent_total,
		             (unsigned long long)r->delivered_total);
	}
	counts_text(r);
	processes_text(o, r);
	return fflush(stdout) == 0 && !ferror(stdout);
}

/* A JSON string; only the label may hold something else than printable ASCII, and passes as it is. */
static void string_json(const char *name, const char *text)
{
	(void)printf("\"%s\":\"", name);
	for (; *text != 0; text++) {
		if ((unsigned char)*text < ' ')
			(void)printf("\\u%04x", (unsigned char)*text);
		else if (*text == '"' || *text == '\\')
			(void)printf("\\%c", *text);
		else
			(void)putchar(*text);
	}
	(void)printf("\",");
}

static void number_json(const char *name, double value)
{
	(void)printf("\"%s\":%.9g,", name, value);
}

static void count_json(const char *name, uint64_t value)
{
	(void)printf("\"%s\":%llu,", name, (unsigned long long)value);
}

static void histogram_json(const char *name, const struct histogram *h)
{
	(void)printf(
	    "\"%s\":{\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p999\":%llu,\"max\":%llu,\"mean\":%.1f,\"count\":%"
	    "llu},",
	    name, (unsigned long long)histogram_quantile(h, 0.5), (unsigned long long)histogram_quantile(h, 0.9),
	    (unsigned long long)histogram_quantile(h, 0.99), (unsigned long long)histogram_quantile(h, 0.999),
	    (unsigned long long)h->max, histogram_mean(h), (unsigned long long)h->total);
}

static void process_json(int pid, const struct process_sample *before, const struct process_sample *begin,
                         const struct process_sample *end)
{
	(void)printf("{");
	string_json("name", end->name);
	number_json("cpu_seconds", end->cpu_seconds - begin->cpu_seconds);
	count_json("rss_before", before->rss_bytes);
	count_json("rss_begin", begin->rss_bytes);
	count_json("rss_end", end->rss_bytes);
	count_json("rss_peak", end->peak_bytes);
	(void)printf("\"pid\":%d}", pid);
}

bool report_json(const struct options *o, const struct result *r)
{
	(void)printf("{");
	string_json("label", o->label != NULL ? o->label : "");
	count_json("authors", o->authors);
	count_json("readers", o->readers);
	count_json("size", o->size);
	count_json("rooms", o->rooms);
	string_json("protocol", o->mqtt ? "mqtt" : "text");
	(void)printf("\"tls\":%s,", o->tls ? "true" : "false");
	string_json("loop", o->authors == 0 ? "idle" : o->rate > 0 ? "open" : "closed");
	number_json("rate", o->rate);
	count_json("outstanding", o->rate > 0 ? 0 : o->outstanding);
	string_json("pace", o->pace == PACE_ALL ? "all" : "last");
	number_json("connect_seconds", r->connect_seconds);
	number_json("connects_per_second", rate(r->sessions, r->connect_seconds));
	number_json("join_seconds", r->join_seconds);
	histogram_json("handshake_us", &r->connect);
	number_json("window_seconds", r->window_seconds);
	number_json("deliveries_per_second", rate((double)r->deliveries, r->window_seconds));
	number_json("messages_per_second", rate((double)r->sent, r->window_seconds));
	number_json("bytes_per_second", rate((double)r->bytes_in, r->window_seconds));
	histogram_json("latency_us", &r->latency);
	histogram_json("send_delay_us", &r->lateness);
	count_json("messages", r->sent_total);
	count_json("deliveries", r->delivered_total);
	(void)printf("\"counted\":%s,", r->ledger ? "true" : "false");
	count_json("lost", r->counts.lost);
	count_json("doubled", r->counts.doubled);
	count_json("disordered", r->counts.disordered);
	count_json("sessions_affected", r->readers_affected);
	count_json("errors", r->errors);
	count_json("closed", r->closed);
	count_json("unsent", r->unsent);
	count_json("stalls", r->stalls);
	count_json("own_copies", r->own);
	count_json("other_frames", r->others);
	string_json("first_error", r->first_error);
	string_json("first_closed", r->first_closed);
	number_json("generator_cpu_seconds", r->own_cpu_seconds);
	number_json("generator_cpu_share", rate(r->own_cpu_seconds, r->window_seconds));
	(void)printf("\"affected\":[");
	for (uint32_t i = 0; i < r->readers_affected && i < RUN_AFFECTED; i++)
		(void)printf("%s{\"session\":%u,\"lost\":%llu,\"doubled\":%llu,\"disordered\":%llu}",
		             i > 0 ? "," : "", r->affected[i].session, (unsigned long long)r->affected[i].counts.lost,
		             (unsigned long long)r->affected[i].counts.doubled,
		             (unsigned long long)r->affected[i].counts.disordered);
	(void)printf("],\"processes\":[");
	for (unsigned i = 0; i < o->pid_count; i++) {
		(void)printf("%s", i > 0 ? "," : "");
		process_json(o->pids[i], &r->before[i], &r->begin[i], &r->end[i]);
	}
	(void)printf("]}\n");
	return fflush(stdout) == 0 && !ferror(stdout);
}
