/** Text with links, as written. Hosts in other alphabets, which can look like known ones, and user parts are none. */
import { attempt, el } from "./dom.js";

const address = /https?:\/\/[^\s"<>`\p{Cc}\p{Cf}]+/giu;

/** Without the punctuation of the sentence around it; balanced brackets stay. */
function trimmed(text) {
	const last = text.at(-1), opening = { ")": "(", "]": "[", "}": "{" }[last];
	const stray = opening ? text.split(opening).length < text.split(last).length : /[.,;:!?'*_~’”»…。、]/.test(last);
	return stray ? trimmed(text.slice(0, -1)) : text;
}

export function linked(text) {
	const parts = [];
	let done = 0;
	for (const { 0: match, index } of text.matchAll(address)) {
		const written = trimmed(match), href = attempt(() => new URL(written).href);
		if (!href || !/^https?:\/\/[\w.:[\]-]+([/?#]|$)/i.test(written)) continue;
		parts.push(text.slice(done, index), el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow", dir: "ltr" }, written));
		done = index + written.length;
	}
	return [...parts, text.slice(done)];
}
