"""Ten people who behave, while others do not: what they say to each other arrives, once and in order."""

import asyncio
import random
import time

import checker
import clients
from harness.dialogue import FACTOR
from records import DEVICE_SINCE, MQTT4, MQTT5, WS, Fault, Run

ROOMS = ("alpha", "beta")
# kind, echo, qos. Those who are promised everything: what a device without since gets depends on what the broker has
# been told when a connection is cut, and here it is told late.
MIX = ((WS, False, 1), (WS, True, 1), (MQTT4, False, 1), (DEVICE_SINCE, False, 1), (MQTT5, False, 1),
       (WS, False, 1), (DEVICE_SINCE, False, 1), (MQTT5, False, 2), (DEVICE_SINCE, True, 1), (WS, False, 1))
PATIENCE = 20.0 * FACTOR  # seconds until everybody is back and everything acked
QUIET = 1.0 * FACTOR      # nothing came for so long: all is here


class Conversation:
    """The clients of tests/faults, on a World of their own. Now and then one of them is cut off and comes back."""

    def __init__(self, world, seed):
        self.world, self.random = world, random.Random("%s/chatters" % seed)
        self.faults, self.found = [], []
        names = ["u%02d@faults.test" % n for n in range(len(MIX))]
        self.people = []
        for n, (kind, echo, qos) in enumerate(MIX):
            rooms = set(ROOMS) if n % 2 else {ROOMS[0]}
            peers = self.random.sample([name for name in names if name != names[n]], 3)
            self.people.append(clients.make(world, n, kind, rooms, peers=peers, echo=echo, qos=qos))
        self.cutting = None

    def _away(self):
        return [one.address for one in self.people if not one.online]

    async def begin(self):
        for one in self.people:
            one.start()
        if not await clients.until(lambda: not self._away(), PATIENCE):
            raise AssertionError("not everybody came in: %s" % ", ".join(self._away()))
        self.world.talking = True
        self.cutting = asyncio.create_task(self._cut())

    async def _cut(self):
        while True:
            await asyncio.sleep(self.random.uniform(1, 5))
            one = self.random.choice(self.people)
            self.faults.append(Fault("cut", time.monotonic(), time.monotonic(), one.address))
            if self.random.random() < 0.8:
                one.cut(self.random.choice((0.0, self.random.uniform(0, 3))))
            else:
                one.leave_half_open()

    async def end(self):
        """Everybody comes back, and reads what is there."""
        self.world.talking = False
        self.cutting.cancel()
        for one in self.people:
            one.away_until = 0.0
            one.forget_dead()
        if not await clients.until(lambda: not self._away(), PATIENCE):
            self.found.append(checker.Deviation("broker", "chatters", "not back: %s" % ", ".join(self._away())))
        await clients.until(lambda: not any(one.waiting for one in self.people), PATIENCE)
        await clients.until(lambda: time.monotonic() - self.world.last_receipt > QUIET and
                          not any(one.online and getattr(one, "open_places", None) for one in self.people), PATIENCE)

    async def leave(self):
        if self.cutting:
            self.cutting.cancel()
        for one in self.people:
            await one.stop()

    def deviations(self, rows):
        """What is not as docs/promises.md says; rows: of the history, None without one."""
        readers = [one.reader for one in self.people]
        for one in readers:
            one.receipts.sort(key=lambda receipt: receipt.at)
        run = Run(self.world.messages, readers, self.faults, rows)
        return self.found + checker.check(run, FACTOR)

    def summary(self):
        acked = sum(1 for one in self.world.messages.values() if one.acked is not None)
        return "%d messages said, %d acked; %d receipts over %d connections" % (
            len(self.world.messages), acked, sum(len(one.reader.receipts) for one in self.people),
            sum(len(one.reader.connections) for one in self.people))
