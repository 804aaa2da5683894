/** The texts of index.html, and times, for the reader. */
import { $, el } from "./dom.js";

const texts = JSON.parse($("texts").textContent);

/** `{name}` in a text is filled in from `values`. */
export const t = (key, values) => texts[key]?.replace(/\{(\w+)\}/g, (_, name) => values[name]);

const format = (timeStyle, dateStyle) => new Intl.DateTimeFormat(undefined, { timeStyle, dateStyle });
const clock = format("short"), exact = format("medium", "full"), day = format(undefined, "full");
const near = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

export function dayLabel(date) {
	const ago = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(date).setHours(0, 0, 0, 0)) / 864e5);
	return ago >= 0 && ago < 2 ? near.format(-ago, "day") : day.format(date);
}

export const timeElement = (date) => el("time", { dateTime: date.toISOString(), title: exact.format(date) }, clock.format(date));
