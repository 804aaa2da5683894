"""One trial: start, talk while faults happen, let everybody come back, read everything, compare."""

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
import urllib.parse

import checker
import clients
from faults import FAULTS, Injector, Server
from harness.dialogue import FACTOR
from harness.wire import Mqtt
from records import DEVICE, DEVICE_SINCE, MQTT4, MQTT5, REPLAY, WITH_SINCE, WS, Row, Run, TEXT, place_of
from samples import descriptors

ROOMS = ("alpha", "beta", "gamma")
# kind, echo, qos: fifty clients are five times these.
MIX = ((WS, False, 1), (WS, True, 1), (MQTT4, False, 1), (DEVICE, False, 1), (MQTT5, False, 1),
       (WS, False, 1), (DEVICE_SINCE, False, 1), (MQTT5, False, 2), (DEVICE_SINCE, True, 1), (MQTT4, False, 1))
# Of these: in one room, without direct messages. The id that they give as since is the very last one, and nothing
# may come twice.
NARROW = (0, 6)
GUESTS = (WS, MQTT5)
BACK = 15.0 * FACTOR  # seconds until everybody is back and everything acked, after the last fault
QUIET = 1.0 * FACTOR  # nothing came for so long: all is here
PRESENCE = 5.0 if FACTOR == 1 else 10.0  # seconds after the last fault in which the list of who is here becomes true
SLACK = 12  # descriptors that are no sockets (a database, its log) and may have been opened meanwhile


class Trial:
    def __init__(self, options, out):
        self.options, self.out = options, out
        self.random = random.Random("%s/trial" % options.seed)
        self.start = time.monotonic()
        self.found = []
        self.can_page = self.can_users = False

    def say(self, text=""):
        print(text, file=self.out, flush=True)

    def fault(self, kind, who, text):
        self.found.append(checker.Deviation(kind, who, text))

    # who there is

    def _make_clients(self):
        names = ["u%02d@faults.test" % n for n in range(self.options.clients)]
        everybody = []
        social = [name for n, name in enumerate(names) if n % len(MIX) not in NARROW]
        for n, address in enumerate(names):
            kind, echo, qos = MIX[n % len(MIX)]
            if n % len(MIX) in NARROW:
                rooms, peers = {self.random.choice(ROOMS)}, []
            else:
                rooms = set(self.random.sample(ROOMS, self.random.choice((2, 2, 3))))
                others = [name for name in social if name != address]
                peers = self.random.sample(others, min(4, len(others)))
            everybody.append(clients.make(self.world, n, kind, rooms, peers=peers, echo=echo, qos=qos))
        return everybody

    # the trial

    async def run(self):
        self.server = Server(self.options.plugin)
        self.bridges = int(self.options.plugin.get("bridges", 1))
        self.everybody = self.guests = []
        try:
            await self.server.begin()
            self.world = clients.World(self.server, self.options.seed, self.options.rate, self.options.clients)
            await self._healthy()
            before = [descriptors(pid) for pid in (self.server.pid, await self.server.living_bridge())]
            self.everybody = self._make_clients()
            self.guests = [clients.make(self.world, n, kind, ROOMS[:1], sender=False)
                           for n, kind in enumerate(GUESTS * 2)]
            self.injector = Injector(self.server, self.everybody + self.guests, self.options.seed, self.options.faults)
            await self._begin()
            await self._storm()
            await self._calm()
            await self._read_back()
            for client in self.everybody:
                await client.stop()
            await clients.until(lambda: len(self.server.bridge_pids()) == self.bridges, BACK)
            await self._leaks(before)
            code = await self.server.end()
            if code:
                self.fault("broker", "broker", "ended with %d on SIGTERM" % code)
            self._integrity()
        except (AssertionError, OSError, asyncio.TimeoutError, clients.Lost) as error:
            self.fault("broker", "trial", "%s: %s" % (type(error).__name__, error))
        finally:
            for client in self.everybody + self.guests:
                await client.stop()
        self._compare()
        bad = [one for one in self.found if not one.allowed]
        if bad and not os.environ.get("CHAT_KEEP"):
            os.environ["CHAT_KEEP"] = "faults"
        try:
            problems = self.server.finish()
        finally:
            if os.environ.get("CHAT_KEEP") == "faults":
                del os.environ["CHAT_KEEP"]
        for problem in problems:
            self.fault("log" if "in the log" in problem else "leak", "broker", problem[:300])
        return self._report()

    async def _healthy(self):
        """The bridge has its own connection to the broker."""
        end = time.monotonic() + BACK
        while (await clients.http_get(self.world, "/health"))[0] != 200:
            if time.monotonic() > end:
                raise AssertionError("/health is not 200")
            await asyncio.sleep(0.02)

    async def _begin(self):
        # Everything of the trial comes after this message.
        marker = Mqtt(self.server, "marker@chat.test")
        marker.read_notices()
        marker.send({"message": "begin", "ref": "begin"}, room=ROOMS[0])
        self.world.first_id = marker.expect_ack("begin")["id"]
        marker.disconnect()
        for client in self.everybody:
            client.start()
        if not await clients.until(lambda: all(c.online for c in self.everybody), BACK):
            raise AssertionError("not everybody came in: %s" % ", ".join(
                c.address for c in self.everybody if not c.online))
        for guest in self.guests:
            guest.start()
        # Persistent sessions and their subscriptions go to the disk now, so that they are there after a SIGKILL.
        os.kill(self.server.pid, signal.SIGUSR1)
        status, _ = await clients.http_get(self.world, "/users")
        self.can_users = status != 404
        answer = await self.everybody[0].ask(room=self.everybody[0].rooms[0], limit=1)
        self.can_page = answer["type"] == "history"
        self.say("server: history %s, /users %s" % (
            "yes" if self.can_page else "no (%s)" % answer.get("code"), "yes" if self.can_users else "no (skipped)"))

    async def _storm(self):
        self.world.talking = True
        self.talked = time.monotonic()
        await asyncio.sleep(0.5)
        await self.injector.run(self.options.seconds)
        self.world.talking = False

    async def _calm(self):
        """The faults have stopped: guests leave, everybody else comes back, and what is under way arrives."""
        await self.server.living_bridge()
        stopped = time.monotonic()
        for client in self.guests:
            await client.stop()
        for client in self.everybody:
            client.away_until = 0.0
            client.forget_dead()
        presence = asyncio.create_task(self._presence(stopped)) if self.can_users else None
        if not await clients.until(lambda: all(c.online for c in self.everybody), BACK):
            self.fault("broker", "trial", "not back within %g s: %s" % (
                BACK, ", ".join("%s (%s)" % (c.address, c.kind) for c in self.everybody if not c.online)))
        back = time.monotonic() - stopped
        await clients.until(lambda: not any(c.waiting for c in self.everybody), BACK)
        acked = time.monotonic() - stopped
        # A replay that still goes on is no quiet.
        await clients.until(lambda: time.monotonic() - self.world.last_receipt > QUIET and
                          not any(c.online and getattr(c, "open_places", None) for c in self.everybody), BACK)
        if presence:
            await presence
        self.say("after the last fault: everybody back after %.2f s, everything acked after %.2f s" % (back, acked))

    async def _presence(self, stopped):
        """GET /users, and the retained topics: exactly who is connected, and soon."""
        want = {c.address for c in self.everybody}
        shown, end = None, stopped + PRESENCE
        while True:
            status, body = await clients.http_get(self.world, "/users")
            shown = {entry["user"] for entry in body if entry.get("status") == "online"} if status == 200 else None
            late = time.monotonic() > end
            views = {c.address: c.online_users() for c in self.everybody if getattr(c, "watches", False)}
            wrong = {address: view for address, view in views.items() if view != want}
            if shown == want and not wrong:
                self.say("presence: true %.2f s after the last fault, in /users and for %d readers" % (
                    time.monotonic() - stopped, len(views)))
                break
            if late:
                views = dict(wrong, **({} if shown == want else {"/users": shown or set()}))
                for who, view in views.items():
                    self.fault("presence", who, "%.1f s after the last fault: missing %s, ghosts %s" % (
                        time.monotonic() - stopped, sorted(want - view), sorted(view - want)))
                break
            await asyncio.sleep(0.1)
        self._retained(want)

    def _retained(self, want):
        """The retained topics, as somebody sees them who subscribes now; nobody is online there who is not."""
        late = Mqtt(self.server, "late@chat.test")
        late.subscribe("%s/users/+/presence" % self.server.root)
        late.ping()
        late.ping()
        states = {frame["user"]: frame["status"] for frame in late.events if "status" in frame}
        online = {user for user, status in states.items() if status == "online"} - {late.user}
        late.disconnect()
        if online != want:
            self.fault("presence", "retained topics", "missing %s, ghosts %s" % (
                sorted(want - online), sorted(online - want)))

    async def _read_back(self):
        self.pages = {}
        if not self.can_page:
            return
        for client in self.everybody:
            if client.kind not in WITH_SINCE:
                continue
            incomplete = {}
            for connection in client.reader.connections:
                for place in connection.incomplete:
                    incomplete.setdefault(place, connection.since)
            for place, since in incomplete.items():
                await self._page_place(client, place, since)
        # Two of them read all that they may.
        for client in [c for c in self.everybody if c.kind == WS][:2]:
            wanted = ["room:" + room for room in client.rooms]
            wanted += ["with:" + c.address for c in self.everybody
                       if client.address in c.peers or c.address in client.peers]
            for place in wanted:
                ids = await self._try(client.page(place, self.world.first_id), client)
                if ids is not None:
                    self.pages.setdefault(client.address, {})[place] = ids
        await self._http_pages()

    async def _page_place(self, client, place, since):
        if place != "inbox":
            await self._try(client.page(place, since), client)
            return
        for other in self.everybody:
            if client.address in other.peers or other.address in client.peers:
                await self._try(client.page("with:" + other.address, since), client)

    async def _try(self, work, client):
        try:
            return await work
        except (clients.Lost, asyncio.TimeoutError) as error:
            self.fault("paging differs from the file", client.address, "no answer: %r" % error)
            return None

    async def _http_pages(self):
        """GET /rooms/ROOM/messages says the same as the history frame."""
        for room in ROOMS:
            ids, after = [], self.world.first_id
            while True:
                status, body = await clients.http_get(
                    self.world, "/rooms/%s/messages?after=%s&limit=200" % (room, after))
                if status == 404:
                    self.say("GET /rooms/%s/messages: 404, skipped" % room)
                    return
                if status != 200:
                    self.fault("paging differs from the file", "http", "%s: status %d %r" % (room, status, body))
                    return
                ids += [frame["id"] for frame in body["messages"]]
                if body["complete"] or not body["messages"]:
                    break
                after = ids[-1]
            rows = self._rows() or []
            want = [row.id for row in rows if row.place == "room:" + room]
            if ids != want:
                self.fault("paging differs from the file", "http", "%s: %d there, %d in the file" % (
                    room, len(ids), len(want)))

    # the file

    def _database(self):
        return sqlite3.connect("file:%s?mode=ro" % urllib.parse.quote(self.server.history_path), uri=True)

    def _rows(self):
        """What is stored, in order, without the marker; None when there is no history."""
        if not os.path.exists(self.server.history_path):
            return None
        rows = []
        database = self._database()
        try:
            for n, one, body in database.execute("SELECT n, id, body FROM messages ORDER BY n"):
                frame = json.loads(body)
                match = TEXT.match(frame["message"])
                if match:
                    rows.append(Row(n, one, frame["sender"], int(match.group(1)), place_of(frame)))
        except sqlite3.Error as error:
            self.fault("database", "history", repr(error))
            return None
        finally:
            database.close()
        return rows

    def _integrity(self):
        if not os.path.exists(self.server.history_path):
            return
        database = sqlite3.connect(self.server.history_path)
        try:
            answer = [row[0] for row in database.execute("PRAGMA integrity_check")]
            if answer != ["ok"]:
                self.fault("database", "history", "integrity_check: %s" % "; ".join(answer[:5]))
            broken = database.execute("PRAGMA foreign_key_check").fetchall()
            if broken:
                self.fault("database", "history", "foreign_key_check: %r" % broken[:5])
        except sqlite3.Error as error:
            self.fault("database", "history", repr(error))
        finally:
            database.close()

    # the end

    async def _leaks(self, before):
        """With nobody there, no more sockets are open than before anybody came."""
        await self._healthy()
        pids = self.server.bridge_pids()
        if len(pids) != self.bridges:
            self.fault("leak", "broker", "%d bridges run: %r" % (len(pids), pids))
        for name, pid, (sockets, others) in [("broker", self.server.pid, before[0])] + [
                ("bridge", pid, before[1]) for pid in pids]:
            if not await clients.until(lambda: descriptors(pid)[0] <= sockets and
                                     descriptors(pid)[1] <= others + SLACK, 7):
                now = descriptors(pid)
                self.fault("leak", name, "%d sockets and %d other descriptors, %d and %d before anybody came" % (
                    now + (sockets, others)))

    def _compare(self):
        if not self.everybody or not hasattr(self, "talked"):
            return
        run = Run(self.world.messages, [c.reader for c in self.everybody], self.injector.timeline, self._rows(),
                  getattr(self, "pages", {}), self.options.plugin.get("history_sync") == "on")
        for one in run.readers:
            one.receipts.sort(key=lambda receipt: receipt.at)
        began = time.monotonic()
        self.found += checker.check(run, FACTOR)
        readers = run.readers
        acked = [m for m in run.messages.values() if m.acked is not None]
        receipts = sum(len(r.receipts) for r in readers)
        replayed = sum(1 for r in readers for one in r.receipts if one.channel == REPLAY)
        self.say()
        self.say("%d messages sent, %d acked, %s in history; %d receipts (%d by replay), %d connections; "
                 "compared in %.1f s" % (
            len(run.messages), len(acked), "none" if run.rows is None else len(run.rows), receipts, replayed,
            sum(len(r.connections) for r in readers), time.monotonic() - began))

    def _report(self):
        if self.options.verbose:
            for one in self.found:
                self.say("%s %s: %s: %s" % ("allowed" if one.allowed else "BAD", one.kind, one.who, one.text))
        bad = [one for one in self.found if not one.allowed]
        if hasattr(self, "talked"):
            self.say("faults (seconds after the talking began at %.2f):" % self.talked)
            for line in self.injector.lines(self.talked):
                self.say("  " + line)
            for what, n in sorted(self.world.notes.items()):
                self.say("  note %6d  %s" % (n, what))
        self.say("deviations:")
        for line in checker.table(self.found):
            self.say("  " + line)
        if bad:
            self.say("FAILED with --seed %d --seconds %d --clients %d --rate %d --faults %s%s; the broker's folder: "
                     "%s" % (
                self.options.seed, self.options.seconds, self.options.clients, self.options.rate,
                ",".join(self.options.faults) or "none", "".join(" --option " + one for one in self.options.option),
                self.server.folder))
        else:
            self.say("passed, seed %d" % self.options.seed)
        return not bad


def read_options(arguments):
    parser = argparse.ArgumentParser(prog="tests/faults/run", description="Talks to a server while faults happen to "
                                     "it, and compares what everybody got with what was acknowledged.")
    parser.add_argument("--seed", type=int, help="draws clients, rooms, faults and moments (default: drawn)")
    parser.add_argument("--seconds", type=int, default=60, help="how long faults happen (60)")
    parser.add_argument("--clients", type=int, default=50, help="(50)")
    parser.add_argument("--rate", type=int, default=250, help="messages a second of all clients together (250)")
    parser.add_argument("--faults", default=",".join(FAULTS), help="comma-separated, or none; known: %(default)s")
    parser.add_argument("--verbose", action="store_true", help="print each deviation, allowed ones too")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE",
                        help="plugin_opt_NAME VALUE, such as history_sync=on, bridges=2, fanout=session")
    options = parser.parse_args(arguments)
    options.plugin = dict(one.split("=", 1) for one in options.option if "=" in one)
    if len(options.plugin) != len(options.option):
        parser.error("--option NAME=VALUE, each once")
    options.faults = [] if options.faults == "none" else options.faults.split(",")
    unknown = [kind for kind in options.faults if kind not in FAULTS]
    if unknown:
        parser.error("unknown fault: %s" % ", ".join(unknown))
    if options.clients < 5 or options.seconds < 1 or options.rate < 1:
        parser.error("--clients 5 or more, --seconds and --rate 1 or more")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1, 1 << 31)
    return options


def main(arguments=None, out=sys.stdout):
    """True when nothing happened that is not allowed."""
    options = read_options(arguments)
    print("seed %d" % options.seed, file=out, flush=True)
    return asyncio.run(Trial(options, out).run())
