"""Clients that come back: they send numbered messages, resend what was not acked, and write down all that comes.

All of them live in one asyncio loop. Each speaks its protocol with a few lines of its own, so that connections can
be reset, resends be byte for byte what they shall be, and fifty clients leave the processor to the server.
"""

import asyncio
import base64
import contextlib
import json
import os
import random
import socket
import struct
import time
import urllib.parse

from harness.dialogue import FACTOR
from harness.websocket import session_path
from harness.wire import (CONNACK, CONNECT, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE,
                          read_varint, string, topic_level, varint, write_properties)

from records import (DEVICE, DEVICE_SINCE, LIVE, MQTT5, OVER_MQTT, PAGE, REPLAY, WITH_SINCE, Connection, Message,
                     Reader, receipt_of, text_of)

OPEN = 8.0 * FACTOR    # seconds until a session is in its rooms, a broker that stands still for two included
RESEND = 6.0 * FACTOR  # seconds without an answer on a living connection
HEALS = {"unavailable", "rate_limited"}  # errors after which a resend is right


async def until(condition, seconds):
    """Whether it came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True


class Lost(Exception):
    """The connection did not come about."""


class Stream(asyncio.Protocol):
    """Bytes of one connection; whole packets or frames go to the client's method take()."""

    def __init__(self, client, connection):
        self.client, self.connection = client, connection
        self.transport = None
        self.buffer = bytearray()
        self.dead = False  # the client does not hear it any more, the server has not been told

    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        if not self.dead:
            self.buffer += data
            self._split()

    def connection_lost(self, error):
        if not self.dead:
            self.client._closed(self.connection)

    def send(self, data):
        if not self.transport.is_closing():
            self.transport.write(data)

    def reset(self):
        """RST, as when a machine or a tunnel is gone."""
        sock = self.transport.get_extra_info("socket")
        # None: over TLS and closed already.
        with contextlib.suppress(OSError):
            sock and sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class WsStream(Stream):
    head = True

    def _split(self):
        buffer, at = self.buffer, 0
        if self.head:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            status = bytes(buffer[:end]).split(b"\r\n")[0].split(b" ")
            at, self.head = end + 4, False
            if len(status) < 2 or status[1] != b"101":
                self.client._refused(self.connection, b" ".join(status).decode("latin-1"))
                self.transport.abort()
                return
        while len(buffer) - at >= 2:
            n, start = buffer[at + 1] & 0x7F, at + 2
            if n >= 126:
                start = at + (4 if n == 126 else 10)
                if len(buffer) < start:
                    break
                n = int.from_bytes(buffer[at + 2:start], "big")
            if len(buffer) < start + n:
                break
            self.client._frame(self, buffer[at] & 15, bytes(buffer[start:start + n]))
            at = start + n
        del buffer[:at]

    def send_frame(self, payload, opcode=1):
        n = len(payload)
        head = bytes([0x80 | opcode, 0x80 | n]) if n < 126 else struct.pack("!BBH", 0x80 | opcode, 0xFE, n)
        # A mask of zeros is a mask.
        self.send(head + b"\0\0\0\0" + payload)


class MqttStream(Stream):
    def _split(self):
        buffer, at = self.buffer, 0
        while len(buffer) - at >= 2:
            try:
                n, start = read_varint(buffer, at + 1)
            except IndexError:
                break
            if len(buffer) < start + n:
                break
            self.client._packet(self, buffer[at] >> 4, buffer[at] & 15, bytes(buffer[start:start + n]))
            at = start + n
        del buffer[:at]

    def send_packet(self, kind, flags, body):
        self.send(bytes([kind << 4 | flags]) + varint(len(body)) + body)


class World:
    """What all clients share: where the server is, what was sent, whether to go on."""

    def __init__(self, server, seed, rate, clients):
        self.server, self.seed = server, seed
        self.messages = {}
        self.first_id = None   # since of a first connection: everything of the trial comes after it
        self.talking = False
        self.pause = clients / rate  # mean seconds between two messages of one client
        self.notes = {}
        self.last_receipt = 0.0
        # For connections to the WebSocket and HTTP port.
        self.secure = {"ssl": server.tls.context(), "server_hostname": "localhost"} if server.tls else {}

    def note(self, what, n=1):
        self.notes[what] = self.notes.get(what, 0) + n


class Client:
    """One person with one client. Without peers: neither sends nor gets direct messages. sender=False: comes and
    goes, and says nothing."""

    def __init__(self, world, number, kind, rooms, peers=(), echo=False, qos=1, sender=True):
        self.world, self.number, self.qos, self.sender = world, number, qos, sender
        self.address = "%s%02d@faults.test" % ("u" if sender else "guest", number)
        self.reader = Reader(self.address, kind, set(rooms), echo)
        self.kind, self.rooms, self.peers = kind, sorted(rooms), list(peers)
        self.random = random.Random("%s/%s" % (world.seed, self.address))
        self.seq = 0
        self.waiting = {}      # place -> the one message under way there
        self.by_ref = {}
        self.stream = None
        self.online = False
        self.wanted = True     # False: stays away
        self.away_until = 0.0
        self.changed = asyncio.Event()  # ready, closed or refused
        self.tasks = []
        self.dead = []         # streams that were left half open

    # life

    def start(self):
        self.tasks = [asyncio.create_task(self._live()), asyncio.create_task(self._talk())]

    async def stop(self):
        self.wanted = False
        self.forget_dead()
        if self.stream:
            self.stream.transport.abort()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def cut(self, away=0.0):
        """The connection is reset; the client comes back after that many seconds."""
        self.away_until = time.monotonic() + away
        if self.stream:
            self.stream.reset()

    def leave_half_open(self):
        """As a phone that changes networks: it comes back at once, and nobody has told the server."""
        stream = self.stream
        if not stream or not self.online:
            return
        stream.dead = stream.connection.half_open = True
        self.dead.append(stream)
        self._closed(stream.connection)

    def forget_dead(self):
        """Their end of the network is reset at last."""
        while self.dead:
            self.dead.pop().reset()

    async def _live(self):
        while True:
            if not self.wanted or time.monotonic() < self.away_until:
                await asyncio.sleep(0.05)
                continue
            connection = Connection(len(self.reader.connections), time.monotonic())
            self.reader.connections.append(connection)
            try:
                await asyncio.wait_for(self._open(connection), OPEN)
                self.world.note("connections")
            except (OSError, Lost, asyncio.TimeoutError) as error:
                self.world.note("failed to connect: %s" % (str(error) if isinstance(error, Lost) else
                                                           type(error).__name__))
                self._drop(connection)
                await asyncio.sleep(self.random.uniform(0.05, 0.3))
                continue
            while connection.closed is None:
                await self._change()
            await asyncio.sleep(self.random.uniform(0.02, 0.2))

    async def _change(self):
        self.changed.clear()
        await self.changed.wait()

    def _drop(self, connection):
        if self.stream:
            self.stream.transport.abort()
        self._closed(connection)
        self.stream = None

    def _ready(self, connection):
        connection.ready = time.monotonic()
        self.online = True
        self.changed.set()
        for message in list(self.waiting.values()):
            self._again(message, connection)

    def _refused(self, connection, why):
        connection.refused = why
        self.changed.set()

    def _closed(self, connection):
        if connection.closed is None:
            connection.closed = time.monotonic()
            if connection is self.reader.connections[-1]:
                self.online, self.stream = False, None
            self.changed.set()

    async def _until_ready(self, connection):
        while connection.ready is None:
            if connection.closed is not None:
                raise Lost(getattr(connection, "refused", None) or "closed with %s" % connection.code)
            await self._change()

    # sending

    async def _talk(self):
        pause = self.world.pause
        while True:
            await asyncio.sleep(min(self.random.expovariate(1 / pause), 5 * pause))
            now = time.monotonic()
            if self.online:
                for message in list(self.waiting.values()):
                    if now - message.last_try > RESEND and not message.errors:
                        self.world.note("resent on a living connection")
                        self._again(message, self.reader.connections[-1])
            if not self.world.talking or not self.online or not self.sender:
                continue
            if not self.peers or self.random.random() < 0.75:
                place = "room:" + self.random.choice(self.rooms)
            else:
                place = "to:" + self.random.choice(self.peers)
            if place in self.waiting:
                self.world.note("not sent: the one before waits for its ack")
                continue
            self.seq += 1
            message = Message(self.address, self.seq, place, now, self.qos)
            self.world.messages[message.key] = message
            self.by_ref[message.ref] = message
            self.waiting[place] = message
            self._transmit(message, self.reader.connections[-1])

    def _again(self, message, connection):
        message.tries += 1
        self.world.note("resends")
        self._transmit(message, connection)

    def _transmit(self, message, connection):
        message.last_try = time.monotonic()
        message.sent_on.append(connection.number)
        self._send(message)

    @staticmethod
    def payload(message):
        body = {"message": text_of(message.seq, message.place, "." * (message.seq * 7 % 90)), "ref": message.ref}
        kind, name = message.place.split(":", 1)
        body[kind] = name
        return json.dumps(body).encode()

    def _answer(self, frame):
        """An ack or error by ref."""
        message = self.by_ref.get(frame.get("ref"))
        if message is None:
            self.world.note("%s without a ref of ours: %s" % (frame.get("type"), frame.get("code")))
            return
        message.acks += 1
        if frame["type"] == "error":
            self.world.note("error %s" % frame.get("code"))
            if frame.get("code") in HEALS:
                message.last_try = time.monotonic() - RESEND + 0.3
            else:
                message.errors.append("%s %s" % (frame.get("code"), frame.get("field")))
                self.waiting.pop(message.place, None)
            return
        if frame["id"] not in message.ids:
            message.ids.append(frame["id"])
        if message.qos < 2 or message.step == "complete":
            self._done(message)

    def _done(self, message):
        if message.acked is None and message.ids:
            message.acked = time.monotonic()
            self.waiting.pop(message.place, None)

    # receiving

    def _message(self, frame, channel, connection, dup=False):
        receipt = receipt_of(frame, time.monotonic(), channel=channel, connection=connection.number, dup=dup)
        if receipt is None:
            return
        self.reader.receipts.append(receipt)
        self.world.last_receipt = receipt.at
        return receipt


class WsClient(Client):
    """since is what docs/promises.md tells a client to give: of the newest ids of each place where it gets messages the
    oldest, since rooms and inbox are not in order with each other."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.watches = self.number % 5 == 0  # who is here
        self.shown = {}    # address -> status, as this connection was told
        self.newest = {}   # where messages are read -> the newest id that came there
        self.open_places = set()
        self.answers = {}  # ref -> future
        self.asked = 0

    async def _open(self, connection):
        if not self.newest:
            self.newest = dict.fromkeys(["room:" + room for room in self.rooms], self.world.first_id)
            if self.peers:
                self.newest["inbox"] = self.world.first_id
        query = {"room": ",".join(self.rooms), "events": "typing,presence" if self.watches else "typing"}
        self.shown = {}
        if self.reader.echo:
            query["echo"] = "1"
        if self.kind in (DEVICE, DEVICE_SINCE):
            query["device"] = "phone"
        if self.kind in WITH_SINCE:
            connection.since = query["since"] = min(self.newest.values())
        self.open_places = {"room:" + room for room in self.rooms} | {"inbox"} if connection.since else set()
        loop = asyncio.get_running_loop()
        port = self.world.server.ws_port
        _, stream = await loop.create_connection(lambda: WsStream(self, connection), "127.0.0.1", port,
                                                 **self.world.secure)
        self.stream = stream
        stream.send(("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n" % (
                         session_path(self.address, query), port,
                         base64.b64encode(os.urandom(16)).decode())).encode())
        await self._until_ready(connection)

    def _send(self, message):
        if self.stream:
            self.stream.send_frame(self.payload(message))

    def _frame(self, stream, opcode, payload):
        connection = stream.connection
        if opcode == 9:
            stream.send_frame(payload, 10)
        elif opcode == 8:
            connection.code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            stream.send_frame(payload[:2], 8)
            stream.transport.close()
        if opcode != 1:
            return
        frame = json.loads(payload)
        kind = frame.get("type")
        if kind is None:
            place = "room:" + frame["room"] if "room" in frame else "inbox"
            receipt = self._message(frame, REPLAY if place in self.open_places else LIVE, connection)
            if receipt and receipt.id > self.newest.get(place, ""):
                self.newest[place] = receipt.id
        elif kind == "ack" or kind == "error":
            future = self.answers.pop(frame.get("ref"), None)
            if future is not None:
                future.cancelled() or future.set_result(frame)
            else:
                self._answer(frame)
        elif kind == "ready":
            self._ready(connection)
        elif kind == "recovered":
            place = "inbox" if frame.get("inbox") else "room:" + frame["room"]
            connection.recovered[place] = frame["count"]
            if not frame["complete"]:
                connection.incomplete.add(place)
            self.open_places.discard(place)
        elif kind == "history":
            future = self.answers.pop(frame.get("ref"), None)
            if future is not None:
                future.cancelled() or future.set_result(frame)
        elif kind == "presence":
            for entry in frame.get("users") or [frame]:
                self.shown[entry["user"]] = entry["status"]
        elif kind == "system":
            self.world.note("system %s" % frame.get("code"))

    def online_users(self):
        return {user for user, status in self.shown.items() if status == "online"}

    # history

    async def ask(self, **question):
        """The answer to {"type":"history",…}: a history or an error frame."""
        self.asked += 1
        ref = "ask/%d" % self.asked
        future = self.answers[ref] = asyncio.get_running_loop().create_future()
        if not self.stream:
            raise Lost("not connected")
        self.stream.send_frame(json.dumps(dict(question, type="history", ref=ref)).encode())
        return await asyncio.wait_for(future, OPEN)

    async def page(self, place, after, limit=200):
        """Ids of a room, or of with:ADDRESS, behind an id; each is written down as read by paging."""
        kind, name = place.split(":", 1)
        ids = []
        while True:
            answer = await self.ask(**{kind: name, "after": after, "limit": limit})
            if answer["type"] != "history":
                raise Lost("history answered %s" % answer.get("code"))
            for frame in answer["messages"]:
                self._message(frame, PAGE, self.reader.connections[-1])
                ids.append(frame["id"])
                after = frame["id"]
            if answer["complete"] or not answer["messages"]:
                return ids


class MqttClient(Client):
    """A persistent session of protocol 4 or 5; subscribes once, and again when the broker has forgotten it."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.version = 5 if self.kind == MQTT5 else 4
        self.client_id = "faults-%s" % self.address.split("@")[0]
        self.mid = 0
        self.by_mid = {}
        self.half = set()  # packet ids of QoS 2 that are here and not yet released

    def _topic(self, end):
        return "%s/users/%s/%s" % (self.world.server.root, topic_level(self.address), end)

    async def _open(self, connection):
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: MqttStream(self, connection), "127.0.0.1",
                                                 self.world.server.mqtt_port)
        self.stream = stream
        head = string("MQTT") + bytes([self.version, 0x80]) + struct.pack("!H", 0)
        if self.version == 5:
            head += write_properties({"session-expiry-interval": 3600})
        stream.send_packet(CONNECT, 0, head + string(self.client_id) + string(self.address))
        await self._until_ready(connection)

    def _subscribe(self, stream):
        body = struct.pack("!H", self._next_mid()) + (write_properties({}) if self.version == 5 else b"")
        topics = ["%s/rooms/%s" % (self.world.server.root, room) for room in self.rooms]
        topics += [self._topic("inbox"), self._topic("notices/" + topic_level(self.client_id))]
        for topic in topics:
            body += string(topic) + bytes([self.qos])
        stream.send_packet(SUBSCRIBE, 2, body)

    def _next_mid(self):
        while True:
            self.mid = self.mid % 65535 + 1
            if self.mid not in self.by_mid:
                return self.mid

    # sending

    def _send(self, message):
        stream = self.stream
        if not stream:
            return
        if message.step == "release":
            stream.send_packet(PUBREL, 2, struct.pack("!H", message.mid))
            return
        again = message.step == "publish"
        if not again:
            message.mid = self._next_mid()
            self.by_mid[message.mid] = message
            message.step = "publish"
        kind, name = message.place.split(":", 1)
        topic = "%s/%s/%s/send" % (self.world.server.root, "rooms" if kind == "room" else "users", topic_level(name))
        stream.send_packet(PUBLISH, (8 if again else 0) | message.qos << 1, string(topic) +
                           struct.pack("!H", message.mid) + (b"\0" if self.version == 5 else b"") +
                           self.payload(message))

    def _confirmed(self, kind, body):
        mid = struct.unpack_from("!H", body)[0]
        code = body[2] if len(body) > 2 else 0
        message = self.by_mid.get(mid)
        if message is None:
            if kind == PUBREC:
                self.stream.send_packet(PUBREL, 2, body[:2])
            return
        if kind == PUBREC and code < 0x80:
            message.step = "release"
            self.stream.send_packet(PUBREL, 2, body[:2])
            return
        del self.by_mid[mid]
        # Whatever is still to do (an ack that does not come, an error to heal) needs a new packet id.
        message.step = "complete" if kind == PUBCOMP and code < 0x80 else ""
        if message.step == "complete":
            self._done(message)

    # receiving

    def _packet(self, stream, kind, flags, body):
        connection = stream.connection
        if kind == PUBLISH:
            self._published(stream, flags, body)
        elif kind in (PUBACK, PUBREC, PUBCOMP):
            self._confirmed(kind, body)
        elif kind == PUBREL:
            self.half.discard(body[:2])
            stream.send_packet(PUBCOMP, 0, body[:2])
        elif kind == CONNACK:
            if body[1]:
                self._refused(connection, "CONNACK %d" % body[1])
                stream.transport.abort()
                return
            connection.present = bool(body[0] & 1)
            if connection.present:
                self._ready(connection)
            else:
                # The broker knows nothing of before: packets under way begin anew.
                self.half.clear()
                self.by_mid.clear()
                for message in self.waiting.values():
                    message.step = ""
                if connection.number:
                    self.world.note("persistent sessions that the broker had forgotten")
                self._subscribe(stream)
        elif kind == SUBACK:
            bad = [code for code in body[3 if self.version == 5 else 2:] if code >= 0x80]
            if bad:
                self._refused(connection, "SUBACK %r" % bad)
                stream.transport.abort()
            else:
                self._ready(connection)
        elif kind == DISCONNECT:
            self.world.note("MQTT disconnect with 0x%02x" % (body[0] if body else 0))

    def _published(self, stream, flags, body):
        n = struct.unpack_from("!H", body)[0]
        topic, at, qos = body[2:2 + n], 2 + n, flags >> 1 & 3
        if qos:
            mid = body[at:at + 2]
            at += 2
            if qos == 1:
                stream.send_packet(PUBACK, 0, mid)
            else:
                stream.send_packet(PUBREC, 0, mid)
                if mid in self.half:
                    if flags & 8:
                        return
                    # Not repeated: a broker that was killed has forgotten what it had under this packet id, and we
                    # have not. Whoever took this for the same message would lose it.
                    self.world.note("QoS 2: another message under a packet id that was not released")
                self.half.add(mid)
        if self.version == 5:
            length, at = read_varint(body, at)
            at += length
        frame = json.loads(body[at:])
        kind = frame.get("type")
        if kind is None:
            receipt = self._message(frame, LIVE, stream.connection, bool(flags & 8))
            topics = (b"/rooms/" + frame["room"].encode() if "room" in frame else b"/inbox")
            if receipt and not topic.endswith(topics):
                receipt.place += " on " + topic.decode()
        elif kind in ("ack", "error"):
            self._answer(frame)
        elif kind == "system":
            self.world.note("system %s" % frame.get("code"))


def make(world, number, kind, rooms, **more):
    return (MqttClient if kind in OVER_MQTT else WsClient)(world, number, kind, rooms, **more)


async def http_get(world, path):
    """(status, parsed body or None); status 0 when there was no answer."""
    port = world.server.ws_port
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **world.secure)
    except OSError:
        return 0, None
    try:
        writer.write(("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (urllib.parse.quote(path, safe="/?&=_@."),
                                                                       port)).encode())
        data = await asyncio.wait_for(reader.read(), 5)
        head, _, body = data.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        try:
            return status, json.loads(body)
        except ValueError:
            return status, None
    except (OSError, asyncio.TimeoutError, IndexError, ValueError):
        return 0, None
    finally:
        writer.close()
