/*
 * chat_ctl.c - mosquitto-chat-ctl: one command of a moderator, over MQTT, from a terminal.
 *
 *   mosquitto-chat-ctl -u alice@x.org --password-file secret kick bob@x.org "enough"
 *
 * Prints the command's data, if it has any, as JSON. Exit status 0: done; 1: not, and why is on standard
 * error; 2: the command line is wrong. Connection options are those of mosquitto_ctrl, as far as there are
 * any.
 */
#include "common/json.h"
#include "request.h"

#include <mosquitto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TOPIC "$CONTROL/chat/v1"
#define RESPONSE TOPIC "/response"
#define WAIT_S 10
#define PASSWORD_MAX 9000 /* bytes: a token is a password, too */

static struct {
	const char *host, *user, *cafile, *cert, *key, *password_file, *unix_path, *id;
	const char *password;
	int port; /* 0: the usual one */
	char request[REQUEST_MAX];
	int status; /* -1: not known yet */
} state = {.host = "localhost", .status = -1};

static int usage(FILE *to, int status)
{
	fprintf(to,
	        "usage: mosquitto-chat-ctl [options] command ...\n\n"
	        "  -h HOST, -p PORT, --unix PATH   where the broker is (localhost, 1883; 8883 with --cafile)\n"
	        "  -u ADDRESS                      who asks: a moderator\n"
	        "  -P PASSWORD, --password-file F  password or token; the first line of a file, which others do "
	        "not see\n"
	        "  --cafile F, --cert F, --key F   TLS\n"
	        "  -i ID                           client id\n\n%s",
	        request_usage);
	return status;
}

static int fail(const char *why)
{
	fprintf(stderr, "mosquitto-chat-ctl: %s\n", why);
	return state.status = 1;
}

/* The first line. False after a line on standard error. */
static bool read_password(void)
{
	static char line[PASSWORD_MAX + 2];
	FILE *f = fopen(state.password_file, "re");

	if (!f) {
		perror(state.password_file);
		return false;
	}
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	(void)fclose(f); /* only read */
	line[strcspn(line, "\r\n")] = '\0';
	state.password = line;
	return true;
}

/* Options in front of the command; returns how many words they are, or -1. */
static int read_options(int argc, char **argv)
{
	const struct {
		const char *name;
		const char **value;
	} options[] = {
	    {"-h", &state.host},   {"-u", &state.user},          {"-P", &state.password},
	    {"-i", &state.id},     {"--cafile", &state.cafile},  {"--cert", &state.cert},
	    {"--key", &state.key}, {"--unix", &state.unix_path}, {"--password-file", &state.password_file},
	};
	const size_t count = sizeof(options) / sizeof(options[0]);
	char *end;
	size_t which;
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i += 2) {
		if (i + 1 == argc)
			return -1;
		for (which = 0; which < count && strcmp(options[which].name, argv[i]) != 0; which++)
			;
		if (which < count) {
			*options[which].value = argv[i + 1];
		} else if (strcmp(argv[i], "-p") == 0) {
			state.port = (int)strtol(argv[i + 1], &end, 10);
			if (*end != '\0' || state.port < 1 || state.port > 65535)
				return -1;
		} else {
			return -1;
		}
	}
	return i;
}

/* ---- the connection ------------------------------------------------------------------------ */

static void on_connect(struct mosquitto *m, void *unused, int reason, int flags, const mosquitto_property *p)
{
	(void)unused;
	(void)flags;
	(void)p;
	if (reason != 0)
		(void)fail(mosquitto_reason_string(reason));
	else if (mosquitto_subscribe(m, NULL, RESPONSE, 1) != MOSQ_ERR_SUCCESS)
		(void)fail("the connection is gone");
}

static void on_subscribe(struct mosquitto *m, void *unused, int mid, int count, const int *granted)
{
	(void)unused;
	(void)mid;
	if (count < 1 || granted[0] >= 0x80)
		(void)fail("this is no moderator's address");
	else if (mosquitto_publish(m, NULL, TOPIC, (int)strlen(state.request), state.request, 1, false) !=
	         MOSQ_ERR_SUCCESS)
		(void)fail("the connection is gone");
}

static void on_publish(struct mosquitto *m, void *unused, int mid, int reason, const mosquitto_property *p)
{
	(void)m;
	(void)unused;
	(void)mid;
	(void)p;
	if (reason >= 0x80)
		(void)fail("this is no moderator's address");
}

/* The responses, of which there is one. */
static void read_response(const struct json_member *one)
{
	const struct json_member none = {0};
	struct json_member m, error = none, field = none, data = none;
	struct json_reader reader;

	json_reader_start(&reader, one->value, one->value_len);
	while (json_reader_next(&reader, &m) == JSON_MEMBER) {
		if (json_span_equals(m.key, m.key_len, m.key_escaped, "error"))
			error = m;
		else if (json_span_equals(m.key, m.key_len, m.key_escaped, "field"))
			field = m;
		else if (json_span_equals(m.key, m.key_len, m.key_escaped, "data"))
			data = m;
	}
	if (error.value) {
		fprintf(stderr, "mosquitto-chat-ctl: %.*s%s%.*s\n", (int)error.value_len, error.value,
		        field.value ? ": " : "", (int)field.value_len, field.value ? field.value : "");
		state.status = 1;
		return;
	}
	if (data.value)
		printf("%.*s\n", (int)data.value_len, data.value);
	state.status = 0;
}

static void on_message(struct mosquitto *mosq, void *unused, const struct mosquitto_message *message)
{
	struct json_member m, one;
	struct json_reader reader, list;

	(void)mosq;
	(void)unused;
	json_reader_start(&reader, message->payload, (size_t)message->payloadlen);
	while (json_reader_next(&reader, &m) == JSON_MEMBER) {
		if (m.type != JSON_ARRAY || !json_span_equals(m.key, m.key_len, m.key_escaped, "responses"))
			continue;
		json_array_start(&list, m.value, m.value_len);
		if (json_array_next(&list, &one) == JSON_MEMBER && one.type == JSON_OBJECT)
			read_response(&one);
	}
	if (state.status < 0)
		(void)fail("the answer cannot be understood");
}

static int connect_to_broker(struct mosquitto *m)
{
	int port = state.port ? state.port : state.cafile ? 8883 : 1883;

	if (state.user && mosquitto_username_pw_set(m, state.user, state.password) != MOSQ_ERR_SUCCESS)
		return fail("out of memory");
	if (state.cafile &&
	    mosquitto_tls_set(m, state.cafile, NULL, state.cert, state.key, NULL) != MOSQ_ERR_SUCCESS)
		return fail("the files for TLS cannot be used");
	return mosquitto_connect(m, state.unix_path ? state.unix_path : state.host, state.unix_path ? 0 : port,
	                         60);
}

static int run(struct mosquitto *m)
{
	const time_t end = time(NULL) + WAIT_S;
	int rc;

	(void)mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
	mosquitto_connect_v5_callback_set(m, on_connect);
	mosquitto_subscribe_callback_set(m, on_subscribe);
	mosquitto_publish_v5_callback_set(m, on_publish);
	mosquitto_message_callback_set(m, on_message);
	rc = connect_to_broker(m);
	if (rc != MOSQ_ERR_SUCCESS)
		return state.status < 0
		           ? fail(rc == MOSQ_ERR_ERRNO ? "the broker cannot be reached" : mosquitto_strerror(rc))
		           : 1;
	while (state.status < 0 && rc == MOSQ_ERR_SUCCESS && time(NULL) < end)
		rc = mosquitto_loop(m, 100, 1);
	if (state.status < 0)
		(void)fail(rc != MOSQ_ERR_SUCCESS ? mosquitto_strerror(rc) : "no answer in 10 seconds");
	(void)mosquitto_disconnect(m);
	return state.status;
}

int main(int argc, char **argv)
{
	int first = read_options(argc, argv), status;
	struct mosquitto *m;
	const char *why;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
		return usage(stdout, 0);
	if (first < 0 || first >= argc)
		return usage(stderr, 2);
	if (strcmp(argv[first], "help") == 0)
		return usage(stdout, 0);
	why = request_make(argc - first, (const char *const *)argv + first, state.request);
	if (why) {
		fprintf(stderr, "mosquitto-chat-ctl: %s\n", why);
		return 2;
	}
	if (state.password_file && !read_password())
		return 2;
	if (mosquitto_lib_init() != MOSQ_ERR_SUCCESS || !(m = mosquitto_new(state.id, true, NULL)))
		return fail("out of memory");
	status = run(m);
	mosquitto_destroy(m);
	(void)mosquitto_lib_cleanup();
	return status;
}
