/** Names: keys of places ("room:general", "user:bob@example.com"), their form in the URL, and how people are shown. */
import { attempt, el } from "./dom.js";

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const email = RegExp(`^[a-z0-9.!#$%&'*+/=?^_\`{|}~-]{1,64}@${label}(?:\\.${label})*$`, "i");

/** As the server has it: its domain in lower case. */
export function address(text) {
	text = text.trim().replace(/@[^@]*$/, (domain) => domain.toLowerCase());
	if (text.length < 255 && email.test(text)) return text;
}

export const roomName = (text) => text.trim().match(/^#?([a-z0-9._-]{1,64})$/)?.[1];

/** #general, #@bob@example.com */
export const hashOf = (key) => "#" + encodeURIComponent(key.replace(/^room:/, "").replace(/^user:/, "@")).replaceAll("%40", "@");

export function keyOf(hash) {
	const text = attempt(() => decodeURIComponent(hash.slice(1))) ?? "";
	const name = text[0] === "@" ? address(text.slice(1)) : roomName(text);
	return name && (text[0] === "@" ? "user:" : "room:") + name;
}

export function nameElement(user) {
	const at = user.lastIndexOf("@");
	return el("bdi", { className: "name", dir: "ltr", title: user }, user.slice(0, at), el("span", {}, user.slice(at)));
}

export function avatar(user) {
	const disc = el("i", { className: "avatar", ariaHidden: "true" }, user[0].toUpperCase());
	disc.style.setProperty("--hue", [...user].reduce((hue, c) => (hue * 37 + c.charCodeAt(0)) % 360, 0));
	return disc;
}

export function terminal(room, user) {
	const host = /^(localhost|127\..*)$/.test(location.hostname) ? "" : ` -h ${location.hostname}`;
	return `mosquitto_sub${host} -t chat/rooms/${room}\nmosquitto_pub${host} -t chat/rooms/${room}/send -m '{"message":"hello"}' -u '${user.replaceAll("'", "'\\''")}'`;
}
