"""A soak: abuse and a conversation at once for as long as it is told, and the curves of what the server takes.

The broker starts, what is bounded is filled up, everybody comes, everybody leaves. In between each process is sampled.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import sqlite3
import sys
import time
import urllib.parse

import abuse
import checker
import chatters
import clients
import samples
from faults import Server
from harness.broker import BUILD, SANITIZE, mosquitto_version
from harness.dialogue import FACTOR
from harness.tls import Certificate
from harness.wire import Mqtt
from records import TEXT, Row, place_of

HEAP_COUNTER = os.path.join(BUILD, "tests", "faults", "heap_counter.so")
# Brokers before this one never give back what they have made for a topic that once had a retained message, 870 bytes for
# each address that was ever online: there, nobody comes who is really new.
FORGETS_TOPICS = (2, 0, 16)
SETTLED = 25.0 * FACTOR  # seconds until the last trace of who has left is gone: devices expire, graces end
CACHES = 2 * samples.MB  # SQLite's pages in a bridge: as many as it happens to have read, 2000 KB at most
REF_BYTES = 256  # what the plugin remembers of a message with a reference, for five minutes
EXPIRY = 8 if FACTOR == 1 else 60  # seconds that a named device is kept; the chatters are away no longer
# What of it is watched: mosquitto's own figures.
FIGURES = ("clients/total", "subscriptions/count", "retained messages/count", "heap/current")


class Watched(Server):
    """Its processes say how much of the heap they use."""

    def environment(self):
        env = super().environment()
        if not SANITIZE:
            env.update(LD_PRELOAD=HEAP_COUNTER, CHAT_HEAP_FOLDER=self.folder)
        return env


class Process:
    def __init__(self, name, pid, folder):
        self.name, self.pid, self.folder, self.samples = name, pid, folder, []

    def sample(self):
        taken = samples.take(self.pid, time.monotonic(), self.folder)
        if taken:
            self.samples.append(taken)
        return taken


class Soak:
    def __init__(self, options, out):
        self.options, self.out = options, out
        self.wrong = []
        self.start = time.monotonic()
        self.bounds = samples.Bounds()
        self.conversation = self.abuse = self.sampling = None
        self.processes = []
        self.fds = {}

    def say(self, text=""):
        print(text, file=self.out, flush=True)

    # the server

    def _server(self):
        given = {"rate_messages": None, "rate_connects": None, "presence_grace": "1s", "session_expiry": "%ds" % EXPIRY,
                 "header_timeout": "2s", "bridges": str(self.options.bridges),
                 "history_messages": str(20000 + 200 * self.options.seconds)}
        given.update(self.options.plugin)
        server = Watched(given, tls=Certificate.shared() if self.options.tls else None)
        server.options["chat_config"] = server.file(
            "chat.conf", "rate_messages 20/s burst 40\nrate_connects 20/s burst 100\noutbox_bytes 256k\noutbox_seconds 5s\n")
        server.lines.append("sys_interval 1")
        # Protocol errors are what some of them come for. A process that ends, or loses messages, is none of it.
        server.allowed = ["Socket error", "protocol error"]
        return server

    def _watch(self):
        bridges = self.server.bridge_pids()
        folder = None if SANITIZE else self.server.folder
        self.processes = [Process("broker", self.server.pid, folder)]
        self.processes += [Process("bridge %d" % n if len(bridges) > 1 else "bridge", pid, folder)
                           for n, pid in enumerate(bridges)]

    async def _sample(self):
        pause = min(5.0, max(0.25, self.options.seconds / 200))
        while True:
            for process in self.processes:
                if not process.sample():
                    self.wrong.append("%s: the process has ended" % process.name)
                    return
            await asyncio.sleep(pause)

    def _figures(self):
        """What the broker says of itself; a blocking client, for nothing else runs meanwhile."""
        reader = Mqtt(self.server, "figures@soak.test")
        for name in FIGURES:
            reader.subscribe("$SYS/broker/" + name, qos=0)
        end, figures = time.monotonic() + 3 * FACTOR, {}
        while time.monotonic() < end:
            reader.ping()
            for frame in reader.events:
                figures[frame.topic.split("/", 2)[2]] = int(float(frame.raw))
            reader.events.clear()
            time.sleep(0.2)
        reader.disconnect()
        return figures

    # the soak

    async def run(self):
        self.server = self._server()
        try:
            await self._begin()
            await self._soak()
            await self._leave()
            self.sampling.cancel()  # a process that ends from here on does so as asked
            code = await self.server.end()
            if code:
                self.wrong.append("the broker ended with %d on SIGTERM" % code)
            self._compare()
        except (AssertionError, OSError, asyncio.TimeoutError, clients.Lost) as error:
            self.wrong.append("%s: %s" % (type(error).__name__, error))
        finally:
            if self.sampling:
                self.sampling.cancel()
            for part in (self.abuse and self.abuse.stop, self.conversation and self.conversation.leave):
                if part:
                    await part()
        keep = bool(self.wrong) and "CHAT_KEEP" not in os.environ
        if keep:
            os.environ["CHAT_KEEP"] = "soak"
        self.wrong += self.server.finish()[:10]
        if keep:
            del os.environ["CHAT_KEEP"]
        return self._report()

    async def _begin(self):
        await self.server.begin()
        self.world = clients.World(self.server, self.options.seed, self.options.rate, len(chatters.MIX))
        end = time.monotonic() + chatters.PATIENCE
        while (await clients.http_get(self.world, "/health"))[0] != 200:
            assert time.monotonic() < end, "/health is not 200"
            await asyncio.sleep(0.02)
        marker = Mqtt(self.server, "marker@chat.test")
        marker.read_notices()
        marker.send({"message": "begin", "ref": "begin"}, room=chatters.ROOMS[0])
        self.world.first_id = marker.expect_ack("begin")["id"]
        marker.disconnect()
        # The file of the history is open from now on, and the bridge's thread runs.
        for _ in range(4 * self.options.bridges):
            await clients.http_get(self.world, "/rooms/general/messages")
        self._watch()
        for process in self.processes:
            assert process.sample().heap or SANITIZE, "%s does not count its heap" % process.name
        self.figures_before = self._figures()
        if not SANITIZE:
            began = time.monotonic()
            await abuse.fill(self.world)
            self.say("tables filled by %d people in %.0f s" % (abuse.PEOPLE, time.monotonic() - began))
            while (await clients.http_get(self.world, "/users"))[1] != []:
                assert time.monotonic() < began + 60 * FACTOR, "those who filled the tables are still online"
                await asyncio.sleep(0.2)
            await asyncio.sleep(3)  # rates are forgotten, the history is written
        self.before = [process.sample() for process in self.processes]

    async def _soak(self):
        self.conversation = chatters.Conversation(self.world, self.options.seed)
        await self.conversation.begin()
        self.abuse = abuse.Abuse(self.world, self.options.seed, self.options.load, self.options.fresh)
        self.abuse.start()
        self.soaked = time.monotonic()
        self.sampling = asyncio.create_task(self._sample())
        lag = 0.0
        while time.monotonic() < self.soaked + self.options.seconds and not self.sampling.done():
            slept = time.monotonic()
            await asyncio.sleep(0.5)
            lag = max(lag, time.monotonic() - slept - 0.5)
        self.over = time.monotonic()
        self.say("this program was late by %.2f s at most" % lag)
        await self.abuse.stop()
        await self.conversation.end()

    async def _leave(self):
        await self.conversation.leave()
        for one in self.conversation.people:
            if isinstance(one, clients.MqttClient):
                # A clean session in place of the one that was kept.
                Mqtt(self.server, one.address, client_id=one.client_id).disconnect()
        end = time.monotonic() + SETTLED
        while True:
            await asyncio.sleep(1)
            after = [process.sample() for process in self.processes]
            if None in after:
                self.wrong.append("a process has ended: %r" % after)
                return
            status, users = await clients.http_get(self.world, "/users")
            left = [] if status == 200 and users == [] else ["/users says %d %r" % (status, users)]
            for process, before, now in zip(self.processes, self.before, after):
                left += samples.remains(process.name, before, now, self.bounds, self._known(process))
            # Devices are gone a little later than their time.
            if not left and time.monotonic() > end - SETTLED + EXPIRY + 3 or time.monotonic() > end:
                break
        self.wrong += left
        self.figures_after = self._figures()
        for name in ("clients/total", "subscriptions/count"):
            if self.figures_after.get(name) != self.figures_before.get(name):
                self.wrong.append("the broker's %s: %s, %s before anybody came" % (
                    name, self.figures_after.get(name), self.figures_before.get(name)))

    def _known(self, process):
        """Bytes that are in use for a reason when everybody has left."""
        if process.name != "broker":
            return CACHES
        since = time.monotonic() - 300
        return REF_BYTES * sum(1 for one in self.world.messages.values() if one.sent > since)

    # the end

    def _rows(self):
        """Of the chatters, in order; the history keeps more than is said in a soak after it has been filled."""
        database = sqlite3.connect("file:%s?mode=ro" % urllib.parse.quote(self.server.history_path), uri=True)
        rows = []
        try:
            for n, one, body in database.execute("SELECT n, id, body FROM messages WHERE body LIKE '%@faults.test%' ORDER BY n"):
                frame = json.loads(body)
                match = TEXT.match(frame["message"])
                if match and frame["sender"].endswith("@faults.test"):
                    rows.append(Row(n, one, frame["sender"], int(match.group(1)), place_of(frame)))
            self.stored = (database.execute("SELECT count(*) FROM messages").fetchone()[0],
                           os.path.getsize(self.server.history_path) / samples.MB)
            answer = [row[0] for row in database.execute("PRAGMA integrity_check")]
            if answer != ["ok"]:
                self.wrong.append("integrity_check: %s" % "; ".join(answer[:5]))
        finally:
            database.close()
        return rows

    def _compare(self):
        self.deviations = self.conversation.deviations(self._rows())
        for one in self.deviations:
            if not one.allowed:
                self.wrong.append("chatters: %s: %s: %s" % (one.kind, one.who, one.text))
        self.wrong += self.abuse.wrong[:10]
        if len(self.abuse.wrong) > 10:
            self.wrong.append("… and %d more like these" % (len(self.abuse.wrong) - 10))
        for process in self.processes:
            if not SANITIZE:
                self.wrong += samples.growth(process.name, process.samples, self.soaked, self.over, self.bounds)
        for kind in self.abuse.kinds:
            if not self.abuse.visits[kind]:
                self.wrong.append("nobody came as %s" % kind)
        if self.options.seconds * self.options.load >= 60:
            wanted = abuse.WANTED + (abuse.WANTED_OF_ONE_BRIDGE if self.options.bridges == 1 else ())
            missing = [what for what in wanted if not self.abuse.outcomes[what]]
            if missing:
                self.wrong.append("never seen: %s" % ", ".join(missing))

    def _report(self):
        for process in self.processes if hasattr(self, "soaked") else ():
            self.say("%s (pid %d):" % (process.name, process.pid))
            for line in samples.curve(process.samples, self.soaked):
                self.say(line)
        if self.abuse:
            self.say("visits: " + ", ".join("%s %d" % one for one in sorted(self.abuse.visits.items())))
            self.say("outcomes: " + ", ".join("%s %d" % one for one in sorted(self.abuse.outcomes.items())))
        if hasattr(self, "deviations"):
            self.say("chatters: " + self.conversation.summary())
            for line in checker.table(self.deviations):
                self.say("  " + line)
            self.say("history: %d messages, %.1f MB" % self.stored)
        if hasattr(self, "figures_after"):
            self.say("the broker's figures, before and after: " + ", ".join("%s %s, %s" % (
                name, self.figures_before.get(name), self.figures_after.get(name)) for name in FIGURES))
        for one in self.wrong:
            self.say("WRONG %s" % one)
        if self.wrong:
            self.say("FAILED with --seed %d; the broker's folder: %s" % (self.options.seed, self.server.folder))
        else:
            self.say("passed, seed %d" % self.options.seed)
        return not self.wrong


def read_options(arguments):
    parser = argparse.ArgumentParser(prog="tests/faults/soak", description="Abuses a server for a long time, talks to it "
                                     "in good order meanwhile, and looks at what it takes: memory, descriptors, threads.")
    parser.add_argument("--seconds", type=int, default=600, help="how long (600)")
    parser.add_argument("--seed", type=int, help="draws who comes and what they do (default: drawn)")
    parser.add_argument("--tls", action="store_true", help="WebSocket and HTTP over TLS")
    parser.add_argument("--load", type=float, default=1.0, help="factor on the rates of the abuse (1.0)")
    parser.add_argument("--rate", type=int, default=8, help="messages a second of those who behave (8)")
    parser.add_argument("--bridges", type=int, default=1, help="(1)")
    parser.add_argument("--fresh", action="store_true", default=mosquitto_version() >= FORGETS_TOPICS,
                        help="most come with addresses that were never seen (default from mosquitto 2.0.16 on: older ones "
                        "never forget an address)")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="plugin_opt_NAME VALUE")
    options = parser.parse_args(arguments)
    options.plugin = dict(one.split("=", 1) for one in options.option if "=" in one)
    if len(options.plugin) != len(options.option):
        parser.error("--option NAME=VALUE, each once")
    if options.seconds < 10:
        parser.error("--seconds 10 or more")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1, 1 << 31)
    return options


def main(arguments=None, out=sys.stdout):
    """True when nothing grew and nothing was wrong."""
    options = read_options(arguments)
    if not SANITIZE and not os.path.exists(HEAP_COUNTER):
        sys.exit("%s is not there: build first, or set CHAT_BUILD_DIR" % HEAP_COUNTER)
    # asyncio's word on what is written to a connection that the server has closed
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    print("seed %d" % options.seed, file=out, flush=True)
    return asyncio.run(Soak(options, out).run())
