/* fake.js - a clock that a test moves, a socket whose server is the test, and the client module with both. */

const channel = new MessageChannel();
const waiting = [];
channel.port1.onmessage = () => waiting.shift()();

/** Everything that promises have waiting has happened. (A timer of 0 ms would take 4.) */
export const settle = () => new Promise((resolve) => {
	waiting.push(resolve);
	channel.port2.postMessage(0);
});

export class Clock {
	time = 1_000;
	timers = new Map();
	next = 1;

	globals() {
		return {
			setTimeout: (fn, ms = 0) => { this.timers.set(this.next, { at: this.time + ms, fn }); return this.next++; },
			clearTimeout: (id) => void this.timers.delete(id),
			Date: Object.assign(function () {}, { now: () => 1_790_000_000_000 + this.time }),
			performance: { now: () => this.time },
		};
	}

	/** Runs what becomes due, in order. */
	async advance(ms) {
		const end = this.time + ms;
		for (let rounds = 0; ; rounds++) {
			if (rounds > 20_000) throw new Error("a timer that is always due");
			await settle();
			const due = [...this.timers].filter(([, t]) => t.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
			if (!due) break;
			this.timers.delete(due[0]);
			this.time = Math.max(this.time, due[1].at);
			due[1].fn();
		}
		this.time = end;
		await settle();
	}
}

/** The test is the server: what was sent, and what to say. */
export function socketClass(sockets) {
	return class FakeSocket {
		constructor(url, protocols) {
			this.url = new URL(url);
			this.query = Object.fromEntries(this.url.searchParams);
			this.protocols = protocols;
			this.sent = [];
			this.closed = false;
			sockets.push(this);
		}
		send(text) { this.sent.push(JSON.parse(text)); }
		close() { this.closed = true; }

		say(frame) { this.onmessage({ data: JSON.stringify(frame) }); }
		end(code = 1006, reason = "") { this.onclose({ code, reason }); }
		ready(rooms = (this.query.room ?? "general").split(",")) { this.say({ type: "ready", user: decodeURIComponent(this.url.pathname.slice(4)), rooms }); }
		recovered(count = 0, complete = true) {
			for (const room of (this.query.room ?? "general").split(",")) this.say({ type: "recovered", room, complete, count });
			this.say({ type: "recovered", inbox: true, complete, count });
		}
		message(n, place = "general", sender = "bob@x.org") {
			const where = place === "inbox" ? { to: "alice@x.org" } : { room: place };
			this.say({ id: id(n), sender, ...where, message: "m" + n, timestamp: "2026-11-22T14:07:31.482Z" });
		}
		ack(frame, n) { this.say({ type: "ack", ref: frame.ref, id: id(n), timestamp: "2026-11-22T14:07:31.482Z" }); }
		error(frame, code, field) { this.say({ type: "error", code, message: code + "!", sender: "System", field, ref: frame.ref }); }
		/** Messages and the like that were sent, without the page of history that a client begins with. */
		get said() { return this.sent.filter((f) => !(f.type === "history" && f.limit === 1)); }
		get messages() { return this.sent.filter((f) => f.type === undefined); }
	};
}

/** A ULID that rises with n. */
export const id = (n) => "01M8B" + String(n).padStart(21, "0");

let copies = 0;

/** The module, its clock, its sockets; make(options) gives a client and what it tells. */
export async function world({ random } = {}) {
	const clock = new Clock(), sockets = [];
	globalThis.fakeClock = clock.globals();
	const module = await import(`/fake/chat-client.js?${++copies}`);
	const made = [];
	const make = (options = {}) => {
		const chat = new module.ChatClient({ user: "alice@x.org", url: "ws://chat.test", WebSocket: socketClass(sockets), ...options });
		const told = [];
		for (const event of ["state", "ready", "message", "sent", "recovered", "system", "error", "presence", "typing"])
			chat.addEventListener(event, ({ detail }) => told.push({ event, ...detail }));
		chat.told = told;
		chat.of = (event) => told.filter((one) => one.event === event);
		chat.texts = () => chat.of("message").map((m) => m.message);
		made.push(chat);
		return chat;
	};
	const before = Math.random;
	if (random !== undefined) Math.random = () => random;
	const last = () => sockets[sockets.length - 1];
	/** A client that is open, and its socket. */
	const open = async (options) => {
		const chat = make(options);
		await clock.advance(0);
		last().ready();
		await clock.advance(0);
		return [chat, last()];
	};
	/** Until the next dial. */
	const redial = async (ms = 40_000) => {
		const n = sockets.length;
		for (let t = 0; t < ms && sockets.length === n; t += 50) await clock.advance(50);
		if (sockets.length === n) throw new Error("no further dial");
		return last();
	};
	const end = () => {
		Math.random = before;
		for (const chat of made) chat.close();
	};
	return { ...module, random: before, clock, sockets, make, last, open, redial, end };
}

/** What a promise has come to by now: undefined while it is pending. */
export function outcome(promise) {
	const box = {};
	promise.then((v) => { box.ok = v ?? true; }, (e) => { box.code = e.code ?? String(e); box.error = e; });
	return box;
}

export function equal(have, want, what = "") {
	const [a, b] = [JSON.stringify(have), JSON.stringify(want)];
	if (a !== b) throw new Error(`${what}: have ${a}, want ${b}`);
}

export function check(value, what) {
	if (!value) throw new Error(what);
}
