"""Everything that a public port has to bear, as kinds of visits: each comes at its rate, many at once, and is counted.

A visit fails only where the server does not do what docs/protocol.md says: a connection that it had to close stays
open, an answer does not come. What a visit does is random, from a seed.
"""

import asyncio
import collections
import json
import os
import random
import struct
import urllib.parse

from harness.dialogue import FACTOR
from harness.wire import DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBREC

from clients import http_get
from wires import BINARY, ENDS, PING, WAIT, MqttWire, Refused, Stuck, Wire, within

# kind -> (visits a second, at most at once)
KINDS = {
    "ws-visit": (10, 30),       # a session comes, says something and goes, in any way
    "tunnel-visit": (4, 15),    # the same over /mqtt
    "mqtt-visit": (6, 20),      # and over plain MQTT
    "device-visit": (1, 10),    # a named device, one of not too many
    "garbage": (5, 15),         # random bytes, half requests, bad requests
    "slow-head": (2, 10),       # a request whose bytes trickle in
    "bad-frame": (4, 15),       # against RFC 6455
    "bad-message": (1, 10),     # against the schema, many on one session
    "slow-reader": (0.5, 6),    # reads nothing until it is closed with 4001
    "flooder": (0.3, 4),        # sends far more than its rate
    "http": (6, 20),            # pages, lists, files; some do not wait for the answer
    "since": (2, 10),           # replays, some left in the middle
    "crowd": (0.1, 1),          # one person opens more sessions than are allowed
    "storm": (0.1, 1),          # one address connects more often than it may
    "handshake": (3, 10),       # TLS that is broken off, or spoken where there is none
    "bad-token": (1, 5),        # tokens that are none, in each place where one may stand
    "reload": (0.1, 1),         # SIGHUP
}
# What must have been seen for a soak to be one, when it is long enough: outcomes counted by the visits.
WANTED = ("closed 1002", "closed 1003", "closed 1007", "closed 1009", "closed 4001", "HTTP 400", "HTTP 404",
          "error rate_limited", "error invalid_json", "slow head closed")
WANTED_OF_ONE_BRIDGE = ("closed 4103", "HTTP 429")  # whose bounds are a bridge's own
FLOOD_ROOM = "flood"
PEOPLE = 10500  # who fill the tables: more than the 10,000 farewells that are kept
LEAVE = ("close", "end", "reset", "abort")


class Abuse:
    """Visits in tasks of its own, from start() to stop(). fresh: most are by people who were never here before, not by
    those who filled the tables."""

    def __init__(self, world, seed, load=1.0, fresh=True, kinds=KINDS):
        self.world, self.load, self.fresh, self.kinds = world, load, fresh, kinds
        self.random = random.Random("%s/abuse" % seed)
        self.visits, self.outcomes = collections.Counter(), collections.Counter()
        self.wrong = []
        self.here = collections.Counter()
        self.number = 0
        self.tasks, self.visitors = [], set()

    def saw(self, outcome):
        self.outcomes[outcome] += 1

    def start(self):
        self.tasks = [asyncio.create_task(self._come(kind, *rate)) for kind, rate in self.kinds.items()]

    async def stop(self):
        """Nobody comes any more; those who are here are gone when it returns."""
        left = set(self.tasks) | self.visitors
        while left:
            # Again and again: wait_for() swallows what comes in the moment in which it ends.
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=1)

    async def _come(self, kind, rate, most):
        while True:
            await asyncio.sleep(min(self.random.expovariate(rate * self.load), 5 / (rate * self.load)))
            if self.here[kind] >= max(1, most * self.load):
                self.saw("left out: as many %s are here as may be" % kind)
                continue
            task = asyncio.create_task(self._visit(kind))
            self.visitors.add(task)
            task.add_done_callback(self.visitors.discard)

    async def _visit(self, kind):
        self.here[kind] += 1
        self.visits[kind] += 1
        try:
            await getattr(self, "_" + kind.replace("-", "_"))()
        except Refused as refused:
            self.saw("refused %s" % refused.code)
        except ENDS + (OSError,) as error:
            self.saw("ended with %s" % type(error).__name__)
        except Stuck as stuck:
            self.wrong.append("%s: %s" % (kind, stuck))
        except (ValueError, KeyError, IndexError, struct.error) as error:
            self.wrong.append("%s: what came was not understood: %r" % (kind, error))
        finally:
            self.here[kind] -= 1

    # who and where

    def _new_name(self):
        if not self.fresh:
            return "fill%d@soak.test" % self.random.randrange(PEOPLE)
        self.number += 1
        return "n%d.%s@soak.test" % (self.number, self.world.seed)

    def _name(self):
        """Mostly somebody who is not seen again soon."""
        return self._new_name() if self.random.random() < 0.8 else "r%d@soak.test" % self.random.randrange(50)

    def _room(self):
        if self.random.random() < 0.5:
            return "often-%d" % self.random.randrange(20)
        self.number += 1
        return "once-%d" % self.number

    def _text(self):
        return json.dumps({"message": "x" * self.random.choice((1, 10, 100, 1000))}).encode()

    def _wire(self, **how):
        return Wire(self.world, self.world.server.ws_port, **how)

    async def _stay(self):
        await asyncio.sleep(self.random.choice((0, 0.05, 0.3, self.random.uniform(0, 3))))

    # people

    async def _ws_visit(self):
        async with self._wire() as wire:
            rooms = [self._room() for _ in range(self.random.choice((1, 1, 2, 5, 32)))]
            events = self.random.choice(("typing", "presence,typing"))
            await wire.session(self._name(), sorted(set(rooms)), events=events)
            for _ in range(self.random.randrange(4)):
                what = self.random.choice(("say", "say", "typing", "join", "direct", "ping"))
                if what == "say":
                    wire.frame(json.dumps({"message": "hello", "room": rooms[0]}).encode())
                elif what == "typing":
                    wire.frame(json.dumps({"type": "typing", "room": rooms[0]}).encode())
                elif what == "join":
                    wire.frame(json.dumps({"type": self.random.choice(("join", "leave")), "room": self._room()}).encode())
                elif what == "direct":
                    wire.frame(json.dumps({"message": "psst", "to": self._name()}).encode())
                else:
                    wire.frame(b"soak", PING)
            await self._stay()
            await wire.leave(self.random.choice(LEAVE))

    async def _device_visit(self):
        async with self._wire() as wire:
            await wire.session("d%d@soak.test" % self.random.randrange(40), ["often-1"],
                               device="d%d" % self.random.randrange(3))
            wire.frame(self._text())
            await self._stay()
            await wire.leave(self.random.choice(LEAVE))

    async def _mqtt_conversation(self, mqtt):
        user = self._name()
        self.number += 1
        will = (mqtt.send_topic(room="often-2"), b'{"message":"gone"}') if self.random.random() < 0.3 else None
        await mqtt.connect(user, "soak-%d" % self.number, will=will)
        root = self.world.server.root
        # Everybody who was ever here is retained: what reads all of that is work.
        other = "presence" if self.random.random() < 0.05 else "inbox"
        mqtt.subscribe("%s/rooms/often-%d" % (root, self.random.randrange(20)), "%s/users/+/%s" % (root, other),
                       qos=self.random.randrange(3))
        for n in range(self.random.randrange(1, 6)):
            mqtt.publish(mqtt.send_topic(*self.random.choice(((self._room(), None), (None, self._name())))),
                         self.random.choice((self._text(), b"{", os.urandom(50))), qos=self.random.randrange(3), mid=n + 1)
        mqtt.packet(PINGREQ, 0, b"")
        kind = None
        while kind != PINGRESP:
            kind, _ = await mqtt.next_packet()
            if kind in (PUBACK, PUBREC):
                self.saw("MQTT confirmed")
        await self._stay()
        how = self.random.choice(("disconnect", "reset", "abort", "protocol error"))
        if how == "disconnect":
            mqtt.packet(DISCONNECT, 0, b"")
            await mqtt.wire.end()
        elif how == "protocol error":
            mqtt.packet(self.random.choice((0, 1, 2, 15)), self.random.randrange(16), os.urandom(20))
            await mqtt.wire.end()
            self.saw("MQTT thrown off")
        elif how == "reset":
            mqtt.wire.reset()

    async def _tunnel_visit(self):
        async with self._wire() as wire:
            await wire.upgrade("/mqtt", "mqtt")
            if self.random.random() < 0.15:
                wire.frame(os.urandom(self.random.randrange(1, 200)), self.random.choice((BINARY, BINARY, 1)))
                wire.send(os.urandom(100))
                await wire.end()
                return
            await self._mqtt_conversation(MqttWire(wire, True, self.random.choice((4, 5))))

    async def _mqtt_visit(self):
        async with Wire(self.world, self.world.server.mqtt_port, secure={}) as wire:
            if self.random.random() < 0.15:
                wire.send(os.urandom(self.random.randrange(1, 200)))
                await self._stay()
                return
            await self._mqtt_conversation(MqttWire(wire, False, self.random.choice((4, 5))))

    # who does not speak the language

    async def _garbage(self):
        async with self._wire() as wire:
            head = b"GET /ws/g@soak.test HTTP/1.1\r\nHost: x\r\n"
            what = self.random.choice((
                os.urandom(self.random.randrange(1, 3000)),
                head[:self.random.randrange(1, len(head))],
                head + b"Content-Length: 5\r\n\r\nhello",
                head + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                head + b"X: " + b"a" * 20000,
                b"GET  / HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n", b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n",
                b"GET /ws/%ff%00 HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"))
            wire.send(what)
            if self.random.random() < 0.3:
                wire.reset()
                return
            answer = await wire.end()
            if answer.startswith(b"HTTP/1.1 "):
                self.saw("HTTP %s" % answer[9:12].decode("latin-1"))

    async def _slow_head(self):
        async with self._wire() as wire:
            end = asyncio.get_running_loop().time() + WAIT
            wire.send(b"GET /ws/slow@soak.test HTTP/1.1\r\nX: ")
            while not wire.reader.at_eof() and not wire.writer.is_closing():
                if asyncio.get_running_loop().time() > end:
                    raise Stuck("a request that never ends is let in for %g s" % WAIT)
                wire.send(b"a")
                await asyncio.sleep(0.2)
            self.saw("slow head closed")

    async def _bad_frame(self):
        async with self._wire() as wire:
            await wire.session(self._name(), ["often-3"])
            text = self._text()
            what = self.random.choice(("unmasked", "opcode", "rsv", "utf-8", "big", "endless", "binary", "control", "close",
                                       "continuation", "bytes"))
            if what == "unmasked":
                wire.frame(text, mask=False)
            elif what == "opcode":
                wire.frame(text, self.random.choice((3, 7, 11, 15)))
            elif what == "rsv":
                wire.frame(text, rsv=self.random.randrange(1, 8))
            elif what == "utf-8":
                wire.frame(b'{"message":"' + self.random.choice((b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5")) + b'"}')
            elif what == "big":
                wire.frame(b"x" * 70000)
            elif what == "endless":
                wire.frame(b"x" * 1000, length=self.random.choice((1 << 40, 1 << 62, (1 << 64) - 1)), length_form=8)
            elif what == "binary":
                wire.frame(text, BINARY)
            elif what == "control":
                wire.frame(b"x" * 126, self.random.choice((8, 9, 10)))
            elif what == "close":
                wire.frame(self.random.choice((b"\x03", b"\x00\x00", struct.pack("!H", 1005), b"\x03\xe8\xff\xfe")), 8)
            elif what == "continuation":
                wire.frame(text, 0)
            else:
                wire.send(os.urandom(500) + b"\xff" * 20)
            self.saw("closed %d" % await wire.close_code())

    async def _bad_message(self):
        async with self._wire() as wire:
            await wire.session(self._name(), ["often-4"])
            for payload, code in ((b"{", "invalid_json"), (b"[]", "not_an_object"), (b'{"message":1}', "wrong_type"),
                                  (b'{"message":"a","message":"b"}', "duplicate_key"), (b'{"message":" "}', "empty_message"),
                                  (b'{"message":"a","to":"nobody"}', "invalid_email"), (b"[" * 5000, "invalid_json"),
                                  (b'{"message":"' + b"y" * 5000 + b'"}', "too_long"),
                                  (b'{"message":"a","ref":"' + b"r" * 99 + b'"}', "invalid_ref")):
                wire.frame(payload)
                answer = json.loads(await wire.until(lambda text: b'"type":"error"' in text))
                self.saw("error %s" % answer["code"])
                if answer["code"] not in (code, "rate_limited"):
                    raise ValueError("%r answered with %s" % (payload[:40], answer["code"]))
            await wire.leave(self.random.choice(LEAVE))

    async def _bad_token(self):
        """Whatever this server makes of tokens: somebody gets in, or does not."""
        token = self.random.choice(("x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 4000, "\u00ff"))
        async with self._wire() as wire:
            where = self.random.choice(("query", "protocol", "frame"))
            path = "/ws/" + urllib.parse.quote(self._name())
            if where == "query":
                await wire.upgrade(path + "?token=" + urllib.parse.quote(token))
            elif where == "protocol":
                await wire.upgrade(path, "bearer, " + urllib.parse.quote(token))
            else:
                await wire.upgrade(path)
                wire.frame(json.dumps({"type": "token", "token": token}).encode())
            wire.frame(b'{"type":"join","room":"often-5","ref":"in"}')
            try:
                await wire.until(lambda text: b'"ref":"in"' in text)
                self.saw("bad token let in")
            except Refused as refused:
                self.saw("bad token closed %s" % refused.code)

    async def _handshake(self):
        port = self.world.server.ws_port
        if self.world.secure and self.random.random() < 0.5:
            # A handshake in good order, and nothing behind it.
            async with self._wire() as wire:
                await wire.leave(self.random.choice(("reset", "abort")))
            return
        async with Wire(self.world, port, secure={}) as wire:
            # The beginning of a ClientHello: the length says that there is more.
            hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(32) + b"\0\0\x02\x13\x01\x01\0"
            wire.send(self.random.choice((hello, hello[:5], hello[:3] + b"\xff\xff" + os.urandom(3000), b"\x80\x2e\x01")))
            if self.random.random() < 0.5:
                await self._stay()
                wire.reset()
                return
            await wire.end()
            self.saw("half a handshake closed")

    # who wants too much

    async def _slow_reader(self):
        async with self._wire(narrow=True) as wire:
            name = self._new_name()
            await wire.session(name, [FLOOD_ROOM])
            if self.random.random() < 0.3:
                # Perhaps until the server has waited in vain for its Close to be taken, too.
                await asyncio.sleep(self.random.uniform(10, 25))
            else:
                await self._until_given_up(name)
            try:
                self.saw("closed %d" % await wire.close_code())
            except Stuck:
                self.saw("slow reader caught up")  # and nobody said more

    async def _until_given_up(self, name):
        """Whom the server has given up is online no more, long before it stops waiting for its Close to be taken."""
        end = asyncio.get_running_loop().time() + 25
        await asyncio.sleep(3)  # until it is counted as online
        while asyncio.get_running_loop().time() < end:
            status, users = await http_get(self.world, "/users")
            if status == 200 and name not in {entry["user"] for entry in users}:
                break
            await asyncio.sleep(1)

    async def _flooder(self):
        async with self._wire() as wire:
            await wire.session(self._new_name(), [FLOOD_ROOM], echo=self.random.randrange(2))
            text = json.dumps({"message": "f" * 4000}).encode()
            reading = asyncio.ensure_future(self._count_errors(wire))
            try:
                for _ in range(int(self.random.uniform(5, 15) / 0.1)):
                    for _ in range(6):
                        wire.frame(text)
                    await wire.drain()
                    await asyncio.sleep(0.1)
                    if reading.done():
                        break
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _count_errors(self, wire):
        await wire.until(lambda text: b'"type":"error"' in text and self.saw("error %s" % json.loads(text)["code"]))

    async def _crowd(self):
        address = self._new_name()
        wires = [self._wire() for _ in range(40)]

        async def one(wire):
            async with wire:
                try:
                    await wire.session(address, ["often-6"])
                    await asyncio.sleep(2 * FACTOR)
                except Refused as refused:
                    self.saw("closed %s" % refused.code)
        await asyncio.gather(*(one(wire) for wire in wires), return_exceptions=True)

    async def _storm(self):
        source = "127.1.0.%d" % self.random.randrange(1, 250)

        async def one():
            async with self._wire(source=source) as wire:
                status, _ = await wire.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                self.saw("HTTP %d" % status)
        await asyncio.gather(*(one() for _ in range(int(130 + 30 * FACTOR))), return_exceptions=True)

    # who only asks

    async def _http(self):
        pair = "%s_%s" % ("r1@soak.test", "r2@soak.test")
        path = self.random.choice(("/health", "/users", "/", "/chat-client.js", "/nothing", "/rooms/%s/messages" % FLOOD_ROOM,
                                   "/rooms/often-1/messages?limit=200", "/rooms/none/messages", "/messages/" + pair,
                                   "/rooms/a/messages?limit=x", "/ws/x"))
        method = self.random.choice(("GET", "GET", "GET", "HEAD", "OPTIONS", "PUT"))
        head = ("%s %s HTTP/1.1\r\nHost: x\r\n\r\n" % (method, path)).encode()
        async with self._wire() as wire:
            what = self.random.choice(("wait", "wait", "wait", "leave", "twice"))
            if what == "leave":
                wire.send(head)
                wire.reset()
                return
            status, _ = await wire.ask(head * (2 if what == "twice" else 1))
            self.saw("HTTP %d" % status)
            await wire.end()

    async def _since(self):
        """Replays from anywhere, and pages, some of which nobody waits for."""
        since = self.random.choice((self.world.first_id, "7" + "Z" * 25, "0" * 26, "nonsense"))
        async with self._wire(narrow=self.random.random() < 0.2) as wire:
            await wire.session(self._name(), ["often-1", FLOOD_ROOM], since=since, ready=since != "nonsense")
            for n in range(self.random.randrange(6)):
                wire.frame(json.dumps({"type": "history", "room": "often-%d" % n, "limit": 200}).encode())
            if self.random.random() < 0.5:
                await self._stay()
                await wire.leave(self.random.choice(("reset", "abort")))
                return
            if since == "nonsense":
                self.saw("closed %d" % await wire.close_code())
                return
            # Behind a replay of as much as there is.
            await wire.until(lambda text: b'"type":"recovered"' in text)
            self.saw("replayed")

    async def _reload(self):
        self.world.server.hup()


async def fill(world, at_once=400):
    """What the plugin remembers up to a number stands there before anything is measured: farewells (10,000), rooms that
    are numbered (65,536), messages of QoS 2 that nobody releases (8 MB)."""
    gate = asyncio.Semaphore(at_once)
    big = json.dumps({"message": "q" * 4000}).encode()

    async def one(n):
        async with gate, Wire(world, world.server.mqtt_port, secure={}) as wire:
            mqtt = MqttWire(wire, False, 4)
            await mqtt.connect("fill%d@soak.test" % n, "fill-%d" % n)
            for k in range(7):
                mqtt.publish(mqtt.send_topic(room="fill-%d" % (7 * n + k)), b'{"message":"x"}')
            if n % 150 == 0:
                for k in range(33):
                    mqtt.publish(mqtt.send_topic(room="fill"), big, qos=2, mid=k + 1)
            # Long enough to be announced.
            await asyncio.sleep(0.25)
            mqtt.packet(PINGREQ, 0, b"")
            await within(mqtt.next_packet(), "an answer while tables are filled")
    await asyncio.gather(*(one(n) for n in range(PEOPLE)))
