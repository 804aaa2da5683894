/*
 * log.h - lines in the broker's log. Main thread only.
 *
 * Each line starts with "chat: ", or with plugin_opt_log_format json is an object (common/log_object.h). What
 * a remote client can set off goes through log_limited, so that nobody fills a disk from outside; text that
 * came from outside goes through log_text.
 */
#ifndef CHAT_LOG_H
#define CHAT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_TEXT_MAX 128 /* bytes of foreign text in a line, NUL included */

/* From here on lines are objects, or not. Without it, and after log_stop, they are not. */
void log_use_json(bool json);

/* A line of any program's. text: printable, len bytes; fields: as of a struct log_fields, for objects alone.
 */
void log_record(int level, const char *program, const char *text, size_t len, const char *fields);

/* level: one of MOSQ_LOG_ERR, _WARNING, _NOTICE, _INFO, _DEBUG. */
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Causes of lines that remote clients, or a disk, can set off again and again: one line a minute for each,
 * and a counter (counters.h) of this family and label. Families stand together. */
#define LOG_CAUSES(X)                                                                                        \
	X(RESERVED, "clients_refused", "reserved_name") /* a client id or user name kept for the bridges */      \
	X(BANNED, "clients_refused", "banned")                                                                   \
	X(CREDENTIAL, "clients_refused", "not_a_bridge")  /* on the bridges' listener, where it takes none */    \
	X(TOKEN_MALFORMED, "tokens_refused", "malformed") /* these in the order of enum token_fault */           \
	X(TOKEN_UNSUPPORTED, "tokens_refused", "unsupported")                                                    \
	X(TOKEN_ALGORITHM_NOT_ALLOWED, "tokens_refused", "algorithm_not_allowed")                                \
	X(TOKEN_UNKNOWN_KEY, "tokens_refused", "unknown_key")                                                    \
	X(TOKEN_BAD_SIGNATURE, "tokens_refused", "bad_signature")                                                \
	X(TOKEN_MISSING_CLAIM, "tokens_refused", "missing_claim")                                                \
	X(TOKEN_EXPIRED, "tokens_refused", "expired")                                                            \
	X(TOKEN_NOT_YET_VALID, "tokens_refused", "not_yet_valid")                                                \
	X(TOKEN_WRONG_ISSUER, "tokens_refused", "wrong_issuer")                                                  \
	X(TOKEN_WRONG_AUDIENCE, "tokens_refused", "wrong_audience")                                              \
	X(TOKEN_NOT_AN_ADDRESS, "tokens_refused", "not_an_address")                                              \
	X(TOKEN_UNVERIFIED_ADDRESS, "tokens_refused", "unverified_address")                                      \
	X(TOKEN_MISSING, "tokens_refused", "missing")                                                            \
	X(TOKEN_ANOTHER_ADDRESS, "tokens_refused", "another_address")                                            \
	X(ANONYMOUS, "publishes_refused", "no_identity") /* without an address as user name */                   \
	X(RATE, "publishes_refused", "rate_messages")    /* and the author is told rate_limited */               \
	X(ACKS_FULL, "publishes_refused", "acks_full")   /* too many acks wait for the disk */                   \
	X(HISTORY_FULL, "publishes_refused", "history_full")                                                     \
	X(PEER, "publishes_refused", "peer")      /* of another node */                                          \
	X(PEER_LOGIN, "clients_refused", "peer")  /* a link's user name, without a proof */                      \
	X(PEER_CLOCK, "nodes", "clock")           /* another node's is ahead */                                  \
	X(NODE_LOST, "nodes", "lost")             /* another node is not heard any more */                       \
	X(NODES_FULL, "nodes", "full")            /* more nodes or people than are remembered */                 \
	X(NODE_MODERATION, "nodes", "moderation") /* a moderator's command at another node is not followed */    \
	X(NOT_MODERATOR, "commands_refused", "not_a_moderator")                                                  \
	X(COMMAND_RATE, "commands_refused", "rate")                                                              \
	X(MEMORY, "drops", "memory")                        /* out of memory while serving a client */           \
	X(NOTICE, "drops", "notice")                        /* that could not be sent */                         \
	X(QUESTION, "drops", "question")                    /* of a bridge, which is not understood */           \
	X(REFS, "drops", "ref")                             /* that is forgotten too early */                    \
	X(INFLIGHT, "drops", "inflight")                    /* what is known of a QoS 2 message, too early */    \
	X(HISTORY_ROW, "drops", "history_row")              /* a message that history will never hold */         \
	X(HISTORY_WRITE, "history_troubles", "write")       /* messages cannot be written */                     \
	X(HISTORY_OVER, "history_troubles", "write_over")   /* and now they are */                               \
	X(HISTORY_MISSING, "history_troubles", "missing")   /* its file is gone */                               \
	X(HISTORY_TRIM, "history_troubles", "trim")         /* its old messages cannot be removed */             \
	X(MODERATION_WRITE, "moderation_troubles", "write") /* bans and mutes cannot be written */

enum log_cause {
#define X(id, family, label) LOG_CAUSE_##id,
	LOG_CAUSES(X)
#undef X
	    LOG_CAUSE_COUNT
};

#define LOG_LIMIT_MS 60000

/* Counts the cause, and writes a line as log_line does, at most once a minute for each. How many more there
 * were says the next line, or the first one once more when the minute is over and no next one has come. */
void log_limited(enum log_cause cause, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A printable copy of foreign text in out: control characters and bytes that are no ASCII become
 * '?', what does not fit ends in "...". NULL gives "(none)". Returns out. */
const char *log_text(const char *s, size_t len, char out[LOG_TEXT_MAX]);

/* In every tick: the lines of minutes that are over. */
void log_tick(uint64_t now_ms);

/* At the end: those of the minutes that are not, and all is forgotten. */
void log_stop(void);

#endif
