/**
 * chat-client.js - a session with the chat server that survives bad connections. Contract: docs/web.md.
 *
 *     import { ChatClient } from "/chat-client.js";
 *     const chat = new ChatClient({ user: "alice@example.com" });
 *     chat.addEventListener("message", (e) => console.log(e.detail.sender, e.detail.message));
 *     await chat.send({ message: "hello" });
 *
 * No dependency, no global state; for pages, workers and (given a WebSocket) Node. What it promises:
 *
 *   reading   Each message is given once, in the order of its place (a room, or the inbox for direct messages).
 *             After a cut the server is asked for what was missed (`since`): no gap where it keeps history, and
 *             `recovered` says where not everything could be given.
 *   sending   A message is sent again, under the same ref, until the server has answered: it counts once. The next
 *             message to a place goes out when the one before has its answer, so that order also survives a refusal
 *             that is tried again. What may have been accepted but could not be confirmed while the server
 *             still knows the ref fails as `unconfirmed`, and is never sent again behind the caller's back.
 *   memory    Everything kept has a bound: see the constants. One timer at a time, none after close().
 */

const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 30_000;
const STEADY_MS = 10_000; // a connection that was open for so long starts the back-off anew
const HURRY_MS = 1_000; // between dials that the browser's events ask for
const READY_MS = 20_000; // from dialing to the ready frame
const IDLE_MS = 45_000; // of silence until the server is asked for a sign of life: a page does not see its pings
const QUIET_MS = 5_000; // the same while an answer is awaited
const DEAD_MS = 10_000; // an answer is awaited and nothing at all comes
const FAULTS_MAX = 5; // closes in a row that say that one of the two sides has a bug

const OUTBOX_MESSAGES = 200;
const OUTBOX_BYTES = 256 * 1024;
const CONFIRM_MS = 270_000; // the server knows a ref for five minutes
const RETRIES_MAX = 8; // of a message that is refused for now
const RETRY_BASE_MS = 250;
const RETRY_CAP_MS = 8_000;

const PAGES_AT_A_TIME = 4; // as the server has it
const REQUESTS_MAX = 64; // pages, joins, leaves and tokens without an answer
const PAGE_MS = 15_000;
const ROOMS_MAX = 32;
const ROOM = /^[a-z0-9._-]{1,64}$/;
const TYPING_MS = 1_000;
const TYPING_TARGETS = 64;

const KNOWN_PER_PLACE = 1_200; // a replay gives at most the newest 1000 of each place
const SETTLED_MS = 5_000; // rooms and inbox come on different ways: no one is behind another by more
const ROSTER_MS = 5_000; // for the server to say again who is online

const INBOX = "inbox";
const FAULTS = new Set([1002, 1003, 1007, 1009]);

/**
 * @typedef {{ id: string, sender: string, room?: string, to?: string, message: string, timestamp: string,
 *             replayed?: boolean, own: boolean }} Message
 * @typedef {"idle" | "connecting" | "open" | "waiting" | "refused" | "closed"} State
 * @typedef {string | (() => string | undefined | Promise<string | undefined>)} Token
 *
 * @typedef {{ ref: string, place: string, room?: string, to?: string, message: string, frame: string, bytes: number,
 *             inFlight: boolean, firstSent: number | undefined, retries: number,
 *             resolve: (ack: { id: string, timestamp: string }) => void, reject: (e: ChatError) => void }} Entry
 * @typedef {{ kind: "history" | "join" | "leave" | "token" | "probe", body: Record<string, unknown>, sent: boolean,
 *             deadline: number, added?: boolean,
 *             resolve: (answer: any) => void, reject: (e: ChatError) => void }} Request
 */

/** Why something was not done: `code` is an error code of the server, or outbox_full, unconfirmed, disconnected,
 *  timeout, closed. */
export class ChatError extends Error {
	/** @param {string} code @param {string} [message] @param {string} [field] */
	constructor(code, message = code, field = undefined) {
		super(message);
		this.name = "ChatError";
		this.code = code;
		this.field = field;
	}
}

/** How long to wait before dial number `attempt` (0, 1, …) after a failure: full jitter.
 *  @param {number} attempt @param {() => number} [random] @returns {number} milliseconds */
export function backoff(attempt, random = Math.random) {
	return random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 16));
}

/** A clock that never runs backwards and counts the time in which the machine slept. */
function steadyClock() {
	let date = Date.now();
	let tick = performance.now();
	let total = 0;
	return () => {
		const d = Date.now();
		const t = performance.now();
		total += Math.max(d - date, t - tick, 0);
		date = d;
		tick = t;
		return total;
	};
}

/** The smallest id of that time. @param {number} ms */
function idAt(ms) {
	let text = "";
	for (let i = 0; i < 10; i++, ms = Math.floor(ms / 32)) text = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[ms % 32] + text;
	return text + "0".repeat(16);
}

const utf8 = new TextEncoder();

/**
 * What has been seen, and from where a replay must begin.
 *
 * A place's mark says: everything up to it has come. `floor` says so of all places at once: the newest id that was
 * there before five more seconds of a visibly living connection, in which whatever was slower has come. An ack says
 * nothing about what others wrote before, as it comes on another way: own ids move the floor only.
 */
class Progress {
	/** @param {string | undefined} since */
	constructor(since) {
		this.floor = since;
		/** @type {string | undefined} */ this.newest = undefined;
		/** @type {Map<string, string>} */ this.marks = new Map();
		/** @type {Map<string, Set<string>>} */ this.known = new Map();
		/** @type {Set<string>} places whose replay is under way */ this.replaying = new Set();
		/** @type {{ id: string, alive: number }[]} */ this.samples = [];
		this.alive = 0; // milliseconds of life, a silence counts as one second
		this.heardAt = 0;
	}

	/** What to pass as since. @param {string[]} rooms */
	since(rooms) {
		let oldest = this.marks.get(INBOX);
		for (const room of rooms) {
			const mark = this.marks.get("room:" + room);
			oldest = oldest && mark && (mark < oldest ? mark : oldest);
		}
		if (oldest && rooms.length > 0 && (!this.floor || oldest > this.floor)) this.floor = oldest;
		return this.floor;
	}

	/** A connection begins. @param {string[]} replayed rooms @param {boolean} asked for a replay @param {number} now */
	begin(replayed, asked, now) {
		this.replaying = new Set(asked ? [INBOX, ...replayed.map((room) => "room:" + room)] : []);
		this.samples = [];
		this.heardAt = now;
	}

	/** False when it was known already. @param {string} place @param {string} id */
	see(place, id) {
		let known = this.known.get(place);
		if (!known) this.known.set(place, (known = new Set()));
		if (known.has(id)) return false;
		known.add(id);
		if (known.size > KNOWN_PER_PLACE) for (const oldest of known) { known.delete(oldest); break; }
		return true;
	}

	/** It has been delivered. What is older than something seen elsewhere (QoS 2) is no mark. @param {string} place
	 *  @param {string} id */
	mark(place, id) {
		if (this.replaying.has(place)) return;
		if (!this.newest || id > this.newest) this.marks.set(place, id);
	}

	/** @param {string} id */
	reach(id) {
		if (!this.newest || id > this.newest) this.newest = id;
		this.floor ??= id;
	}

	/** Any frame has come and been taken. @param {number} now */
	heard(now) {
		const gap = now - this.heardAt;
		this.heardAt = now;
		if (this.replaying.size > 0) return;
		this.alive += Math.min(gap, 1_000);
		while (this.samples.length > 0 && this.alive - this.samples[0].alive >= SETTLED_MS) {
			const { id } = /** @type {{ id: string }} */ (this.samples.shift());
			if (!this.floor || id > this.floor) this.floor = id;
		}
		const last = this.samples[this.samples.length - 1];
		if (this.newest && (!last || this.alive - last.alive >= 1_000)) this.samples.push({ id: this.newest, alive: this.alive });
	}

	/** @param {string} place */
	forget(place) {
		this.marks.delete(place);
		this.known.delete(place);
		this.replaying.delete(place);
	}
}

/** Events (CustomEvent, see docs/web.md for each detail): state, ready, message, sent, recovered, system, error,
 *  presence, typing. */
export class ChatClient extends EventTarget {
	/** @type {State} */ #state = "idle";
	/** @type {WebSocket | null} */ #socket = null;
	#dial = 0; // counts dials: what belongs to an earlier one is ignored
	#attempt = 0;
	#faults = 0;
	#openedAt = 0;
	#dialedAt = -Infinity;
	#redialAt = Infinity;
	/** @type {string | undefined} */ #shownToken = undefined;
	#now = steadyClock();
	/** @type {ReturnType<typeof setTimeout> | undefined} */ #timer = undefined;
	#heardAt = 0;
	#awaitedSince = Infinity; // since when an answer has been awaited and nothing has come
	/** @type {string[] | null} */ #rooms; // null: the server's shared room, not known by name yet
	/** @type {Entry[]} */ #outbox = [];
	#outboxBytes = 0;
	#sendAfter = 0;
	/** @type {Map<string, Request>} by ref */ #requests = new Map();
	/** @type {Map<string, { status: string, timestamp: string }>} */ #online = new Map();
	/** @type {Set<string>} online before a cut, not said again yet */ #unsure = new Set();
	#unsureAt = Infinity;
	/** @type {Map<string, number>} */ #typed = new Map();
	#user;
	#base;
	/** @type {Token | undefined} */ #token;
	#device;
	#events;
	#echo;
	#progress;
	#WebSocket;

	/**
	 * @param {{ user: string, url?: string | URL, token?: Token, rooms?: string[], device?: string,
	 *           events?: ("presence" | "typing")[], echo?: boolean, since?: string, connect?: boolean,
	 *           WebSocket?: typeof WebSocket }} options
	 */
	constructor({ user, url = import.meta.url, token, rooms, device, events = ["presence", "typing"], echo = false, since,
		connect = true, WebSocket = globalThis.WebSocket }) {
		super();
		if (!user) throw new TypeError("user is required");
		this.#user = user;
		this.#base = new URL(url);
		this.#base.protocol = this.#base.protocol.replace("http", "ws");
		this.#token = token;
		this.#rooms = rooms && rooms.length > 0 ? [...new Set(rooms)] : null;
		this.#device = device;
		this.#events = events;
		this.#echo = echo;
		this.#progress = new Progress(since);
		this.#WebSocket = WebSocket;
		globalThis.addEventListener?.("online", this.#hurry);
		globalThis.document?.addEventListener("visibilitychange", this.#hurry);
		// Not before the caller has had time to listen.
		if (connect) queueMicrotask(() => this.#state === "idle" && this.connect());
	}

	get state() { return this.#state; }
	/** As the server writes it, once it has said so. */
	get user() { return this.#user; }
	/** Empty until the server has named its shared room, if that is what was asked for. */
	get rooms() { return [...(this.#rooms ?? [])]; }
	/** Who is connected, by address. */
	get online() { return this.#online; }
	/** Messages without an answer. */
	get pending() { return this.#outbox.length; }

	/** Dials now, unless it is connected or on the way; after "refused", too. */
	connect() {
		if (this.#state === "closed") throw new ChatError("closed");
		if (this.#state === "connecting" || this.#state === "open") return;
		this.#faults = 0;
		void this.#connect();
	}

	/** Ends it for good; what is pending fails as `closed`. */
	close() {
		if (this.#state === "closed") return;
		globalThis.removeEventListener?.("online", this.#hurry);
		globalThis.document?.removeEventListener("visibilitychange", this.#hurry);
		this.#hangUp(1000);
		clearTimeout(this.#timer);
		const left = [...this.#outbox, ...this.#requests.values()];
		this.#outbox = [];
		this.#outboxBytes = 0;
		this.#requests.clear();
		this.#online.clear();
		this.#become("closed");
		for (const one of left) one.reject(new ChatError("closed"));
	}

	/**
	 * @param {{ message: string, room?: string, to?: string, ref?: string }} what ref: a name of one's own, for who
	 *        sends again what an earlier page has not seen confirmed
	 * @returns {Promise<{ id: string, timestamp: string }>}
	 */
	send({ message, room, to, ref = crypto.randomUUID() }) {
		return new Promise((resolve, reject) => {
			if (to === undefined) room ??= this.#rooms?.[0];
			const frame = JSON.stringify({ message, room, to, ref });
			const bytes = utf8.encode(frame).length;
			if (this.#state === "closed") return reject(new ChatError("closed"));
			if (this.#outbox.length >= OUTBOX_MESSAGES || this.#outboxBytes + bytes > OUTBOX_BYTES)
				return reject(new ChatError("outbox_full"));
			const place = to !== undefined ? "to:" + to : "room:" + (room ?? "");
			this.#outboxBytes += bytes;
			this.#outbox.push({ ref, place, room, to, message, frame, bytes, inFlight: false, firstSent: undefined, retries: 0,
				resolve, reject });
			this.#pump();
			this.#plan();
		});
	}

	/** Says that somebody is typing; at most once a second for each target, and only while connected.
	 *  @param {{ room?: string, to?: string }} [where] */
	typing({ room, to } = {}) {
		if (this.#state !== "open") return;
		if (to === undefined) room ??= this.#rooms?.[0];
		const target = to ?? "room:" + room;
		const now = this.#now();
		if (now - (this.#typed.get(target) ?? -Infinity) < TYPING_MS) return;
		this.#typed.delete(target);
		this.#typed.set(target, now);
		if (this.#typed.size > TYPING_TARGETS) for (const oldest of this.#typed.keys()) { this.#typed.delete(oldest); break; }
		this.#transmit(JSON.stringify({ type: "typing", room, to }));
	}

	/** Fulfilled when what is said there is received. Asked for again after each cut. @param {string} room
	 *  @returns {Promise<void>} */
	join(room) {
		if (!ROOM.test(room)) return Promise.reject(new ChatError("invalid_room", "not a valid room name", "room"));
		const added = !this.#rooms?.includes(room);
		if (added && (this.#rooms?.length ?? 0) >= ROOMS_MAX)
			return Promise.reject(new ChatError("not_allowed", "too many rooms", "room"));
		if (added) this.#rooms?.push(room);
		return this.#ask("join", { type: "join", room }, { added });
	}

	/** @param {string} room @returns {Promise<void>} */
	leave(room) {
		if (!ROOM.test(room)) return Promise.reject(new ChatError("invalid_room", "not a valid room name", "room"));
		if (this.#rooms) this.#rooms = this.#rooms.filter((one) => one !== room);
		// Without a connection there is nothing to leave: the next one does not ask for it.
		if (this.#rooms && this.#state !== "open" && this.#state !== "connecting") {
			this.#progress.forget("room:" + room);
			return Promise.resolve();
		}
		return this.#ask("leave", { type: "leave", room });
	}

	/**
	 * A page of what was said: the newest before `before`, or the oldest after `after`; oldest first.
	 * @param {{ room?: string, with?: string, before?: string, after?: string, limit?: number }} [what]
	 * @returns {Promise<{ messages: Message[], complete: boolean }>}
	 */
	history({ room, with: other, before, after, limit } = {}) {
		if (other === undefined) room ??= this.#rooms?.[0];
		return this.#ask("history", { type: "history", room, with: other, before, after, limit },
			{ deadline: this.#now() + PAGE_MS });
	}

	/** Shows a new token to the server, if connected, and uses it from now on. @param {Token} token
	 *  @returns {Promise<void>} */
	async renew(token) {
		this.#token = token;
		if (this.#state !== "open") return;
		const text = typeof token === "function" ? await token() : token;
		this.#shownToken = text;
		if (this.#state === "open") await this.#ask("token", { type: "token", token: text });
	}

	// ---- the connection ----------------------------------------------------------------------

	/** @param {string} type @param {unknown} detail */
	#emit(type, detail) {
		this.dispatchEvent(new CustomEvent(type, { detail }));
	}

	/** @param {State} state @param {{ code?: number, reason?: string, retryIn?: number }} [more] */
	#become(state, more = {}) {
		this.#state = state;
		this.#emit("state", { state, ...more });
	}

	async #connect() {
		const dial = ++this.#dial;
		this.#dialedAt = this.#now();
		this.#redialAt = Infinity;
		this.#become("connecting");
		this.#plan();
		let token;
		try {
			token = typeof this.#token === "function" ? await this.#token() : this.#token;
		} catch (error) {
			if (dial === this.#dial) this.#lost(0, "no token: " + error);
			return;
		}
		if (dial !== this.#dial) return;
		this.#shownToken = token;
		const address = new URL("ws/" + encodeURIComponent(this.#user), this.#base);
		const query = new URLSearchParams();
		// The ready frame comes with any event, so one is always asked for.
		query.set("events", this.#events.includes("presence") ? "presence,typing" : "typing");
		const rooms = this.#rooms ?? [];
		if (rooms.length > 0) query.set("room", rooms.join(","));
		if (this.#device !== undefined) query.set("device", this.#device);
		if (this.#echo) query.set("echo", "1");
		const since = this.#progress.since(rooms);
		if (since) query.set("since", since);
		address.search = query.toString().replaceAll("%2C", ",");
		let socket;
		try {
			socket = token ? new this.#WebSocket(address, ["bearer", token]) : new this.#WebSocket(address);
		} catch (error) {
			this.#become("refused", { reason: String(error) }); // the address or the token can never be right
			this.#plan();
			return;
		}
		this.#socket = socket;
		this.#progress.begin(rooms, since !== undefined, this.#now());
		socket.onmessage = (event) => dial === this.#dial && this.#take(event.data);
		socket.onclose = (event) => dial === this.#dial && this.#lost(event.code, event.reason);
	}

	/** Lets go of the socket, whatever becomes of it. @param {number} [code] */
	#hangUp(code) {
		this.#dial++;
		const socket = this.#socket;
		this.#socket = null;
		this.#redialAt = this.#awaitedSince = this.#unsureAt = Infinity;
		socket?.close(code);
	}

	/** The connection is over. @param {number} code 0: it was given up here @param {string} reason */
	#lost(code, reason) {
		const open = this.#state === "open";
		if (open && this.#now() - this.#openedAt >= STEADY_MS) this.#attempt = this.#faults = 0;
		this.#hangUp();
		if (code === 1009) this.#tooLong();
		for (const entry of this.#outbox) entry.inFlight = false;
		/** @type {Request[]} */ const failed = [];
		for (const [ref, request] of this.#requests) {
			if (!request.sent) continue;
			request.sent = false;
			if (request.kind === "join") continue; // the next connection asks for the room
			this.#requests.delete(ref);
			if (request.kind === "leave") {
				this.#progress.forget("room:" + request.body.room);
				request.resolve(undefined);
			} else if (request.kind === "token") request.resolve(undefined); // shown at the next connect
			else failed.push(request);
		}
		const stale = code === 4002 && typeof this.#token !== "function" && this.#token === this.#shownToken;
		this.#faults = FAULTS.has(code) ? this.#faults + 1 : 0;
		if ((code >= 4100 && code < 4200) || stale || this.#faults > FAULTS_MAX) {
			this.#become("refused", { code, reason });
		} else {
			let wait = backoff(this.#attempt++);
			if (code === 1012 || code === 1013) wait += 1_000;
			this.#redialAt = this.#now() + wait;
			this.#become("waiting", { code, reason, retryIn: Math.round(wait) });
		}
		for (const request of failed) request.reject(new ChatError("disconnected"));
		this.#plan();
	}

	/** The server took one message for too large: the largest of those under way. */
	#tooLong() {
		let largest;
		for (const entry of this.#outbox)
			if (entry.inFlight && (!largest || entry.bytes > largest.bytes)) largest = entry;
		if (largest) this.#settle(largest).reject(new ChatError("too_long", "too large for the server", "message"));
	}

	/** The browser is online again, or the page is seen again. */
	#hurry = () => {
		if (globalThis.document?.visibilityState === "hidden") return;
		const now = this.#now();
		if (this.#state === "waiting") {
			this.#redialAt = Math.min(this.#redialAt, Math.max(now, this.#dialedAt + HURRY_MS));
			this.#plan();
		} else if (this.#state === "open" && now - this.#heardAt >= HURRY_MS) this.#probe();
	};

	/** Asks for a sign of life: to join a room that one is in changes nothing. */
	#probe() {
		for (const request of this.#requests.values()) if (request.kind === "probe") return;
		const room = this.#rooms?.[0];
		const body = room ? { type: "join", room } : { type: "leave", room: "-" };
		this.#ask("probe", body).catch(() => {}); // that nothing comes is seen by the clock
	}

	/** @param {string} frame */
	#transmit(frame) {
		this.#socket?.send(frame);
	}

	// ---- time: one timer, set to the next thing that is due --------------------------------------

	#plan() {
		clearTimeout(this.#timer);
		const now = this.#now();
		let at = this.#redialAt;
		if (this.#state === "connecting") at = this.#dialedAt + READY_MS;
		if (this.#state === "open") {
			at = Math.min(this.#unsureAt, this.#awaitedSince + DEAD_MS, this.#probeAt());
			for (const entry of this.#outbox) if (!entry.inFlight && this.#sendAfter > now) at = Math.min(at, this.#sendAfter);
		}
		for (const entry of this.#outbox) if (entry.firstSent !== undefined) at = Math.min(at, entry.firstSent + CONFIRM_MS);
		for (const request of this.#requests.values()) at = Math.min(at, request.deadline);
		if (at < Infinity && this.#state !== "closed") this.#timer = setTimeout(() => this.#tick(), Math.max(0, at - now));
	}

	#probeAt() {
		for (const request of this.#requests.values()) if (request.kind === "probe") return Infinity;
		return this.#heardAt + (this.#awaitedSince < Infinity ? QUIET_MS : IDLE_MS);
	}

	#tick() {
		const now = this.#now();
		for (const entry of [...this.#outbox])
			if (entry.firstSent !== undefined && now - entry.firstSent >= CONFIRM_MS)
				this.#settle(entry).reject(new ChatError("unconfirmed", "sent, but never confirmed", undefined));
		for (const [ref, request] of this.#requests)
			if (now >= request.deadline) {
				this.#requests.delete(ref);
				request.reject(new ChatError("timeout"));
			}
		if (this.#state === "waiting" && now >= this.#redialAt) return void this.#connect();
		if (this.#state === "connecting" && now >= this.#dialedAt + READY_MS) return this.#lost(0, "no answer");
		if (this.#state === "open") {
			if (now >= this.#awaitedSince + DEAD_MS) return this.#lost(0, "the connection is silent");
			if (now >= this.#probeAt()) this.#probe();
			if (now >= this.#unsureAt) this.#ghosts();
			this.#pump();
			this.#sendRequests();
		}
		this.#plan();
	}

	/** Something was sent that will be answered. */
	#await() {
		if (this.#awaitedSince === Infinity) this.#awaitedSince = this.#now();
	}

	// ---- what goes out ---------------------------------------------------------------------------

	/** Sends the first message of each place, unless it is under way. */
	#pump() {
		const now = this.#now();
		if (this.#state !== "open" || now < this.#sendAfter) return;
		const busy = new Set();
		for (const entry of this.#outbox) {
			if (busy.has(entry.place)) continue;
			busy.add(entry.place);
			if (entry.inFlight) continue;
			entry.inFlight = true;
			entry.firstSent ??= now;
			this.#await();
			this.#transmit(entry.frame);
		}
	}

	/** It has its answer. @param {Entry} entry */
	#settle(entry) {
		this.#outbox.splice(this.#outbox.indexOf(entry), 1);
		this.#outboxBytes -= entry.bytes;
		return entry;
	}

	/** @param {Request["kind"]} kind @param {Record<string, unknown>} body @param {Partial<Request>} [more]
	 *  @returns {Promise<any>} */
	#ask(kind, body, more = {}) {
		return new Promise((resolve, reject) => {
			if (this.#state === "closed") return reject(new ChatError("closed"));
			if (this.#requests.size >= REQUESTS_MAX) return reject(new ChatError("outbox_full"));
			this.#requests.set(crypto.randomUUID(), { kind, body, sent: false, deadline: Infinity, resolve, reject, ...more });
			this.#sendRequests();
			this.#plan();
		});
	}

	#sendRequests() {
		if (this.#state !== "open") return;
		let pages = 0;
		for (const request of this.#requests.values()) if (request.sent && request.kind === "history") pages++;
		for (const [ref, request] of this.#requests) {
			if (request.sent || (request.kind === "history" && pages++ >= PAGES_AT_A_TIME)) continue;
			request.sent = true;
			this.#await();
			this.#transmit(JSON.stringify({ ...request.body, ref }));
		}
	}

	// ---- what comes in ---------------------------------------------------------------------------

	/** @param {string} text */
	#take(text) {
		const frame = JSON.parse(text);
		const now = (this.#heardAt = this.#now());
		const dial = this.#dial;
		if (frame.type === undefined) this.#message(frame);
		else if (frame.type === "ack") this.#acked(frame);
		else if (frame.type === "error") this.#refused(frame);
		else if (frame.type === "ready") this.#ready(frame);
		else if (frame.type === "recovered") this.#recovered(frame);
		else if (frame.type === "history") this.#answer(frame.ref)?.resolve(
			{ messages: frame.messages.map((/** @type {Message} */ m) => this.#marked(m)), complete: frame.complete });
		else if (frame.type === "presence") for (const one of frame.users ?? [frame]) this.#presence(one);
		else if (frame.type === "typing" && this.#events.includes("typing")) this.#emit("typing", { sender: frame.sender, room: frame.room });
		else if (frame.type === "system") this.#emit("system", frame);
		if (dial !== this.#dial) return; // a listener has closed
		this.#progress.heard(now);
		this.#awaitedSince = Infinity;
		for (const entry of this.#outbox) if (entry.inFlight) this.#awaitedSince = now;
		for (const request of this.#requests.values()) if (request.sent) this.#awaitedSince = now;
		this.#pump();
		this.#sendRequests();
		this.#plan();
	}

	/** @param {Message} m @returns {Message} */
	#marked(m) {
		return { ...m, own: m.sender === this.#user };
	}

	/** @param {Message} m */
	#message(m) {
		const place = m.room === undefined ? INBOX : "room:" + m.room;
		const fresh = this.#progress.see(place, m.id);
		const replayed = this.#progress.replaying.has(place);
		this.#progress.mark(place, m.id);
		this.#progress.reach(m.id);
		if (fresh) this.#emit("message", { ...this.#marked(m), replayed });
	}

	/** @param {{ ref: string, id: string, timestamp: string }} ack */
	#acked({ ref, id, timestamp }) {
		const entry = this.#outbox.find((one) => one.ref === ref);
		if (!entry) {
			const request = this.#answer(ref);
			if (request?.kind === "leave") this.#progress.forget("room:" + request.body.room);
			return request?.resolve(undefined);
		}
		this.#settle(entry).resolve({ id, timestamp });
		// With echo it comes as a message, too.
		if (!this.#echo) this.#progress.see(entry.to !== undefined ? INBOX : "room:" + entry.room, id);
		this.#progress.reach(id);
		const { room, to, message } = entry;
		this.#emit("sent", { ref, id, timestamp, room, to, message });
	}

	/** @param {{ code: string, message: string, field?: string, ref?: string }} frame */
	#refused(frame) {
		const error = new ChatError(frame.code, frame.message, frame.field);
		const entry = this.#outbox.find((one) => one.ref === frame.ref);
		if (!entry) {
			const request = this.#answer(frame.ref);
			if (!request) return this.#emit("error", { code: frame.code, message: frame.message, field: frame.field, ref: frame.ref });
			if (request.added && this.#rooms) this.#rooms = this.#rooms.filter((one) => one !== request.body.room);
			return request.reject(error);
		}
		if ((frame.code !== "rate_limited" && frame.code !== "unavailable") || entry.retries >= RETRIES_MAX)
			return this.#settle(entry).reject(error);
		// It has not been accepted: the ref is as good as new. All places wait, for the limit is one's own.
		entry.inFlight = false;
		entry.firstSent = undefined;
		const wait = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** entry.retries++);
		this.#sendAfter = this.#now() + wait * (0.5 + Math.random() / 2);
	}

	/** The request that this answers. @param {string | undefined} ref */
	#answer(ref) {
		const request = ref === undefined ? undefined : this.#requests.get(ref);
		if (request) this.#requests.delete(/** @type {string} */ (ref));
		return request;
	}

	/** In its rooms. @param {{ user: string, rooms: string[] }} frame */
	#ready({ user, rooms }) {
		this.#user = user;
		if (!this.#rooms) {
			this.#rooms = [...rooms];
			// Not known by name when they were written, or when the replay was asked for.
			for (const entry of this.#outbox) if (entry.place === "room:") {
				entry.room = rooms[0];
				entry.place = "room:" + entry.room;
			}
			if (this.#progress.replaying.size > 0) for (const room of rooms) this.#progress.replaying.add("room:" + room);
		}
		for (const [ref, request] of this.#requests) {
			const room = /** @type {string} */ (request.body.room);
			if (request.kind !== "join") continue;
			if (!this.#rooms.includes(room)) this.#rooms.push(room);
			if (!rooms.includes(room)) continue;
			this.#requests.delete(ref);
			request.resolve(undefined);
		}
		this.#openedAt = this.#heardAt;
		this.#unsure = new Set(this.#online.keys());
		this.#unsureAt = this.#unsure.size > 0 ? this.#heardAt + ROSTER_MS : Infinity;
		this.#become("open");
		this.#emit("ready", { user, rooms });
		if (this.#state !== "open") return; // a listener has closed
		// What changed while it was on the way.
		for (const room of rooms) if (!this.#rooms.includes(room)) this.#ask("leave", { type: "leave", room }).catch(() => {});
		for (const room of this.#rooms) if (!rooms.includes(room)) {
			const asked = [...this.#requests.values()].some((one) => one.kind === "join" && one.body.room === room);
			if (!asked) this.#ask("join", { type: "join", room }, { added: true }).catch(() => {});
		}
		if (this.#progress.floor === undefined && this.#rooms.length > 0) this.#baseline(this.#rooms[0]);
	}

	/** Without it, what is said during a cut before the first message would never be asked for.
	 *  @param {string} room */
	async #baseline(room) {
		try {
			const page = await this.history({ room, limit: 1 });
			const id = page.messages[0]?.id ?? idAt(Date.now() - 3_600_000);
			if (!this.#progress.floor || id < this.#progress.floor) this.#progress.floor = id;
		} catch {
			// No history, no replay.
		}
	}

	/** @param {{ room?: string, inbox?: boolean, complete: boolean, count: number }} frame */
	#recovered({ room, inbox, complete, count }) {
		this.#progress.replaying.delete(room === undefined ? INBOX : "room:" + room);
		this.#emit("recovered", { room, inbox, complete, count });
	}

	/** @param {{ user: string, status: string, timestamp: string }} who */
	#presence({ user, status, timestamp }) {
		this.#unsure.delete(user);
		if (status === "online") this.#online.set(user, { status, timestamp });
		else this.#online.delete(user);
		this.#emit("presence", { user, status, timestamp });
	}

	/** Who was there before the cut and has not been named since has gone. */
	#ghosts() {
		this.#unsureAt = Infinity;
		const timestamp = new Date().toISOString();
		for (const user of [...this.#unsure]) this.#presence({ user, status: "offline", timestamp });
	}
}
