/** Names: keys of places ("room:general", "user:bob@example.com"), their place in the URL, and how people are shown. */
import { el } from "./dom.js";

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const email = RegExp(`^[a-z0-9.!#$%&'*+/=?^_\`{|}~-]{1,64}@${label}(?:\\.${label})*$`, "i");

/** @param {string} text @returns {string|undefined} the address as the server has it: its domain in lower case */
export function address(text) {
	text = text.trim().replace(/@[^@]*$/, (domain) => domain.toLowerCase());
	if (text.length < 255 && email.test(text)) return text;
}

/** @param {string} text @returns {string|undefined} */
export const roomName = (text) => text.trim().replace(/^#/, "").match(/^[a-z0-9._-]{1,64}$/)?.[0];

/** @param {string} key @returns {string} #general, #@bob@example.com */
export const hashOf = (key) => "#" + encodeURIComponent(key.replace(/^room:/, "").replace(/^user:/, "@")).replaceAll("%40", "@");

/** @param {string} hash @returns {string|undefined} */
export function keyOf(hash) {
	try {
		const [, at, text] = decodeURIComponent(hash).match(/^#(@?)(.*)/);
		const name = at ? address(text) : roomName(text);
		if (name) return (at ? "user:" : "room:") + name;
	} catch {
		// Not one of ours.
	}
}

/** @returns {HTMLElement} the domain less prominent, all of it isolated from the text around */
export function nameElement(user) {
	const at = user.lastIndexOf("@");
	return el("bdi", { className: "name", dir: "ltr", title: user }, user.slice(0, at), el("span", {}, user.slice(at)));
}

/** @returns {HTMLElement} a disc in a colour that stays the same for an address */
export function avatar(user) {
	const disc = el("span", { className: "avatar", ariaHidden: "true" }, user.match(/[a-z0-9]|$/i)[0].toUpperCase());
	disc.style.setProperty("--hue", [...user].reduce((hue, c) => (hue * 31 + c.charCodeAt(0)) % 360, 0));
	return disc;
}

/** Lines for a terminal that reads and writes in a room. */
export function terminal({ name }, user) {
	const host = /^(localhost|127\..*)$/.test(location.hostname) ? "" : ` -h ${location.hostname}`;
	return `mosquitto_sub${host} -t chat/rooms/${name}\nmosquitto_pub${host} -t chat/rooms/${name}/send -m '{"message":"hello"}' -u '${user.replaceAll("'", "'\\''")}'`;
}
