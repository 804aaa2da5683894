/*
 * metrics.c - what is counted, as operators see it.
 */
#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(family, only, name, key, help)                                                                 \
	{                                                                                                        \
		family, only, name "_total", key, METRIC_COUNTER, NULL, help                                         \
	}
#define GAUGE(family, name, help)                                                                            \
	{                                                                                                        \
		family, NULL, name, NULL, METRIC_GAUGE, NULL, help                                                   \
	}
#define HISTOGRAM(family, name, shape, help)                                                                 \
	{                                                                                                        \
		family, NULL, name, "le", METRIC_HISTOGRAM, shape, help                                              \
	}

const struct metric metrics[] = {
    GAUGE("bridges", "bridges", "Bridge processes that run."),
    COUNT("bridge_restarts", NULL, "bridge_restarts", NULL, "Bridge processes that had to be started again."),
    GAUGE("sessions", "sessions", "WebSocket sessions, those included that are opening or closing."),
    GAUGE("tunnels", "tunnels", "MQTT clients over WebSocket."),
    GAUGE("draining", "draining", "1 while the node is being emptied and lets nobody new in, else 0."),
    COUNT("connects", NULL, "connects", "result",
          "Connections to the bridges' port that no limit stood against, by what became of them."),
    COUNT("rejected", NULL, "connects_rejected", "reason",
          "Connections to the bridges' port that met a limit, by which."),
    COUNT("answers", NULL, "http_answers", "status", "Answers over plain HTTP, by status."),
    COUNT("closes", NULL, "disconnects", "code", "Ends of sessions and tunnels, by WebSocket close code."),
    COUNT("clients_refused", NULL, "clients_refused", "reason", "MQTT clients that were not let in, by why."),
    COUNT("tokens_refused", NULL, "token_failures", "reason", "Tokens that were not accepted, by why."),
    COUNT("messages_accepted", "again", "messages_repeated", NULL,
          "Messages that came again under the same ref and were not delivered again."),
    COUNT("messages_accepted", "typing", "typing_received", NULL, "Typing events that were accepted."),
    COUNT("messages_accepted", NULL, "messages_received", "via", "Messages that were accepted, by way."),
    COUNT("messages_rejected", NULL, "messages_rejected", "reason",
          "Frames and messages that were answered with an error, by its name."),
    COUNT("publishes_refused", NULL, "publishes_refused", "reason",
          "Messages that met a limit of the whole server, by which; those of an author are among "
          "messages_rejected as well."),
    COUNT(
        "deliveries", NULL, "deliveries", "kind",
        "Messages handed to sessions, one for each session, by whether they shared the room's subscription."),
    COUNT("deliveries_dropped", NULL, "deliveries_dropped", "reason",
          "Frames that sessions did not get: slow or gone, what waited for them; lost, between broker and "
          "bridge."),
    GAUGE("outbox_bytes", "outbox_bytes", "Bytes that wait for sessions to take them."),
    HISTOGRAM(
        "publish_to_delivery", "publish_to_delivery_seconds", &histogram_delivery,
        "From the acceptance of a room's message until it has been handed to the sockets of its readers, "
        "one observation for each of them."),
    HISTOGRAM("fanout", "fanout_sessions", &histogram_fanout,
              "Sessions that a room's message went to, one observation for each message and bridge."),
    GAUGE("history_queue_bytes", "history_queue_bytes",
          "Bytes of messages that history has not written yet."),
    HISTOGRAM("history_flush", "history_flush_seconds", &histogram_flush,
              "Time that history took for a transaction."),
    COUNT("history_troubles", NULL, "history_troubles", "kind", "What history has met with, by kind."),
    COUNT("recoveries", NULL, "recoveries", "result",
          "Replays of what somebody had missed, one for each room and inbox, by result."),
    COUNT("commands", NULL, "commands", "result", "Commands of moderators, by result."),
    COUNT("commands_refused", NULL, "commands_refused", "reason",
          "Commands that were not looked at, by why."),
    COUNT("moderation_troubles", NULL, "moderation_troubles", "kind",
          "What the file of bans and mutes has met with, by kind."),
    COUNT("nodes", NULL, "node_troubles", "kind", "What this node has met with at others, by kind."),
    COUNT("drops", NULL, "drops", "reason", "What was lost otherwise, by what."),
};

const size_t metric_count = sizeof(metrics) / sizeof(metrics[0]);

static bool is(const char *text, const char *s, size_t len)
{
	return strncmp(text, s, len) == 0 && text[len] == '\0';
}

size_t metric_find(const char *family, size_t family_len, const char *label, size_t label_len)
{
	size_t i;

	for (i = 0; i < metric_count; i++)
		if (is(metrics[i].family, family, family_len) &&
		    (!metrics[i].only || is(metrics[i].only, label, label_len)))
			break;
	return i;
}

size_t report_put(const char *family, const char *label, uint64_t value, char *out, size_t cap)
{
	int n = snprintf(out, cap, "%s %s %" PRIu64 "\n", family, label, value);

	return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

/* The length of a word that ends at the mark and is made of what words are made of; 0 where it is none. */
static size_t word(const char *s, size_t n, char mark, size_t max)
{
	size_t i;

	for (i = 0; i < n && s[i] != mark; i++)
		if (i == max || !((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
		                  (s[i] >= '0' && s[i] <= '9') || (s[i] != '\0' && strchr("_.+-", s[i]))))
			return 0;
	return i < n ? i : 0;
}

bool report_next(const char **text, size_t *len, struct report_line *out)
{
	const char *at = *text;
	size_t left = *len, digits, i;

	out->family = at;
	out->family_len = word(at, left, ' ', METRIC_FAMILY_MAX);
	if (out->family_len == 0)
		return false;
	at += out->family_len + 1;
	left -= out->family_len + 1;
	out->label = at;
	out->label_len = word(at, left, ' ', METRIC_LABEL_MAX);
	if (out->label_len == 0)
		return false;
	at += out->label_len + 1;
	left -= out->label_len + 1;
	digits = word(at, left, '\n', 20);
	out->value = 0;
	for (i = 0; i < digits; i++) {
		if (at[i] < '0' || at[i] > '9' || out->value > (UINT64_MAX - (uint64_t)(at[i] - '0')) / 10)
			return false;
		out->value = out->value * 10 + (uint64_t)(at[i] - '0');
	}
	if (digits == 0)
		return false;
	*text = at + digits + 1;
	*len = left - digits - 1;
	return true;
}
