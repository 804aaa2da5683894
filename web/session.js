/**
 * One user's connection, and what it brings put into the store: messages, pages of history, gaps, who writes.
 * `on`: state (as the client tells it), presence, message (place and a live message), trouble (a text for the reader).
 */
import { ChatClient } from "./chat-client.js";
import { t } from "./text.js";

/** @typedef {import("./store.js").Place} Place */

export class Session {
	#opened = false;

	/** @param {import("./store.js").Store} store @param {() => Promise<string>} token @param {Record<string, (...args: any[]) => void>} on */
	constructor(store, token, on) {
		const chat = new ChatClient({ user: store.user, token, since: store.since, rooms: store.of("room").map(({ name }) => name), connect: false });
		Object.assign(this, { store, chat });
		const rooms = () => chat.rooms.forEach((name) => store.place(`room:${name}`));
		const heard = {
			ready: rooms,
			state: (detail) => {
				if (detail.state === "open") rooms();
				for (const place of store.places.values()) {
					if (detail.state === "open") place.older.state = place.older.state.replace(/none|failed/, "");
					else if (this.#opened) place.mark ??= place.newest;
				}
				this.#opened ||= detail.state === "open";
				on.state(detail);
			},
			message: ({ own, replayed, ...message }) => {
				const place = store.add(message);
				if (place && !replayed) on.message(place, message);
			},
			recovered: ({ room, complete }) => {
				for (const place of room ? [store.place(`room:${room}`)] : store.of("user")) {
					if (!complete && place.mark) place.gaps.push({ after: place.mark, state: "" });
					place.mark = undefined;
					store.changed(place);
				}
			},
			presence: on.presence,
			typing: ({ sender, room }) => {
				const place = store.places.get(room ? `room:${room}` : `user:${sender}`);
				place?.typing.set(sender, Date.now() + 4000);
				store.changed(place);
				setTimeout(() => store.changed(place), 4100);
			},
			system: ({ message }) => {
				const place = store.of("user").find(({ name }) => message.startsWith(name + " "));
				if (!place) return on.trouble(message);
				place.notice = message;
				store.changed(place);
			},
			error: ({ message }) => on.trouble(message),
		};
		for (const type in heard) chat.addEventListener(type, ({ detail }) => heard[type](detail));
		chat.connect();
	}

	close() {
		this.chat.close();
		this.store.close();
	}

	/** @param {Place} place @param {string} message */
	send(place, message) {
		place.notice = "";
		this.retry(place, { key: crypto.randomUUID(), message, sender: this.store.user, timestamp: new Date().toISOString() });
	}

	/** @param {Place} place @param {import("./store.js").Outgoing} out */
	async retry(place, out) {
		const { store } = this;
		this.discard(place, out);
		place.outgoing.push(Object.assign(out, { status: "sending" }));
		store.changed(place);
		try {
			const { id, timestamp } = await this.chat.send({ message: out.message, ...place.target });
			this.discard(place, out);
			store.add({ id, sender: out.sender, ...place.target, message: out.message, timestamp });
		} catch ({ code, message }) {
			Object.assign(out, { status: "failed", reason: t(code) ?? message });
		}
		store.changed(place);
	}

	/** @param {Place} place @param {import("./store.js").Outgoing} out */
	discard(place, out) {
		place.outgoing = place.outgoing.filter((other) => other !== out);
		this.store.changed(place);
	}

	/** Loads a page of what is missing. @param {Place} place @param {{ after?: string, state: string }} gap `place.older` or one of its gaps */
	async load(place, gap) {
		if (this.chat.state !== "open" || gap.state === "loading") return;
		const range = gap === place.older ? { before: place.messages[0]?.id } : { after: gap.after };
		gap.state = "loading";
		this.store.changed(place);
		try {
			const { messages, complete } = await this.chat.history({ ...(place.kind === "room" ? place.target : { with: place.name }), limit: 50, ...range });
			const met = this.store.merge(place, messages);
			gap.state = complete && !gap.after ? "begin" : "";
			if (gap.after) gap.after = messages.at(-1)?.id ?? gap.after;
			if (complete || met) place.gaps = place.gaps.filter((other) => other !== gap);
		} catch ({ code }) {
			gap.state = code === "unavailable" ? "none" : "failed";
		}
		this.store.changed(place);
	}
}
