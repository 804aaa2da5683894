"""A small MQTT client that shows every packet: reason codes, properties, retain flags.

No threads: packets are read when a test waits for something. Versions 4 (3.1.1) and 5.
"""

import collections
import json
import socket
import struct
import time
import urllib.parse

from .dialogue import MARKER, TIMEOUT, Closed, Dialogue, Frame

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
NO_MATCHING_SUBSCRIBERS = 0x10  # an acceptance all the same
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14

# Property identifiers by name, with how they are written: 1, 2, 4 byte numbers, v(arint), s(tring), b(inary), p(air)
PROPERTIES = {
    "payload-format-indicator": (0x01, "1"),
    "message-expiry-interval": (0x02, "4"),
    "content-type": (0x03, "s"),
    "response-topic": (0x08, "s"),
    "correlation-data": (0x09, "b"),
    "subscription-identifier": (0x0B, "v"),
    "session-expiry-interval": (0x11, "4"),
    "assigned-client-identifier": (0x12, "s"),
    "server-keep-alive": (0x13, "2"),
    "authentication-method": (0x15, "s"),
    "authentication-data": (0x16, "b"),
    "request-problem-information": (0x17, "1"),
    "will-delay-interval": (0x18, "4"),
    "request-response-information": (0x19, "1"),
    "response-information": (0x1A, "s"),
    "server-reference": (0x1C, "s"),
    "reason-string": (0x1F, "s"),
    "receive-maximum": (0x21, "2"),
    "topic-alias-maximum": (0x22, "2"),
    "topic-alias": (0x23, "2"),
    "maximum-qos": (0x24, "1"),
    "retain-available": (0x25, "1"),
    "user": (0x26, "p"),
    "maximum-packet-size": (0x27, "4"),
    "wildcard-subscription-available": (0x28, "1"),
    "subscription-identifier-available": (0x29, "1"),
    "shared-subscription-available": (0x2A, "1"),
}
PROPERTY_NAMES = {number: (name, kind) for name, (number, kind) in PROPERTIES.items()}


def topic_level(text):
    """An address or a client id as one topic level."""
    return urllib.parse.quote(text, safe="-_.~@")


def as_bytes(value):
    return value if isinstance(value, bytes) else value.encode()


def string(value):
    value = as_bytes(value)
    return struct.pack("!H", len(value)) + value


def varint(n):
    out = bytearray()
    while True:
        n, low = divmod(n, 128)
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def read_varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7


def write_properties(properties):
    """properties: dict name -> value; "user" -> list of (name, value)."""
    out = b""
    for name, value in (properties or {}).items():
        number, kind = PROPERTIES[name]
        for one in value if kind == "p" else [value]:
            out += bytes([number])
            if kind == "1":
                out += bytes([one])
            elif kind == "2":
                out += struct.pack("!H", one)
            elif kind == "4":
                out += struct.pack("!I", one)
            elif kind == "v":
                out += varint(one)
            elif kind == "p":
                out += string(one[0]) + string(one[1])
            else:
                out += string(one)
    return varint(len(out)) + out


def read_properties(data, at):
    length, at = read_varint(data, at)
    end, found = at + length, {}

    def take_string():
        nonlocal at
        n = struct.unpack_from("!H", data, at)[0]
        at += 2 + n
        return data[at - n:at]

    while at < end:
        name, kind = PROPERTY_NAMES[data[at]]
        at += 1
        if kind == "v":
            value, at = read_varint(data, at)
        elif kind == "b":
            value = take_string()
        elif kind == "s":
            value = take_string().decode()
        elif kind == "p":
            value = (take_string().decode(), take_string().decode())
        else:
            n = int(kind)
            value = int.from_bytes(data[at:at + n], "big")
            at += n
        if kind == "p":
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found, end


class Refused(Exception):
    """The broker did not let the client in: code is the CONNACK's, None when it just closed."""

    def __init__(self, code):
        super().__init__("connection refused: %r" % (code,))
        self.code = code


class Mqtt(Dialogue):
    counter = 0

    def __init__(self, broker, user=None, version=5, client_id=None, password=None, clean=True,
                 will=None, unix=None, properties=None, keepalive=60, session_expiry=None, transport=None):
        Mqtt.counter += 1
        self.broker = broker
        self.user = user
        self.version = version
        self.client_id = "c%d" % Mqtt.counter if client_id is None else client_id
        self.name = "%s(mqtt%d %s)" % (user or "nobody", version, self.client_id)
        self.events = collections.deque()
        self.packets = collections.deque()
        self.buffer = b""
        self.mid = 0
        self.closed = None
        self.presence = False
        if transport:
            self.socket = transport
        elif unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(TIMEOUT)
            self.socket.connect(unix)
        else:
            self.socket = socket.create_connection(("127.0.0.1", broker.mqtt_port), timeout=TIMEOUT)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        broker.clients.append(self)
        self._connect(password, clean, will, properties, keepalive, session_expiry, transport)

    def _connect(self, password, clean, will, properties, keepalive, session_expiry, transport):
        flags = 0x02 if clean else 0
        properties = dict(properties or {})
        if session_expiry is not None and self.version == 5:
            properties["session-expiry-interval"] = session_expiry
        payload = string(self.client_id)
        if will:
            topic, message, qos, retain = will
            flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
            payload += (write_properties({}) if self.version == 5 else b"") + string(topic) + string(message)
        if self.user is not None:
            flags |= 0x80
            payload += string(self.user)
        if password is not None:
            flags |= 0x40
            payload += string(password)
        head = string("MQTT") + bytes([self.version, flags]) + struct.pack("!H", keepalive)
        if self.version == 5:
            head += write_properties(properties)
        self.packet(CONNECT, 0, head + payload)
        answer = self._wait(CONNACK)
        if answer is None:
            raise Refused(None)
        self.session_present, code = bool(answer[0] & 1), answer[1]
        if code:
            if not transport:
                self.socket.close()
            raise Refused(code)
        self.connack_properties = {}
        if self.version == 5:
            self.connack_properties, _ = read_properties(answer, 2)
            self.client_id = self.connack_properties.get("assigned-client-identifier", self.client_id)

    # packets

    def packet(self, kind, flags, body):
        data = bytes([kind << 4 | flags]) + varint(len(body)) + body
        try:
            self.socket.sendall(data)
        except OSError:
            # What the broker said before it closed is still to be read.
            pass

    def _next_mid(self):
        self.mid = self.mid % 65535 + 1
        return self.mid

    def _read(self, timeout):
        """Reads and files one packet. False when the connection is over."""
        end = time.monotonic() + timeout
        while True:
            if len(self.buffer) >= 2:
                try:
                    length, at = read_varint(self.buffer, 1)
                    if len(self.buffer) >= at + length:
                        break
                except IndexError:
                    pass
            if self.closed:
                return False
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            except socket.timeout:
                raise TimeoutError from None
            if not data:
                self.closed = self.closed or Closed(None, "")
                return False
            self.buffer += data
        kind, flags = self.buffer[0] >> 4, self.buffer[0] & 15
        body, self.buffer = self.buffer[at:at + length], self.buffer[at + length:]
        if kind == PUBLISH:
            self._received(flags, body)
        elif kind == PUBREL:
            self.packet(PUBCOMP, 0, body[:2])
        elif kind == DISCONNECT:
            self.closed = Closed(body[0] if body else 0, "")
        else:
            self.packets.append((kind, body))
        return True

    def _received(self, flags, body):
        n = struct.unpack_from("!H", body)[0]
        topic, at, qos = body[2:2 + n].decode(), 2 + n, flags >> 1 & 3
        if qos:
            mid = body[at:at + 2]
            at += 2
            self.packet(PUBACK if qos == 1 else PUBREC, 0, mid)
        properties = None
        if self.version == 5:
            properties, at = read_properties(body, at)
        frame = Frame(body[at:], topic, qos, bool(flags & 1), properties)
        # Whoever reads all topics sees people come and go; that is for those who ask for it.
        if self.presence or not topic.endswith("/presence") or list(frame) != ["type", "user", "status", "timestamp"]:
            self.events.append(frame)

    def _wait(self, kind, mid=None, timeout=TIMEOUT):
        """The body of the next packet of that kind (and packet id), None when the connection is over."""
        end = time.monotonic() + timeout
        while True:
            for one in self.packets:
                if one[0] == kind and (mid is None or one[1][:2] == mid):
                    self.packets.remove(one)
                    return one[1]
            if not self._read(max(0.0, end - time.monotonic())):
                return None

    # what a test says

    def publish(self, topic, payload, qos=1, retain=False, properties=None, dup=False, mid=None):
        """Returns the broker's reason code (0 for 3.1.1), None for QoS 0 or when it closed the connection."""
        payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.say(">", "%s %r" % (topic, payload[:300]))
        head = string(topic)
        number = None
        if qos:
            number = struct.pack("!H", mid or self._next_mid())
            head += number
        if self.version == 5:
            head += write_properties(properties)
        self.packet(PUBLISH, (8 if dup else 0) | qos << 1 | (1 if retain else 0), head + payload)
        if not qos:
            return None
        answer = self._wait(PUBACK if qos == 1 else PUBREC, number)
        if answer is None:
            return None
        code = answer[2] if len(answer) > 2 else 0
        if code == NO_MATCHING_SUBSCRIBERS:
            code = 0
        if qos == 2 and code < 0x80:
            self.packet(PUBREL, 2, number)
            if self._wait(PUBCOMP, number) is None:
                return None
        return code

    def send_topic(self, room=None, to=None):
        if to is not None:
            return "%s/users/%s/send" % (self.broker.root, topic_level(to))
        return "%s/rooms/%s/send" % (self.broker.root, room or self.broker.room)

    def send(self, message, room=None, to=None, **how):
        """A chat message (dict, or bytes as they are) on the …/send topic of a room or a person."""
        return self.publish(self.send_topic(room, to), message, **how)

    def subscribe(self, topic, qos=1, no_local=False, properties=None):
        """The broker's answer: granted QoS or 0x80 and above; None when it closed the connection."""
        self.presence |= topic.endswith("/presence")
        mid = struct.pack("!H", self._next_mid())
        options = qos | (4 if no_local and self.version == 5 else 0)
        middle = write_properties(properties) if self.version == 5 else b""
        self.packet(SUBSCRIBE, 2, mid + middle + string(topic) + bytes([options]))
        answer = self._wait(SUBACK, mid)
        self.say(">", "subscribe %s: %s" % (topic, "closed" if answer is None else answer[-1]))
        return None if answer is None else answer[-1]

    def unsubscribe(self, topic):
        """True when the broker answered with success."""
        mid = struct.pack("!H", self._next_mid())
        self.packet(UNSUBSCRIBE, 2, mid + (write_properties({}) if self.version == 5 else b"") + string(topic))
        answer = self._wait(UNSUBACK, mid)
        return answer is not None and (self.version < 5 or answer[-1] in (0x00, 0x11))

    def _granted(self, topic, **how):
        code = self.subscribe(topic, **how)
        assert code is not None and code < 0x80, "%s: subscribe %s answered %r" % (self.name, topic, code)
        return self

    def topic(self, end):
        return "%s/users/%s/%s" % (self.broker.root, topic_level(self.user), end)

    def read_room(self, room=None, **how):
        return self._granted("%s/rooms/%s" % (self.broker.root, room or self.broker.room), **how)

    def read_inbox(self, **how):
        return self._granted(self.topic("inbox"), **how)

    def read_notices(self, **how):
        return self._granted(self.topic("notices/" + topic_level(self.client_id)), **how)

    def read_session_notices(self, **how):
        """Where a session of a bridge has them."""
        return self._granted("%s/bridges/%s" % (self.broker.root, topic_level(self.client_id)), **how)

    def ping(self, timeout=TIMEOUT):
        """A round trip through the broker's loop; False when the connection is over."""
        self.packet(PINGREQ, 0, b"")
        return self._wait(PINGRESP, timeout=timeout) is not None

    def disconnect(self):
        self.packet(DISCONNECT, 0, b"")
        self.close()

    def close(self):
        """Without DISCONNECT: the will is sent."""
        self.socket.close()
        self.closed = self.closed or Closed(None, "")

    def alive(self, timeout=TIMEOUT):
        assert self.ping(timeout), "%s is disconnected" % self.name
        return True

    # Dialogue

    def _take(self, timeout):
        end = time.monotonic() + timeout
        while not self.events:
            if not self._read(max(0.0, end - time.monotonic())):
                return self.closed
        return self.events.popleft()

    def _barrier(self):
        # The broker sends what plugins publish at the top of its next loop round, so one
        # round trip may overtake it and two cannot.
        for _ in range(2):
            if not self.ping():
                return [self.closed]
        events = [e for e in self.events if e.get("sender") != MARKER]
        self.events.clear()
        return events

