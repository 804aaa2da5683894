/** The lists beside the conversation: places, with what is unread, and people who are here. */
import { t } from "./text.js";
import { $, arrowed, el, fill } from "./dom.js";
import { avatar, nameElement } from "./places.js";

/** So many people are listed; the filter finds the others. */
const most = 200;

/** @typedef {Map<string, { status: string }>} Online */

export class Sidebar {
	/** @type {Map<string, HTMLElement>} */ #items = new Map();

	/** @param {(key: string) => void} open */
	constructor(open) {
		for (const list of [$("rooms"), $("directs"), $("people")]) {
			list.onclick = ({ target }) => {
				const { place, user } = target.closest("button")?.dataset ?? {};
				if (place ?? user) open(place ?? `user:${user}`);
			};
			list.onkeydown = (event) => {
				const next = arrowed([...list.querySelectorAll("button")], event);
				next?.focus();
				if (next) event.preventDefault();
			};
		}
	}

	/** @param {import("./store.js").Store} store @param {string} current its key @param {Online} online */
	places(store, current, online) {
		const items = this.#items;
		const item = ({ key, kind, name, unread }) => {
			if (!items.has(key)) {
				const shown = kind === "room" ? ["# ", el("bdi", { className: "name" }, name)] : [avatar(name), nameElement(name)];
				items.set(key, el("li", {}, el("button", { data: { place: key } }, ...shown, el("span", { className: "badge", ariaHidden: "true" }), el("span", { className: "unseen" }))));
			}
			const button = items.get(key).firstChild;
			const here = kind === "user" && online.get(name)?.status === "online";
			button.lastChild.textContent = (here ? t("here") : "") + (unread ? " " + t("unread", { n: unread }) : "");
			button.lastChild.previousSibling.textContent = unread || "";
			button.dataset.unread = unread;
			button.classList.toggle("online", here);
			button.ariaCurrent = key === current ? "true" : null;
			return items.get(key);
		};
		fill($("rooms"), store.of("room").map(item));
		fill($("directs"), store.of("user").map(item));
	}

	/** @param {Online} online @param {string} self */
	people(online, self) {
		const filter = $("people-filter"), wanted = filter.value.trim().toLowerCase();
		const all = [...online.keys()].filter((user) => online.get(user).status === "online").sort();
		const found = all.filter((user) => user.toLowerCase().includes(wanted));
		const kept = new Map([...$("people").children].map((item) => [item.firstChild.dataset.user, item]));
		fill($("people"), found.slice(0, most).map((user) => kept.get(user) ?? el("li", {}, el("button", { className: "online", data: { user } }, avatar(user), nameElement(user), user === self ? t("you") : ""))));
		filter.hidden = all.length < 9 && !wanted;
		$("people-count").textContent = String(all.length);
		$("people-open").textContent = t("count", { n: all.length });
		$("people-more").textContent = found.length > most ? t("more", { n: found.length - most }) : "";
	}
}
