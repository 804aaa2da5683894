// A chat room with Bun's WebSocket server, which is uWebSockets (C++), with its own publish/subscribe: each message
// goes to everybody else of the room.
//
//   bun bun.js PORT
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  fetch(request, server) {
    const room = new URL(request.url).searchParams.get('room') || 'general';
    return server.upgrade(request, { data: { room } }) ? undefined : new Response('WebSocket only', { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    backpressureLimit: 16 << 20,
    closeOnBackpressureLimit: true,
    open(socket) { socket.subscribe(socket.data.room); },
    message(socket, text) { socket.publish(socket.data.room, text); },
  },
});
