/** One user's places, kept for the next visit (localStorage). Tells every change to `changed(place)`. */
import { attempt } from "./dom.js";

/** A gap, { after, state }: what is missing after an id; state "", loading, failed, begin or none. */

/** More messages of a place than that: the oldest are forgotten. */
const most = 12000;

/** The first index in a list sorted by id that is not below `id`. */
export function indexOf(list, id) {
	let low = 0;
	for (let high = list.length; low < high; ) {
		const middle = (low + high) >> 1;
		if (list[middle].id < id) low = middle + 1;
		else high = middle;
	}
	return low;
}

export class Place {
	/** By id, each once. */ messages = [];
	/** Not acknowledged: key, message, sender, timestamp, status, reason. */ outgoing = [];
	/** The gap before all messages. */ older = { state: "" };
	gaps = [];
	/** The newest id when the connection ended, until the replay has come. */ mark;
	/** who writes, until when */ typing = new Map();
	unread = 0;
	notice = "";

	constructor(key, read = "0", draft = "") {
		const kind = key.slice(0, 4), name = key.slice(5);
		Object.assign(this, { key, kind, name, read, draft, target: kind === "room" ? { room: name } : { to: name } });
	}

	get newest() {
		return this.messages.at(-1)?.id ?? "";
	}
}

export class Store {
	places = new Map();
	newest = "";

	constructor(user, changed) {
		Object.assign(this, { user, changed, record: `mosquitto-chat ${user}` });
		const { places = [], read = {}, drafts = {}, since } = this.#load();
		this.since = since;
		for (const key of places) this.places.set(key, new Place(key, read[key], drafts[key]));
		addEventListener("storage", ({ key }) => {
			if (key === this.record) for (const place of this.places.values()) this.markRead(place, this.#load().read?.[place.key] ?? "");
		});
	}

	of(kind) {
		return [...this.places.values()].filter((place) => place.kind === kind);
	}

	place(key) {
		if (!this.places.has(key)) {
			this.places.set(key, new Place(key, this.newest || undefined));
			this.changed();
		}
		return this.places.get(key);
	}

	/** Takes a live or replayed message: its place, where it is new. */
	add(message) {
		const { id, sender, room, to } = message, own = sender === this.user;
		const place = this.place(room ? `room:${room}` : `user:${own ? to : sender}`);
		if (this.#insert(place, message)) return;
		if (place.messages.length > most) {
			place.messages.splice(0, most / 6);
			place.older.state = "";
		}
		place.typing.delete(sender);
		// Whoever writes has read.
		if (own) this.markRead(place, id);
		this.changed(place);
		return place;
	}

	/** Takes a page of history: whether it reached what was known. */
	merge(place, messages) {
		return messages.filter((message) => this.#insert(place, message)).length > 0;
	}

	markRead(place, id) {
		if (id <= place.read) return;
		place.read = id;
		place.unread = place.messages.slice(indexOf(place.messages, id)).filter((message) => this.#isNew(place, message)).length;
		this.changed(place);
	}

	/** `since`: where the connection would resume. */
	save(since = this.newest || this.since) {
		const elsewhere = this.#load().read ?? {}, read = {}, drafts = {};
		// What was not read must come again at the next visit.
		for (const [key, place] of this.places) {
			const mark = (read[key] = elsewhere[key] > place.read ? elsewhere[key] : place.read);
			if (place.draft) drafts[key] = place.draft;
			if (place.unread && mark > "0" && mark < since) since = mark;
		}
		attempt(() => (localStorage[this.record] = JSON.stringify({ places: [...this.places.keys()], read, drafts, since })));
	}

	#load = () => attempt(() => JSON.parse(localStorage[this.record])) ?? {};
	#isNew = (place, { id, sender }) => id > place.read && sender !== this.user;

	#insert(place, message) {
		const { id } = message, { messages, newest } = place;
		const at = id > newest ? messages.length : indexOf(messages, id);
		if (messages[at]?.id === id) return true;
		messages.splice(at, 0, message);
		if (id > this.newest) this.newest = id;
		if (this.#isNew(place, message)) place.unread++;
		return false;
	}
}
