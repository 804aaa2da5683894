/** The lists beside the conversation: places, with what is unread, and people who are here. */
import { t } from "./text.js";
import { $, el, fill } from "./dom.js";
import { avatar, nameElement } from "./places.js";

/** So many people are listed; the filter finds the others. */
const most = 200;
/** @type {Map<string, HTMLElement>} by key */
const items = new Map();
const isHere = (online, user) => online.get(user)?.status === "online";

/** @param {import("./store.js").Store} store @param {string} current the key of the open place @param {Map<string, any>} online */
export function showPlaces(store, current, online) {
	const item = ({ key, kind, name, unread }) => {
		if (!items.has(key)) {
			const shown = kind === "room" ? ["# ", el("bdi", { className: "name" }, name)] : [avatar(name), nameElement(name)];
			items.set(key, el("li", {}, el("button", { data: { place: key } }, ...shown, el("b", { ariaHidden: "true" }), el("span", { className: "unseen" }))));
		}
		const button = items.get(key).firstChild, [badge, hidden] = [...button.children].slice(-2);
		const here = isHere(online, name);
		hidden.textContent = (here ? t("here") : "") + (unread ? " " + t("unread", { n: unread }) : "");
		badge.textContent = unread || "";
		button.dataset.unread = unread;
		button.classList.toggle("online", here);
		button.ariaCurrent = key === current ? "true" : null;
		return items.get(key);
	};
	fill($("rooms"), store.of("room").map(item));
	fill($("directs"), store.of("user").map(item));
}

export function showPeople(online, self) {
	const wanted = $("people-filter").value.trim().toLowerCase();
	const all = [...online.keys()].filter((user) => isHere(online, user)).sort();
	const found = all.filter((user) => user.toLowerCase().includes(wanted));
	const kept = new Map([...$("people").children].map((item) => [item.firstChild.dataset.user, item]));
	const item = (user) => kept.get(user) ?? el("li", {}, el("button", { className: "online", data: { user } }, avatar(user), nameElement(user), user === self ? t("you") : ""));
	fill($("people"), found.slice(0, most).map(item));
	$("people-filter").hidden = all.length < 9 && !wanted;
	$("people-count").textContent = all.length;
	$("people-open").textContent = t("count", { n: all.length });
	$("people-more").textContent = found.length > most ? t("more", { n: found.length - most }) : "";
}
