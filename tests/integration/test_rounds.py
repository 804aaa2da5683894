"""Rooms with more members than are served at a stretch (a slice of 128): who is a member all the time gets each message
once and in order, whoever else comes, goes, talks or moves between rooms while a round is under way."""

import threading

from harness.dialogue import TIMEOUT
from harness.history import Pour

STEADY, BOTH, RESTLESS, LEAVERS, MESSAGES = 300, 20, 6, 30, 60
ROOMS = ("general", "side")


class Restless:
    """Sessions that join, leave and end, again and again, until stop()."""

    def __init__(self, chat, n):
        self.chat, self.name = chat, "restless%d@example.com" % n
        self.error, self.turns = None, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.ended.is_set():
                session = self.chat.plain_ws(self.name, events="typing")
                self._until(session, "type", "ready")
                for kind in ("join", "leave"):
                    session.send({"type": kind, "room": "side", "ref": kind})
                    self._until(session, "ref", kind)
                session.close()
                self.turns += 1
        except Exception as error:  # handed to the test's thread by stop()
            self.error = error

    @staticmethod
    def _until(session, key, value):
        while session.next().get(key) != value:
            pass

    def stop(self):
        self.ended.set()
        self.thread.join(TIMEOUT)
        assert self.error is None, self.error
        assert self.turns > 0


def told(frame):
    return frame["room"], frame["sender"], int(frame["message"])


def heard(session, count):
    """(room, sender, number) of that many messages."""
    found = []
    while len(found) < count:
        frame = session.next()
        if "message" in frame:
            found.append(told(frame))
    return found


def in_order(found, sender, room, count):
    return [number for where, who, number in found if (where, who) == (room, sender)] == list(range(count))


def test_everybody_gets_everything_once(brokers):
    chat = brokers(options={"rate_messages": "off", "rate_connects": "off"})
    # Those who will go sit between those who stay: each one's place is taken by the last to have come.
    leavers, steady = [], []
    for n in range(STEADY):
        if n % (STEADY // LEAVERS) == 0:
            leavers.append(chat.ws("leaver%d@example.com" % n, ["general"]))
        steady.append(chat.ws("steady%d@example.com" % n, ["general"]))
    both = [chat.ws("both%d@example.com" % n, ROOMS) for n in range(BOTH)]
    # A session that does not hear itself, in the middle of all.
    talker = chat.ws("talker@example.com", ["general"])
    restless = [Restless(chat, n) for n in range(RESTLESS)]
    pours = [Pour(chat, "pour%d@example.com" % n, topics=["chat/rooms/%s/send" % ROOMS[n % 2]], rate=10000, limit=MESSAGES)
             for n in range(4)]
    overheard = []
    for n in range(MESSAGES):
        talker.send({"message": str(n), "room": "general", "ref": str(n)})
        while (frame := talker.next()).get("ref") != str(n):
            overheard.append(told(frame))
        if n % (MESSAGES // LEAVERS) == 0:
            leavers.pop().close()
    for pour in pours:
        pour.at_least(MESSAGES)
        assert pour.stop() == MESSAGES
    for one in restless:
        one.stop()
    in_general = ["pour0@example.com", "pour2@example.com", "talker@example.com"]
    for session in steady:
        found = heard(session, 3 * MESSAGES)
        assert all(in_order(found, sender, "general", MESSAGES) for sender in in_general), session.address
    orders = []
    for session in both:
        orders.append(heard(session, 5 * MESSAGES))
        assert all(in_order(orders[-1], sender, "general", MESSAGES) for sender in in_general), session.address
        assert all(in_order(orders[-1], "pour%d@example.com" % n, "side", MESSAGES) for n in (1, 3)), session.address
    # Over two rooms, too, all hear the same order: that of arrival.
    assert all(order == orders[0] for order in orders)
    found = overheard + heard(talker, 2 * MESSAGES - len(overheard))
    assert all(in_order(found, sender, "general", MESSAGES) for sender in in_general[:2])
    for session in (steady[0], steady[-1], both[0], talker):
        session.expect_nothing()
