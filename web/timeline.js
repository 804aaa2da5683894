/**
 * The open place's messages: a window of them, which moves as the reader scrolls; what is in view stays where it is.
 * `on`: load(gap), read(id), retry(outgoing), discard(outgoing).
 */
import { dayLabel, t, timeElement } from "./text.js";
import { $, el, fill, soon } from "./dom.js";
import { avatar, nameElement, terminal } from "./places.js";
import { linked } from "./links.js";
import { indexOf } from "./store.js";

const most = 200;
const step = 60;

export class Timeline {
	#elements = new Map();
	/** The ids at the ends of the window; "": as far as there is. */
	#first = "";
	#last = "";
	#follow = true;
	#top = 0;

	constructor(on) {
		const log = $("timeline");
		Object.assign(this, { on, log, user: "", place: null, update: soon(() => this.#render()) });
		log.onscroll = () => this.place && this.#scrolled();
		log.onclick = ({ target: { dataset, source } }) => {
			if (!dataset.action) return;
			on[dataset.action](source);
			log.focus({ preventScroll: true });
		};
		$("to-newest").onclick = () => this.end();
		new ResizeObserver(() => this.#follow && this.#toEnd()).observe(log);
		document.addEventListener("visibilitychange", this.update);
	}

	show(place) {
		this.place = place;
		this.#elements.clear();
		this.end();
	}

	end() {
		this.#follow = true;
		this.#top = 0;
		this.#render();
	}

	#window() {
		const { messages } = this.place;
		return [indexOf(messages, this.#first), this.#last ? indexOf(messages, this.#last) + 1 : messages.length];
	}

	#move(from, to) {
		const { messages } = this.place;
		this.#first = from > 0 ? messages[from].id : "";
		this.#last = to < messages.length ? messages[to - 1].id : "";
	}

	#render() {
		const { place, log } = this;
		if (!place) return fill(log, []);
		// The reader has scrolled, and the event is still to come.
		if (log.scrollTop < this.#top - 40 && this.#below() > 40) this.#follow = false;
		const anchor = !this.#follow && [...log.querySelectorAll(".message")].find((node) => node.offsetTop + node.offsetHeight > log.scrollTop);
		const before = anchor?.offsetTop;
		let [from, to] = this.#window();
		if (this.#follow) {
			to = place.messages.length;
			from = Math.max(0, to - step);
		} else to = Math.min(to, from + most);
		this.#move(from, to);
		fill(log, this.#nodes(from, to));
		if (this.#follow) this.#toEnd();
		else if (anchor?.isConnected) log.scrollTop += anchor.offsetTop - before;
		this.#settled();
	}

	#nodes(from, to) {
		const { messages, outgoing, gaps, older, target } = this.place;
		const used = new Map(), nodes = [];
		const use = (key, make) => {
			const node = this.#elements.get(key) ?? make();
			used.set(key, node);
			nodes.push(node);
			return node;
		};
		let day, last, previous = messages[from - 1]?.id ?? "";
		const missing = (end) => {
			for (const gap of gaps) if (gap.after >= previous && gap.after < end) use(`gap ${gap.after}${gap.state}`, () => this.#gap(gap, "gap"));
		};
		const put = (key, message) => {
			const date = new Date(message.timestamp), today = dayLabel(date);
			if (day !== today) use(`${today} ${key}`, () => el("h3", { className: "day" }, today));
			day = today;
			const joined = nodes.at(-1).source === last && last?.sender === message.sender && date - new Date(last.timestamp) < 3e5;
			use(key, () => this.#message(message, date)).classList.toggle("joined", joined);
			last = message;
		};
		const { state } = older, empty = /begin|none/.test(state) && !messages.length && !outgoing.length;
		const hint = target.room ? [t("hint"), el("pre", {}, terminal(target.room, this.user))] : [];
		if (state && !from) use(`older ${state}${empty}`, () => (empty ? el("div", { className: "empty" }, el("p", {}, t("empty")), ...hint) : this.#gap(older, "begin")));
		for (const message of messages.slice(from, to)) {
			missing(message.id);
			put(message.id, message);
			previous = message.id;
		}
		if (to === messages.length) {
			missing("~");
			for (const out of outgoing) put(out.key + out.status, out);
		}
		this.#elements = used;
		return nodes;
	}

	#gap(gap, className) {
		const { state } = gap, node = el("p", { className }, t(gap.after && state === "none" ? "gap" : state || "gap"));
		if (!state || state === "failed") node.append(el("button", { source: gap, data: { action: "load" } }, t(state ? "again" : "fill")));
		return node;
	}

	#message(message, date) {
		const { id, sender, message: text, reason } = message, own = sender === this.user;
		const { status = own ? "sent" : "received" } = message;
		const node = el("article", { className: own ? "message own" : "message", tabIndex: -1, source: message, data: { status } },
			avatar(sender),
			el("header", {}, nameElement(sender), " ", timeElement(date)),
			el("div", { className: "body", dir: "auto" }, ...linked(text)));
		const button = (action, label) => el("button", { source: message, data: { action } }, t(label));
		if (id) node.dataset.messageId = id;
		if (status === "sending") node.append(el("footer", {}, t("sending")));
		if (status === "failed") node.append(el("footer", { className: "error" }, t("unsent", { reason }), button("retry", "again"), button("discard", "discard")));
		return node;
	}

	#toEnd() {
		this.log.scrollTop = this.log.scrollHeight;
		this.#top = this.log.scrollTop;
	}

	#below = () => this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight;

	#scrolled() {
		const { length } = this.place.messages, { scrollTop, clientHeight } = this.log;
		const [from, to] = this.#window(), below = this.#below();
		this.#follow = to === length && below < 40;
		if (scrollTop < clientHeight && from && !this.#follow) this.#move(Math.max(0, from - step), Math.min(to, from - step + most));
		else if (below < clientHeight && to < length) this.#move(Math.max(from, to + step - most), Math.min(length, to + step));
		else return this.#settled();
		this.update();
	}

	/** What follows from where the reader is. */
	#settled() {
		const { on, place, log } = this, button = $("to-newest");
		if (!this.#first && log.scrollTop < log.clientHeight && !place.older.state) on.load(place.older);
		if (this.#follow && !document.hidden) on.read(place.newest);
		button.hidden = this.#follow;
		button.textContent = "↓ " + t(place.unread ? "unread" : "newest", { n: place.unread });
	}
}
