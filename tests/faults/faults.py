"""The server under test, and what is done to it at seeded random moments."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import time

from harness.broker import Broker, running
from harness.dialogue import FACTOR

from records import Fault

# kind -> weight
FAULTS = {
    "cut": 5,           # single connections are reset
    "half-open": 3,     # a client comes back while the server still holds its old connection
    "bridge-kill": 2,   # SIGKILL; the plugin starts the next one
    "broker-kill": 2,   # SIGKILL; started again as systemd would
    "broker-stop": 1,   # SIGTERM, in good order, and started again
    "pause-bridge": 1,  # SIGSTOP for 0.2 to 2 s, then SIGCONT
    "pause-broker": 1,
}
UP = 10.0 * FACTOR  # seconds for a broker to start or to end


class Server(Broker):
    """A broker with persistence and history, driven from an asyncio loop."""

    def __init__(self, options=None, tls=None):
        super().__init__(options=options, tls=tls)
        self.history_path = os.path.join(self.folder, "chat.db")
        self.options.setdefault("history_file", self.history_path)
        self.lines += ["persistence true", "persistence_location %s/" % self.folder]
        # What these faults bring with them.
        self.allow("chat-bridge", "Socket error", "protocol error")

    def config(self):
        # A line for each packet would be the most that this broker does.
        lines = "\n".join("log_type " + kind for kind in ("error", "warning", "notice", "information"))
        return super().config().replace("log_type all", lines)

    async def begin(self):
        """Until it listens and its signal handlers stand."""
        # Its line is looked for behind what is there already; spawned from this thread, whose end ends it.
        seen = os.path.getsize(self.log_path)
        self.spawn()
        await self._until(lambda: self.process.poll() is not None or self._listens(), "the broker listens")

        def up():
            with open(self.log_path, "rb") as f:
                f.seek(seen)
                return self.process.poll() is not None or re.search(rb"mosquitto version \S+ running", f.read())
        await self._until(up, "the broker runs")
        if self.process.poll() is not None:
            raise AssertionError("the broker ended with %r:\n%s" % (self.process.returncode, self.log()[-4000:]))
        await self._until(self.bridge_pids, "a bridge runs")

    async def end(self, number=signal.SIGTERM):
        """The exit code, after that signal; the bridges have ended too."""
        pids = self.bridge_pids()
        self.ended = True
        self.process.send_signal(number)
        await self._until(lambda: self.process.poll() is not None, "the broker ends")
        await self._until(lambda: not any(running(pid) for pid in pids), "the bridges end with their broker")
        return self.process.returncode

    def _listens(self):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.mqtt_port), timeout=1).close()
            return True
        return False

    @staticmethod
    async def _until(condition, what):
        end = time.monotonic() + UP
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError("not within %g s: %s" % (UP, what))
            await asyncio.sleep(0.01)

    async def living_bridge(self):
        """The pid of a bridge, when one runs."""
        return (await self._until(self.bridge_pids, "a bridge runs"))[-1]


class Injector:
    """Draws faults and moments from a seed and does them one after the other; timeline holds what was done."""

    def __init__(self, server, clients, seed, kinds):
        self.server, self.clients = server, clients
        self.random = random.Random("%s/faults" % seed)
        self.kinds = list(kinds)
        self.timeline = []

    async def run(self, seconds):
        """Each kind once, in random order, then random ones until the time is over."""
        end = time.monotonic() + seconds
        first = self.random.sample(self.kinds, len(self.kinds))
        # All of them must fit in.
        pause = min(1.6, seconds / (len(self.kinds) + 1) * 0.6) if self.kinds else 1
        while True:
            await asyncio.sleep(min(self.random.uniform(0.3, 1.7) * pause, max(0, end - time.monotonic())))
            if time.monotonic() >= end:
                return
            if not self.kinds:
                continue
            kind = first.pop() if first else self.random.choices(self.kinds, [FAULTS[k] for k in self.kinds])[0]
            fault = Fault(kind, time.monotonic())
            self.timeline.append(fault)
            await getattr(self, "_" + kind.replace("-", "_"))(fault)
            fault.until = time.monotonic()

    async def _cut(self, fault):
        some = self.random.sample(self.clients, min(len(self.clients), self.random.randint(1, 5)))
        words = []
        for client in some:
            away = self.random.choice((0.0, 0.0, self.random.uniform(0, 3), self.random.uniform(2, 8)))
            client.cut(away)
            words.append("%s(%s) %.1f s" % (client.address.split("@")[0], client.kind, away))
        fault.what = ", ".join(words)

    async def _half_open(self, fault):
        some = self.random.sample(self.clients, min(len(self.clients), self.random.randint(1, 5)))
        for client in some:
            client.leave_half_open()
        fault.what = ", ".join("%s(%s)" % (c.address.split("@")[0], c.kind) for c in some)

    async def _bridge_kill(self, fault):
        pid = await self.server.living_bridge()
        fault.what = "pid %d" % pid
        await self._stand_still(fault, "pause-bridge", pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    async def _broker_kill(self, fault):
        away = self.random.choice((0.0, self.random.uniform(0.0, 0.8)))
        fault.what = "pid %d, started again after %.1f s" % (self.server.pid, away)
        await self._stand_still(fault, "pause-broker", self.server.pid)
        await self.server.end(signal.SIGKILL)
        await asyncio.sleep(away)
        await self.server.begin()

    async def _stand_still(self, fault, kind, pid):
        """Sometimes, before it is killed: its sockets fill meanwhile."""
        if self.random.random() < 0.7:
            return
        pause = Fault(kind, time.monotonic(), None, "pid %d, then killed" % pid)
        self.timeline.insert(-1, pause)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(self.random.uniform(0.1, 0.8))
        fault.at = pause.until = time.monotonic()

    async def _broker_stop(self, fault):
        away = self.random.choice((0.0, self.random.uniform(0.0, 0.8)))
        code = await self.server.end(signal.SIGTERM)
        fault.what = "exit code %d, started again after %.1f s" % (code, away)
        assert code == 0, "the broker ended with %r:\n%s" % (code, self.server.log()[-4000:])
        await asyncio.sleep(away)
        await self.server.begin()

    async def _pause_bridge(self, fault):
        await self._pause(fault, await self.server.living_bridge())

    async def _pause_broker(self, fault):
        await self._pause(fault, self.server.pid)

    async def _pause(self, fault, pid):
        pause = self.random.uniform(0.2, 2)
        fault.what = "pid %d for %.2f s" % (pid, pause)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(pause)
            os.kill(pid, signal.SIGCONT)

    def lines(self, start):
        """The timeline as text."""
        return ["%7.2f %8s %-12s %s" % (f.at - start, "to %.2f" % (f.until - start) if f.until else "", f.kind, f.what)
                for f in self.timeline]
