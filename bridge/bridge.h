/*
 * bridge.h - the parts of one bridge process, wired together by main.c.
 *
 * Everything belongs to one thread. Parts reach each other through this struct; each
 * part's own header says what it offers.
 */
#ifndef CHAT_BRIDGE_BRIDGE_H
#define CHAT_BRIDGE_BRIDGE_H

#include "bridge/acceptor.h"
#include "bridge/closed_rooms.h"
#include "bridge/drain.h"
#include "bridge/health.h"
#include "bridge/history_reader.h"
#include "bridge/loop.h"
#include "bridge/mqtt_link.h"
#include "bridge/renamed_rooms.h"
#include "bridge/reports.h"
#include "bridge/rooms.h"
#include "bridge/roster.h"
#include "bridge/server.h"
#include "bridge/session.h"
#include "bridge/sync.h"
#include "bridge/tunnel.h"
#include "bridge/web_files.h"
#include "common/cidr.h"
#include "common/settings.h"

struct bridge {
	struct bridge_settings settings;
	struct cidr_list proxies; /* what settings.trusted_proxies says */
	struct cidr_list metrics_allow;
	struct loop loop;
	struct mqtt_links links;
	struct rooms rooms;
	struct rounds rounds;
	struct sync sync;
	struct roster roster;
	struct reports reports;
	struct health health;
	struct sync_part orders;                   /* of session_orders.c */
	struct sync_part announcements, deletions; /* of session_events.c */
	struct closed_rooms closed;
	struct renamed_rooms renamed;
	struct drain drain;
	struct sessions sessions;
	struct tunnels tunnels;
	struct server server;
	struct acceptor acceptor;
	struct history_reader history;
	struct web_files web;
	uv_poll_t control; /* end of file on it means that the broker is gone */
	bool stopping;
	uint64_t stop_by_ms;
};

#endif
