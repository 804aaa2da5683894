/** The message field. `on`: send(text), draft(text). Enter sends, Shift+Enter is a new line; a count shows when little is left. */
import { t } from "./text.js";
import { $ } from "./dom.js";

/** Unicode scalar values, as the server counts. */
const limit = 4000;
const length = (text) => [...text].length;

export class Composer {
	/** @param {{ send: (text: string) => void, draft: (text: string) => void }} on */
	constructor(on) {
		const field = $("message");
		const send = (event) => {
			event.preventDefault();
			this.focus();
			const text = field.value.trim();
			if (!text || length(text) > limit) return;
			field.value = "";
			field.oninput();
			on.send(text);
		};
		field.oninput = () => {
			this.#changed();
			on.draft(field.value);
		};
		// An Enter that ends the choice of an input method is none of ours.
		field.onkeydown = (event) => {
			if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) send(event);
		};
		$("composer").onsubmit = send;
	}

	/** @param {import("./store.js").Place} place */
	show({ kind, name, draft }) {
		$("message").placeholder = $("message").ariaLabel = t("to", { name: (kind === "room" ? "#" : "") + name });
		$("message").value = draft;
		this.#changed();
	}

	focus() {
		$("message").focus({ preventScroll: true });
	}

	#changed() {
		const field = $("message"), text = field.value.trim(), left = limit - length(text);
		$("count").textContent = left < 0 ? t("over", { n: -left }) : left <= limit / 10 ? t("left", { n: left }) : "";
		field.ariaInvalid = String(left < 0);
		$("send").disabled = left < 0 || !text;
		field.style.height = "auto";
		field.style.height = `${field.scrollHeight + 2}px`;
	}
}
