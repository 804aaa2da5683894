/*
 * Settings of a bridge process: there and back, every field's bounds, every way to run out of memory.
 */
#include "common/settings.h"

#include "tests/unit/guarded.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- running out of memory --------------------------------------------------------- */

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

static int allocations_left = -1; /* -1: as many as you like */

static void *limited_malloc(size_t n)
{
	if (allocations_left == 0)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	return __real_malloc(n);
}

/* The one in settings.c; cJSON gets its own by a hook. */
void *__wrap_malloc(size_t n)
{
	return limited_malloc(n);
}

/* ---- helpers ------------------------------------------------------------------------- */

static struct bridge_settings sample(void)
{
	return (struct bridge_settings){
	    .version = SETTINGS_VERSION,
	    .index = 3,
	    .credential = HEX64,
	    .broker_socket = "/run/mosquitto/\"chat\".sock",
	    .topic_root = "my/chat",
	    .room = "general",
	    .fanout_session = true,
	    .mqtt = true,
	    .sandbox = true,
	    .metrics = true,
	    .language = CHAT_SPANISH,
	    .system_sender = "Sistema ñ",
	    .allowed_origins = "https://x.org,http://localhost:3000",
	    .trusted_proxies = "10.0.0.0/8, ::1",
	    .metrics_allow = "192.0.2.0/24",
	    .max_frame_bytes = 65536,
	    .header_timeout_ms = 5000,
	    .max_sessions = 10000,
	    .max_sessions_per_user = 32,
	    .outbox_bytes = 1048576,
	    .outbox_ms = 30000,
	    .ping_interval_ms = 25000,
	    .ping_timeout_ms = 10000,
	    .connect_rate = 20,
	    .connect_burst = 100,
	    .sessions_latest = true,
	    .session_expiry_s = 300,
	    .device_key = HEX64,
	    .history_file = "/var/lib/mosquitto/chat.db",
	    .web_root = "/usr/share/mosquitto-chat/web",
	    .tls_cert_file = "/etc/ssl/chat.pem",
	    .tls_key_file = "/etc/chat.key",
	};
}

static void assert_same(const struct bridge_settings *a, const struct bridge_settings *b)
{
	assert_int_equal(a->version, b->version);
	assert_int_equal(a->index, b->index);
	assert_string_equal(a->credential, b->credential);
	assert_string_equal(a->broker_socket, b->broker_socket);
	assert_string_equal(a->topic_root, b->topic_root);
	assert_string_equal(a->room, b->room);
	assert_int_equal(a->fanout_session, b->fanout_session);
	assert_int_equal(a->mqtt, b->mqtt);
	assert_int_equal(a->sandbox, b->sandbox);
	assert_int_equal(a->metrics, b->metrics);
	assert_int_equal(a->language, b->language);
	assert_string_equal(a->system_sender, b->system_sender);
	assert_string_equal(a->allowed_origins, b->allowed_origins);
	assert_string_equal(a->trusted_proxies, b->trusted_proxies);
	assert_string_equal(a->metrics_allow, b->metrics_allow);
	assert_int_equal(a->max_frame_bytes, b->max_frame_bytes);
	assert_int_equal(a->header_timeout_ms, b->header_timeout_ms);
	assert_int_equal(a->max_sessions, b->max_sessions);
	assert_int_equal(a->max_sessions_per_user, b->max_sessions_per_user);
	assert_int_equal(a->outbox_bytes, b->outbox_bytes);
	assert_int_equal(a->outbox_ms, b->outbox_ms);
	assert_int_equal(a->ping_interval_ms, b->ping_interval_ms);
	assert_int_equal(a->ping_timeout_ms, b->ping_timeout_ms);
	assert_int_equal(a->connect_rate, b->connect_rate);
	assert_int_equal(a->connect_burst, b->connect_burst);
	assert_int_equal(a->sessions_latest, b->sessions_latest);
	assert_int_equal(a->session_expiry_s, b->session_expiry_s);
	assert_string_equal(a->device_key, b->device_key);
	assert_string_equal(a->history_file, b->history_file);
	assert_string_equal(a->tls_cert_file, b->tls_cert_file);
	assert_string_equal(a->tls_key_file, b->tls_key_file);
}

static bool read_line(const char *line, size_t n, struct bridge_settings *out, const char **why)
{
	return settings_from_line(guarded(0, line, n), n, out, why);
}

static void there_and_back_with(const struct bridge_settings *s)
{
	struct bridge_settings back;
	const char *why = NULL;
	char *line = settings_to_line(s);
	size_t n;

	assert_non_null(line);
	n = strlen(line);
	assert_true(n < SETTINGS_BYTES_MAX);
	assert_ptr_equal(strchr(line, '\n'), line + n - 1);
	if (!read_line(line, n, &back, &why))
		fail_msg("refused: %s", why);
	assert_same(s, &back);
	assert_true(read_line(line, n - 1, &back, &why)); /* the newline may be gone */
	assert_same(s, &back);
	free(line);
}

/* The sample's line with one piece of text replaced. */
static char *changed(const char *from, const char *to)
{
	struct bridge_settings s = sample();
	char *line = settings_to_line(&s);
	const char *at = line ? strstr(line, from) : NULL;
	size_t size;
	char *out;

	if (!at)
		fail_msg("no %s in %s", from, line ? line : "nothing");
	size = strlen(line) + strlen(to) + 1;
	out = malloc(size);
	assert_non_null(out);
	assert_true(snprintf(out, size, "%.*s%s%s", (int)(at - line), line, to, at + strlen(from)) > 0);
	free(line);
	return out;
}

static void refused(const char *from, const char *to, const char *reason)
{
	struct bridge_settings out, before;
	const char *why = NULL;
	char *line = changed(from, to);

	memset(&out, 0xee, sizeof(out));
	before = out;
	if (read_line(line, strlen(line), &out, &why))
		fail_msg("accepted: %s", line);
	assert_non_null(why);
	if (!strstr(why, reason))
		fail_msg("%s: %s", line, why);
	assert_null(strstr(why, HEX64));
	assert_memory_equal(&out, &before, sizeof(out));
	free(line);
}

static void accepted(const char *from, const char *to)
{
	struct bridge_settings out;
	const char *why = NULL;
	char *line = changed(from, to);

	if (!read_line(line, strlen(line), &out, &why))
		fail_msg("refused: %s: %s", line, why);
	free(line);
}

/* ---- tests ----------------------------------------------------------------------------- */

static void there_and_back(void **state)
{
	struct bridge_settings s = sample();

	(void)state;
	there_and_back_with(&s);
	s.fanout_session = false;
	s.mqtt = false;
	s.language = CHAT_ENGLISH;
	s.connect_rate = 0;
	s.connect_burst = 0;
	s.index = 0;
	s.allowed_origins[0] = '\0';
	strcpy(s.broker_socket, "/bytes/\xff\xfe\x01\n");
	there_and_back_with(&s);
}

static void the_largest(void **state)
{
	struct bridge_settings s = sample();

	(void)state;
	memset(s.broker_socket, 1, SOCKET_PATH_MAX); /* six bytes each */
	memset(s.topic_root, 'r', TOPIC_ROOT_MAX);
	memset(s.room, 'r', ROOM_MAX);
	memset(s.system_sender, 2, SYSTEM_SENDER_MAX);
	memset(s.allowed_origins, 3, ORIGINS_MAX);
	s.index = s.max_frame_bytes = s.header_timeout_ms = s.max_sessions = s.max_sessions_per_user = UINT32_MAX;
	s.outbox_bytes = s.outbox_ms = s.ping_interval_ms = s.ping_timeout_ms = UINT32_MAX;
	s.connect_rate = s.connect_burst = UINT32_MAX;
	there_and_back_with(&s);
}

static void not_settings(void **state)
{
	static const char *const bad[] = {"",   "\n", "{}",   "{}\n", "[]", "null", "5",  "\"\"", "{",      "}",
	                                  "\0", "{",  "{\"v", "x",    "{}", "{}x",  "[]", "{,}",  "[\"a\"]"};
	struct bridge_settings out;
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = NULL;
		assert_false(read_line(bad[i], strlen(bad[i]), &out, &why));
		assert_non_null(why);
	}
	/* too long, however sound it is */
	why = NULL;
	assert_false(settings_from_line("", SETTINGS_BYTES_MAX + 1, &out, &why));
	assert_non_null(why);
}

static void behind_the_line(void **state)
{
	(void)state;
	accepted("chat.key\"}\n", "chat.key\"}\n");
	accepted("chat.key\"}\n", "chat.key\"}");
	refused("chat.key\"}\n", "chat.key\"}\n\n", "no JSON object");
	refused("chat.key\"}\n", "chat.key\"} \n", "no JSON object");
	refused("chat.key\"}\n", "chat.key\"}x", "no JSON object");
	refused("chat.key\"}\n", "chat.key\"}{}\n", "no JSON object");
	refused("chat.key\"}\n", "chat.key\"", "no JSON object");
}

static void versions(void **state)
{
	(void)state;
	refused("\"version\":1", "\"version\":2", "builds");
	refused("\"version\":1", "\"version\":0", "builds");
	refused("\"version\":1", "\"version\":\"1\"", "builds");
	refused("\"version\":1", "\"wersion\":1", "builds");
}

static void bad_texts(void **state)
{
	(void)state;
	refused("\"" HEX64, "\"0" HEX64, "credential");
	refused("0123456789abcdef\"", "0123456789abcde\"", "credential");
	refused("0123456789abcdef\"", "0123456789abcdeF\"", "credential");
	refused("\"" HEX64 "\"", "5", "credential");
	refused("\"" HEX64 "\"", "null", "credential");
	refused("/run/mosquitto/\\\"chat\\\".sock", "", "broker_socket");
	refused("/run/mosquitto/", "/" HEX64 HEX64 "/", "broker_socket");
	refused("my/chat", "my//chat", "topic_root");
	refused("my/chat", "$SYS", "topic_root");
	refused("my/chat", "", "topic_root");
	refused("my/chat", HEX64 "x", "topic_root");
	refused("\"room\":\"general\"", "\"room\":\"General\"", "room");
	refused("\"room\":\"general\"", "\"room\":\"\"", "room");
	refused("\"room\":\"general\"", "\"room\":[\"general\"]", "room");
	refused("Sistema", HEX64, "system_sender");
	refused("Sistema ñ", "", "system_sender");
	refused("Sistema", "Sistema\xff", "system_sender");
	refused("https:", "\xc0\x80", "allowed_origins");
	refused("\"https://x.org,http://localhost:3000\"", "true", "allowed_origins");
	accepted("https://x.org,http://localhost:3000", "*");
}

static void bad_choices(void **state)
{
	(void)state;
	refused("\"session\"", "\"all\"", "fanout");
	refused("\"session\"", "true", "fanout");
	refused("\"es\"", "\"de\"", "language");
	refused("\"es\"", "1", "language");
	accepted("\"session\"", "\"shared\"");
	accepted("\"es\"", "\"en\"");
}

static void bad_numbers(void **state)
{
	static const char *const numbers[][2] = {
	    {"max_frame_bytes", "65536"},
	    {"header_timeout_ms", "5000"},
	    {"max_sessions", "10000"},
	    {"max_sessions_per_user", "32"},
	    {"outbox_bytes", "1048576"},
	    {"outbox_ms", "30000"},
	    {"ping_interval_ms", "25000"},
	    {"ping_timeout_ms", "10000"},
	    {"connect_rate", "20"},
	    {"connect_burst", "100"},
	    {"index", "3"},
	};
	static const char *const values[] = {"-1",   "1.5", "4294967296", "1e300", "\"1\"",
	                                     "null", "[1]", "true",       "{}"};
	char from[80], to[80];

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_true(snprintf(from, sizeof(from), "\"%s\":%s", numbers[i][0], numbers[i][1]) > 0);
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
			assert_true(snprintf(to, sizeof(to), "\"%s\":%s", numbers[i][0], values[j]) > 0);
			refused(from, to, numbers[i][0]);
		}
		assert_true(snprintf(to, sizeof(to), "\"%s\":4294967295", numbers[i][0]) > 0);
		accepted(from, to);
		assert_true(snprintf(to, sizeof(to), "\"%s\":0", numbers[i][0]) > 0);
		if (i < 8)
			refused(from, to, numbers[i][0]);
	}
	refused("\"connect_burst\":100", "\"connect_burst\":0", "connect_burst");
	accepted("\"connect_rate\":20,\"connect_burst\":100", "\"connect_rate\":0,\"connect_burst\":0");
}

static void fields_too_many_and_too_few(void **state)
{
	(void)state;
	refused(",\"index\":3", "", "index");
	refused(",\"connect_burst\":100", "", "connect_burst");
	refused("\"index\":3", "\"index\":3,\"further\":1", "not known");
	refused("\"index\":3", "\"index\":3,\"index\":3", "not known");
	refused("\"index\"", "\"Index\"", "index");
}

static void cut_everywhere(void **state)
{
	struct bridge_settings s = sample(), out;
	const char *why;
	char *line = settings_to_line(&s);
	size_t n;

	(void)state;
	assert_non_null(line);
	n = strlen(line);
	for (size_t len = 0; len < n - 1; len++) {
		why = NULL;
		assert_false(read_line(line, len, &out, &why));
		assert_non_null(why);
	}
	free(line);
}

static void changed_everywhere(void **state)
{
	struct bridge_settings s = sample(), out;
	const char *why;
	char *line = settings_to_line(&s);
	size_t n;

	(void)state;
	assert_non_null(line);
	n = strlen(line);
	for (size_t at = 0; at < n; at++) {
		for (int bit = 0; bit < 8; bit++) {
			line[at] = (char)((unsigned char)line[at] ^ 1U << bit);
			why = NULL;
			/* many a bit makes another sound value; then it is within its bounds */
			if (!read_line(line, n, &out, &why))
				assert_non_null(why);
			else
				assert_true(room_name_valid(out.room, strlen(out.room)) && out.max_sessions > 0);
			line[at] = (char)((unsigned char)line[at] ^ 1U << bit);
		}
	}
	free(line);
}

static void out_of_memory(void **state)
{
	cJSON_Hooks hooks = {.malloc_fn = limited_malloc, .free_fn = free};
	struct bridge_settings s = sample(), out;
	char *whole = settings_to_line(&s);
	char *line = NULL;
	const char *why = NULL;
	int enough;

	(void)state;
	assert_non_null(whole);
	cJSON_InitHooks(&hooks);
	for (enough = 0; !line; enough++) {
		assert_true(enough < 1000);
		allocations_left = enough;
		line = settings_to_line(&s);
		allocations_left = -1;
	}
	assert_true(enough > 20);
	assert_string_equal(line, whole);
	for (enough = 0;; enough++) {
		bool read;

		assert_true(enough < 1000);
		allocations_left = enough;
		read = settings_from_line(line, strlen(line), &out, &why);
		allocations_left = -1;
		if (read)
			break;
		assert_non_null(why);
	}
	assert_true(enough > 20);
	assert_same(&out, &s);
	cJSON_InitHooks(NULL);
	free(line);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(the_largest),
	    cmocka_unit_test(not_settings),
	    cmocka_unit_test(behind_the_line),
	    cmocka_unit_test(versions),
	    cmocka_unit_test(bad_texts),
	    cmocka_unit_test(bad_choices),
	    cmocka_unit_test(bad_numbers),
	    cmocka_unit_test(fields_too_many_and_too_few),
	    cmocka_unit_test(cut_everywhere),
	    cmocka_unit_test(changed_everywhere),
	    cmocka_unit_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
