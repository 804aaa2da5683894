/** Every text, so that translating is replacing this file. `t` fills in {name}; `translate` puts `page` into the shell. */

/** By selector, or selector@attribute. */
const page = {
	"#signin h1": "Join the conversation",
	"#signin h1 + p": "Others see you under this address.",
	"[for=address]": "E-mail address",
	"#address@placeholder": "you@example.com",
	"[for=token]": "Token",
	"#signin button": "Join",
	"#skip": "Skip to the message field",
	"#places@aria-label": "Rooms and conversations",
	"#places-open@title": "Rooms and conversations",
	"#rooms-title": "Rooms",
	"#room-name@placeholder": "Join a room",
	"#join-room button@title": "Join",
	"#directs-title": "Direct messages",
	"#direct-address@placeholder": "Write to an address",
	"#start-direct button@title": "Start",
	"#sign-out": "Sign out",
	"#help-open@title": "Help",
	"#timeline@aria-label": "Messages",
	"#send@title": "Send",
	"#people-title span": "Here now",
	"#people-filter@placeholder": "Filter",
	"#help-title": "Help",
	"#help h3": "From a terminal",
	"#help button": "Close",
};

const texts = {
	address: "This is not an e-mail address.",
	room: "A room's name has 1 to 64 of a-z 0-9 - _ .",
	token: "This server asks for a token.",
	unread: "{n} unread",
	leave: "Leave",
	close: "Close",
	here: "is here",
	away: "is not here",
	you: "you",
	count: "{n} here",
	more: "and {n} more: use the filter",
	today: "Today",
	yesterday: "Yesterday",
	new: "New",
	newest: "To the newest",
	begin: "The beginning of the conversation",
	none: "This server keeps nothing older",
	loading: "Loading…",
	failed: "This could not be loaded.",
	again: "Try again",
	gap: "Some messages are missing here.",
	fill: "Load them",
	empty: "Nothing has been said here yet",
	hint: "Say hello. A terminal can join in, too:",
	private: "Only the two of you read what is said here.",
	sending: "Sending…",
	unsent: "Not sent: {reason}",
	unconfirmed: "it may have arrived; sending it again may repeat it.",
	outbox_full: "too much is waiting already.",
	closed: "the connection was closed.",
	discard: "Discard",
	to: "Message to {name}",
	left: "{n} left",
	over: "{n} too many",
	typing: "{names} typing…",
	connecting: "Connecting…",
	open: "Online",
	waiting: "Offline. What you send waits. Next try in {n} s.",
	refused: "Refused: {reason}",
	retry: "Retry now",
};

/** Shortcuts, as the help lists them. */
export const shortcuts = {
	"Enter": "send",
	"Shift+Enter": "a new line",
	"Alt+↑ Alt+↓": "the room or conversation above or below",
	"Alt+Shift+↑ Alt+Shift+↓": "the same, unread ones only",
	"↑ ↓": "in messages and lists: one up, one down",
	"Esc": "back to the message field",
	"Ctrl+/": "this help",
};

/** @param {string} key @param {Record<string, unknown>} [values] @returns {string} `undefined` where there is no such text */
export const t = (key, values = {}) => texts[key]?.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

export function translate() {
	for (const [key, text] of Object.entries(page)) {
		const [selector, attribute] = key.split("@");
		const target = document.querySelector(selector);
		if (attribute) target.setAttribute(attribute, text);
		else target.textContent = text;
	}
}
