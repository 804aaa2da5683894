"""What a trial writes down and the checker reads: plain data, times in seconds of one monotonic clock.

A place is where an author's numbers run: "room:NAME", or "to:ADDRESS" for direct messages. Each author counts
all its messages with one counter, so (author, seq) names a message whatever ids the server gives it.
"""

import dataclasses
import re

# The kinds of readers.
WS = "ws"                      # no device; comes back with since
DEVICE = "device"              # named device; comes back without since
DEVICE_SINCE = "device+since"  # named device; comes back with since
MQTT4 = "mqtt4"                # 3.1.1, persistent session
MQTT5 = "mqtt5"                # 5.0, persistent session
KINDS = (WS, DEVICE, DEVICE_SINCE, MQTT4, MQTT5)
WITH_SINCE = (WS, DEVICE_SINCE)
OVER_MQTT = (MQTT4, MQTT5)

# How a message came.
LIVE, REPLAY, PAGE = "live", "replay", "page"

TEXT = re.compile(r"(\d+) ((?:room|to):\S+)(?: |$)")


def text_of(seq, place, padding=""):
    return "%d %s %s" % (seq, place, padding)


def place_of(frame):
    """Where a canonical message says that it belongs."""
    if "room" in frame:
        return "room:" + frame["room"]
    return "to:" + frame["to"] if "to" in frame else "nowhere"


@dataclasses.dataclass
class Message:
    """What an author sent. acked: when its ack came (with QoS 2: and PUBCOMP), None when it never did."""

    author: str
    seq: int
    place: str
    sent: float
    qos: int = 1
    acked: float = None
    tries: int = 1
    acks: int = 0
    ids: list = dataclasses.field(default_factory=list)      # of its acks, each once
    errors: list = dataclasses.field(default_factory=list)   # codes that no resend can heal
    sent_on: list = dataclasses.field(default_factory=list)  # numbers of the author's connections
    # Over MQTT: the packet id under way, and how far the handshake is.
    mid: int = None
    step: str = ""
    last_try: float = 0.0

    @property
    def key(self):
        return self.author, self.seq

    @property
    def ref(self):
        return "%s/%d" % (self.author.split("@")[0], self.seq)


@dataclasses.dataclass
class Receipt:
    """One delivery to one reader. said: the place that its text names, place: the one that its fields name."""

    at: float
    id: str
    author: str
    seq: int
    said: str
    place: str
    channel: str = LIVE
    connection: int = 0
    dup: bool = False

    @property
    def key(self):
        return self.author, self.seq


@dataclasses.dataclass
class Connection:
    """ready: when it was in its rooms. present: MQTT's session present. half_open: its client went away without a
    word. incomplete: places whose replay said so."""

    number: int
    opened: float
    since: str = None
    ready: float = None
    closed: float = None
    code: int = None
    present: bool = None
    half_open: bool = False
    incomplete: set = dataclasses.field(default_factory=set)
    recovered: dict = dataclasses.field(default_factory=dict)  # place ("inbox" for direct messages) -> count


@dataclasses.dataclass
class Reader:
    address: str
    kind: str
    rooms: set
    echo: bool = False
    connections: list = dataclasses.field(default_factory=list)
    receipts: list = dataclasses.field(default_factory=list)

    def gets_own(self):
        return self.echo or self.kind in OVER_MQTT


@dataclasses.dataclass
class Fault:
    """at: just before it was done; until: when it was over (the broker listens again, the process goes on)."""

    kind: str
    at: float
    until: float = None
    what: str = ""


@dataclasses.dataclass
class Row:
    """A stored message."""

    n: int
    id: str
    author: str
    seq: int
    place: str


@dataclasses.dataclass
class Run:
    """rows: None where the server has no history. pages: reader's address -> place -> ids, oldest first. synced: what
    is acked is on the disk (history_sync on)."""

    messages: dict
    readers: list
    faults: list
    rows: list = None
    pages: dict = dataclasses.field(default_factory=dict)
    synced: bool = False


def receipt_of(frame, at, **more):
    """None for what is no message of a trial."""
    match = TEXT.match(frame.get("message") or "")
    if not match or "id" not in frame:
        return None
    return Receipt(at, frame["id"], frame.get("sender", ""), int(match.group(1)), match.group(2), place_of(frame),
                   **more)
