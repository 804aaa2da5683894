"""What every client can say and expect, whichever protocol it speaks."""

import collections
import json
import os
import re
import time

# Everything is slower inside a sanitizer or valgrind; the most where bridges start there again and again.
FACTOR = 10 if os.environ.get("CHAT_VALGRIND") == "all" else 6 if os.environ.get("CHAT_SANITIZE") or os.environ.get("CHAT_VALGRIND") else 1
TIMEOUT = 8.0 * FACTOR

# Sends the markers that bound expect_nothing(); no client ever shows its messages to a test.
MARKER = "marker@chat.test"

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class _Named:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


ANY = _Named("ANY")        # the field is there, whatever it holds
ABSENT = _Named("ABSENT")  # the field is not there


class Frame(dict):
    """A received JSON object, with how it came: raw bytes; over MQTT also topic, qos, retain, properties."""

    def __init__(self, raw, topic=None, qos=None, retain=None, properties=None):
        self.raw = raw
        self.topic = topic
        self.qos = qos
        self.retain = retain
        self.properties = properties
        value = None
        try:
            value = json.loads(raw)
        except ValueError:
            pass
        self.json = isinstance(value, dict)
        super().__init__(value if self.json else {})

    def __repr__(self):
        where = "%s " % self.topic if self.topic else ""
        raw = self.raw if len(self.raw) < 400 else self.raw[:400] + b"..."
        return where + repr(raw)


Closed = collections.namedtuple("Closed", "code reason")


def matches(frame, wanted):
    if isinstance(frame, Closed):
        return False
    for key, want in wanted.items():
        if want is ABSENT:
            if key in frame:
                return False
            continue
        if key not in frame:
            return False
        have = frame[key]
        if want is ANY:
            continue
        if isinstance(want, re.Pattern):
            if not isinstance(have, str) or not want.fullmatch(have):
                return False
        elif have != want or isinstance(have, bool) != isinstance(want, bool):
            return False
    return True


def wait_for(condition, what, timeout=TIMEOUT):
    """Polls for something that sends no event (a process gone, a file changed)."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (timeout, what() if callable(what) else what))
        time.sleep(0.01)


class Dialogue:
    """Needs from its class: name, broker, _take(timeout) -> Frame or Closed (TimeoutError), _barrier()."""

    name = "?"
    broker = None

    def say(self, arrow, what):
        text = what if isinstance(what, str) else repr(what)
        self.broker.transcript.append("%s %s %s" % (self.name, arrow, text[:160]))

    def _fail(self, text):
        __tracebackhide__ = True
        raise AssertionError("%s: %s" % (self.name, text))

    def next(self, timeout=TIMEOUT):
        """The next frame or Closed, markers left out."""
        end = time.monotonic() + timeout
        while True:
            event = self._take(max(0.0, end - time.monotonic()))
            if isinstance(event, Frame) and event.get("sender") == MARKER:
                continue
            self.say("<", event)
            return event

    def expect(self, timeout=TIMEOUT, **wanted):
        """The next frame holds these fields with these values; it is returned."""
        __tracebackhide__ = True
        try:
            event = self.next(timeout)
        except TimeoutError:
            self._fail("nothing came, expected %r" % (wanted,))
        if not matches(event, wanted):
            self._fail("got %r, expected %r" % (event, wanted))
        return event

    def expect_all(self, *wanted, timeout=TIMEOUT):
        """As many frames as given, in any order; returned in the order of the arguments."""
        __tracebackhide__ = True
        got = [None] * len(wanted)
        for _ in wanted:
            try:
                event = self.next(timeout)
            except TimeoutError:
                self._fail("missing %r" % ([w for w, g in zip(wanted, got) if g is None],))
            for i, want in enumerate(wanted):
                if got[i] is None and matches(event, want):
                    got[i] = event
                    break
            else:
                self._fail("got %r, expected one of %r" % (event, [w for w, g in zip(wanted, got) if g is None]))
        return got

    def expect_message(self, message, sender, **more):
        """A canonical message: exactly the fields of the contract, in its order."""
        __tracebackhide__ = True
        frame = self.expect(message=message, sender=sender, id=ULID, timestamp=TIMESTAMP, **more)
        third = "to" if "to" in frame else "room"
        if list(frame) != ["id", "sender", third, "message", "timestamp"]:
            self._fail("not the canonical fields: %r" % (frame,))
        return frame

    def expect_ack(self, ref):
        __tracebackhide__ = True
        frame = self.expect(type="ack", ref=ref, id=ULID, timestamp=TIMESTAMP)
        if set(frame) != {"type", "ref", "id", "timestamp"}:
            self._fail("not the fields of an ack: %r" % (frame,))
        return frame

    def expect_error(self, code, field=ABSENT, ref=ABSENT, sender="System"):
        """An error with that code, naming that field and ref (or none), and a sentence for people."""
        __tracebackhide__ = True
        frame = self.expect(type="error", code=code, field=field, ref=ref, message=ANY, sender=sender)
        if not set(frame) <= {"type", "code", "message", "sender", "field", "ref"}:
            self._fail("not the fields of an error: %r" % (frame,))
        if not isinstance(frame["message"], str) or not frame["message"]:
            self._fail("an error without a sentence: %r" % (frame,))
        return frame

    def expect_nothing(self):
        """Everything that was on its way is here now, and it was nothing."""
        __tracebackhide__ = True
        for event in self._barrier():
            self._fail("got %r, expected nothing" % (event,))

    def expect_close(self, *codes, timeout=TIMEOUT):
        """Nothing but the end, with one of these codes; it is returned."""
        __tracebackhide__ = True
        try:
            event = self.next(timeout)
        except TimeoutError:
            self._fail("not closed, expected %r" % (codes,))
        if not isinstance(event, Closed) or event.code not in codes:
            self._fail("got %r, expected the close codes %r" % (event, codes))
        if event.code is not None and event.code >= 4000 and not event.reason:
            self._fail("close %d without a reason text" % event.code)
        return event

    def drain_until_close(self, *codes, timeout=TIMEOUT):
        """Reads on to the end; the frames before it are returned with it."""
        __tracebackhide__ = True
        frames = []
        while True:
            try:
                event = self.next(timeout)
            except TimeoutError:
                self._fail("not closed after %d frames, expected %r" % (len(frames), codes))
            if isinstance(event, Closed):
                if event.code not in codes:
                    self._fail("got %r, expected the close codes %r" % (event, codes))
                return frames, event
            frames.append(event)
