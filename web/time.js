/** Times in the reader's zone and language. */
import { t } from "./text.js";
import { el } from "./dom.js";

const format = (options) => new Intl.DateTimeFormat(undefined, options);
const clock = format({ hour: "2-digit", minute: "2-digit" });
const exact = format({ dateStyle: "full", timeStyle: "medium" });
const day = format({ weekday: "long", day: "numeric", month: "long", year: "numeric" });

/** @param {Date} date */
export function dayLabel(date) {
	const ago = (new Date().setHours(0, 0, 0, 0) - new Date(date).setHours(0, 0, 0, 0)) / 864e5;
	return t(["today", "yesterday"][Math.round(ago)]) ?? day.format(date);
}

/** @param {Date} date @returns {HTMLTimeElement} hours and minutes, with the exact time as title */
export const timeElement = (date) => el("time", { dateTime: date.toISOString(), title: exact.format(date) }, clock.format(date));
