/**
 * One user's connection, and what it brings put into the store: messages, pages of history, gaps, who writes.
 * `on`: state (as the client tells it), presence, message(place, message) for live ones, trouble(a text for the reader).
 */
import { ChatClient } from "./chat-client.js";
import { t } from "./text.js";

export class Session {
	#opened = false;

	constructor(store, token, on) {
		const chat = new ChatClient({ user: store.user, token, since: store.since, rooms: store.of("room").map(({ name }) => name), connect: false });
		Object.assign(this, { store, chat });
		const rooms = () => chat.rooms.forEach((name) => store.place(`room:${name}`));
		const heard = {
			ready: rooms,
			state: (detail) => {
				const open = detail.state === "open";
				if (open) rooms();
				for (const place of store.places.values())
					if (open) place.older.state = place.older.state.replace(/none|failed/, "");
					else if (this.#opened) place.mark ??= place.newest;
				this.#opened ||= open;
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
				setTimeout(store.changed, 4100, place);
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

	send(place, message) {
		place.notice = "";
		this.retry(place, { key: crypto.randomUUID(), message, sender: this.store.user, timestamp: new Date().toISOString() });
	}

	/** @param {import("./store.js").Outgoing} out */
	async retry(place, out) {
		this.discard(place, out);
		place.outgoing.push(Object.assign(out, { status: "sending" }));
		this.store.changed(place);
		try {
			const { sender, message } = out;
			const { id, timestamp } = await this.chat.send({ message, ...place.target });
			this.discard(place, out);
			this.store.add({ id, sender, ...place.target, message, timestamp });
		} catch ({ code, message }) {
			Object.assign(out, { status: "failed", reason: t(code) ?? message });
		}
		this.store.changed(place);
	}

	discard(place, out) {
		place.outgoing = place.outgoing.filter((other) => other !== out);
		this.store.changed(place);
	}

	/** Loads a page of what is missing. @param {import("./store.js").Gap} gap `place.older` or one of its gaps */
	async load(place, gap) {
		const { store, chat } = this, { after } = gap;
		if (chat.state !== "open" || gap.state === "loading") return;
		gap.state = "loading";
		store.changed(place);
		try {
			const { messages, complete } = await chat.history({ room: place.target.room, with: place.target.to, limit: 50, after, before: after ? undefined : place.messages[0]?.id });
			const met = store.merge(place, messages);
			gap.state = complete && !after ? "begin" : "";
			if (after) gap.after = messages.at(-1)?.id ?? after;
			if (complete || met) place.gaps = place.gaps.filter((other) => other !== gap);
		} catch ({ code }) {
			gap.state = code === "unavailable" ? "none" : "failed";
		}
		store.changed(place);
	}
}
