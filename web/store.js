/**
 * What is known of one user's places, and what is kept for the next visit (localStorage, a record for each user: places,
 * read marks, drafts, the id to resume from). Knows neither elements nor connections; tells every change to `changed`.
 */

/** @typedef {{ id: string, sender: string, room?: string, to?: string, message: string, timestamp: string }} Message */
/** @typedef {{ key: string, sender: string, message: string, timestamp: string, status: "sending"|"failed", reason?: string }} Outgoing */

/** Beyond so many messages of a place the oldest are forgotten; history has them. */
const most = 12000;

/** @param {Message[]} list by id @param {string} id @returns {number} the first index that is not below `id` */
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
	/** @param {string} key @param {string} [read] @param {string} [draft] */
	constructor(key, read = "0", draft = "") {
		this.key = key;
		[this.kind, this.name] = [key.slice(0, 4), key.slice(5)];
		/** What is sent there says so. */
		this.target = this.kind === "room" ? { room: this.name } : { to: this.name };
		/** @type {Message[]} by id, each once */ this.messages = [];
		/** @type {Outgoing[]} */ this.outgoing = [];
		/** What is missing: what is older than all, then what is missing after an id. State: "", loading, failed, begin, none. */
		this.older = { state: "" };
		/** @type {{ after: string, state: string }[]} */ this.gaps = [];
		/** @type {string|undefined} the newest id when the connection ended, until the replay has come */ this.mark = undefined;
		/** @type {Map<string, number>} until when */ this.typing = new Map();
		this.read = read;
		this.draft = draft;
		this.unread = 0;
		this.notice = "";
	}
	get newest() {
		return this.messages.at(-1)?.id ?? "";
	}
}

export class Store {
	/** @param {string} user @param {(place?: Place) => void} changed */
	constructor(user, changed) {
		Object.assign(this, { user, changed, newest: "", record: `mosquitto-chat ${user}` });
		/** @type {Map<string, Place>} */ this.places = new Map();
		const { places = [], read = {}, drafts = {}, since } = this.#load();
		this.since = since;
		for (const key of places) this.places.set(key, new Place(key, read[key], drafts[key]));
		// What another tab has read is read.
		this.listener = ({ key }) => {
			if (key === this.record) for (const place of this.places.values()) this.markRead(place, this.#load().read?.[place.key] ?? "");
		};
		addEventListener("storage", this.listener);
	}

	close() {
		this.save();
		removeEventListener("storage", this.listener);
	}

	/** @param {string} kind @returns {Place[]} */
	of(kind) {
		return [...this.places.values()].filter((place) => place.kind === kind);
	}

	/** @param {string} key @returns {Place} a new one where there is none: everything that was there before is not news */
	place(key) {
		if (!this.places.has(key)) {
			this.places.set(key, new Place(key, this.newest || undefined));
			this.changed();
		}
		return this.places.get(key);
	}

	/** @param {Message} message a live or replayed one @returns {Place|undefined} where it is new */
	add(message) {
		const own = message.sender === this.user;
		const place = this.place(message.room ? `room:${message.room}` : `user:${own ? message.to : message.sender}`);
		if (this.#insert(place, message)) return;
		if (place.messages.length > most) {
			place.messages.splice(0, most / 6);
			place.older.state = "";
		}
		place.typing.delete(message.sender);
		// Whoever writes has read.
		if (own) this.markRead(place, message.id);
		this.changed(place);
		return place;
	}

	/** @param {Place} place @param {Message[]} messages a page of history @returns {boolean} whether it reached what was known */
	merge(place, messages) {
		return messages.filter((message) => this.#insert(place, message)).length > 0;
	}

	/** @param {Place} place @param {string} id */
	markRead(place, id) {
		if (id <= place.read) return;
		place.read = id;
		place.unread = place.messages.slice(indexOf(place.messages, id)).filter((message) => this.#isNew(place, message)).length;
		this.changed(place);
	}

	save() {
		const { read: elsewhere = {} } = this.#load();
		const places = [...this.places.keys()], read = {}, drafts = {};
		// The next visit resumes where the first thing that was not read comes again.
		let since = this.newest || this.since;
		for (const [key, place] of this.places) {
			const mark = elsewhere[key] > place.read ? elsewhere[key] : place.read;
			read[key] = mark;
			if (place.draft) drafts[key] = place.draft;
			if (place.unread && mark > "0" && mark < since) since = mark;
		}
		try {
			localStorage.setItem(this.record, JSON.stringify({ places, read, drafts, since }));
		} catch {
			// Full or forbidden: the next visit begins anew.
		}
	}

	#load() {
		try {
			return JSON.parse(localStorage.getItem(this.record)) ?? {};
		} catch {
			return {};
		}
	}

	#isNew = (place, { id, sender }) => id > place.read && sender !== this.user;

	/** @returns {boolean} whether it was there */
	#insert(place, message) {
		const { id } = message;
		const at = id > place.newest ? place.messages.length : indexOf(place.messages, id);
		if (place.messages[at]?.id === id) return true;
		place.messages.splice(at, 0, message);
		if (id > this.newest) this.newest = id;
		if (this.#isNew(place, message)) place.unread++;
		return false;
	}
}
