/* reply.c - see reply.h */
#include "common/reply.h"
#include "common/json.h"

#include <stdbool.h>
#include <string.h>

/* Output that remembers whether everything has fitted. */
struct writer {
	char *at;
	char *end; /* room for the NUL is behind it */
	bool full;
};

static void put_raw(struct writer *w, const char *s, size_t n)
{
	if (w->full || (size_t)(w->end - w->at) < n) {
		w->full = true;
		return;
	}
	memcpy(w->at, s, n);
	w->at += n;
}

static void put(struct writer *w, const char *text)
{
	put_raw(w, text, strlen(text));
}

static void put_string(struct writer *w, const char *s, size_t n)
{
	put(w, "\"");
	if (w->full || (size_t)(w->end - w->at) < json_escaped_size(s, n)) {
		w->full = true;
		return;
	}
	w->at = json_escape(s, n, w->at);
	put(w, "\"");
}

static void put_member(struct writer *w, const char *name, const char *s, size_t n)
{
	put(w, ",\"");
	put(w, name);
	put(w, "\":");
	put_string(w, s, n);
}

static struct writer start(char *out, size_t cap, const char *head)
{
	struct writer w = {out, cap > 0 ? out + cap - 1 : out, cap == 0};
	put(&w, head);
	return w;
}

static size_t finish(struct writer *w, const char *out)
{
	put(w, "}");
	if (w->full)
		return 0;
	*w->at = '\0';
	return (size_t)(w->at - out);
}

size_t reply_ack(const char *ref, size_t ref_len, const char *id, const char *timestamp, char *out,
                 size_t cap)
{
	struct writer w = start(out, cap, "{\"type\":\"ack\"");
	put_member(&w, "ref", ref, ref_len);
	if (id != NULL)
		put_member(&w, "id", id, strlen(id));
	if (timestamp != NULL)
		put_member(&w, "timestamp", timestamp, strlen(timestamp));
	return finish(&w, out);
}

size_t reply_error(enum chat_error error, enum chat_language language, const char *sender, const char *field,
                   const char *ref, size_t ref_len, char *out, size_t cap)
{
	struct writer w = start(out, cap, "{\"type\":\"error\"");
	const char *name = chat_error_name(error);
	const char *text = chat_error_text(error, language);
	put_member(&w, "code", name, strlen(name));
	put_member(&w, "message", text, strlen(text));
	put_member(&w, "sender", sender, strlen(sender));
	if (field != NULL)
		put_member(&w, "field", field, strlen(field));
	if (ref != NULL)
		put_member(&w, "ref", ref, ref_len);
	return finish(&w, out);
}

size_t reply_recipient_offline(enum chat_language language, const char *sender, const char *recipient,
                               char *out, size_t cap)
{
	struct writer w = start(out, cap, "{\"type\":\"system\",\"code\":\"recipient_offline\"");
	put_member(&w, "sender", sender, strlen(sender));
	put(&w, ",\"message\":\"");
	if (!w.full && (size_t)(w.end - w.at) >= json_escaped_size(recipient, strlen(recipient)))
		w.at = json_escape(recipient, strlen(recipient), w.at);
	else
		w.full = true;
	put(&w, language == CHAT_SPANISH ? " no está conectado\"" : " is not connected\"");
	return finish(&w, out);
}

size_t reply_token_expiring(enum chat_language language, const char *sender, char *out, size_t cap)
{
	struct writer w = start(out, cap, "{\"type\":\"system\",\"code\":\"token_expiring\"");
	const char *text = language == CHAT_SPANISH ? "su token caduca pronto" : "your token expires soon";
	put_member(&w, "sender", sender, strlen(sender));
	put_member(&w, "message", text, strlen(text));
	return finish(&w, out);
}

/* Names of rooms are never escaped. */
static void put_called(struct writer *w, enum chat_language language, const char *room, const char *to)
{
	bool spanish = language == CHAT_SPANISH;
	put(w, ",\"message\":\"");
	put(w, spanish ? "la sala " : "the room ");
	put(w, room);
	put(w, *room != '\0' ? " " : "");
	put(w, spanish ? "se llama ahora " : "is called ");
	put(w, to);
	put(w, spanish ? "\"" : " now\"");
}

size_t reply_room_renamed(enum chat_language language, const char *sender, const char *to, const char *ref,
                          size_t ref_len, char *out, size_t cap)
{
	struct writer w = start(out, cap, "{\"type\":\"error\"");
	const char *name = chat_error_name(CHAT_ERROR_ROOM_RENAMED);
	put_member(&w, "code", name, strlen(name));
	put_called(&w, language, "", to);
	put_member(&w, "sender", sender, strlen(sender));
	put_member(&w, "to", to, strlen(to));
	if (ref != NULL)
		put_member(&w, "ref", ref, ref_len);
	return finish(&w, out);
}

size_t reply_renamed(enum chat_language language, const char *sender, const char *room, const char *to,
                     char *out, size_t cap)
{
	struct writer w = start(out, cap, "{\"type\":\"renamed\"");
	put_member(&w, "room", room, strlen(room));
	put_member(&w, "to", to, strlen(to));
	put_member(&w, "sender", sender, strlen(sender));
	put_called(&w, language, room, to);
	return finish(&w, out);
}

bool reply_field_name(const char *key, size_t len, bool escaped, char out[REPLY_FIELD_MAX + 1])
{
	if (escaped || len == 0 || len > REPLY_FIELD_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (key[i] < 0x20 || key[i] > 0x7e)
			return false;
	memcpy(out, key, len);
	out[len] = '\0';
	return true;
}
