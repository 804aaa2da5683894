/*
 * messages.c - the plugin's MESSAGE event, with a broker of one page: publishes of several clients in a row,
 * in which now and then memory is short or the broker refuses.
 *
 * An input is a byte that says what kind of node this is and a list of publishes: who, topic, QoS and retain,
 * when memory runs out, length of the payload (two bytes), payload. With another node (bit 2 of the first
 * byte) the last client is the link to it, and time passes at the end.
 */
#include "plugin/messages.h"

#include "common/canonical_room.h"
#include "common/json.h"
#include "common/utf8.h"
#include "plugin/acks.h"
#include "plugin/audit.h"
#include "plugin/clients.h"
#include "plugin/clock.h"
#include "plugin/compat.h"
#include "plugin/deletions.h"
#include "plugin/events.h"
#include "plugin/inflight.h"
#include "plugin/kicks.h"
#include "plugin/moderation.h"
#include "plugin/moderators.h"
#include "plugin/nodes.h"
#include "plugin/notices.h"
#include "plugin/options.h"
#include "plugin/peers.h"
#include "plugin/presence.h"
#include "plugin/properties.h"
#include "plugin/refs.h"
#include "plugin/relay.h"
#include "plugin/room_names.h"
#include "plugin/rooms.h"
#include "plugin/seen.h"
#include "plugin/sync.h"
#include "plugin/table.h"
#include "plugin/typing.h"
#include "plugin/users.h"

#include "tests/fuzz/fuzz.h"

#include <stdarg.h>

#define CLIENTS 6
#define LINK (CLIENTS - 1)
#define PUBLISHES_MAX 32

struct mosquitto {
	const char *user_name;
	const char *id;
	const char *address; /* NULL: a bridge of the broker, for us somebody without a connection */
	bool session;
};

static struct mosquitto handles[CLIENTS] = {
    {"alice@x.org", "a1", "127.0.0.1", false},
    {"bob@x.org", "b/1", "127.0.0.1", false},
    {"carol@x.org", "ws-c", "127.0.0.1", true},
    {"no address", "n", "127.0.0.1", false},
    {"dan@x.org", "d", NULL, false},
    {"link", "node", "127.0.0.1", false},
};

static const char *const topics[] = {
    "chat/rooms/general/send",
    "chat/users/bob@x.org/send",
    "chat/users/ALICE%40x.org/send",
    "chat/users/carol@X.org/send",
    "chat/users/%61lice@x.org/send",
    "chat/rooms/UPPER/send",
    "chat/users/nobody/send",
    "chat/rooms/general",
    "chat/users/alice@x.org/inbox",
    "chat/sync",
    "chat",
    "chat/rooms//send",
    "chat/users/alice@x.org/notices/a1",
    "other/topic",
    "chatter/rooms/general/send",
    "chat/rooms/general/send/send",
    "chat/nodes/other",
};

static struct options options;
static struct mosquitto *author; /* NULL: time passes */

/* ---- the broker ------------------------------------------------------------------------------- */

static size_t blocks;     /* of its memory that nobody has given back */
static unsigned short_of; /* so many calls succeed, then one fails; 0: all do */

static bool fails(void)
{
	return short_of > 0 && --short_of == 0;
}

void *mosquitto_malloc(size_t size)
{
	if (fails())
		return NULL;
	blocks++;
	return malloc(size > 0 ? size : 1);
}

char *mosquitto_strdup(const char *s)
{
	char *copy = mosquitto_malloc(strlen(s) + 1);
	return copy != NULL ? strcpy(copy, s) : NULL;
}

void mosquitto_free(void *mem)
{
	blocks -= mem != NULL;
	free(mem);
}

__attribute__((format(printf, 2, 3))) void mosquitto_log_printf(int level, const char *fmt, ...)
{
	char line[4096];
	va_list args;
	(void)level;
	va_start(args, fmt);
	int n = vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	MUST(n > 0 && (size_t)n < sizeof line && strpbrk(line, "\r\n") == NULL);
}

/* A list of properties is one block. */
static int add_property(mosquitto_property **list)
{
	if (*list == NULL)
		*list = mosquitto_malloc(1);
	return *list != NULL && !fails() ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOMEM;
}

int mosquitto_property_add_byte(mosquitto_property **list, int identifier, uint8_t value)
{
	(void)identifier;
	(void)value;
	return add_property(list);
}

int mosquitto_property_add_int32(mosquitto_property **list, int identifier, uint32_t value)
{
	(void)identifier;
	(void)value;
	return add_property(list);
}

int mosquitto_property_add_string(mosquitto_property **list, int identifier, const char *value)
{
	(void)identifier;
	(void)value;
	return add_property(list);
}

int mosquitto_property_add_string_pair(mosquitto_property **list, int identifier, const char *name,
                                       const char *value)
{
	(void)identifier;
	(void)name;
	(void)value;
	return add_property(list);
}

void mosquitto_property_free_all(mosquitto_property **list)
{
	mosquitto_free(*list);
	*list = NULL;
}

const char *mosquitto_client_username(const struct mosquitto *client)
{
	return client->user_name;
}

const char *mosquitto_client_id(const struct mosquitto *client)
{
	return client->id;
}

const char *mosquitto_client_address(const struct mosquitto *client)
{
	return client->address;
}

static void check_object(const char *text, size_t n)
{
	struct json_reader reader;
	struct json_member m;
	enum json_status status;
	MUST(utf8_valid(text, n, NULL));
	json_reader_start(&reader, text, n);
	while ((status = json_reader_next(&reader, &m)) == JSON_MEMBER)
		;
	MUST(status == JSON_END);
}

int mosquitto_kick_client_by_username(const char *name, bool with_will)
{
	(void)name;
	MUST(with_will);
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_kick_client_by_clientid(const char *id, bool with_will)
{
	(void)id;
	MUST(with_will);
	return MOSQ_ERR_SUCCESS;
}

/* Nobody gets anything but where the contract says so. */
int mosquitto_broker_publish(const char *clientid, const char *topic, int payloadlen, void *payload, int qos,
                             bool retain, mosquitto_property *properties)
{
	struct topic t = topic_parse("chat", 4, topic, strlen(topic));
	struct identity who;
	MUST(clientid == NULL && qos >= 0 && qos <= 1 && payloadlen > 0 && strpbrk(topic, "+#") == NULL);
	MUST(!retain || t.kind == TOPIC_NODE);
	switch (t.kind) {
	case TOPIC_INBOX:
	case TOPIC_USER_TYPING:
		MUST(topic_level_identity(t.name, t.name_len, &who));
		check_object(payload, (size_t)payloadlen);
		break;
	case TOPIC_ROOM_TYPING:
		MUST(room_name_valid(t.name, t.name_len));
		check_object(payload, (size_t)payloadlen);
		break;
	case TOPIC_ROOM: { /* of a room that has been renamed there: a copy, or what is said under an old name */
		size_t at, len;
		MUST(canonical_room_find(payload, (size_t)payloadlen, &at, &len));
		MUST(len == t.name_len && memcmp((const char *)payload + at, t.name, len) == 0);
		check_object(payload, (size_t)payloadlen);
		break;
	}
	case TOPIC_NODE: /* what a node says of itself */
		MUST(peers_any() && topic_level_equals(t.name, t.name_len, options.node, strlen(options.node)));
		break;
	case TOPIC_EVENTS:
	case TOPIC_ROOM_EVENTS: /* what moderators at the other node have ordered */
		MUST(author == &handles[LINK]);
		check_object(payload, (size_t)payloadlen);
		break;
	case TOPIC_BRIDGE: /* a session's notices */
		if (author == NULL) {
			/* who must leave is told by its bridge */
			MUST(payloadlen > 6 && memcmp(payload, "close ", 6) == 0);
			break;
		}
		MUST(topic_level_equals(t.name, t.name_len, author->id, strlen(author->id)));
		if (memcmp(payload, "position ", 9) != 0)
			check_object(payload, (size_t)payloadlen);
		break;
	case TOPIC_NOTICES:
		MUST(author != NULL);
		MUST(topic_level_equals(t.name, t.name_len, author->user_name, strlen(author->user_name)));
		MUST(topic_level_equals(t.client, t.client_len, author->id, strlen(author->id)));
		if (memcmp(payload, "position ", 9) != 0)
			check_object(payload, (size_t)payloadlen);
		break;
	default:
		MUST(!"nobody may read this");
	}
	if (fails())
		return MOSQ_ERR_NOMEM;
	mosquitto_free(payload);
	mosquitto_property_free_all(&properties);
	return MOSQ_ERR_SUCCESS;
}

/* ---- one publish -------------------------------------------------------------------------------- */

static void *own(const void *bytes, size_t n)
{
	void *copy = malloc(n + 1);
	MUST(copy != NULL);
	if (n > 0)
		memcpy(copy, bytes, n);
	((char *)copy)[n] = '\0';
	blocks++;
	return copy;
}

/* What an accepted publish has become. */
static void check_accepted(const struct mosquitto_evt_message *ed, const char *topic, const char *payload)
{
	struct topic before = topic_parse("chat", 4, topic, strlen(topic));
	struct topic after = topic_parse("chat", 4, ed->topic, strlen(ed->topic));
	if (before.kind == TOPIC_OUTSIDE) {
		MUST(strcmp(ed->topic, topic) == 0 && ed->payload == payload);
		return;
	}
	if (author == &handles[LINK] && peers_any()) {
		/* as it came, or it ends where nobody reads */
		MUST((strcmp(ed->topic, topic) == 0 && ed->payload == payload) ||
		     (strcmp(ed->topic, "chat") == 0 && ed->payloadlen == 0));
		MUST(before.kind == TOPIC_NODE || !ed->retain);
		return;
	}
	MUST(!ed->retain);
	if (ed->payloadlen == 0) {
		MUST(strcmp(ed->topic, topic) == 0); /* it ends here */
		return;
	}
	MUST((before.kind == TOPIC_ROOM_SEND && after.kind == TOPIC_ROOM) ||
	     (before.kind == TOPIC_USER_SEND && after.kind == TOPIC_INBOX && ed->qos == 2) ||
	     (ed->qos == 2 && (after.kind == TOPIC_ROOM || after.kind == TOPIC_INBOX)));
	check_object(ed->payload, ed->payloadlen);
	MUST(((const char *)ed->payload)[ed->payloadlen] == '\0' && memcmp(ed->payload, "{\"id\":\"", 7) == 0);
}

static void publish(struct fuzz_input *in, bool frees_replaced)
{
	struct mosquitto_evt_message ed;
	char named[256];
	uint8_t who = fuzz_byte(in), where = fuzz_byte(in), how = fuzz_byte(in), when = fuzz_byte(in);
	const char *topic = topics[where % (sizeof topics / sizeof *topics)];
	size_t n = (size_t)fuzz_number(in, 2);
	n = n < in->left ? n : in->left;
	if (where >= 0xf0 && n < sizeof named) {
		/* the topic is in the input, too */
		memcpy(named, in->at, n);
		named[n] = '\0';
		if (strlen(named) == n && n > 0 && utf8_valid(named, n, NULL))
			topic = named;
		in->at += n;
		in->left -= n;
		n = (size_t)fuzz_number(in, 2);
		n = n < in->left ? n : in->left;
	}
	author = &handles[who % CLIENTS];
	size_t before = blocks; /* of what waits to be said to other nodes */
	memset(&ed, 0, sizeof ed);
	ed.client = author;
	ed.topic = own(topic, strlen(topic));
	ed.payload = n > 0 ? own(in->at, n) : NULL;
	ed.payloadlen = (uint32_t)n;
	ed.qos = how % 3;
	ed.retain = (how & 4) != 0;
	ed.properties = (how & 8) ? own("", 0) : NULL;
	in->at += n;
	in->left -= n;
	char *old_topic = ed.topic, *old_payload = ed.payload;
	mosquitto_property *old_properties = ed.properties;

	short_of = when < 0xe0 ? 0 : when - 0xdfu;
	int rc = messages_on_message(&ed);
	short_of = 0;
	MUST(rc == MOSQ_ERR_SUCCESS || rc == MOSQ_ERR_ACL_DENIED);
	if (rc == MOSQ_ERR_SUCCESS)
		check_accepted(&ed, topic, old_payload);
	else
		MUST(ed.topic == old_topic && ed.payload == old_payload && ed.properties == old_properties);
	/* as the broker does */
	if (ed.payload != old_payload)
		mosquitto_free(old_payload);
	if (frees_replaced && ed.topic != old_topic)
		mosquitto_free(old_topic);
	if (frees_replaced && ed.properties != old_properties)
		mosquitto_property_free_all(&old_properties);
	mosquitto_free(ed.topic);
	mosquitto_free(ed.payload);
	mosquitto_property_free_all(&ed.properties);
	MUST(blocks == before);
}

/* ---- the target ----------------------------------------------------------------------------------- */

static void start(uint8_t how)
{
	static bool drawn;
	drawn = drawn || table_key_draw();
	MUST(drawn);
	memset(&options, 0, sizeof options);
	memcpy(options.topic_root, "chat", sizeof "chat");
	options.topic_root_len = 4;
	memcpy(options.room, "general", sizeof "general");
	memcpy(options.system_sender, "System", sizeof "System");
	options.max_message_chars = 4000;
	options.unknown_fields_drop = (how & 1) != 0;
	options.bridge_off = true;
	if ((how & 4) != 0) {
		memcpy(options.node, "here", sizeof "here");
		memcpy(options.peers[0], "link", sizeof "link");
		options.peer_count = 1;
	}
	peers_start(&options);
	relay_start(&options);
	nodes_start(&options);
	events_start(&options);
	room_names_start(&options);
	presence_start(&options);
	users_limit((struct value_rate){0, 0});
	notices_start(&options);
	acks_start(false);
	sync_start(&options);
	moderators_start(&options, true);
	messages_start(&options, (how & 2) != 0);
	properties_start((how & 2) != 0);
	for (size_t i = 0; i < CLIENTS; i++) {
		struct identity who;
		if (handles[i].address != NULL &&
		    identity_parse(handles[i].user_name, strlen(handles[i].user_name), &who))
			MUST(clients_enter(&handles[i], &who, handles[i].id,
			                   handles[i].session ? CLIENT_SESSION : CLIENT_MQTT) != NULL);
	}
}

static void pass_time(void)
{
	uint64_t now = clock_monotonic_ms() + NODE_SILENT_MS;
	author = NULL;
	kicks_tick(now);
	deletions_tick();
	nodes_tick(now);
}

static void stop(void)
{
	messages_stop();
	sync_stop();
	acks_stop();
	notices_stop();
	clients_stop();
	nodes_stop();
	users_stop();
	moderators_stop();
	moderation_stop();
	audit_stop();
	kicks_stop();
	deletions_stop();
	room_names_stop();
	events_stop();
	seen_stop();
	relay_stop();
	peers_stop();
	presence_stop();
	refs_stop();
	rooms_stop();
	typing_stop();
	inflight_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	uint8_t how = fuzz_byte(&in);
	start(how);
	for (unsigned i = 0; i < PUBLISHES_MAX && in.left > 0; i++)
		publish(&in, (how & 2) != 0);
	if (peers_any())
		pass_time();
	stop();
	MUST(blocks == 0);
	return 0;
}
