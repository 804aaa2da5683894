/*
 * session.h - one WebSocket session: an MQTT client of its own at the broker.
 *
 * States, each entered in one place:
 *   CONNECTING   the 101 is out; the MQTT connection is being made; frames of the client wait unread
 *   SUBSCRIBING  CONNACK is there; inbox and notices are being subscribed
 *   JOINING      SUBACK is there; the rooms are being joined
 *   OPEN         frames flow both ways
 *   CLOSING      session_close was called; the close frame leaves as soon as the socket lets it
 *   GONE         nothing more is sent to the client
 * A session is freed when both sides are done: libwebsockets has let go of the connection, and
 * what the client sent before is acknowledged by the broker (LINGER_MS at most), so that a
 * client may send and close at once.
 *
 * Bounds: PUBLISHES_IN_FLIGHT_MAX unacknowledged publishes, then the socket is not read (flow
 * control; TCP slows the sender down); one incoming message of max_frame_bytes; outbox_bytes outgoing.
 *
 * session_close is the one way to end a session from our side: it takes code and reason,
 * logs and counts.
 */
#ifndef CHAT_BRIDGE_SESSION_H
#define CHAT_BRIDGE_SESSION_H

#include "bridge/copies.h"
#include "bridge/devices.h"
#include "bridge/keyed_hash.h"
#include "bridge/message_marks.h"
#include "bridge/mqtt_link.h"
#include "bridge/outbox.h"
#include "bridge/replay.h"
#include "bridge/rooms.h"
#include "bridge/roster.h"
#include "bridge/session_params.h"
#include "bridge/sync.h"
#include "common/errors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bridge;
struct endpoint;
struct lws;
struct message_piece;

#define PUBLISHES_IN_FLIGHT_MAX 16
/* Joins and leaves of one session: each is work for the broker, whether anybody is in the room or not. */
#define JOINS_PER_SECOND 100
#define JOINS_BURST 200
#define PONGS_BYTES 2048 /* of answers to pings: more than one read can ask for */
/* What a broker may have under way to a device: what it missed must not fill the broker's queue of packets,
 * or the broker drops its own answers (SUBACK). */
#define DEVICE_RECEIVE_MAXIMUM 32
#define DEVICES_A_SESSION 4u /* named devices, those away included, for each of max_sessions */
#define OPENING_MS 20000     /* from the 101 until the session is in its rooms */
#define JOIN_REFS_MAX 16     /* joins of one room that wait for the same SUBACK */
#define SUBSCRIBE_ID_FIRST (PUBLISHES_IN_FLIGHT_MAX + 1) /* packet ids of SUBSCRIBE: above the publishes' */
#define SESSION_ID_MAX 48                                /* bytes of a client id of ours */

enum close_code {
	CLOSE_NORMAL = 1000,
	CLOSE_GOING_AWAY = 1001,
	CLOSE_PROTOCOL_ERROR = 1002,
	CLOSE_UNSUPPORTED = 1003,
	CLOSE_BAD_TEXT = 1007,
	CLOSE_TOO_BIG = 1009,
	CLOSE_INTERNAL = 1011,
	CLOSE_RESTART = 1012,
	CLOSE_OVERLOADED = 1013,
	CLOSE_TOO_SLOW = 4001,
	CLOSE_TOKEN_EXPIRED = 4002,
	CLOSE_BROKER_AWAY = 4003,
	CLOSE_BAD_ADDRESS = 4100,
	CLOSE_BAD_TOKEN = 4101,
	CLOSE_FORBIDDEN = 4102,
	CLOSE_TOO_MANY = 4103,
	CLOSE_REPLACED = 4104,
};

enum session_state {
	SESSION_CONNECTING,
	SESSION_SUBSCRIBING,
	SESSION_JOINING,
	SESSION_OPEN,
	SESSION_CLOSING,
	SESSION_GONE,
};

/* All sessions of one identity on this bridge. */
struct identity_sessions {
	UT_hash_handle hh;
	struct session *first; /* newest first, linked by same_next */
	uint32_t count;
	struct given *given; /* `sessions latest`: what they have received */
	const struct identity *identity;
	unsigned char identity_room[];
};

struct membership {
	struct room *room;
	uint32_t index;             /* in room->members */
	bool ready;                 /* subscribed at the broker */
	uint16_t subscribe_id;      /* fanout session: of the SUBSCRIBE under way */
	struct join_ref *join_refs; /* of joins that wait for the SUBACK, newest first */
	bool have_seq;              /* fanout session: numbers are checked here */
	uint64_t seq;
	uint64_t first_seq;    /* as in struct room */
	uint64_t old_until_ms; /* until then the topic of its old name is still needed; 0: it is not */
};

struct session {
	struct mqtt_link link; /* first: a link's owner is found by its address */
	struct bridge *bridge;
	struct lws *wsi;
	struct identity_sessions *who; /* NULL until the parameters are accepted */
	uint64_t number;               /* never used twice by this process */
	enum session_state state;
	uint32_t password_len;
	char client_id[SESSION_ID_MAX];
	char *password; /* until the broker has judged it: the credential, what the client has shown, and (no part
	                   of it, NUL-terminated) the address that it comes from */
	char *device;   /* NULL: none */
	char *home_room; /* NULL: the server's default room */
	char since[ULID_LEN + 1];
	bool echo, wants_presence, wants_typing, wants_deleted;
	bool ready_sent;
	bool admitted;          /* the broker has let it in where it must, and no limit stood in its way */
	bool persistent;        /* a named device: the broker keeps what it misses */
	bool device_entered;    /* it has a place among the devices of its identity */
	bool catching_up;       /* what a device has missed is still coming */
	bool own_rooms;         /* it subscribes its rooms itself (fanout session, and every device) */
	bool silent;            /* `sessions latest`: a newer one of the identity receives instead */
	bool blocked;           /* libwebsockets holds a partial write */
	bool dirty;             /* on the list of sessions with something to send */
	bool rx_stopped;        /* the socket is not read */
	bool subscribed;        /* SUBACK of inbox and notices is there */
	bool counted;           /* in the counts of its identity */
	uint64_t own_arrival;   /* of the last frame in a room that is its own and that it must not get */
	uint64_t several_round; /* the rooms round in which it is on the list below */
	struct session *next_several;
	struct outbox outbox;
	struct chunk *pongs;         /* NULL: no ping waits for its answer */
	struct outbox early;         /* what a device has missed, until its ready frame is out */
	struct history_asked *asked; /* pages of history under way */
	struct replay *replay;       /* NULL: nothing is being replayed */
	uint64_t blocked_since_ms;
	uint64_t half_full_since_ms; /* 0: the outbox is under half of its bound */
	uint8_t *rx;                 /* an incomplete message of the client */
	uint32_t rx_len, rx_cap;
	struct waiting_frame *waiting,
	    *waiting_last; /* whole frames that came while publishing was not possible */
	uint32_t waiting_bytes;
	uint16_t in_flight; /* bit n: packet id n + 1 awaits its PUBACK */
	uint16_t close_code;
	char **refs; /* by bit, NULL until a frame carries one */
	struct membership *rooms;
	uint32_t room_count, room_cap;
	char (*pending_rooms)[ROOM_MAX + 1]; /* asked for, not joined yet */
	uint32_t pending_room_count;
	uint16_t subscribe_id; /* of the next SUBSCRIBE: above the publishes' ids */
	uint16_t inbox_subscribe_id;
	uint16_t joins_left; /* of JOINS_BURST, as of joins_ms */
	uint64_t joins_ms;
	uint64_t opened_ms, last_rx_ms, ping_ms; /* ping_ms 0: none unanswered */
	const char *close_reason;
	char *said;              /* what it points to, where that is no static text */
	struct refusal *refusal; /* NULL, or the broker has refused its login */
	uint64_t close_by_ms;
	char
	    *left_room; /* a device's: the last room that was unsubscribed because it is not asked for any more */
	struct copies copies;       /* on its own connection */
	struct old_name *old_names; /* of rooms, of which the client is to be told; usually none */
	struct session *next_dirty;
	struct session *next_closing;
	struct session *next_resuming;
	bool resuming;
	bool on_closing_list;
	struct session *prev, *next;           /* all sessions, in order of arrival */
	struct session *same_prev, *same_next; /* of the same identity */
	struct session *hash_next;             /* by number */
	struct presence_place presence;        /* roster.c */
};

struct sessions {
	struct bridge *bridge;
	struct identity_sessions *identities;
	struct session *first, *last;
	uint32_t count;
	uint64_t next_number;
	struct session **buckets; /* by number */
	uint32_t bucket_count;
	struct session *dirty;
	struct session *closing;
	struct session *resuming; /* just opened: frames may wait */
	struct session *ping_cursor;
	struct devices devices;
	uint64_t devices_tidied_ms;
	uv_timer_t tick;
};

/* What a WebSocket of /ws/... is opened for. */
extern const struct endpoint session_endpoint;

bool sessions_start(struct sessions *all, struct bridge *b);
void sessions_stop(struct sessions *all);

/* ---- session_link.c ---- */

extern const struct mqtt_link_owner session_link_owner;

/* CONNECT of a session's link. */
void session_identify(struct mqtt_link *link, struct mqtt_connect *out);

/* A WebSocket has been upgraded. Where u names a fault, the session is made only to be closed with 4100. u is
 * borrowed. NULL when out of memory. */
struct session *session_open(struct sessions *all, struct lws *wsi, const struct upgrade *u);

/* The broker has let it in: it counts from now on, and takes the places of others. False: there is none for
 * it, and it is being closed. */
bool session_admit(struct session *s);

/* Wipes what it has logged in with. */
void session_forget_password(struct session *s);

/* Asks no more what the broker's refusal of its login was about. */
void session_forget_refusal(struct session *s);

/* The client's bytes: a piece of a message. */
void session_receive(struct session *s, const struct message_piece *piece);

/* ---- session_output.c ---- */

/* Closes what has been silent for too long, pings what has been for a while. */
void session_check_alive(struct session *s);

/* Any sign of life. */
void session_alive(struct session *s);
void session_pong(struct session *s);

/* A ping is answered at the end of the round, behind what waits already. While the socket takes nothing,
 * PONGS_BYTES of answers wait; then only the newest ping has one, as RFC 6455 5.5.3 allows. */
void session_ping(struct session *s, const uint8_t *payload, size_t n);

/* The socket takes bytes again. */
void session_writeable(struct session *s);

/* Ends the session: code and reason to the client, one log line, counters. The WebSocket
 * is closed at the end of the round. Idempotent: the first code stands. reason: static text. */
void session_close(struct session *s, enum close_code code, const char *reason);

/* The same with a reason that is borrowed for the call: of UTF-8, and cut to what a close frame takes. */
void session_close_saying(struct session *s, enum close_code code, struct mqtt_span reason);

/* The peer's close frame has come: nothing may follow our answer to it. */
void session_peer_closes(struct session *s, unsigned code);

/* libwebsockets has let go of the connection: frees s, when the broker has what the client sent. */
void session_gone(struct session *s);

/* Hands a frame of this session alone to its outbox. */
void session_send_text(struct session *s, const char *payload, size_t len);

/* Hands a message to the session, unless a replay takes it first: room NULL for the inbox. */
void session_deliver(struct session *s, const struct room *room, struct chunk *c, uint32_t start,
                     uint32_t end, uint64_t order);

/* The ready frame, to those who opted in to any event. Once. */
void session_send_ready(struct session *s);

/* A frame from the broker, behind the ready frame. */
void session_send_in_order(struct session *s, struct chunk *c, uint32_t start, uint32_t end);

/* What was held for the ready frame. */
void session_send_early(struct session *s);

/* Hands a range of a shared chunk to the outbox; may close the session (4001). */
void session_send_shared(struct session *s, struct chunk *c, uint32_t start, uint32_t end);

/* The same at the end of a round, when nothing waits: straight to the socket. */
void session_write_now(struct session *s, struct chunk *c, uint32_t start, uint32_t end);

void session_room_ready(struct session *s, struct room *room);

/* An error frame by the bridge itself; ref and field may be NULL. */
void session_send_error(struct session *s, enum chat_error error, const char *field, const char *ref,
                        size_t ref_len);
void session_send_ack(struct session *s, const char *ref, size_t ref_len);

bool session_leaving(const struct session *s);

/* Is anything under way that it would rather have the end of: messages that the broker has not confirmed, a
 * replay, pages of history? */
bool session_busy(const struct session *s);

/* Tokens of such questions begin with the session's number: no other session's are alike. */
#define SESSION_TOKEN_BITS 16
#define SESSION_TOKEN_FIRST(s) ((s)->number << SESSION_TOKEN_BITS)

/* Asks how far history goes, over the session's own connection. False when out of memory. */
bool session_ask_position(struct session *s, uint64_t token);

/* Says that the client is told from now on what the plugin has to say to it. False when out of memory. */
bool session_say_open(struct session *s);

/* Hands {"type":"token",...} to the plugin, which answers it. False when out of memory. */
bool session_hand_token(struct session *s, const char *text, size_t len);

/* The same of {"type":"command",...}. */
bool session_hand_command(struct session *s, const char *text, size_t len);

/* SUBSCRIBE on the session's own connection: its packet id, or 0 when out of memory. */
uint16_t session_subscribe(struct session *s, const struct mqtt_filter *filters, size_t n);
uint16_t session_next_subscribe_id(struct session *s);

/* ---- session_input.c: what the client sends ---- */

/* Handles one whole text message: publishes it, or answers it. Needs a free packet id. */
void session_input_frame(struct session *s, const char *text, size_t len);

/* A PUBACK: frees the packet id, answers for the broker where the plugin was not asked. */
void session_input_acked(struct session *s, uint16_t packet_id, uint8_t reason);

/* May a frame be handled now? */
bool session_input_ready(const struct session *s);

/* Handles the frames that wait and reads on; when the session opens or a PUBACK came. */
void session_input_resume(struct session *s);

/* Frees what input holds. */
void session_input_clear(struct session *s);

/* ---- session_history.c: pages of history ---- */

#define HISTORY_ASKED_MAX 4 /* pages that one session may await at a time */

/* {"type":"history",...}: answers it, now or when it has been read. ref may be NULL. */
void session_history_frame(struct session *s, const char *text, size_t len, const char *ref, size_t ref_len);

/* Nobody awaits the pages any more. */
void session_history_cancel(struct session *s);

/* ---- session_rooms.c ---- */

/* Joins what the client has asked for in its URL. Idempotent. */
void session_join_rooms(struct session *s);

/* Opens the session as soon as it is subscribed to its inbox and to every room it asked for. */
void session_check_joined(struct session *s);

/* Lets go of what an earlier session of this device had subscribed and this one has not asked for. */
void session_forget_room(struct session *s, const char *name, size_t len);
void session_forget_typing(struct session *s);

/* Joins or leaves at the client's wish. */
void session_join(struct session *s, const char *room, size_t len, const char *ref, size_t ref_len);
void session_leave(struct session *s, const char *room, size_t len, const char *ref, size_t ref_len);

void session_leave_rooms(struct session *s);

/* NULL: not a member. */
struct membership *session_membership(struct session *s, const char *name, size_t len);

/* Makes s a member of another room instead of this one, of which it is one; joins that wait for an answer go
 * along. False when out of memory. */
bool session_change_room(struct session *s, struct room *room, const char *name, size_t len);

/* ---- session_renames.c ---- */

/* The room that s is in has another name: now. */
void session_move(struct session *s, struct room *room, const char *now);

/* The client has used a room's old name: it is told as soon as the session is open. */
void session_note_renamed(struct session *s, const char *name, size_t len);
void session_tell_renamed(struct session *s);
void session_forget_renamed(struct session *s);

/* ---- session_orders.c: what the plugin wants done with a session ---- */

void session_orders_start(struct bridge *b);

/* ---- session_events.c: what moderators do, told to those whom it concerns ---- */

void session_events_start(struct bridge *b);

/* ---- session_table.c ---- */

struct session *sessions_find(struct sessions *all, uint64_t number);

/* NULL: none of this address is here. */
struct identity_sessions *sessions_of(struct sessions *all, const char *address, size_t len);

void sessions_add(struct sessions *all, struct session *s);
void sessions_remove(struct sessions *all, struct session *s);

/* Sets s->who. False when out of memory. */
bool sessions_add_identity(struct session *s, const struct identity *identity);
void sessions_remove_identity(struct session *s);

/* Random, or for a named device the same for every session of it on any of this broker's
 * bridges: the broker then lets the newer one replace the older. */
bool session_make_client_id(struct session *s);

/* ---- session_latest.c: which sessions of a person receive ---- */

#define GIVEN_MAX 128 /* messages by which a person's further copies are known */

/* Before the first session of an identity opens. False when out of memory. */
bool sessions_start_latest(struct bridge *b, struct identity_sessions *who);

/* With `sessions latest`: of the identity's open sessions the newest receives, the others are silent:
 * messages, typing and presence pass them by, what answers their own frames does not. Called when one of
 * them begins, opens or ends. */
void sessions_choose(struct sessions *all, struct identity_sessions *who);

/* The session that gets a message which has come over the connection of s (room NULL: the inbox). NULL: none,
 * for it is its author's own, or with `sessions latest` has been given to another session of the person. */
struct session *session_receiver(struct session *s, const struct room *room, const struct mqtt_publish *p,
                                 const struct message_marks *marks);

/* The session of the author that must not get a room's message unless it asked for its own: the one that sent
 * it, with `sessions latest` the one that receives. NULL: none. */
struct session *sessions_author(struct sessions *all, const struct mqtt_publish *p,
                                const struct message_marks *marks);

/* With `sessions latest`: the messages that s, which is leaving, has not been sent go to the one that
 * receives now. */
void session_hand_on(struct session *s);

/* The same with what has been gathered in rooms and is not in its outbox yet: behind that. */
void session_hand_over(struct session *s);

/* The oldest session of the same person that is not leaving; NULL: there is no other. */
struct session *session_oldest_other(const struct session *s);

/* ---- all sessions ---- */

/* Its waiting frames are handled at the end of the round. */
void sessions_resume_later(struct session *s);

/* End of a round, in this order: frames of sessions that have just opened; what waits to be
 * sent; what is to be closed. */
void sessions_resume(struct sessions *all);
void sessions_flush(struct sessions *all);
void sessions_close_due(struct sessions *all);

/* Everybody leaves with that code. */
void sessions_close_all(struct sessions *all, enum close_code code, const char *reason);

#endif
