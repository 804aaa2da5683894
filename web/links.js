/**
 * Text with links, http and https only. What is shown is what was written; where the host reads differently from the one
 * that the browser would visit, that one stands behind it. Addresses with a user part (https://bank@evil) stay text.
 */
import { el } from "./dom.js";

const address = /https?:\/\/[^\s"<>`\p{Cc}\p{Cf}]+/giu;

/** Without the punctuation of the sentence around it; brackets stay where they are balanced. */
function trimmed(text) {
	for (;;) {
		const last = text.at(-1);
		const opening = { ")": "(", "]": "[", "}": "{" }[last];
		if (opening ? text.split(opening).length >= text.split(last).length : !/[.,;:!?'*_~’”»…。、]/.test(last)) return text;
		text = text.slice(0, -1);
	}
}

/** @param {string} text @returns {(string|Node)[]} */
export function linked(text) {
	const parts = [];
	let done = 0;
	for (const { 0: match, index } of text.matchAll(address)) {
		const written = trimmed(match);
		try {
			const { href, protocol, host, hostname, username, password } = new URL(written);
			if (username || password) continue;
			const link = el("a", { href, title: href, target: "_blank", rel: "noopener noreferrer nofollow", dir: "ltr" }, written);
			if (!written.toLowerCase().startsWith(`${protocol}//${hostname}`)) link.dataset.host = host;
			parts.push(text.slice(done, index), link);
			done = index + written.length;
		} catch {
			// No address after all.
		}
	}
	return [...parts, text.slice(done)];
}
