/** The lists beside the conversation: places, with what is unread, and people who are here. */
import { t } from "./text.js";
import { $, el, fill } from "./dom.js";
import { avatar, nameElement } from "./places.js";

const items = new Map();
export const isHere = (online, user) => online.get(user)?.status === "online";

export function showPlaces(store, current, online) {
	const item = ({ key, kind, name, unread }) => {
		if (!items.has(key)) {
			const shown = kind === "room" ? ["# ", el("bdi", { className: "name" }, name)] : [avatar(name), nameElement(name)];
			items.set(key, el("li", {}, el("button", { data: { place: key } }, ...shown, el("b"))));
		}
		const button = items.get(key).firstChild, badge = button.lastChild;
		badge.textContent = unread || "";
		badge.title = t("unread", { n: unread });
		button.dataset.unread = unread;
		button.classList.toggle("online", isHere(online, name));
		button.ariaCurrent = key === current ? "true" : null;
		return items.get(key);
	};
	fill($("rooms"), store.of("room").map(item));
	fill($("directs"), store.of("user").map(item));
}

/** The first 200; the filter finds the others. */
export function showPeople(online) {
	const wanted = $("people-filter").value.trim().toLowerCase();
	const all = [...online.keys()].filter((user) => isHere(online, user)).sort();
	const found = all.filter((user) => user.toLowerCase().includes(wanted));
	const kept = new Map([...$("people").children].map((item) => [item.firstChild.dataset.user, item]));
	fill($("people"), found.slice(0, 200).map((user) => kept.get(user) ?? el("li", {}, el("button", { className: "online", data: { user } }, avatar(user), nameElement(user)))));
	$("people-filter").hidden = all.length < 9 && !wanted;
	$("people-count").textContent = all.length;
	$("people-open").textContent = t("count", { n: all.length });
	$("people-more").textContent = found.length > 200 ? t("more", { n: found.length - 200 }) : "";
}
