// A chat room with ws on Node.js: each message goes to everybody else of the room. The frame is made once for all,
// by the library's own Sender, and then written to each socket, which is the fastest way that ws has.
//
//   node ws.js PORT
'use strict';
const { WebSocketServer, Sender } = require('ws');

const port = Number(process.argv[2]);
const server = new WebSocketServer({ host: '127.0.0.1', port, backlog: 4096, perMessageDeflate: false });
const rooms = new Map();

server.on('connection', (socket, request) => {
  const name = new URL(request.url, 'http://localhost').searchParams.get('room') || 'general';
  if (!rooms.has(name)) rooms.set(name, new Set());
  const room = rooms.get(name);
  room.add(socket);
  socket.on('message', (data, isBinary) => {
    const frame = Buffer.concat(Sender.frame(data, {
      fin: true, rsv1: false, opcode: isBinary ? 2 : 1, mask: false, readOnly: true,
    }));
    for (const other of room) {
      if (other !== socket && other.readyState === 1) other._socket.write(frame);
    }
  });
  socket.on('close', () => room.delete(socket));
  socket.on('error', () => socket.terminate());
});
