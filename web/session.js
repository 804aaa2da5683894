/** One user's connection; what it brings is put into the store. `on`: state, presence, message(place, a live one), trouble(text). */
import { ChatClient } from "./chat-client.js";
import { t } from "./text.js";

export class Session {
	constructor(store, token, on) {
		const { places, changed } = store;
		const chat = new ChatClient({ user: store.user, token, since: store.since, rooms: store.of("room").map(({ name }) => name), connect: false });
		Object.assign(this, { store, chat });
		const rooms = () => chat.rooms.forEach((name) => store.place(`room:${name}`));
		const heard = {
			ready: rooms,
			state: (detail) => {
				const open = detail.state === "open";
				if (open) rooms();
				for (const place of places.values())
					if (open) place.older.state = place.older.state.replace(/none|failed/, "");
					else place.mark ??= place.newest || undefined;
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
					changed(place);
				}
			},
			presence: on.presence,
			typing: ({ sender, room }) => {
				const place = places.get(room ? `room:${room}` : `user:${sender}`);
				place?.typing.set(sender, Date.now() + 4000);
				changed(place);
				setTimeout(changed, 4100, place);
			},
			system: ({ message }) => {
				const place = store.of("user").find(({ name }) => message.startsWith(name + " "));
				if (!place) return on.trouble(message);
				place.notice = message;
				changed(place);
			},
			error: ({ message }) => on.trouble(message),
		};
		for (const type in heard) chat.addEventListener(type, ({ detail }) => heard[type](detail));
		chat.connect();
	}

	/** `out`: a message that was not acknowledged. */
	async send(place, out) {
		const { store, chat } = this, { sender, message } = out;
		place.notice = "";
		this.discard(place, out);
		place.outgoing.push(Object.assign(out, { status: "sending" }));
		try {
			const { id, timestamp } = await chat.send({ message, ...place.target });
			this.discard(place, out);
			store.add({ id, sender, ...place.target, message, timestamp });
		} catch ({ code, message }) {
			Object.assign(out, { status: "failed", reason: t(code) ?? message });
		}
		store.changed(place);
	}

	discard(place, out) {
		place.outgoing = place.outgoing.filter((other) => other !== out);
		this.store.changed(place);
	}

	/** Loads a page of what is missing: `place.older` or one of its gaps. */
	async load(place, gap) {
		const { store, chat } = this, { after } = gap, { room, to } = place.target;
		if (chat.state !== "open" || gap.state === "loading") return;
		gap.state = "loading";
		store.changed(place);
		try {
			const { messages, complete } = await chat.history({ room, with: to, limit: 50, after, before: after ? undefined : place.messages[0]?.id });
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
