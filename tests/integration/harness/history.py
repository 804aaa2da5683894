"""Brokers with a history file, what is in that file, and the replays that sessions ask for."""

import contextlib
import json
import os
import socket
import sqlite3
import threading
import time

from .dialogue import FACTOR, MARKER, TIMEOUT, Closed, Frame, wait_for
from .wire import PUBLISH, string, varint, write_properties

INBOX = "inbox"  # as a place, beside room names in tests (no test has a room of that name)


def with_history(brokers, persistence=False, start=True, history=True, lines=(), **options):
    """A broker whose history file is in its folder."""
    more = {name: options.pop(name) for name in ("bridge", "command", "plugin_lines") if name in options}
    chat = brokers(start=False, options=options, lines=lines, **more)
    if history:
        chat.options["history_file"] = history_file(chat)
    if persistence:
        chat.lines += ["persistence true", "persistence_location %s/" % chat.folder]
    return chat.start() if start else chat


def history_file(chat):
    return os.path.join(chat.folder, "history.db")


def rows(chat, sql="SELECT n, id, body FROM messages ORDER BY n", *arguments):
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % history_file(chat), uri=True, timeout=TIMEOUT)) as db:
        return db.execute(sql, arguments).fetchall()


def stored_ids(chat):
    """Ids in the file, in the order of delivery."""
    return [row[1] for row in rows(chat)]


def wait_stored(chat, *ids, timeout=TIMEOUT):
    """Until all of these are in the file."""
    wait_for(lambda: set(ids) <= set(stored_ids(chat)), lambda: "in history: %r" % (set(ids) - set(stored_ids(chat)),), timeout)


def place_of(frame):
    """The room of a message or a recovered frame, INBOX for direct ones."""
    if "to" in frame or frame.get("inbox"):
        return INBOX
    return frame["room"]


def is_message(frame):
    return isinstance(frame, Frame) and "id" in frame and "sender" in frame and "type" not in frame


class Replay:
    """What came from a session's opening to its last recovered frame.

    replay[place]: the messages before that place's recovered frame; live[place]: those behind it;
    ends[place]: the recovered frame. Other frames (typing, presence) are in others, the order in events."""

    def __init__(self, session, rooms=("general",), timeout=TIMEOUT):
        places = set(rooms) | {INBOX}
        self.replay = {place: [] for place in places}
        self.live = {place: [] for place in places}
        self.ends, self.others, self.events = {}, [], []
        markers = dict.fromkeys(places, 0)  # of expect_nothing(): stored and replayed like any message
        end = time.monotonic() + timeout
        while set(self.ends) != places:
            try:
                frame = session._take(max(0.0, end - time.monotonic()))
            except TimeoutError:
                raise AssertionError("%s: not recovered: %r; got %r" % (
                    session.name, places - set(self.ends), self.events[-3:])) from None
            assert not isinstance(frame, Closed), "%s: %r after %d frames" % (session.name, frame, len(self.events))
            if frame.get("sender") == MARKER:
                markers[place_of(frame)] += place_of(frame) not in self.ends
                continue
            self.events.append(frame)
            session.say("<", frame)
            if frame.get("type") == "recovered":
                place = place_of(frame)
                assert place in places and place not in self.ends, frame
                kind = "inbox" if place is INBOX else "room"
                assert list(frame) == ["type", kind, "complete", "count"], frame
                assert isinstance(frame["complete"], bool) and frame["count"] == len(self.replay[place]) + markers[place], \
                    "%r after %d messages" % (frame, len(self.replay[place]))
                self.ends[place] = frame
            elif is_message(frame):
                place = place_of(frame)
                assert place in places, frame
                (self.live if place in self.ends else self.replay)[place].append(frame)
            else:
                self.others.append(frame)

    def texts(self, place="general"):
        return [frame["message"] for frame in self.replay[place]]

    def complete(self, place="general"):
        return self.ends[place]["complete"]

    def all(self, place="general"):
        return self.replay[place] + self.live[place]


def raws(frames):
    return [frame.raw for frame in frames]


def burst(client, messages, room=None, to=None):
    """QoS 0 publishes of an Mqtt client in one write, for the sake of speed; the ping sees them arrive."""
    data = b""
    head = string(client.send_topic(room, to)) + (write_properties({}) if client.version == 5 else b"")
    for message in messages:
        body = head + json.dumps(message).encode()
        data += bytes([PUBLISH << 4]) + varint(len(body)) + body
    client.socket.settimeout(60 * FACTOR)
    client.socket.sendall(data)
    client.alive()


class Pour:
    """Numbered messages from a client of its own, each awaited (QoS 1), until stop(); about rate a second.

    topics: turns through these. sent: (number, topic) of what the broker has confirmed."""

    def __init__(self, chat, user="pourer@example.com", topics=None, rate=400, limit=None):
        self.client = chat.mqtt(user)
        self.topics = topics or [self.client.send_topic()]
        self.period = 1.0 / rate
        self.sent, self.error, self.limit = [], None, limit
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            at, n = time.monotonic(), 0
            while not self.ended.is_set() and n != self.limit:
                topic = self.topics[n % len(self.topics)]
                code = self.client.publish(topic, {"message": str(n)})
                assert code == 0, "publish %d answered %r" % (n, code)
                self.sent.append((n, topic))
                n += 1
                # A pace, not a wait for anything.
                at = max(at + self.period, time.monotonic() - 0.1)
                self.ended.wait(max(0.0, at - time.monotonic()))
        except Exception as error:  # handed to the test's thread by stop()
            self.error = error

    def at_least(self, n):
        wait_for(lambda: self.error or len(self.sent) >= n, "%d messages sent" % n)
        assert self.error is None, self.error

    def stop(self):
        """Returns how many were sent: 0 … n-1."""
        self.ended.set()
        self.thread.join(TIMEOUT)
        assert self.error is None, self.error
        return len(self.sent)


def cut(session):
    """Ends a raw session's connection without a word, what is on its way included."""
    session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    session.socket.close()


def say(chat, texts, user="alice@example.com", **where):
    """Sends as that user and returns the frames as an MQTT reader got them."""
    author = chat.mqtt(user)
    if "to" in where:
        author.read_inbox()
    else:
        author.read_room(where.get("room"))
    for text in texts:
        assert author.send({"message": text}, **where) == 0
    frames = [author.expect_message(text, user) for text in texts]
    author.disconnect()
    return frames
