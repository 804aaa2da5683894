/** Wiring: who is signed in, which place is open, what each module hears of the others. */
import { t, translate, shortcuts } from "./text.js";
import { $, el, soon } from "./dom.js";
import { address, hashOf, keyOf, nameElement, roomName, terminal } from "./places.js";
import { ask, forget, remembered } from "./signin.js";
import { showConnection } from "./connection.js";
import { Composer } from "./composer.js";
import { Session } from "./session.js";
import { Sidebar } from "./sidebar.js";
import { Store } from "./store.js";
import { Timeline } from "./timeline.js";

translate();
/** @type {Session} */ let session;
/** @type {Store} */ let store;
/** @type {import("./store.js").Place|null} the open one */ let place = null;

const sidebar = new Sidebar(open);
const timeline = new Timeline({
	load: (where, gap) => session.load(where, gap),
	retry: (where, out) => session.retry(where, out),
	discard: (where, out) => session.discard(where, out),
	read: (where, id) => store.markRead(where, id),
});
const composer = new Composer({
	send(text) {
		session.send(place, text);
		timeline.end();
	},
	draft(text) {
		place.draft = text;
		save();
		if (text.trim() && session.chat.state === "open") session.chat.typing(place.target);
	},
});

// Signing in and out.

async function enter(who) {
	let { user, token } = who ?? (await ask());
	$("app").hidden = false;
	store = new Store(user, (where) => {
		if (where === place) showPlace();
		showPlaces();
		save();
	});
	timeline.user = user;
	$("me").replaceChildren(nameElement(user));
	// null: refused once, so another one is asked for.
	const current = async () => (token ??= (await ask({ user, wanted: true, error: t("token") })).token) || undefined;
	session = new Session(store, current, {
		presence: showPeople,
		trouble: say,
		message: (where, { sender, message }) => where === place && say(`${sender}: ${message}`),
		state(detail) {
			if (detail.code === 4002) token = null;
			if (detail.code === 4100 || detail.code === 4101) {
				end();
				return ask({ user, wanted: detail.code === 4101, error: detail.code === 4101 ? `${t("token")} ${detail.reason ?? ""}` : detail.reason }).then(enter);
			}
			const text = showConnection(detail);
			if (detail.state !== "connecting") say(text);
			if (detail.state === "open") {
				if (!place) follow();
				timeline.update();
			}
		},
	});
	follow();
	composer.focus();
}

function end() {
	session.close();
	timeline.show((place = null));
}

$("sign-out").onclick = () => {
	end();
	forget();
	history.replaceState(null, "", location.pathname);
	enter();
};

// The URL names the open place, so that back and forward work.

function open(key) {
	for (const drawer of document.querySelectorAll(":popover-open")) drawer.hidePopover();
	location.hash = hashOf(key);
	follow();
	composer.focus();
}

function follow() {
	const key = keyOf(location.hash) ?? place?.key ?? store?.places.keys().next().value;
	if (!store || !key) return;
	if (keyOf(location.hash) !== key) history.replaceState(null, "", hashOf(key));
	if (key === place?.key) return;
	const join = key.startsWith("room:") && !store.places.has(key);
	place = store.place(key);
	if (join) session.chat.join(place.name).catch(({ message }) => say(message));
	composer.show(place);
	timeline.show(place);
	showPlace();
	showPlaces();
	save();
}
addEventListener("hashchange", follow);

for (const [form, check, kind] of [["join-room", roomName, "room"], ["start-direct", address, "user"]])
	$(form).onsubmit = (event) => {
		event.preventDefault();
		const [input] = event.target;
		const name = check(input.value);
		$("places-error").textContent = name || !input.value ? "" : t(kind === "room" ? "room" : "address");
		if (!name) return;
		input.value = "";
		open(`${kind}:${name}`);
	};

$("leave").onclick = () => {
	const { key, kind, name } = place;
	if (kind === "room") session.chat.leave(name).catch(({ message }) => say(message));
	store.places.delete(key);
	open(store.places.keys().next().value);
};

// What is shown.

const showPlaces = soon(() => {
	sidebar.places(store, place?.key, session.chat.online);
	const unread = [...store.places.values()].reduce((sum, one) => sum + one.unread, 0);
	$("unread-elsewhere").textContent = unread - place?.unread || "";
	document.title = (unread ? `(${unread}) ` : "") + (place ? `${place.name} · ` : "") + "mosquitto-chat";
});

const showPeople = soon(() => {
	sidebar.people(session.chat.online, store.user);
	showPlaces();
	showPlace();
}, 200);
$("people-filter").oninput = showPeople;

function showPlace() {
	timeline.update();
	if (!place) return;
	const { kind, name, notice, typing } = place, direct = kind === "user";
	$("place-title").replaceChildren(direct ? nameElement(name) : el("bdi", {}, "#" + name));
	$("place-note").textContent = direct ? t(session.chat.online.get(name)?.status === "online" ? "here" : "away") : "";
	$("leave").textContent = t(direct ? "close" : "leave");
	$("leave").hidden = !direct && store.of("room").length < 2;
	const names = [...typing.keys()].filter((user) => typing.get(user) > Date.now()).join(", ");
	$("typing").textContent = notice || (names && t("typing", { names }));
}

const save = soon(() => store.save(), 1000);
addEventListener("pagehide", () => store?.save());
addEventListener("beforeunload", (event) => session?.chat.pending && event.preventDefault());

/** To who does not see the page. */
function say(text) {
	$("announcer").append(el("p", {}, text));
	if ($("announcer").childElementCount > 5) $("announcer").firstChild.remove();
}

// Buttons and keys.

$("retry-now").onclick = () => session.chat.connect();
$("skip").onclick = (event) => {
	event.preventDefault();
	composer.focus();
};
$("help-open").onclick = () => {
	const [list, lines] = $("help").querySelectorAll("dl, pre");
	list.replaceChildren(...Object.entries(shortcuts).flatMap(([keys, text]) => [el("dt", {}, keys), el("dd", {}, text)]));
	lines.textContent = terminal(place?.kind === "room" ? place : store.of("room")[0] ?? { name: "general" }, store.user);
	$("help").showModal();
};

addEventListener("keydown", (event) => {
	if ($("app").hidden || $("help").open) return;
	const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
	if (event.altKey && step) {
		const all = [...store.of("room"), ...store.of("user")];
		if (step < 0) all.reverse();
		const at = all.indexOf(place);
		const next = [...all.slice(at + 1), ...all.slice(0, at)].find(({ unread }) => unread || !event.shiftKey);
		if (next) open(next.key);
	} else if (event.key === "/" && (event.ctrlKey || event.metaKey)) $("help-open").click();
	else if (event.key === "Escape" && !document.querySelector(":popover-open")) composer.focus();
	else return;
	event.preventDefault();
});

enter(remembered());
