/* worker.js - answers the first message that comes to the shared room. */
import { ChatClient } from "/chat-client.js";

onmessage = ({ data: options }) => {
	const chat = new ChatClient({ ...options, since: undefined });
	chat.addEventListener("message", () => chat.send({ message: "pong" }), { once: true });
	chat.addEventListener("ready", () => postMessage("ready"));
};
