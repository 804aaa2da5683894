/*
 * settings.c - struct bridge_settings as one line of JSON and back.
 *
 * One table names every field and both directions walk it, so they cannot differ. The
 * credential passes only through memory that is wiped here; the line is printed into one
 * buffer of known size, since a growing one would leave copies behind.
 */
#include "settings.h"

#include "cidr.h"
#include "utf8.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

enum field_kind { FIELD_NUMBER, FIELD_TEXT, FIELD_CHOICE };

struct field {
	const char *name;
	const char *why; /* said where it is missing or wrong */
	enum field_kind kind;
	size_t offset;
	uint32_t min, max;                      /* FIELD_NUMBER */
	size_t size;                            /* FIELD_TEXT: with the NUL */
	bool (*valid)(const char *s, size_t n); /* FIELD_TEXT */
	const char *choice[2];                  /* FIELD_CHOICE: what 0 (or false) and 1 (or true) are called */
};

static bool credential_valid(const char *s, size_t n)
{
	return n == CREDENTIAL_HEX && strspn(s, "0123456789abcdef") == n;
}

/* A path is bytes, not text. */
static bool path_valid(const char *s, size_t n)
{
	(void)s;
	return n > 0;
}

static bool any_path_valid(const char *s, size_t n)
{
	(void)s;
	(void)n;
	return true;
}

static bool sender_valid(const char *s, size_t n)
{
	return n > 0 && utf8_valid(s, n, NULL);
}

static bool text_valid(const char *s, size_t n)
{
	return utf8_valid(s, n, NULL);
}

static bool ranges_valid(const char *s, size_t n)
{
	struct cidr_list list;

	return cidr_list_parse(s, n, &list);
}

#define AT(member) .offset = offsetof(struct bridge_settings, member)
#define NAMED(member) .name = #member, .why = "missing or bad " #member, AT(member)
#define NUMBER(member, low) NAMED(member), .kind = FIELD_NUMBER, .min = (low), .max = UINT32_MAX
#define TEXT(member, check)                                                                                  \
	NAMED(member), .kind = FIELD_TEXT, .size = sizeof(((struct bridge_settings *)0)->member), .valid = (check)

static const struct field fields[] = {
    /* first, so that a mixed pair hears of the versions and of nothing else */
    {.name = "version",
     .why = "plugin and bridge are of different builds",
     AT(version),
     .kind = FIELD_NUMBER,
     .min = SETTINGS_VERSION,
     .max = SETTINGS_VERSION},
    {NUMBER(index, 0)},
    {TEXT(credential, credential_valid)},
    {TEXT(broker_socket, path_valid)},
    {TEXT(topic_root, topic_root_valid)},
    {TEXT(room, room_name_valid)},
    {NAMED(fanout_session), .kind = FIELD_CHOICE, .choice = {"shared", "session"}},
    {NAMED(mqtt), .kind = FIELD_CHOICE, .choice = {"off", "on"}},
    {NAMED(logins), .kind = FIELD_CHOICE, .choice = {"off", "on"}},
    {NAMED(sandbox), .kind = FIELD_CHOICE, .choice = {"off", "on"}},
    {NAMED(metrics), .kind = FIELD_CHOICE, .choice = {"off", "on"}},
    {NAMED(language), .kind = FIELD_CHOICE, .choice = {"en", "es"}},
    {TEXT(system_sender, sender_valid)},
    {TEXT(allowed_origins, text_valid)},
    {TEXT(trusted_proxies, ranges_valid)},
    {TEXT(metrics_allow, ranges_valid)},
    {NUMBER(max_frame_bytes, 1)},
    {NUMBER(header_timeout_ms, 1)},
    {NUMBER(max_sessions, 1)},
    {NUMBER(max_sessions_per_user, 1)},
    {NUMBER(outbox_bytes, 1)},
    {NUMBER(outbox_ms, 1)},
    {NUMBER(ping_interval_ms, 1)},
    {NUMBER(ping_timeout_ms, 1)},
    {NUMBER(connect_rate, 0)},
    {NUMBER(connect_burst, 0)},
    {NAMED(sessions_latest), .kind = FIELD_CHOICE, .choice = {"all", "latest"}},
    {NUMBER(session_expiry_s, 0)},
    {TEXT(device_key, credential_valid)},
    {TEXT(web_root, any_path_valid)},
    {TEXT(history_file, any_path_valid)},
    {TEXT(tls_cert_file, any_path_valid)},
    {TEXT(tls_key_file, any_path_valid)},
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

_Static_assert(DEVICE_KEY_HEX == CREDENTIAL_HEX, "one check for both");
_Static_assert(sizeof(unsigned) == sizeof(uint32_t), "version and index are read as uint32_t");

/* The choices have types of their own. */
static bool choice_get(const struct bridge_settings *s, const struct field *f)
{
	if (f->offset == offsetof(struct bridge_settings, fanout_session))
		return s->fanout_session;
	if (f->offset == offsetof(struct bridge_settings, mqtt))
		return s->mqtt;
	if (f->offset == offsetof(struct bridge_settings, logins))
		return s->logins;
	if (f->offset == offsetof(struct bridge_settings, sandbox))
		return s->sandbox;
	if (f->offset == offsetof(struct bridge_settings, metrics))
		return s->metrics;
	if (f->offset == offsetof(struct bridge_settings, sessions_latest))
		return s->sessions_latest;
	return s->language == CHAT_SPANISH;
}

static void choice_set(struct bridge_settings *s, const struct field *f, bool second)
{
	if (f->offset == offsetof(struct bridge_settings, fanout_session))
		s->fanout_session = second;
	else if (f->offset == offsetof(struct bridge_settings, mqtt))
		s->mqtt = second;
	else if (f->offset == offsetof(struct bridge_settings, logins))
		s->logins = second;
	else if (f->offset == offsetof(struct bridge_settings, sandbox))
		s->sandbox = second;
	else if (f->offset == offsetof(struct bridge_settings, metrics))
		s->metrics = second;
	else if (f->offset == offsetof(struct bridge_settings, sessions_latest))
		s->sessions_latest = second;
	else
		s->language = second ? CHAT_SPANISH : CHAT_ENGLISH;
}

/* Frees a tree after its strings are wiped. */
static void wipe(cJSON *tree)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, tree)
	{
		if (item->valuestring)
			explicit_bzero(item->valuestring, strlen(item->valuestring));
	}
	cJSON_Delete(tree);
}

static cJSON *to_tree(const struct bridge_settings *s)
{
	cJSON *tree = cJSON_CreateObject();

	for (size_t i = 0; tree && i < FIELD_COUNT; i++) {
		const struct field *f = &fields[i];
		const char *at = (const char *)s + f->offset;
		const cJSON *added;
		uint32_t number;

		if (f->kind == FIELD_NUMBER) {
			memcpy(&number, at, sizeof(number));
			added = cJSON_AddNumberToObject(tree, f->name, number);
		} else if (f->kind == FIELD_TEXT) {
			added = cJSON_AddStringToObject(tree, f->name, at);
		} else {
			added = cJSON_AddStringToObject(tree, f->name, f->choice[choice_get(s, f)]);
		}
		if (!added) {
			wipe(tree);
			return NULL;
		}
	}
	return tree;
}

char *settings_to_line(const struct bridge_settings *s)
{
	cJSON *tree = to_tree(s);
	char *line = tree ? malloc(SETTINGS_BYTES_MAX) : NULL;
	size_t len;

	/* one byte is kept for the newline; whatever the struct can hold fits */
	if (line && !cJSON_PrintPreallocated(tree, line, SETTINGS_BYTES_MAX - 1, false)) {
		explicit_bzero(line, SETTINGS_BYTES_MAX);
		free(line);
		line = NULL;
	}
	if (line) {
		len = strlen(line);
		line[len] = '\n';
		line[len + 1] = '\0';
	}
	wipe(tree);
	return line;
}

/* Copies one item into the struct where it is what the field asks for. */
static bool from_item(const cJSON *item, const struct field *f, struct bridge_settings *out)
{
	char *at = (char *)out + f->offset;
	uint32_t number;
	size_t len;

	if (f->kind == FIELD_NUMBER) {
		if (!cJSON_IsNumber(item) || !(item->valuedouble >= f->min && item->valuedouble <= f->max))
			return false;
		number = (uint32_t)item->valuedouble;
		if ((double)number != item->valuedouble)
			return false;
		memcpy(at, &number, sizeof(number));
		return true;
	}
	if (!cJSON_IsString(item))
		return false;
	if (f->kind == FIELD_CHOICE) {
		bool second = strcmp(item->valuestring, f->choice[1]) == 0;

		choice_set(out, f, second);
		return second || strcmp(item->valuestring, f->choice[0]) == 0;
	}
	len = strlen(item->valuestring);
	if (len >= f->size || !f->valid(item->valuestring, len))
		return false;
	memcpy(at, item->valuestring, len + 1);
	return true;
}

/* NULL, or what is wrong. */
static const char *from_tree(const cJSON *tree, struct bridge_settings *out)
{
	if (!cJSON_IsObject(tree))
		return "the settings are no JSON object";
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (!from_item(cJSON_GetObjectItemCaseSensitive(tree, fields[i].name), &fields[i], out))
			return fields[i].why;
	}
	if (cJSON_GetArraySize(tree) != (int)FIELD_COUNT)
		return "the settings hold a field that is not known";
	if (out->connect_rate > 0 && out->connect_burst == 0)
		return "connect_burst is missing beside connect_rate";
	return NULL;
}

bool settings_from_line(const char *line, size_t len, struct bridge_settings *out, const char **why)
{
	struct bridge_settings read = {0};
	const char *fault = "the settings are no JSON object";
	const char *end = NULL;
	cJSON *tree;

	if (len == 0 || len > SETTINGS_BYTES_MAX) {
		*why = "the settings are empty or too long";
		return false;
	}
	tree = cJSON_ParseWithLengthOpts(line, len, &end, false);
	if (tree && (end == line + len || (end + 1 == line + len && *end == '\n')))
		fault = from_tree(tree, &read);
	wipe(tree);
	if (fault)
		*why = fault;
	else
		*out = read;
	explicit_bzero(&read, sizeof(read));
	return fault == NULL;
}
