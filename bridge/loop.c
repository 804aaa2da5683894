/* loop.c - see loop.h */
#include "bridge/loop.h"
#include "bridge/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define BATCH_MAX 256

uint64_t loop_now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_epoll(uv_poll_t *handle, int status, int events)
{
	struct loop *l = handle->data;
	(void)events;
	if (status < 0)
		return;
	struct epoll_event batch[BATCH_MAX];
	int n = epoll_wait(l->epoll_fd, batch, BATCH_MAX, 0);
	if (n <= 0)
		return;
	l->now_ms = loop_now_ns() / 1000000u;
	l->batch = batch;
	l->batch_len = n;
	for (l->batch_at = 0; l->batch_at < n; l->batch_at++) {
		struct epoll_event *e = &batch[l->batch_at];
		struct watcher *w = e->data.ptr;
		if (w != NULL)
			w->on_ready(w, e->events);
	}
	l->batch = NULL;
	l->batch_len = 0;
}

static void on_prepare(uv_prepare_t *handle)
{
	struct loop *l = handle->data;
	l->now_ms = loop_now_ns() / 1000000u;
	l->on_round(l->user);
}

bool loop_start(struct loop *l, void (*on_round)(void *user), void *user)
{
	memset(l, 0, sizeof *l);
	l->on_round = on_round;
	l->user = user;
	l->now_ms = loop_now_ns() / 1000000u;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		log_line(LOG_LEVEL_ERROR, "epoll_create1: %s", strerror(errno));
		return false;
	}
	int rc = uv_loop_init(&l->uv);
	if (rc == 0)
		rc = uv_poll_init(&l->uv, &l->poll, l->epoll_fd);
	if (rc == 0) {
		l->poll.data = l;
		rc = uv_poll_start(&l->poll, UV_READABLE, on_epoll);
	}
	if (rc == 0)
		rc = uv_prepare_init(&l->uv, &l->prepare);
	if (rc == 0) {
		l->prepare.data = l;
		rc = uv_prepare_start(&l->prepare, on_prepare);
	}
	if (rc != 0) {
		log_line(LOG_LEVEL_ERROR, "event loop: %s", uv_strerror(rc));
		return false;
	}
	return true;
}

void loop_stop(struct loop *l)
{
	uv_close((uv_handle_t *)&l->poll, NULL);
	uv_close((uv_handle_t *)&l->prepare, NULL);
}

void loop_end(struct loop *l)
{
	int rc = uv_loop_close(&l->uv);
	if (rc != 0)
		log_line(LOG_LEVEL_DEBUG, "event loop not empty at the end: %s", uv_strerror(rc));
	(void)close(l->epoll_fd);
}

static int control(struct loop *l, int operation, struct watcher *w)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = w}};
	return epoll_ctl(l->epoll_fd, operation, w->fd, &e);
}

bool loop_watch(struct loop *l, struct watcher *w)
{
	return control(l, EPOLL_CTL_ADD, w) == 0;
}

void loop_again(struct loop *l, struct watcher *w)
{
	if (control(l, EPOLL_CTL_MOD, w) != 0)
		log_line(LOG_LEVEL_ERROR, "epoll_ctl: %s", strerror(errno));
}

void loop_unwatch(struct loop *l, struct watcher *w)
{
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL) != 0)
		log_line(LOG_LEVEL_ERROR, "epoll_ctl: %s", strerror(errno));
	struct epoll_event *batch = l->batch;
	for (int i = l->batch_at; i < l->batch_len; i++)
		if (batch[i].data.ptr == w)
			batch[i].data.ptr = NULL;
}
