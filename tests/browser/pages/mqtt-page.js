/* mqtt-page.js - MQTT.js clients by name, as a page would use them; every call is a promise. */
window.mqtts = {};
window.got = {}; // name: [[topic, text, qos, retain, dup]]
window.went = {}; // name: ["connect", "close", ...]

window.dial = (name, url, options = {}) => new Promise((resolve, reject) => {
	const client = mqtt.connect(url, { protocolVersion: 5, clientId: "page-" + name, reconnectPeriod: 200, connectTimeout: 10_000, ...options });
	mqtts[name] = client;
	got[name] = [];
	went[name] = [];
	client.on("connect", (connack) => { went[name].push("connect"); resolve([connack.sessionPresent, connack.reasonCode ?? connack.returnCode]); });
	for (const event of ["close", "reconnect", "offline"]) client.on(event, () => went[name].push(event));
	client.on("error", (error) => { went[name].push("error " + error.message); reject(error); });
	client.on("message", (topic, payload, packet) =>
		got[name].push([topic, payload.length > 1_000 ? "bytes " + payload.length : payload.toString(), packet.qos, packet.retain]));
});
window.subscribe = async (name, topic, qos = 0) => (await mqtts[name].subscribeAsync(topic, { qos })).map((g) => g.qos);
window.publish = async (name, topic, payload, options = {}) => void (await mqtts[name].publishAsync(topic, payload, options));
window.hangUp = (name) => mqtts[name].endAsync(false);
window.loaded = true;
