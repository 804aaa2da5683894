/* http_api.c - see http_api.h */
#include "bridge/http_api.h"
#include "bridge/bridge.h"
#include "bridge/http_access.h"
#include "bridge/http_history.h"

#include <string.h>

void http_api_give(struct http_exchange *x, struct http_answer *answer)
{
	answer->head_only = http_span_is(x->head.method, "HEAD");
	answer->origins = x->bridge->settings.allowed_origins;
	answer->origin = x->head.origin;
	x->cancel = NULL;
	x->give(x, answer);
}

void http_api_answer(struct http_exchange *x, const struct http_status *status, struct chunk *body)
{
	struct http_answer answer = {.status = status, .body = body};
	http_api_give(x, &answer);
}

/* ---- routes --------------------------------------------------------------------------- */

static bool give_users(struct http_exchange *x, const void *data)
{
	(void)data;
	struct roster *roster = &x->bridge->roster;
	struct chunk *users = roster_users(roster);
	const struct http_status *status = &http_ok;
	if (users == NULL)
		status = roster_complete(roster) ? &http_overloaded : &http_starting;
	http_api_answer(x, status, users);
	return true;
}

static bool get_users(struct http_exchange *x)
{
	return http_access_ask(x, NULL, NULL, give_users, NULL);
}

static void give_file(struct http_exchange *x, const struct web_file *file)
{
	bool known = http_etag_listed(x->head.if_none_match, file->etag);
	struct http_answer answer = {
	    .status = known ? &http_not_modified : &http_ok,
	    .body = known ? NULL : file->body,
	    .content_type = file->content_type,
	    .fields = file->fields,
	};
	http_api_give(x, &answer);
}

static const struct {
	const char *path;
	bool whole;                           /* false: whatever begins so */
	bool (*get)(struct http_exchange *x); /* answers: true; or sets cancel and answers later: false */
} routes[] = {
    {"/health", true, health_get},         {"/ready", true, health_get_ready},
    {"/rooms/", false, http_history_room}, {"/messages/", false, http_history_pair},
    {"/users", true, get_users},           {"/metrics", true, reports_get_metrics},
};

bool http_api_handle(struct http_exchange *x)
{
	struct http_span target = x->head.target;
	const char *mark = memchr(target.at, '?', target.len);
	x->path = (struct http_span){target.at, mark != NULL ? (size_t)(mark - target.at) : target.len};
	if (mark != NULL)
		x->query = (struct http_span){mark + 1, target.len - x->path.len - 1};
	if (x->path.len == 0)
		x->path = (struct http_span){"/", 1};
	/* No name of a file can be that of another route: those have no extension, or characters that names have
	 * not. */
	const struct web_file *file = web_files_find(&x->bridge->web, x->path);
	bool options = http_span_is(x->head.method, "OPTIONS");
	if (http_span_is(x->path, "*")) { /* of OPTIONS alone */
		http_api_answer(x, &http_no_content, NULL);
		return true;
	}
	if (file != NULL) {
		if (options)
			http_api_answer(x, &http_no_content, NULL);
		else
			give_file(x, file);
		return true;
	}
	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		size_t len = strlen(routes[i].path);
		bool fits = routes[i].whole ? x->path.len == len : x->path.len > len;
		if (!fits || memcmp(x->path.at, routes[i].path, len) != 0)
			continue;
		if (!options)
			return routes[i].get(x);
		http_api_answer(x, &http_no_content, NULL);
		return true;
	}
	http_api_answer(x, &http_not_found, NULL);
	return true;
}
