/**
 * chat-client.js - a session with the chat server that outlives its connections. Interface and promises: docs/web.md.
 * Memory is bounded; one timer, none after close(); no global state.
 */

const STEADY_MS = 10_000; // open: the back-off begins anew
const HURRY_MS = 1_000; // between dials that events ask for
const READY_MS = 20_000; // from dialing to the ready frame
const IDLE_MS = 45_000; // silence: a sign of life
const DEAD_MS = 10_000; // without an awaited answer; half of it: a sign of life
const FAULTS = [1002, 1003, 1007, 1009]; // bugs: redial five times

const OUTBOX_MESSAGES = 200;
const OUTBOX_BYTES = 256 * 1024;
const ASKED_MAX = 64; // all but messages
const PAGE_MS = 15_000;
const CONFIRM_MS = 270_000; // the server knows a ref for 300 s
const RETRIES_MAX = 8; // refused

const KNOWN_MAX = 1_200; // ids of each place: a replay gives at most the newest 1000
const SETTLED_MS = 5_000; // ways differ by no more

const INBOX = "inbox";
const ZEROS = "0".repeat(16);

const placeOf = ({ room }) => (room === undefined ? INBOX : "room:" + room);

// Plain http has no crypto.randomUUID().
const newRef = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

/** code: the server's, or outbox_full, unconfirmed, disconnected, timeout, closed. */
export class ChatError extends Error {
	constructor(code, message = code, field) {
		Object.assign(super(message), { name: "ChatError", code, field });
	}
}

/** Milliseconds, after failure 0, 1, … */
export const backoff = (attempt, random = Math.random) => random() * Math.min(30_000, 500 * 2 ** attempt);

/** Never runs backwards, and goes on while the machine sleeps. */
function steadyClock() {
	let date = Date.now(), tick = performance.now(), total = 0;
	return () => {
		total += Math.max(Date.now() - date, performance.now() - tick, 0);
		date = Date.now();
		tick = performance.now();
		return total;
	};
}

/** The smallest id of a time. */
function idAt(ms) {
	let id = ZEROS;
	for (let i = 0; i < 10; i++, ms = Math.floor(ms / 32)) id = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[ms % 32] + id;
	return id;
}

/**
 * What has come, and where a replay has to begin. Places reach a client on different ways: the newest id is not enough.
 * A place's mark: all up to it has come there. The floor: all up to it has come everywhere, as it was the newest five
 * seconds of a visibly living connection ago. Acked ids move the floor only: acks may overtake messages.
 */
class Progress {
	floor;
	newest = "";
	marks = new Map();
	known = new Map();
	replaying = new Set();
	samples = [];
	life = 0; // milliseconds; a silence counts as one second
	heardAt = 0;

	since(places) {
		const oldest = places.map((place) => this.marks.get(place) ?? "").sort()[0];
		if (places.length > 1 && oldest > (this.floor ?? "")) this.floor = oldest;
		return this.floor;
	}

	begin(now, replaying) {
		Object.assign(this, { heardAt: now, replaying: new Set(replaying), samples: [] });
	}

	/** False when it was known. */
	add(place, id) {
		const known = this.known.get(place) ?? new Set();
		if (known.has(id)) return false;
		this.known.set(place, known.add(id));
		if (known.size > KNOWN_MAX) known.delete(known.values().next().value);
		return true;
	}

	/** place: of what was delivered, not acked. */
	reach(id, place) {
		this.floor ??= id;
		if (id <= this.newest) return; // late (QoS 2), or on the slower way: no mark
		if (place && !this.replaying.has(place)) this.marks.set(place, id);
		this.newest = id;
	}

	/** A frame has come and was taken. */
	heard(now) {
		const gap = Math.min(now - this.heardAt, 1_000);
		this.heardAt = now;
		if (this.replaying.size > 0 || !this.newest) return;
		this.life += gap;
		const { samples, life } = this;
		for (; samples[0]?.life <= life - SETTLED_MS; samples.shift()) if (samples[0].id > this.floor) this.floor = samples[0].id;
		if (!(samples.at(-1)?.life > life - 1_000)) samples.push({ id: this.newest, life });
	}
}

/** Events: state, ready, message, sent, recovered, system, error, presence, typing. */
export class ChatClient extends EventTarget {
	#state = "idle"; // connecting, open, waiting, refused, closed
	#options;
	#user;
	#now = steadyClock();
	#seen = new Progress();
	#rooms; // undefined: the shared one
	#asks = new Map(); // what awaits an answer: by ref, in order
	#online = new Map();
	#typed = new Map();
	#ended = new AbortController();
	#socket;
	#timer;
	#dial = 0; // what belongs to an earlier one is ignored
	#dialedAt = 0;
	#redialAt = Infinity;
	#openedAt = 0;
	#heardAt = 0;
	#awaitedSince = Infinity; // an answer, with nothing heard since
	#sendAfter = 0;
	#attempt = 0;
	#faults = 0;

	constructor(options) {
		super();
		if (!options?.user) throw new TypeError("user is required");
		this.#options = { events: ["presence", "typing"], WebSocket: globalThis.WebSocket, ...options };
		this.#user = options.user;
		if (options.rooms?.length) this.#rooms = [...new Set(options.rooms)];
		this.#seen.floor = options.since;
		const { signal } = this.#ended, hurry = () => this.#hurry();
		globalThis.addEventListener?.("online", hurry, { signal });
		globalThis.document?.addEventListener("visibilitychange", hurry, { signal });
		// There is time to listen first.
		if (options.connect !== false) queueMicrotask(() => this.#state === "idle" && this.connect());
	}

	get state() { return this.#state; }
	get user() { return this.#user; }
	get rooms() { return [...(this.#rooms ?? [])]; }
	get online() { return this.#online; }
	/** Where a later client may go on. */
	get since() { return this.#seen.since(this.#places()); }
	get pending() { return [...this.#asks.values()].filter(({ kind }) => kind === "message").length; }

	/** Dials now, also when refused. */
	connect() {
		if (this.#state === "closed") throw new ChatError("closed");
		this.#faults = 0;
		if (this.#state !== "connecting" && this.#state !== "open") this.#connect();
	}

	/** For good: what is pending fails as `closed`. */
	close() {
		if (this.#state === "closed") return;
		this.#ended.abort();
		this.#hangUp();
		this.#online.clear();
		this.#become("closed");
		for (const ref of this.#asks.keys()) this.#fail(ref, "closed");
		this.#plan();
	}

	send({ message, room, to, ref }) {
		if (to === undefined) room ??= this.#rooms?.[0];
		return this.#ask("message", to === undefined ? "room:" + (room ?? "") : "to:" + to, { message, room, to, ref });
	}

	/** Once a second for each target, while connected. */
	typing({ room, to } = {}) {
		const target = to ?? "room:" + room, now = this.#now();
		if (this.#state !== "open" || now - (this.#typed.get(target) ?? -Infinity) < 1_000) return;
		if (this.#typed.size > 100) this.#typed.clear();
		this.#typed.set(target, now);
		this.#socket?.send(JSON.stringify({ type: "typing", room, to }));
	}

	join(room) {
		const added = !this.#rooms?.includes(room);
		// Else it would spoil the next connect.
		const wrong = !/^[a-z0-9._-]{1,64}$/.test(room) ? "invalid_room" : added && this.rooms.length > 31 && "not_allowed";
		if (wrong) return Promise.reject(new ChatError(wrong));
		if (added) this.#rooms?.push(room);
		return this.#ask("join", "rooms", { type: "join", room }, { added });
	}

	leave(room) {
		this.#drop(room);
		return this.#ask("leave", "rooms", { type: "leave", room });
	}

	/** A page, oldest first: the newest before `before`, or the oldest after `after`. */
	history(what = {}) {
		const room = what.with === undefined ? what.room ?? this.#rooms?.[0] : undefined;
		return this.#ask("history", "pages", { ...what, type: "history", room }, { deadline: this.#now() + PAGE_MS });
	}

	/** The token from now on. */
	async renew(token) {
		this.#options.token = token;
		const text = typeof token === "function" ? await token() : token;
		if (this.#state === "open") await this.#ask("token", "token", { type: "token", token: text });
	}

	#places() {
		return [INBOX, ...this.rooms.map((room) => placeOf({ room }))];
	}

	#emit(type, detail) {
		this.dispatchEvent(new CustomEvent(type, { detail }));
	}

	#become(state, more) {
		this.#state = state;
		this.#emit("state", { state, ...more });
	}

	async #connect() {
		const dial = ++this.#dial;
		const { token, device, echo, events, WebSocket, url = import.meta.url } = this.#options;
		this.#dialedAt = this.#now();
		this.#become("connecting");
		this.#plan();
		let text, socket;
		try {
			text = typeof token === "function" ? await token() : token;
		} catch (error) {
			return dial === this.#dial && this.#lost(0, String(error));
		}
		if (dial !== this.#dial) return;
		const { rooms, since } = this;
		this.#seen.begin(this.#dialedAt, since && this.#places());
		// Any event brings the ready frame.
		const query = new URLSearchParams({ events: events.includes("presence") ? "presence,typing" : "typing" });
		const more = { room: rooms.join(), device, echo: echo ? 1 : "", since };
		for (const name in more) if (more[name]) query.set(name, more[name]);
		try {
			const address = new URL("ws/" + encodeURIComponent(this.#user) + "?" + query, url);
			address.protocol = address.protocol.replace("http", "ws");
			socket = new WebSocket(address, text ? ["bearer", text] : []);
		} catch (error) {
			return this.#lost(4100, String(error)); // it can never be right
		}
		this.#socket = socket;
		socket.onmessage = (e) => dial === this.#dial && this.#receive(JSON.parse(e.data));
		socket.onclose = (e) => dial === this.#dial && this.#lost(e.code, e.reason);
	}

	#hangUp() {
		this.#dial++;
		this.#socket?.close();
		this.#socket = undefined;
		this.#redialAt = this.#awaitedSince = Infinity;
	}

	/** The connection is over; code 0: given up here. */
	#lost(code, reason) {
		if (this.#state === "open" && this.#now() - this.#openedAt >= STEADY_MS) this.#attempt = this.#faults = 0;
		this.#faults = FAULTS.includes(code) ? this.#faults + 1 : 0;
		this.#hangUp();
		const sent = [...this.#asks].filter(([, ask]) => ask.sent).sort(([, a], [, b]) => b.bytes - a.bytes);
		for (const [ref, ask] of sent) {
			ask.sent = false; // messages and joins go out again
			if (code === 1009 && ask === sent[0][1]) this.#fail(ref, "too_long"); // the largest it was
			else if (ask.kind === "history") this.#fail(ref, "disconnected");
			else if (!/message|join/.test(ask.kind)) this.#done(ref);
		}
		const expired = code === 4002 && typeof this.#options.token === "string";
		if ((code >= 4100 && code < 4200) || expired || this.#faults > 5) this.#become("refused", { code, reason });
		else {
			const retryIn = backoff(this.#attempt++) + (code === 1012 || code === 1013 ? 1_000 : 0);
			this.#redialAt = this.#now() + retryIn;
			this.#become("waiting", { code, reason, retryIn });
		}
		this.#plan();
	}

	/** Online again, or seen again. */
	#hurry() {
		const now = this.#now();
		if (globalThis.document?.visibilityState === "hidden") return;
		if (this.#state === "waiting") this.#redialAt = Math.min(this.#redialAt, Math.max(now, this.#dialedAt + HURRY_MS));
		if (this.#state === "open" && now - this.#heardAt >= HURRY_MS) this.#probe();
		this.#plan();
	}

	/** A sign of life, please: joining twice changes nothing. */
	#probe() {
		const [room] = this.rooms;
		if (this.#probeAt() === Infinity) return;
		this.#ask("probe", "probe", { type: room ? "join" : "leave", room: room ?? "-" }).catch(() => {});
	}

	// ---- the timer

	#probeAt() {
		for (const ask of this.#asks.values()) if (ask.kind === "probe") return Infinity;
		return Math.min(this.#awaitedSince + DEAD_MS / 2, this.#heardAt + IDLE_MS);
	}

	#plan() {
		clearTimeout(this.#timer);
		const now = this.#now();
		let at = this.#redialAt;
		if (this.#state === "connecting") at = this.#dialedAt + READY_MS;
		if (this.#state === "open") at = Math.min(this.#awaitedSince + DEAD_MS, this.#probeAt());
		if (this.#sendAfter > now) at = Math.min(at, this.#sendAfter);
		for (const ask of this.#asks.values()) at = Math.min(at, ask.deadline);
		if (at < Infinity) this.#timer = setTimeout(() => this.#tick(), Math.max(0, at - now));
	}

	#tick() {
		const now = this.#now();
		for (const [ref, ask] of this.#asks)
			if (now >= ask.deadline) this.#fail(ref, ask.kind === "message" ? "unconfirmed" : "timeout");
		if (this.#state === "waiting" && now >= this.#redialAt) return this.#connect();
		if (this.#state === "connecting" && now >= this.#dialedAt + READY_MS) return this.#lost(0, "no answer");
		if (now >= this.#awaitedSince + DEAD_MS) return this.#lost(0, "silence");
		if (this.#state === "open" && now >= this.#probeAt()) this.#probe();
		this.#pump();
		this.#plan();
	}

	/** Sends body, in the order of its lane, and awaits the answer. */
	#ask(kind, lane, body, more) {
		const ref = (body.ref ??= newRef());
		const bytes = new TextEncoder().encode(JSON.stringify(body)).length;
		const alike = [...this.#asks.values()].filter((ask) => (ask.kind === "message") === (kind === "message"));
		const full = kind !== "message" ? alike.length >= ASKED_MAX
			: alike.length >= OUTBOX_MESSAGES || alike.reduce((n, ask) => n + ask.bytes, bytes) > OUTBOX_BYTES;
		const wrong = this.#state === "closed" ? "closed" : full ? "outbox_full" : this.#asks.has(ref) && "invalid_ref";
		if (wrong) return Promise.reject(new ChatError(wrong));
		return new Promise((resolve, reject) => {
			const ask = { kind, lane, body, bytes, sent: false, retries: 0, deadline: Infinity, resolve, reject, ...more };
			this.#asks.set(ref, ask);
			this.#pump();
			this.#plan();
		});
	}

	/** Sends of each lane the first, of pages the first four (the server's limit). */
	#pump() {
		if (this.#state !== "open") return;
		const now = this.#now(), ahead = new Map();
		for (const ask of this.#asks.values()) {
			const n = ahead.get(ask.lane) ?? 0;
			ahead.set(ask.lane, n + 1);
			if (ask.sent || n >= (ask.kind === "history" ? 4 : 1)) continue;
			if (ask.kind === "message") {
				if (now < this.#sendAfter) continue;
				ask.deadline = Math.min(ask.deadline, now + CONFIRM_MS); // counts from the first time
			}
			ask.sent = true;
			this.#awaitedSince = Math.min(this.#awaitedSince, now);
			this.#socket?.send(JSON.stringify(ask.body));
		}
	}

	#done(ref, answer) {
		const ask = this.#asks.get(ref);
		this.#asks.delete(ref);
		if (ask?.kind === "leave" && !this.rooms.includes(ask.body.room)) {
			this.#seen.marks.delete(placeOf(ask.body));
			this.#seen.known.delete(placeOf(ask.body));
		}
		ask?.resolve(answer);
		return ask;
	}

	#drop(room) {
		this.#rooms = this.#rooms?.filter((one) => one !== room);
	}

	#fail(ref, code, message, field) {
		this.#asks.get(ref).reject(new ChatError(code, message, field));
		this.#asks.delete(ref);
	}

	#receive(frame) {
		const dial = this.#dial;
		const now = (this.#heardAt = this.#now());
		const own = (m) => ({ ...m, own: m.sender === this.#user });
		const { type, room, inbox, complete, count, sender } = frame, place = placeOf(frame);
		if (type === undefined) {
			const fresh = this.#seen.add(place, frame.id);
			this.#seen.reach(frame.id, place);
			if (fresh) this.#emit("message", { ...own(frame), replayed: this.#seen.replaying.has(place) });
		} else if (type === "ack") this.#acked(frame);
		else if (type === "error") this.#refused(frame);
		else if (type === "history") this.#done(frame.ref, { messages: frame.messages.map(own), complete });
		else if (type === "ready") this.#ready(frame);
		else if (type === "recovered") {
			this.#seen.replaying.delete(place);
			// No server knows an id that was made up here.
			const all = complete || (count < 1_000 && !!this.#seen.floor?.endsWith(ZEROS));
			this.#emit("recovered", { room, inbox, complete: all, count });
		} else if (type === "presence") {
			for (const { user, status, timestamp } of frame.users ?? [frame]) {
				this.#online.set(user, { status, timestamp });
				if (status !== "online") this.#online.delete(user);
				this.#emit("presence", { user, status, timestamp });
			}
		} else if (type === "typing" && this.#options.events.includes("typing")) this.#emit("typing", { sender, room });
		else if (type === "system" || type === "renamed") {
			this.#rooms = this.#rooms?.map((one) => (one === room && frame.to) || one);
			this.#emit("system", frame);
		}
		if (dial !== this.#dial) return; // a listener has closed
		this.#seen.heard(now);
		this.#awaitedSince = [...this.#asks.values()].some((ask) => ask.sent) ? now : Infinity;
		this.#pump();
		this.#plan();
	}

	#acked({ ref, id, timestamp }) {
		const ask = this.#done(ref, id && { id, timestamp });
		if (ask?.kind !== "message") return;
		// With echo it comes as a message, too.
		if (!this.#options.echo) this.#seen.add(placeOf(ask.body), id);
		this.#seen.reach(id);
		this.#emit("sent", { ...ask.body, id, timestamp });
	}

	#refused({ code, message, field, ref }) {
		const ask = this.#asks.get(ref);
		if (!ask) return this.#emit("error", { code, message, field, ref });
		const later = code === "rate_limited" || code === "unavailable";
		if (ask.kind !== "message" || !later || ask.retries >= RETRIES_MAX) {
			if (ask.added) this.#drop(ask.body.room);
			return this.#fail(ref, code, message, field);
		}
		// Not accepted: its time begins anew. All places share the limit.
		ask.sent = false;
		ask.deadline = Infinity;
		this.#sendAfter = this.#now() + 100 + backoff(ask.retries++);
	}

	#ready({ user, rooms }) {
		const { replaying, floor } = this.#seen;
		const changes = [...this.#asks].filter(([, ask]) => ask.lane === "rooms");
		if (!this.#rooms) {
			this.#rooms = [...rooms];
			if (replaying.size > 0) for (const place of this.#places()) replaying.add(place);
			for (const ask of this.#asks.values()) if (ask.lane === "room:") ask.lane += ask.body.room = rooms[0];
			for (const [, { kind, body }] of changes) {
				this.#drop(body.room);
				if (kind === "join") this.#rooms.push(body.room);
			}
		}
		for (const [ref, { kind, body }] of changes) if (this.rooms.includes(body.room) !== (kind === "join")) this.#done(ref);
		this.#user = user;
		this.#openedAt = this.#now();
		this.#online.clear(); // who is there is said again
		this.#become("open");
		this.#emit("ready", { user, rooms });
		for (const room of rooms) if (!this.rooms.includes(room)) this.leave(room).catch(() => {});
		// An id to come back to before any message.
		if (floor === undefined) this.history({ room: rooms[0], limit: 1 }).then(({ messages: [last] }) => {
			const id = last?.id ?? idAt(Date.now() - 3_600_000);
			if (!(id > this.#seen.floor)) this.#seen.floor = id;
		}, () => {}); // no history, no replay
	}
}
