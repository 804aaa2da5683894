/* client-page.js - what tests say to the client module in a page: clients by name, and all that they have told. */
import { ChatClient, ChatError, backoff } from "/chat-client.js";

window.module = { ChatClient, ChatError, backoff };
window.clients = {};
window.told = {}; // name: [{ event, ...detail }]

const EVENTS = ["state", "ready", "message", "sent", "recovered", "system", "error", "presence", "typing"];

window.make = (name, options) => {
	const chat = new ChatClient(options);
	clients[name] = chat;
	told[name] = [];
	for (const event of EVENTS)
		chat.addEventListener(event, ({ detail }) => told[name].push({ event, ...detail }));
	return chat;
};

window.is = (name, state) => clients[name].state === state;
window.heard = (name, event) => told[name].filter((one) => one.event === event);
window.texts = (name, place) =>
	heard(name, "message").filter((m) => place === undefined || (m.room ?? "inbox") === place).map((m) => m.message);
window.opened = (name) => new Promise((resolve) => {
	if (clients[name].state === "open") resolve();
	clients[name].addEventListener("state", ({ detail }) => detail.state === "open" && resolve());
});
/** ["ok", answer] or ["code", code] */
window.settled = (promise) => promise.then((answer) => ["ok", answer], (e) => [e instanceof ChatError ? e.code : String(e), e.field]);

window.loaded = true;
