/*
 * request.c - see request.h
 */
#include "request.h"

#include "common/json.h"
#include "common/utf8.h"

#include <stdbool.h>
#include <string.h>

#define MEMBERS_MAX 8

const char request_usage[] = "  listSessions [--user ADDRESS] [--count N] [--offset N]\n"
                             "  kick ADDRESS [REASON]\n"
                             "  ban ADDRESS [REASON] [--seconds N]\n"
                             "  unban ADDRESS\n"
                             "  listBans [--user ADDRESS] [--count N] [--offset N]\n"
                             "  mute ADDRESS [REASON] [--room ROOM] [--seconds N]\n"
                             "  unmute ADDRESS [--room ROOM]\n"
                             "  listMutes [--user ADDRESS] [--room ROOM] [--count N] [--offset N]\n"
                             "  closeRoom ROOM [REASON] [--seconds N]\n"
                             "  openRoom ROOM\n"
                             "  listClosedRooms [--count N] [--offset N]\n"
                             "  renameRoom ROOM TO\n"
                             "  listRenamedRooms [--count N] [--offset N]\n"
                             "  deleteMessage ID\n"
                             "  announce MESSAGE [--room ROOM]\n"
                             "  getAudit [--count N] [--offset N]\n"
                             "  drain [SECONDS]\n"
                             "  undrain\n";

/* What stands alone behind a command, in this order. */
static const struct {
	const char *command;
	const char *alone[2];
} commands[] = {
    {"listSessions", {NULL, NULL}},  {"kick", {"user", "reason"}},      {"ban", {"user", "reason"}},
    {"unban", {"user", NULL}},       {"listBans", {NULL, NULL}},        {"mute", {"user", "reason"}},
    {"unmute", {"user", NULL}},      {"listMutes", {NULL, NULL}},       {"closeRoom", {"room", "reason"}},
    {"openRoom", {"room", NULL}},    {"listClosedRooms", {NULL, NULL}}, {"deleteMessage", {"id", NULL}},
    {"announce", {"message", NULL}}, {"getAudit", {NULL, NULL}},        {"drain", {"seconds", NULL}},
    {"undrain", {NULL, NULL}},       {"renameRoom", {"room", "to"}},    {"listRenamedRooms", {NULL, NULL}},
};

static const struct {
	const char *name;
	bool number;
} members[] = {
    {"user", false},   {"room", false}, {"reason", false}, {"message", false}, {"id", false},
    {"seconds", true}, {"count", true}, {"offset", true},  {"to", false},
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

struct writer {
	char *at, *end; /* room for the NUL is behind end */
	bool full;
};

static void put(struct writer *w, const char *text, size_t len)
{
	if (w->full || (size_t)(w->end - w->at) < len) {
		w->full = true;
		return;
	}
	memcpy(w->at, text, len);
	w->at += len;
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

static void put_string(struct writer *w, const char *text)
{
	size_t len = strlen(text), size = json_escaped_size(text, len);

	put_text(w, "\"");
	if (w->full || (size_t)(w->end - w->at) < size) {
		w->full = true;
		return;
	}
	w->at = json_escape(text, len, w->at);
	put_text(w, "\"");
}

/* NULL, or what is wrong. */
static const char *put_member(struct writer *w, const char *name, const char *value)
{
	size_t i;

	for (i = 0; i < COUNT(members) && strcmp(members[i].name, name) != 0; i++)
		;
	if (i == COUNT(members))
		return "there is no such option of a command";
	if (!utf8_valid(value, strlen(value), NULL))
		return "a value is not UTF-8";
	if (members[i].number &&
	    (*value == '\0' || strlen(value) > 15 || value[strspn(value, "0123456789")] != '\0' ||
	     (value[0] == '0' && value[1] != '\0')))
		return "a number is expected: of seconds, or behind --count, --offset";
	put_text(w, ",");
	put_string(w, name);
	put_text(w, ":");
	if (members[i].number)
		put_text(w, value);
	else
		put_string(w, value);
	return NULL;
}

const char *request_make(int count, const char *const *words, char out[REQUEST_MAX])
{
	struct writer w = {out, out + REQUEST_MAX - 1, false};
	const char *error = NULL;
	size_t which;
	int i, alone = 0;

	if (count < 1)
		return "a command is missing";
	for (which = 0; which < COUNT(commands) && strcmp(commands[which].command, words[0]) != 0; which++)
		;
	if (which == COUNT(commands))
		return "there is no such command";
	put_text(&w, "{\"commands\":[{\"command\":");
	put_string(&w, words[0]);
	for (i = 1; i < count && !error; i++) {
		if (strncmp(words[i], "--", 2) == 0 && words[i][2] != '\0') {
			if (i + 1 == count)
				return "a value is missing at the end";
			error = put_member(&w, words[i] + 2, words[i + 1]);
			i++;
		} else if (alone < 2 && commands[which].alone[alone]) {
			error = put_member(&w, commands[which].alone[alone++], words[i]);
		} else {
			error = "there is more than this command takes (a text of several words needs quotes)";
		}
	}
	put_text(&w, "}]}");
	if (error)
		return error;
	if (w.full)
		return "it is too long";
	*w.at = '\0';
	return NULL;
}
