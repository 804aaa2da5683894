/** The message field. `on`: send(text), draft(text). */
import { t } from "./text.js";
import { $ } from "./dom.js";

/** Unicode scalar values, as the server counts. */
const limit = 4000;
const field = $("message");

function changed() {
	const text = field.value.trim(), left = limit - [...text].length;
	$("count").textContent = left < 0 ? t("over", { n: -left }) : left <= limit / 10 ? t("left", { n: left }) : "";
	field.ariaInvalid = String(left < 0);
	$("send").disabled = left < 0 || !text;
	field.style.height = "auto";
	field.style.height = `${field.scrollHeight + 2}px`;
	return text;
}

export function compose({ kind, name, draft }) {
	field.placeholder = field.ariaLabel = t("to", { name: (kind === "room" ? "#" : "") + name });
	field.value = draft;
	changed();
	field.focus();
}

export function composer(on) {
	field.oninput = () => {
		changed();
		on.draft(field.value);
	};
	$("composer").onsubmit = (event) => {
		event.preventDefault();
		field.focus();
		const text = changed();
		if ($("send").disabled) return;
		field.value = "";
		field.oninput();
		on.send(text);
	};
	field.onkeydown = (event) => {
		// An Enter that ends the choice of an input method is none of ours.
		if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) $("composer").onsubmit(event);
	};
}
