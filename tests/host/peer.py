"""An MQTT client that does nothing by itself and writes down every packet that it receives.

The packets of a peer are lines of text in the order of their arrival. What differs from run to run is written by its
shape: ids that the broker made up, and seconds that are left. All else stands there as it came: packet ids, flags,
the order of properties. Bytes that cannot be read as a packet are written as hex. A peer is used by one thread.
"""

import hashlib
import re
import socket
import struct
import time

from harness.dialogue import FACTOR, TIMEOUT
from harness.wire import PROPERTY_NAMES, as_bytes, read_varint, string, varint, write_properties

NAMES = {1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP", 8: "SUBSCRIBE",
         9: "SUBACK", 10: "UNSUBSCRIBE", 11: "UNSUBACK", 12: "PINGREQ", 13: "PINGRESP", 14: "DISCONNECT", 15: "AUTH"}
NUMBERS = {name: number for number, name in NAMES.items()}
ASSIGNED = re.compile(r"auto-[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
EXPIRY_SLACK = 60 if FACTOR == 1 else 300  # seconds that may have passed of a message's life until it is delivered
LONG = 64         # bytes of a payload that are written as they are
# Topics that only the plugin has. Whoever reads all topics may see them, and it is no difference to others.
PLUGIN_TOPICS = ("chat/", "$SYS/broker/chat/")


def packet(kind, flags, body):
    return bytes([NUMBERS[kind] << 4 | flags]) + varint(len(body)) + body


def number(n):
    return struct.pack("!H", n)


def shape(name, value):
    """A property's value, without what differs from run to run."""
    if name == "assigned-client-identifier":
        return ASSIGNED.sub("auto-<id>", value)
    if name == "message-expiry-interval":
        # Dialogues use multiples of 1000 where they look at what is left.
        whole = -(-value // 1000) * 1000
        return "about %d" % whole if whole - value < EXPIRY_SLACK else value
    return value


def describe_properties(data, at):
    """Text, in the order of arrival, and where they end."""
    length, at = read_varint(data, at)
    end, found = at + length, []

    def take(n):
        nonlocal at
        if at + n > end:
            raise ValueError("a property is cut off")
        at += n
        return data[at - n:at]

    while at < end:
        name, kind = PROPERTY_NAMES[take(1)[0]]
        if kind == "v":
            value, at = read_varint(data, at)
        elif kind in "124":
            value = int.from_bytes(take(int(kind)), "big")
        elif kind == "p":
            value = tuple(take(int.from_bytes(take(2), "big")).decode() for _ in range(2))
        else:
            value = take(int.from_bytes(take(2), "big"))
            value = value if kind == "b" else value.decode()
        found.append("%s=%s" % (name, shape(name, value)))
    return " {%s}" % ", ".join(found) if found else "", end


def describe_payload(payload):
    if len(payload) <= LONG:
        return repr(payload)
    return "%d bytes, sha256 %s" % (len(payload), hashlib.sha256(payload).hexdigest()[:16])


class Peer:
    """stage: where topics, ids and the transcript come from. name: what the transcript calls this client."""

    def __init__(self, stage, name, version=None, port=None):
        self.stage = stage
        self.name = name
        self.version = version or stage.version
        self.lines = stage.lines_of(name)
        self.buffer = b""
        self.mid = 0
        self.over = False     # the broker has closed
        self.refused = False  # by CONNACK, or closed instead of one
        self.own = False   # write down the plugin's own topics, too
        self.acks = True   # answer PUBLISH and PUBREL as a client should
        self.socket = socket.create_connection(("127.0.0.1", port or stage.port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stage.peers.append(self)

    # what is sent

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # what the broker said before it closed is still to be read
        return self

    def properties(self, properties):
        return write_properties(properties) if self.version == 5 else b""

    def connect_packet(self, client_id, clean=True, user=None, password=None, will=None, keepalive=60, properties=None,
                       flags=0, protocol="MQTT"):
        """will: (topic, payload, qos, retain, properties)."""
        flags |= 0x02 if clean else 0
        payload = string(client_id)
        if will:
            topic, message, qos, retain, *more = will
            flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
            payload += self.properties(more[0] if more else None) + string(topic) + string(message)
        if user is not None:
            flags |= 0x80
            payload += string(user)
        if password is not None:
            flags |= 0x40
            payload += string(password)
        head = string(protocol) + bytes([self.version, flags]) + number(keepalive) + self.properties(properties)
        return packet("CONNECT", 0, head + payload)

    def connect(self, client_id=None, **more):
        """CONNECT, and its answer."""
        if "user" not in more and self.stage.user is not None:
            more["user"] = self.stage.user
            more.setdefault("password", self.stage.password)
        client_id = self.stage.id(self.name) if client_id is None else client_id
        self.send(self.connect_packet(client_id, **more))
        line = self.next()
        self.refused = line is None or "code=0x00" not in line
        return self

    def next_mid(self):
        self.mid += 1
        return self.mid

    def publish(self, topic, payload=b"", qos=0, retain=False, dup=False, mid=None, properties=None, wait=True):
        """wait: until the broker has confirmed it."""
        head = string(topic)
        mid = (mid or self.next_mid()) if qos else 0
        if qos:
            head += number(mid)
        head += self.properties(properties) + as_bytes(payload)
        self.send(packet("PUBLISH", (8 if dup else 0) | qos << 1 | (1 if retain else 0), head))
        if qos and wait:
            line = self.until("PUBACK" if qos == 1 else "PUBREC")
            if qos == 2 and line and not re.search(r"code=0x[89a]", line):
                self.pubrel(mid)
        return self

    def pubrel(self, mid):
        self.send(packet("PUBREL", 2, number(mid)))
        self.until("PUBCOMP")
        return self

    def subscribe(self, *filters, properties=None):
        """filters: text, or (text, options byte)."""
        body = number(self.next_mid()) + self.properties(properties)
        for one in filters:
            text, options = (one, 2) if isinstance(one, str) else one
            body += string(text) + bytes([options])
        self.send(packet("SUBSCRIBE", 2, body))
        self.until("SUBACK")
        return self

    def unsubscribe(self, *filters):
        body = number(self.next_mid()) + self.properties(None) + b"".join(string(one) for one in filters)
        self.send(packet("UNSUBSCRIBE", 2, body))
        self.until("UNSUBACK")
        return self

    def ack(self, kind, mid, code=None):
        return self.send(packet(kind, 2 if kind == "PUBREL" else 0,
                                number(mid) + (b"" if code is None else bytes([code]))))

    def disconnect(self, code=None, properties=None):
        body = b"" if code is None else bytes([code]) + self.properties(properties)
        self.send(packet("DISCONNECT", 0, body))
        self.end()

    def cut(self):
        """Without DISCONNECT."""
        self.socket.close()

    # what is received

    def _fill(self, timeout):
        """False at the end of the connection."""
        self.socket.settimeout(max(0.001, timeout))
        try:
            data = self.socket.recv(65536)
        except socket.timeout:
            raise AssertionError("%s: nothing came in %.0f s; so far:\n%s" % (
                self.name, TIMEOUT, "\n".join(self.lines))) from None
        except OSError:
            data = b""
        self.buffer += data
        return bool(data)

    def _whole(self):
        """Where the body of the first packet begins and ends, None while it is not all there."""
        try:
            length, at = read_varint(self.buffer, 1)
        except IndexError:
            return None
        return (at, at + length) if len(self.buffer) >= at + length else None

    def next(self, timeout=TIMEOUT):
        """The next packet's line; None once the connection is over, which is a line as well."""
        end = time.monotonic() + timeout
        while self._whole() is None:
            if self.over:
                return None
            if not self._fill(end - time.monotonic()):
                self.over = True
                self.lines.append("closed" + (" within a packet: " + self.buffer.hex() if self.buffer else ""))
                return None
        at, stop = self._whole()
        first, body, self.buffer = self.buffer[0], self.buffer[at:stop], self.buffer[stop:]
        try:
            line = self._describe(first >> 4, first & 15, body)
        except (ValueError, KeyError, IndexError, struct.error) as error:
            line = "unreadable (%r): %02x %s" % (error, first, body.hex())
        if not line.startswith("own "):
            self.lines.append(line)
        return line

    def _describe(self, kind, flags, body):
        name = NAMES.get(kind, "type %d" % kind)
        if kind == 3:
            return self._publish_line(flags, body)
        text = name if flags == (2 if kind == 6 else 0) else "%s flags=%d" % (name, flags)
        if kind == 2:
            more, at = describe_properties(body, 2) if self.version == 5 and len(body) > 2 else ("", 2)
            return "%s present=%d code=0x%02x%s%s" % (text, body[0], body[1], more, body[at:].hex())
        if kind in (4, 5, 6, 7):
            if self.acks and kind in (5, 6) and not (kind == 5 and len(body) > 2 and body[2] >= 0x80):
                if kind == 6:
                    self.ack("PUBCOMP", int.from_bytes(body[:2], "big"))
            more = describe_properties(body, 3)[0] if len(body) > 3 else ""
            code = " code=0x%02x" % body[2] if len(body) > 2 else ""
            return "%s mid=%d%s%s" % (text, int.from_bytes(body[:2], "big"), code, more)
        if kind in (9, 11):
            more, at = describe_properties(body, 2) if self.version == 5 else ("", 2)
            return "%s mid=%d codes=%s%s" % (text, int.from_bytes(body[:2], "big"), body[at:].hex(), more)
        if kind == 14:
            more = describe_properties(body, 1)[0] if len(body) > 1 else ""
            return "%s%s%s" % (text, " code=0x%02x" % body[0] if body else "", more)
        return text + (" " + body.hex() if body else "")

    def _publish_line(self, flags, body):
        n = int.from_bytes(body[:2], "big")
        topic, at, qos, mid = body[2:2 + n].decode(), 2 + n, flags >> 1 & 3, 0
        if qos:
            mid = int.from_bytes(body[at:at + 2], "big")
            at += 2
            if self.acks:
                self.ack("PUBACK" if qos == 1 else "PUBREC", mid)
        more, at = describe_properties(body, at) if self.version == 5 else ("", at)
        return "%sPUBLISH %s qos=%d%s%s%s%s %s" % (
            "own " if topic.startswith(PLUGIN_TOPICS) and not self.own else "", topic, qos, " mid=%d" % mid if qos else "",
            " retain" if flags & 1 else "", " dup" if flags & 8 else "", more, describe_payload(body[at:]))

    def until(self, kind):
        """Reads up to the next packet of that kind; its line, None when the connection ended before."""
        while True:
            line = self.next()
            if line is None or line.split(" ")[0] == kind:
                return line

    def settle(self):
        """Reads all that was on its way: until round trips have brought nothing else, and what we sent in answer to it has
        been answered too. Two of them, since what a plugin publishes leaves a loop round later."""
        still = 0
        while still < 2:
            before = len(self.lines)
            self.send(packet("PINGREQ", 0, b""))
            if self.until("PINGRESP") is None:
                return self
            self.lines.pop()
            still = still + 1 if len(self.lines) == before else 0
        self.lines.append("quiet")
        return self

    def end(self):
        """Reads until the broker closes."""
        while self.next() is not None:
            pass
        self.socket.close()
