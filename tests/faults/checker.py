"""The comparison: what every reader got against what was acknowledged. Pure; a Run in, deviations out.

Each deviation has a kind, and a kind is allowed or not. Allowed is only what the project's documents allow, and
each such excuse is as narrow as the run's record of faults makes it; all are counted.
"""

import bisect
import collections
import dataclasses

from records import DEVICE, LIVE, OVER_MQTT, PAGE, REPLAY, WITH_SINCE, WS

# Seconds before a SIGKILL of the broker in which an acknowledged message may not be on disk yet: the flush
# interval is 50 ms, the rest is for a busy machine and for the way of the ack to the client.
FLUSH = 0.15
# Seconds until a server has noticed a connection that was reset.
NOTICE = 0.5
# What a replay holds at most of one place.
REPLAY_MAX = 1000

CLOSE_CODES = {1001, 1006, 1011, 1012, 1013, 4001, 4003, 4104}

# kind -> allowed
KINDS = {
    # Lost.
    "lost": False,
    "lost, older than the since that was given": False,
    "lost with QoS 2, broker killed between PUBLISH and PUBREL": False,
    "lost to a reader with since: broker killed before the flush": True,
    "lost to a persistent session: broker killed": True,
    "lost to a persistent session: direct message accepted in the broker's last round": True,
    "lost to a device without since: on its way when the connection broke": True,
    "only by paging, as complete:false said": True,
    "not in history": False,
    "not in history: broker killed before the flush": True,
    # Twice.
    "twice": False,
    "twice on one connection": False,
    "twice: the since given was older than what had come": True,
    "twice: QoS 2 around a replay": True,
    "twice over MQTT: redelivered with DUP": True,
    "twice over MQTT: from a queue saved before the broker was killed": True,
    "twice to a device: not yet confirmed to the broker when the connection broke": True,
    "twice to a device: from a queue saved before the broker was killed": True,
    "two ids for one ref": False,
    "two ids for one ref: broker killed before the flush": True,
    # Order and place.
    "out of order": False,
    "out of order: QoS 2 around a replay": True,
    "history out of order": False,
    "history out of order: QoS 2, the broker was started anew": True,
    "wrong place": False,
    "never sent": False,
    "own message without echo": False,
    # Answers.
    "never acked": False,
    "refused": False,
    "more acks than frames": False,
    "complete:false without need": False,
    "paging differs from the file": False,
    "close code": False,
    # Found by the trial itself.
    "presence": False,
    "leak": False,
    "log": False,
    "broker": False,
    "database": False,
}


def where(place):
    """Where a place is read: a room, or the inbox."""
    return place if place.startswith("room:") else "inbox"


@dataclasses.dataclass
class Deviation:
    kind: str
    who: str
    text: str

    @property
    def allowed(self):
        return KINDS[self.kind]


class Checker:
    def __init__(self, run, slow=1):
        self.run = run
        self.flush = FLUSH * slow
        self.found = []
        self.kills = [f for f in run.faults if f.kind == "broker-kill"]
        self.pauses = [f for f in run.faults if f.kind.startswith("pause-")]
        self.newest_of = None
        self.n_of = None if run.rows is None else {row.id: row.n for row in run.rows}

    def say(self, kind, who, text):
        self.found.append(Deviation(kind, who, text))

    def check(self):
        self._acks()
        self._ids()
        self._history()
        for reader in self.run.readers:
            self._places(reader)
            self._losses(reader)
            self._doubles(reader)
            self._order(reader)
            self._answers(reader)
        return self.found

    # time

    def _paused(self, start, end, kinds=("pause-broker",)):
        """Seconds between start and end in which a process stood still."""
        return sum(max(0.0, min(end, f.until or end) - max(start, f.at)) for f in self.pauses if f.kind in kinds)

    def _unflushed(self, sent, accepted):
        """True when the broker was killed before it surely had written what it accepted then (None: not known)."""
        for kill in self.kills:
            if sent <= kill.at and (accepted is None or
                                    kill.at - accepted - self._paused(min(accepted, kill.at), kill.at) <= self.flush):
                return True
        return False

    def _noticed(self, closed):
        """When the server must have noticed that a connection broke."""
        end = closed + NOTICE
        for pause in sorted(self.pauses, key=lambda f: f.at):
            if pause.at <= end and (pause.until or end) >= closed:
                end = max(end, (pause.until or end) + NOTICE)
        return end

    # authors

    def _acks(self):
        ways = {reader.address: reader for reader in self.run.readers}
        for message in self.run.messages.values():
            for code in message.errors:
                self.say("refused", message.author, "%s: %s" % (message.ref, code))
            if message.acked is None and not message.errors:
                self.say("never acked", message.author,
                         "%s to %s, sent %.2f, %d tries" % (message.ref, message.place, message.sent, message.tries))
            reader = ways.get(message.author)
            if reader and reader.kind == WS and message.acks > message.tries:
                self.say("more acks than frames", message.author,
                         "%s: %d acks of %d frames" % (message.ref, message.acks, message.tries))

    def _ids(self):
        """Every id that a message was ever seen under, and since when it is known to have been accepted."""
        known = collections.defaultdict(dict)

        def saw(key, one, at):
            before = known[key].get(one)
            known[key][one] = at if before is None else before if at is None else min(at, before)

        for message in self.run.messages.values():
            for n, one in enumerate(message.ids):
                saw(message.key, one, message.acked if n == len(message.ids) - 1 else None)
        for reader in self.run.readers:
            for receipt in reader.receipts:
                if receipt.key in self.run.messages:
                    saw(receipt.key, receipt.id, receipt.at)
        for row in self.run.rows or ():
            if (row.author, row.seq) in self.run.messages:
                saw((row.author, row.seq), row.id, None)
        for key, ids in known.items():
            if len(ids) < 2:
                continue
            message = self.run.messages[key]
            # Ids are ordered by time: all but the newest must be ones that a killed broker took with it.
            excused = self.n_of is not None and all(
                one not in self.n_of and self._unflushed(message.sent, ids[one]) for one in sorted(ids)[:-1])
            self.say("two ids for one ref: broker killed before the flush" if excused else "two ids for one ref",
                     message.author, "%s sent %.2f: %s" % (
                         message.ref, message.sent,
                         ", ".join("%s seen %s" % (one, "-" if at is None else "%.2f" % at)
                                   for one, at in sorted(ids.items()))))

    def _history(self):
        if self.run.rows is None:
            return
        stored = collections.defaultdict(list)
        for row in self.run.rows:
            message = self.run.messages.get((row.author, row.seq))
            if message is None:
                self.say("never sent", "history", "%r" % row)
            elif message.place != row.place:
                self.say("wrong place", "history", "%s is stored as %s" % (message.ref, row.place))
            stored[row.author, row.place].append(row)
        for message in self.run.messages.values():
            if message.acked is None or any(one in self.n_of for one in message.ids):
                continue
            excused = not self.run.synced and self._unflushed(message.sent, message.acked)
            self.say("not in history: broker killed before the flush" if excused else "not in history",
                     message.author, "%s %s acked %.3f" % (message.ref, ",".join(message.ids), message.acked))
        for (author, place), rows in stored.items():
            newest = -1
            for row in sorted(rows, key=lambda row: row.n):
                if row.seq < newest:
                    message = self.run.messages.get((author, row.seq))
                    # What the broker had not been seen to release stands behind the others from its next start on.
                    excused = message is not None and message.qos == 2 and any(
                        f.kind in ("broker-kill", "broker-stop") and f.at >= message.sent for f in self.run.faults)
                    self.say("history out of order: QoS 2, the broker was started anew" if excused else
                             "history out of order", author, "%s: %d (n %d) behind %d" % (
                                 place, row.seq, row.n, newest))
                newest = max(newest, row.seq)

    # readers

    def _concerns(self, reader, message):
        if message.place.startswith("room:"):
            if message.place[5:] not in reader.rooms:
                return False
        elif reader.address not in (message.author, message.place[3:]):
            return False
        return True

    def _places(self, reader):
        for receipt in reader.receipts:
            message = self.run.messages.get(receipt.key)
            if message is None:
                self.say("never sent", reader.address, "%r" % (receipt,))
                continue
            if receipt.place != message.place or receipt.said != message.place or not self._concerns(reader, message):
                self.say("wrong place", reader.address, "%s of %s came as %s (%s)" % (
                    message.ref, message.place, receipt.place, receipt.channel))
            if message.author == reader.address and not reader.gets_own() and receipt.channel == LIVE and \
                    set(message.sent_on) == {receipt.connection}:
                self.say("own message without echo", reader.address, message.ref)

    def _losses(self, reader):
        got, paged = set(), set()
        for receipt in reader.receipts:
            (paged if receipt.channel == PAGE else got).add(receipt.key)
        for message in self.run.messages.values():
            if message.acked is None or message.key in got or not self._concerns(reader, message):
                continue
            if message.author == reader.address and not reader.gets_own():
                continue
            kind = self._loss(reader, message, message.key in paged)
            self.say(kind, reader.address, "%s to %s, sent %.3f acked %.3f id %s qos %d (%s)" % (
                message.ref, message.place, message.sent, message.acked, ",".join(message.ids), message.qos,
                reader.kind))

    def _loss(self, reader, message, paged):
        if reader.kind in WITH_SINCE:
            return self._loss_with_since(reader, message, paged)
        if self._killed_on_the_way(reader, message):
            return "lost to a persistent session: broker killed"
        if self._last_round(message):
            return "lost to a persistent session: direct message accepted in the broker's last round"
        if reader.kind == DEVICE and self._broken_on_the_way(reader, message):
            return "lost to a device without since: on its way when the connection broke"
        return "lost"

    def _loss_with_since(self, reader, message, paged):
        stored = self.n_of is not None and any(one in self.n_of for one in message.ids)
        if self.n_of is not None and not stored and not self.run.synced and \
                self._unflushed(message.sent, message.acked):
            return "lost to a reader with since: broker killed before the flush"
        honest = any(where(message.place) in c.incomplete and (c.closed is None or c.closed >= message.sent)
                     for c in reader.connections)
        if paged and honest:
            return "only by paging, as complete:false said"
        if message.qos == 2 and any(message.sent <= k.at <= message.acked for k in self.kills):
            return "lost with QoS 2, broker killed between PUBLISH and PUBREL"
        if stored:
            n = min(self.n_of[one] for one in message.ids if one in self.n_of)
            later = [c for c in reader.connections if c.opened > message.sent and c.since]
            if later and self.n_of.get(later[0].since, 0) >= n:
                return "lost, older than the since that was given"
        return "lost"

    def _newer_before(self, reader, message, at):
        """True when by then the reader had something of the same place that was sent after this was acked."""
        if self.newest_of is not reader:
            self.newest_of, self.newest = reader, collections.defaultdict(lambda: ([], []))
            for receipt in reader.receipts:
                other = self.run.messages.get(receipt.key)
                if other is not None:
                    times, sent = self.newest[where(other.place)]
                    times.append(receipt.at)
                    sent.append(max(other.sent, sent[-1] if sent else 0))
        times, sent = self.newest[where(message.place)]
        n = bisect.bisect_left(times, at)
        return n > 0 and sent[n - 1] > message.acked

    def _killed_on_the_way(self, reader, message):
        """The broker was killed with the message in its queue, or there was no session yet afterwards."""
        for kill in self.kills:
            back = next((c for c in reader.connections if c.opened >= kill.at and c.ready is not None), None)
            # What a device's session is at the broker cannot be seen; all were saved before the first fault.
            kept = back is None or back.present or reader.kind == DEVICE
            until = kill.until if kept else back.ready
            if message.sent <= (until or kill.at) and not self._newer_before(reader, message, kill.at):
                return True
        return False

    def _last_round(self, message):
        """What a plugin publishes goes out in the broker's next round: after a SIGTERM there is none. Its author
        was not answered before the stop either."""
        return message.place.startswith("to:") and any(
            message.sent <= f.until <= message.acked
            for f in self.run.faults if f.kind == "broker-stop" and f.until)

    def _broken_on_the_way(self, reader, message):
        for connection in reader.connections:
            if connection.closed is None:
                continue
            noticed = self._noticed(connection.closed)
            if connection.half_open:
                # The server learns of it when the device's next session comes.
                noticed = next((c.ready for c in reader.connections[connection.number + 1:] if c.ready), noticed)
            if message.sent <= noticed and not self._newer_before(reader, message, connection.closed):
                return True
        return False

    def _doubles(self, reader):
        first = {}
        for receipt in reader.receipts:
            if receipt.channel == PAGE:
                continue
            before = first.setdefault(receipt.id, receipt)
            if before is not receipt:
                kind = self._double(reader, before, receipt)
                self.say(kind, reader.address, "%s/%d %s %s: %s %.3f (#%d), then %s %.3f (#%d) (%s)" % (
                    receipt.author.split("@")[0], receipt.seq, receipt.place, receipt.id, before.channel, before.at,
                    before.connection, receipt.channel, receipt.at, receipt.connection, reader.kind))
                # A third one is compared with the second.
                first[receipt.id] = receipt

    def _double(self, reader, before, receipt):
        killed = any(before.at <= kill.at <= receipt.at for kill in self.kills)
        if reader.kind in OVER_MQTT:
            if receipt.dup:
                return "twice over MQTT: redelivered with DUP"
            if killed and receipt.connection != before.connection:
                return "twice over MQTT: from a queue saved before the broker was killed"
        if receipt.channel == REPLAY and receipt.connection != before.connection and self._behind(
                receipt.id, reader.connections[receipt.connection].since):
            return "twice: the since given was older than what had come"
        message = self.run.messages.get(receipt.key)
        if message is not None and message.qos == 2 and reader.kind in WITH_SINCE and (
                REPLAY in (before.channel, receipt.channel) or receipt.connection != before.connection):
            return "twice: QoS 2 around a replay"
        if receipt.connection == before.connection:
            return "twice on one connection"
        if reader.kind == DEVICE:
            closed = reader.connections[before.connection].closed
            if closed is not None and closed - before.at - self._paused(
                    before.at, closed, ("pause-broker", "pause-bridge")) <= NOTICE:
                return "twice to a device: not yet confirmed to the broker when the connection broke"
            if killed:
                return "twice to a device: from a queue saved before the broker was killed"
        return "twice"

    def _behind(self, one, since):
        """True when a replay from since has that id."""
        if self.n_of is None or since is None:
            return False
        if one in self.n_of and since in self.n_of:
            return self.n_of[one] > self.n_of[since]
        return one > since

    def _order(self, reader):
        newest, seen = {}, set()
        for receipt in reader.receipts:
            message = self.run.messages.get(receipt.key)
            if receipt.channel == PAGE or message is None or receipt.key in seen:
                continue
            seen.add(receipt.key)
            before = newest.get((receipt.author, receipt.place))
            if before is None or before.seq < receipt.seq:
                newest[receipt.author, receipt.place] = receipt
                continue
            excused = message.qos == 2 and REPLAY in (before.channel, receipt.channel)
            self.say("out of order: QoS 2 around a replay" if excused else "out of order", reader.address,
                     "%s in %s: %d (%s %.3f #%d) behind %d (%s %.3f #%d) (%s)" % (
                         receipt.author, receipt.place, receipt.seq, receipt.channel, receipt.at, receipt.connection,
                         before.seq, before.channel, before.at, before.connection, reader.kind))

    def _answers(self, reader):
        for connection in reader.connections:
            if connection.code is not None and connection.code not in CLOSE_CODES:
                self.say("close code", reader.address, "#%d closed with %d" % (connection.number, connection.code))
            for place in sorted(connection.incomplete):
                if self.n_of is not None and connection.since in self.n_of and \
                        self._stored_behind(reader, place, connection) < REPLAY_MAX:
                    self.say("complete:false without need", reader.address, "#%d %s since %s, opened %.2f" % (
                        connection.number, place, connection.since, connection.opened))
        for place, ids in self.run.pages.get(reader.address, {}).items():
            if self.n_of is None:
                continue
            want = [row.id for row in sorted(self.run.rows, key=lambda row: row.n) if self._in_page(reader, row, place)]
            if ids != want:
                missing, more = set(want) - set(ids), set(ids) - set(want)
                self.say("paging differs from the file", reader.address, "%s: %d missing, %d more, %s" % (
                    place, len(missing), len(more), "same set, other order" if not missing and not more else
                    "such as %s" % ", ".join(sorted(missing | more)[:2])))

    def _stored_behind(self, reader, place, connection):
        n = self.n_of[connection.since]
        if place != "inbox":
            return sum(1 for row in self.run.rows if row.place == place and row.n > n)
        return sum(1 for row in self.run.rows if row.place.startswith("to:") and row.n > n and
                   reader.address in (row.author, row.place[3:]))

    @staticmethod
    def _in_page(reader, row, place):
        """place: room:NAME, or with:ADDRESS for both directions of a pair."""
        if place.startswith("room:"):
            return row.place == place
        return row.place.startswith("to:") and {row.author, row.place[3:]} == {reader.address, place[5:]}


def check(run, slow=1):
    """All deviations of a run, allowed ones too. slow: by which everything takes longer (sanitizers)."""
    return Checker(run, slow).check()


def table(deviations, examples=4):
    """Lines of text: each kind with its number, not allowed ones first and with examples."""
    kinds = collections.defaultdict(list)
    for one in deviations:
        kinds[one.kind].append(one)
    lines = []
    for allowed, title in ((False, "NOT ALLOWED"), (True, "allowed")):
        mine = [kind for kind in KINDS if KINDS[kind] == allowed and kind in kinds]
        if not mine:
            lines.append("%-12s nothing" % title)
        for kind in mine:
            lines.append("%-12s %6d  %s" % (title, len(kinds[kind]), kind))
            if not allowed:
                lines += ["                       %s: %s" % (one.who, one.text) for one in kinds[kind][:examples]]
    return lines
