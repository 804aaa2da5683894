/*
 * mqtt_link.h - one MQTT 5 connection to the broker over its unix listener.
 *
 * A link is embedded in its owner (a session, or the bridge's own connection). All
 * links share one pool: the connect queue (the broker's listen backlog is 10, so at most
 * LINKS_CONNECTING_MAX CONNECTs are unanswered at a time), the receive buffer and the list of
 * links with bytes to send. What is sent within a loop round leaves in one write.
 *
 * Limits: an incoming packet at most LINK_PACKET_MAX; outgoing bytes are bounded by
 * the owner (a session has at most 16 publishes in flight). Times in milliseconds.
 */
#ifndef CHAT_BRIDGE_MQTT_LINK_H
#define CHAT_BRIDGE_MQTT_LINK_H

#include "bridge/loop.h"
#include "bridge/mqtt_codec.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#define LINKS_CONNECTING_MAX 8
#define LINK_PACKET_MAX ((size_t)512 * 1024)
#define LINK_CONNECT_MS 10000 /* from asking for a connection to CONNACK */

enum link_state {
	LINK_IDLE,       /* no descriptor; may be opened */
	LINK_QUEUED,     /* waits for its turn to connect */
	LINK_CONNECTING, /* CONNECT sent, no CONNACK yet */
	LINK_UP,
};

struct mqtt_link;

/* Why a link has gone down. */
struct mqtt_link_end {
	const char *reason; /* static text */
	uint8_t code;       /* the MQTT reason if the broker gave one, else 0 */
	int error;          /* errno, where this machine has refused the connection, else 0 */
};

struct mqtt_link_owner {
	/* CONNACK with success. */
	void (*on_up)(struct mqtt_link *link);
	/* A packet while up; spans are borrowed until the call returns. */
	void (*on_packet)(struct mqtt_link *link, const struct mqtt_packet *packet);
	/* The link is idle again, by whatever cause but mqtt_link_close. */
	void (*on_down)(struct mqtt_link *link, const struct mqtt_link_end *end);
};

struct mqtt_link {
	struct watcher watcher;
	struct mqtt_links *pool;
	const struct mqtt_link_owner *owner;
	struct mqtt_link *prev, *next; /* of the connect queue, or of those that wait for CONNACK */
	struct mqtt_link *next_dirty;
	enum link_state state;
	bool dirty;   /* on the pool's list of links with bytes to send */
	bool blocked; /* the socket took no more: wait for EPOLLOUT */
	bool paused;  /* nothing is read: the owner has no room for it */
	uint32_t out_len, out_off, out_cap;
	uint8_t *out; /* bytes not sent yet; NULL when there are none */
	uint32_t in_len;
	uint8_t *in;          /* the beginning of an incomplete packet; NULL when there is none */
	uint64_t deadline_ms; /* for QUEUED and CONNECTING */
};

struct mqtt_links {
	struct loop *loop;
	const struct sockaddr_un *broker; /* borrowed */
	const char *credential;           /* borrowed */
	/* Fills the parts of CONNECT that only the owner knows: client_id and user_name, borrowed. */
	void (*identify)(struct mqtt_link *link, struct mqtt_connect *out);
	struct mqtt_link *queue_head, *queue_tail;
	struct mqtt_link *connecting_head, *connecting_tail;
	unsigned connecting;
	struct mqtt_link *dirty;
	uv_timer_t timer; /* connect retry and deadlines */
	bool timer_armed;
	uint8_t *buffer; /* shared receive buffer */
};

bool mqtt_links_start(struct mqtt_links *pool, struct loop *loop, const struct sockaddr_un *broker,
                      const char *credential, void (*identify)(struct mqtt_link *, struct mqtt_connect *));
void mqtt_links_stop(struct mqtt_links *pool);

/* Sends what the round has collected. Called once at the end of each round. */
void mqtt_links_flush(struct mqtt_links *pool);

/* A connection to the broker's unix listener, for whoever speaks MQTT there: a descriptor of the caller's, or
 * -1 and errno (EAGAIN: too many wait there already; try again soon). */
int mqtt_links_connect(const struct mqtt_links *pool);

/* Does this errno say that descriptors have run out, of this process or of the machine? Then the broker may
 * well be there, and who asks is told to try again later. */
static inline bool mqtt_links_short_of_descriptors(int error)
{
	return error == EMFILE || error == ENFILE;
}

/* link: zeroed, or closed before. Answers through the owner's on_up or on_down, never from inside. */
void mqtt_link_open(struct mqtt_links *pool, struct mqtt_link *link, const struct mqtt_link_owner *owner);

/* Room for at least n bytes at the end of what is to be sent, or NULL when out of memory (the
 * caller then gives the link up). Follow with mqtt_link_commit of what was written. */
uint8_t *mqtt_link_reserve(struct mqtt_link *link, size_t n);
void mqtt_link_commit(struct mqtt_link *link, size_t n);

/* The owner takes no more packets for now, or takes them again: what comes meanwhile waits in the socket and
 * at the broker. A packet that has been read already waits here. mqtt_link_resume may call on_packet and
 * on_down. */
void mqtt_link_pause(struct mqtt_link *link);
void mqtt_link_resume(struct mqtt_link *link);

/* Ends the connection in good order (DISCONNECT, no will); no callback. Idempotent. */
void mqtt_link_close(struct mqtt_link *link);

/* Does the other end still hold the connection? Asks the kernel without reading. */
bool mqtt_link_alive(const struct mqtt_link *link);

#endif
