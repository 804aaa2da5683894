/** The state of the connection, always in view. */
import { t } from "./text.js";
import { $ } from "./dom.js";

let timer = 0;

/** @param {{ state: string, code?: number, reason?: string, retryIn?: number }} detail as the client tells it @returns {string} what is shown */
export function showConnection({ state, code, reason, retryIn = 0 }) {
	const { firstChild: text, dataset } = $("connection");
	const due = Date.now() + retryIn;
	const say = () => (text.textContent = t(state, { n: Math.max(0, Math.ceil((due - Date.now()) / 1000)), reason: reason || code }) ?? "");
	clearInterval(timer);
	if (state === "waiting") timer = setInterval(say, 1000);
	dataset.state = state;
	$("retry-now").textContent = t("retry");
	$("retry-now").hidden = !/waiting|refused/.test(state);
	return say();
}
