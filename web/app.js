/** Wiring: what each module hears of the others. */
import { t } from "./text.js";
import { $, el, soon } from "./dom.js";
import { address, hashOf, keyOf, nameElement, roomName } from "./places.js";
import { ask, forget, remembered } from "./signin.js";
import { compose, composer } from "./composer.js";
import { Session } from "./session.js";
import * as sidebar from "./sidebar.js";
import { Store } from "./store.js";
import { Timeline } from "./timeline.js";

let session, store, countdown;
let place; // the open one

const timeline = new Timeline({
	load: (gap) => session.load(place, gap),
	retry: (out) => session.send(place, out),
	discard: (out) => session.discard(place, out),
	read: (id) => store.markRead(place, id),
});
composer({
	send(message) {
		session.send(place, { key: Math.random(), message, sender: store.user, timestamp: new Date().toISOString() });
		timeline.end();
	},
	draft(text) {
		place.draft = text;
		save();
		if (text.trim() && session.chat.state === "open") session.chat.typing(place.target);
	},
});

async function enter(who) {
	let { user, token } = who ?? (await ask());
	$("app").hidden = false;
	store = new Store(user, (where) => {
		if (where === place) showPlace();
		showPlaces();
		save();
	});
	timeline.user = user;
	$("address").value = user;
	$("me").replaceChildren(nameElement(user));
	// null: the server no longer takes the one there was.
	const current = async () => (token === null ? ({ token } = await ask({ wanted: true, error: t("token") })) : 0, token || undefined);
	session = new Session(store, current, {
		presence: showPeople,
		trouble: say,
		message: (where, { sender, message }) => where === place && say(`${sender}: ${message}`),
		state(detail) {
			const { state, code, reason = "" } = detail, secret = code === 4101;
			if (code === 4002) token = null;
			if (code === 4100 || secret) {
				end();
				return ask({ wanted: secret, error: (secret ? t("token") + " " : "") + reason }).then(enter);
			}
			showConnection(detail);
			if (state === "open") follow();
			timeline.update();
		},
	});
	follow();
}

function end() {
	keep();
	session.chat.close();
	timeline.show((place = undefined));
}

$("sign-out").onclick = () => {
	end();
	forget();
	history.replaceState(null, "", location.pathname);
	enter();
};

/** The URL names the open place, so that back and forward work. */
function open(key) {
	for (const drawer of document.querySelectorAll(":popover-open")) drawer.hidePopover();
	location.hash = hashOf(key);
	follow();
	$("message").focus();
}

function follow() {
	const key = keyOf(location.hash) ?? place?.key ?? store?.places.keys().next().value;
	if (!store || !key) return;
	if (keyOf(location.hash) !== key) history.replaceState(null, "", hashOf(key));
	if (key === place?.key) return;
	const join = key.startsWith("room:") && !store.places.has(key);
	place = store.place(key);
	if (join) session.chat.join(place.name).catch(({ message }) => say(message));
	compose(place);
	timeline.show(place);
	store.changed(place);
}
addEventListener("hashchange", follow);

const asked = (check, kind) => (event) => {
	event.preventDefault();
	const [input] = event.target, name = check(input.value);
	$("places-error").textContent = name ? "" : t(kind);
	if (!name) return;
	input.value = "";
	open(`${kind}:${name}`);
};
$("join-room").onsubmit = asked(roomName, "room");
$("start-direct").onsubmit = asked(address, "user");

$("leave").onclick = () => {
	const { key, kind, name } = place;
	if (kind === "room") session.chat.leave(name).catch(({ message }) => say(message));
	store.places.delete(key);
	open(store.places.keys().next().value);
};

const showPlaces = soon(() => {
	sidebar.showPlaces(store, place?.key, session.chat.online);
	const unread = [...store.places.values()].reduce((sum, one) => sum + one.unread, 0);
	$("unread-elsewhere").textContent = unread - place?.unread || "";
	document.title = (unread ? `(${unread}) ` : "") + (place ? `${place.name} · ` : "") + "mosquitto-chat";
});

const showPeople = soon(() => {
	sidebar.showPeople(session.chat.online);
	showPlaces();
	showPlace();
}, 200);
$("people-filter").oninput = showPeople;

function showPlace() {
	timeline.update();
	if (!place) return;
	const { kind, name, notice, typing } = place, direct = kind === "user";
	$("place-title").replaceChildren(direct ? nameElement(name) : "#" + name);
	$("place-note").textContent = direct ? t(sidebar.isHere(session.chat.online, name) ? "here" : "away") : "";
	$("leave").textContent = t(direct ? "close" : "leave");
	$("leave").hidden = !direct && store.of("room").length < 2;
	const names = [...typing.keys()].filter((user) => typing.get(user) > Date.now()).join(", ");
	$("typing").textContent = notice || (names && t("typing", { names }));
}

function showConnection({ state, code, reason = code, retryIn = 0 }) {
	const due = Date.now() + retryIn, shown = $("connection");
	const count = () => (shown.firstChild.textContent = t(state, { n: Math.max(0, Math.ceil((due - Date.now()) / 1e3)), reason }));
	clearInterval(countdown);
	if (state === "waiting") countdown = setInterval(count, 1e3);
	say(count());
	shown.dataset.state = state;
	$("retry-now").hidden = !/waiting|refused/.test(state);
}

const keep = () => store?.save(session.chat.since);
const save = soon(keep, 1000);
addEventListener("pagehide", keep);
addEventListener("beforeunload", (event) => session?.chat.pending && event.preventDefault());

function say(text) {
	$("announcer").append(el("p", {}, text));
	if ($("announcer").childElementCount > 5) $("announcer").firstChild.remove();
}

$("retry-now").onclick = () => session.chat.connect();
$("skip").onclick = (event) => {
	event.preventDefault();
	$("message").focus();
};
$("help-open").onclick = () => {
	$("help").showModal();
};
for (const list of [$("rooms"), $("directs"), $("people")])
	list.onclick = ({ target }) => {
		const { place, user } = target.closest("button")?.dataset ?? {};
		if (place || user) open(place ?? `user:${user}`);
	};

addEventListener("keydown", (event) => {
	if ($("app").hidden || $("help").open) return;
	const { key, target } = event, step = { ArrowUp: -1, ArrowDown: 1 }[key], list = target.closest("ul, #timeline");
	if (event.altKey && step) {
		const all = [...store.of("room"), ...store.of("user")];
		if (step < 0) all.reverse();
		const at = all.indexOf(place);
		const next = [...all.slice(at + 1), ...all.slice(0, at)].find(({ unread }) => unread || !event.shiftKey);
		if (next) open(next.key);
	} else if (step && list) {
		const all = [...list.querySelectorAll("li button, .message")], at = all.indexOf(target.closest("li button, .message"));
		all.at(at < 0 ? -1 : Math.max(0, at + step))?.focus();
	} else if (key === "/" && (event.ctrlKey || event.metaKey)) $("help-open").click();
	else if (key === "Escape" && !document.querySelector(":popover-open")) $("message").focus();
	else return;
	event.preventDefault();
});

enter(remembered());
