/**
 * The messages of the open place: a window of at most `most` of them, which moves as the reader scrolls. What is in view
 * stays where it is whatever comes above it, and the end is followed while the reader is there.
 * `on`: load(place, gap), read(place, id) of what is in view, retry(place, outgoing), discard(place, outgoing).
 */
import { t } from "./text.js";
import { $, arrowed, el, fill, soon } from "./dom.js";
import { dayLabel, timeElement } from "./time.js";
import { avatar, nameElement, terminal } from "./places.js";
import { linked } from "./links.js";
import { indexOf } from "./store.js";

const most = 200;
const step = 60;
/** What one person says within five minutes stands together. */
const together = 3e5;
const onlyEmoji = /^(?=.*\p{Extended_Pictographic})[\p{Extended_Pictographic}\p{Emoji_Modifier}\u200d\ufe0f\s]{1,14}$/u;

export class Timeline {
	/** @type {Map<string, HTMLElement>} in use, by id or outgoing key */ #elements = new Map();
	/** The ids at the ends of the window; "": as far as there is. */
	#first = "";
	#last = "";
	#follow = true;
	#divider = "";

	/** @param {Record<string, (...args: any[]) => void>} on */
	constructor(on) {
		const log = $("timeline");
		Object.assign(this, { on, log, user: "", place: null, update: soon(() => this.#render()) });
		log.onscroll = () => this.#scrolled();
		log.onkeydown = (event) => {
			const next = arrowed([...log.querySelectorAll(".message")], event);
			if (event.key === "End") this.end();
			next?.focus();
			if (next) event.preventDefault();
		};
		log.onclick = ({ target }) => {
			const { action } = target.dataset;
			if (!action) return;
			on[action](this.place, target.source);
			log.focus({ preventScroll: true });
		};
		$("to-newest").onclick = () => this.end();
		new ResizeObserver(() => this.#follow && this.#toEnd()).observe(log);
		document.addEventListener("visibilitychange", this.update);
	}

	/** @param {import("./store.js").Place|null} place from the first message that was not read */
	show(place) {
		this.place = place;
		this.#elements.clear();
		this.#divider = place?.unread ? place.read : "";
		this.end();
		const mark = this.log.querySelector(".new");
		if (!mark || mark.offsetTop > this.log.scrollTop) return;
		this.#follow = false;
		mark.scrollIntoView();
	}

	/** Goes to the newest and follows. */
	end() {
		this.#follow = true;
		this.#render();
	}

	/** @returns {[number, number]} */
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
		if (!this.place) return fill(this.log, []);
		const { messages } = this.place;
		const anchor = !this.#follow && [...this.log.querySelectorAll(".message")].find((node) => node.offsetTop + node.offsetHeight > this.log.scrollTop);
		const before = anchor?.offsetTop;
		let [from, to] = this.#window();
		if (this.#follow) {
			to = messages.length;
			const news = this.#divider ? to - indexOf(messages, this.#divider) + 10 : 0;
			from = Math.max(0, to - Math.min(most, Math.max(step, news)));
		} else to = Math.min(to, from + most);
		this.#move(from, to);
		fill(this.log, this.#nodes(from, to));
		if (this.#follow) this.#toEnd();
		else if (anchor?.isConnected) this.log.scrollTop += anchor.offsetTop - before;
		this.#settled();
	}

	#nodes(from, to) {
		const { messages, outgoing, gaps, older } = this.place;
		const used = new Map(), nodes = from ? [] : this.#beginning(older);
		let day = "", last, previous = messages[from - 1]?.id ?? "";
		const missing = (end) => nodes.push(...gaps.filter(({ after }) => after >= previous && after < end).map((gap) => this.#gap(gap, "gap")));
		const put = (key, message) => {
			const date = new Date(message.timestamp);
			if (day !== date.toDateString()) {
				nodes.push(el("h3", { className: "day" }, dayLabel(date)));
				day = date.toDateString();
			}
			const node = this.#elements.get(key) ?? this.#message(message, date);
			const joined = nodes.at(-1)?.source === last && last?.sender === message.sender && date - new Date(last.timestamp) < together;
			node.classList.toggle("joined", joined);
			used.set(key, node);
			nodes.push(node);
			last = message;
		};
		for (const message of messages.slice(from, to)) {
			missing(message.id);
			if (previous <= this.#divider && message.id > this.#divider && this.#divider) nodes.push(el("p", { className: "new" }, t("new")));
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

	#beginning(older) {
		const { kind, messages, outgoing } = this.place;
		if (!older.state) return [];
		if (/begin|none/.test(older.state) && !messages.length && !outgoing.length)
			return [el("div", { className: "empty" }, el("p", {}, t("empty")), ...(kind === "room" ? [t("hint"), el("pre", { tabIndex: 0 }, terminal(this.place, this.user))] : [t("private")]))];
		return [this.#gap(older, "begin")];
	}

	/** What stands where something is missing, and how to load it. */
	#gap(gap, className) {
		const { state } = gap;
		const retry = el("button", { source: gap, data: { action: "load" } }, t(state === "failed" ? "again" : "fill"));
		return el("p", { className }, t(state || "gap"), ...(state && state !== "failed" ? [] : [retry]));
	}

	#message(message, date) {
		const { id = "", sender, message: text, status = sender === this.user ? "sent" : "received", reason } = message;
		const node = el("article", { className: `message ${sender === this.user ? "own" : ""}`, tabIndex: -1, source: message, data: { status } },
			avatar(sender),
			el("header", {}, nameElement(sender), " ", timeElement(date)),
			el("div", { className: onlyEmoji.test(text) ? "body large" : "body", dir: "auto" }, ...linked(text)));
		if (id) node.dataset.messageId = id;
		if (status === "sending") node.append(el("footer", {}, t("sending")));
		if (status === "failed")
			node.append(el("footer", { className: "error" }, t("unsent", { reason }),
				...[["retry", "again"], ["discard", "discard"]].map(([action, label]) => el("button", { source: message, data: { action } }, t(label)))));
		return node;
	}

	#toEnd() {
		this.log.scrollTop = this.log.scrollHeight;
	}

	#scrolled() {
		if (!this.place) return;
		const { length } = this.place.messages;
		const { scrollTop, scrollHeight, clientHeight } = this.log;
		const [from, to] = this.#window();
		const below = scrollHeight - scrollTop - clientHeight;
		this.#follow = to === length && below < 40;
		if (scrollTop < clientHeight && from && !this.#follow) this.#move(Math.max(0, from - step), Math.min(to, from - step + most));
		else if (below < clientHeight && to < length) this.#move(Math.max(from, to + step - most), Math.min(length, to + step));
		else return this.#settled();
		this.update();
	}

	/** What follows from where the reader is. */
	#settled() {
		const { on, place, log } = this;
		if (!this.#first && log.scrollTop < log.clientHeight && !place.older.state) on.load(place, place.older);
		if (this.#follow && !document.hidden) on.read(place, place.newest);
		$("to-newest").hidden = this.#follow;
		$("to-newest").textContent = "↓ " + t(place.unread ? "unread" : "newest", { n: place.unread });
	}
}
