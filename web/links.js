/**
 * Text with links, http and https only. What is shown is what was written; where its host reads differently from the one that
 * the browser would visit, that one is added. Addresses with a user part (https://bank@evil) stay text.
 */
import { attempt, el } from "./dom.js";

const address = /https?:\/\/[^\s"<>`\p{Cc}\p{Cf}]+/giu;

/** Without the punctuation of the sentence around it; brackets stay where they are balanced. */
function trimmed(text) {
	const last = text.at(-1), opening = { ")": "(", "]": "[", "}": "{" }[last];
	const stray = opening ? text.split(opening).length < text.split(last).length : /[.,;:!?'*_~’”»…。、]/.test(last);
	return stray ? trimmed(text.slice(0, -1)) : text;
}

/** @param {string} text @returns {(string|Node)[]} */
export function linked(text) {
	const parts = [];
	let done = 0;
	for (const { 0: match, index } of text.matchAll(address)) {
		const written = trimmed(match), url = attempt(() => new URL(written));
		if (!url || url.username || url.password) continue;
		const link = el("a", { href: url.href, title: url.href, target: "_blank", rel: "noopener noreferrer nofollow", dir: "ltr" }, written);
		if (!written.toLowerCase().startsWith(`${url.protocol}//${url.hostname}`)) link.dataset.host = url.host;
		parts.push(text.slice(done, index), link);
		done = index + written.length;
	}
	return [...parts, text.slice(done)];
}
