// aedes, an MQTT broker in JavaScript, with MQTT over WebSocket.
//
//   node aedes.js PORT
'use strict';
const { Aedes } = require('aedes');
const { WebSocketServer, createWebSocketStream } = require('ws');

async function main() {
  const aedes = await Aedes.createBroker();
  const server = new WebSocketServer({
    host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096, perMessageDeflate: false,
    handleProtocols: (protocols) => (protocols.has('mqtt') ? 'mqtt' : false),
  });
  server.on('connection', (socket, request) => {
    const stream = createWebSocketStream(socket);
    stream.on('error', () => socket.terminate());
    aedes.handle(stream, request);
  });
}

main();
