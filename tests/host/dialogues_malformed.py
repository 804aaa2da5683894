"""Packets that are wrong: each is answered with the same reason code, and ends the connection or does not."""

import struct

from harness.wire import string, varint

from peer import number, packet
from stage import dialogue


def raw_property(identifier, value):
    return bytes([identifier]) + value


def block(*properties):
    body = b"".join(properties)
    return varint(len(body)) + body


def connect_body(version, flags=2, properties=b"\x00", payload=None, keepalive=60):
    return string("MQTT") + bytes([version, flags]) + number(keepalive) + (properties if version == 5 else b"") + (
        string("m") if payload is None else payload)


@dialogue()
def first_packet_is_no_connect(t):
    for n in range(16):
        t.peer("n%02d" % n).send(packet("PINGREQ", 0, b"")[:0] + bytes([n << 4, 0])).end()
    for n, data in enumerate([b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 20, b"\xff" * 20, b"\x16\x03\x01\x00\x05hello"]):
        t.peer("x%d" % n).send(data).end()


@dialogue()
def bad_connects(t):
    v = t.version
    will = (b"\x00" if v == 5 else b"") + string("t") + string("m")
    bodies = {
        "reserved flag": connect_body(v, 3),
        "will qos without will": connect_body(v, 2 | 8),
        "will retain without will": connect_body(v, 2 | 32),
        "will qos 3": connect_body(v, 2 | 4 | 24, payload=string("m") + will),
        "will cut off": connect_body(v, 2 | 4, payload=string("m")),
        "will on a wildcard": connect_body(v, 2 | 4, payload=string("m") + (b"\x00" if v == 5 else b"") + string("a/#") + string("m")),
        "will without topic": connect_body(v, 2 | 4, payload=string("m") + (b"\x00" if v == 5 else b"") + string("") + string("m")),
        "will topic not UTF-8": connect_body(v, 2 | 4, payload=string("m") + (b"\x00" if v == 5 else b"") + string(b"\xff") + string("m")),
        "no payload": connect_body(v, payload=b""),
        "id cut off": connect_body(v, payload=b"\x00\x05ab"),
        "id not UTF-8": connect_body(v, payload=string(b"\xc3\x28")),
        "id with NUL": connect_body(v, payload=string(b"a\x00b")),
        "id with a surrogate": connect_body(v, payload=string(b"\xed\xa0\x80")),
        "id with a control character": connect_body(v, payload=string(b"a\x01b")),
        "password alone": connect_body(v, 2 | 0x40, payload=string("m") + string("x")),
        "user cut off": connect_body(v, 2 | 0x80, payload=string("m")),
        "user not UTF-8": connect_body(v, 2 | 0x80, payload=string("m") + string(b"\xff\xfe")),
        "user with NUL": connect_body(v, 2 | 0x80, payload=string("m") + string(b"a\x00b")),
        "password cut off": connect_body(v, 2 | 0xC0, payload=string("m") + string("u") + b"\x00\x09x"),
        "more behind": connect_body(v) + b"more",
        "version 7": connect_body(7),
        "empty": b"",
        "only a name": string("MQTT"),
    }
    for name, body in bodies.items():
        peer = t.peer(name).send(packet("CONNECT", 0, body))
        peer.send(packet("PINGREQ", 0, b""))
        if peer.next() is not None:
            peer.next()
    t.peer("flags").send(packet("CONNECT", 1, connect_body(v))).end()
    t.peer("length of five bytes").send(b"\x10\xff\xff\xff\xff\x01").end()


@dialogue(versions=(5,))
def bad_properties_of_connect(t):
    lists = {
        "unknown": raw_property(0x7E, b"\x00"), "of another packet": raw_property(0x23, number(1)),
        "receive maximum 0": raw_property(0x21, number(0)), "packet size 0": raw_property(0x27, struct.pack("!I", 0)),
        "twice": raw_property(0x21, number(1)) * 2, "problem information 2": raw_property(0x17, b"\x02"),
        "response information 2": raw_property(0x19, b"\x02"), "data without method": raw_property(0x16, string("x")),
        "user cut off": raw_property(0x26, string("a")), "user not UTF-8": raw_property(0x26, string(b"\xff") + string("a")),
        "value cut off": raw_property(0x11, b"\x00"), "expiry for ever": raw_property(0x11, b"\xff" * 4),
        "method": raw_property(0x15, string("PLAIN")), "will delay": raw_property(0x18, struct.pack("!I", 1)),
    }
    for name, one in lists.items():
        t.peer(name).send(packet("CONNECT", 0, connect_body(5, properties=block(one)))).next()
    t.peer("longer than the packet").send(packet("CONNECT", 0, connect_body(5, properties=b"\x7f"))).end()


def after_connect(t, packets):
    for name, data in packets.items():
        t.client(name).send(data).settle().disconnect()


@dialogue()
def packets_of_the_wrong_kind(t):
    kinds = {"type %d" % n: bytes([n << 4, 0]) for n in (0, 2, 9, 11, 13, 15)}
    kinds.update({"type %d with body" % n: bytes([n << 4, 3]) + b"\x00\x01\x00" for n in (0, 2, 9, 11, 13, 15)})
    kinds["ping with body"] = bytes([0xC0, 1, 0])
    kinds["ping with flags"] = bytes([0xC1, 0])
    kinds["disconnect with flags"] = bytes([0xE1, 0])
    kinds["length of five bytes"] = b"\x30\xff\xff\xff\xff\x01"
    after_connect(t, kinds)


@dialogue(configs=("open", "mounted", "rules"))
def bad_publishes(t):
    p = b"\x00" if t.version == 5 else b""
    bad = {
        "qos 3": packet("PUBLISH", 6, string("a") + number(1) + p), "dup with qos 0": packet("PUBLISH", 8, string("a") + p),
        "id 0, qos 1": packet("PUBLISH", 2, string("a") + number(0) + p), "id 0, qos 2": packet("PUBLISH", 4, string("a") + number(0) + p),
        "no id": packet("PUBLISH", 2, string("a")), "empty": packet("PUBLISH", 0, b""), "topic cut off": packet("PUBLISH", 0, b"\x00\x09a"),
    }
    for n, topic in enumerate([b"", b"#", b"a/+", b"a/#/b", b"+", b"a\x00b", b"\xff", b"\xed\xa0\x80", b"a\x01", b"\xef\xbf\xbf", b"x" * 65535,
                               b"a" + b"/" * 201, b"$SYS", b"$share", b"$share/", b"$share/g", b"$share/g/a"]):
        for qos in (0, 1, 2):
            bad["topic %d qos %d" % (n, qos)] = packet(
                "PUBLISH", qos << 1, string(topic) + (number(5) if qos else b"") + p + b"payload")
    after_connect(t, bad)


@dialogue(versions=(5,))
def bad_properties_of_publish(t):
    lists = {
        "unknown": raw_property(0x7E, b"\x00"), "of another packet": raw_property(0x11, struct.pack("!I", 1)),
        "format 2": raw_property(0x01, b"\x02"), "format twice": raw_property(0x01, b"\x01") * 2,
        "alias 0": raw_property(0x23, number(0)), "alias twice": raw_property(0x23, number(1)) * 2,
        "subscription id": raw_property(0x0B, b"\x01"), "response to a wildcard": raw_property(0x08, string("a/#")),
        "response without name": raw_property(0x08, b"\x00\x00"), "type not UTF-8": raw_property(0x03, string(b"\xff")),
        "expiry cut off": raw_property(0x02, b"\x00"), "expiry 0": raw_property(0x02, b"\x00" * 4), "user cut off": raw_property(0x26, string("a")),
        "user with NUL": raw_property(0x26, string(b"\x00") + string("a")), "data twice": raw_property(0x09, string("a")) * 2,
    }
    bad = {}
    for name, one in lists.items():
        for qos in (0, 1, 2):
            bad["%s qos %d" % (name, qos)] = packet("PUBLISH", qos << 1, string("a") + (number(5) if qos else b"") + block(one) + b"x")
    bad["longer than the packet"] = packet("PUBLISH", 0, string("a") + b"\x7f")
    bad["payload not UTF-8"] = packet("PUBLISH", 0, string("a") + block(raw_property(0x01, b"\x01")) + b"\xff")
    after_connect(t, bad)


@dialogue(configs=("open", "mounted", "rules"))
def bad_subscribes(t):
    p = b"\x00" if t.version == 5 else b""
    bad = {
        "flags 0": packet("SUBSCRIBE", 0, number(1) + p + string("a") + b"\x00"), "id 0": packet("SUBSCRIBE", 2, number(0) + p + string("a") + b"\x00"),
        "no filter": packet("SUBSCRIBE", 2, number(1) + p), "no options": packet("SUBSCRIBE", 2, number(1) + p + string("a")),
        "empty": packet("SUBSCRIBE", 2, b""), "cut off": packet("SUBSCRIBE", 2, number(1) + p + b"\x00\x09a"),
        "good, then bad": packet("SUBSCRIBE", 2, number(1) + p + string("a") + b"\x00" + string("a#") + b"\x00"),
        "flags 0, unsubscribe": packet("UNSUBSCRIBE", 0, number(1) + p + string("a")), "id 0, unsubscribe": packet("UNSUBSCRIBE", 2, number(0) + p + string("a")),
        "no filter, unsubscribe": packet("UNSUBSCRIBE", 2, number(1) + p), "empty, unsubscribe": packet("UNSUBSCRIBE", 2, b""),
    }
    for options in (3, 4, 8, 0x10, 0x20, 0x30, 0x40, 0x80, 0xC1):
        bad["options %02x" % options] = packet("SUBSCRIBE", 2, number(1) + p + string("a") + bytes([options]))
    for n, one in enumerate([b"", b"a#", b"a+/b", b"#/a", b"a/#/b", b"+a", b"\xff", b"a\x00", b"$share", b"$share/", b"$share/g", b"$share//a", b"$share/g/",
                             b"$share/g+/a", b"$share/#/a", b"$share/g/a#", b"x" * 65535, b"a" + b"/+" * 201]):
        bad["filter %d" % n] = packet("SUBSCRIBE", 2, number(1) + p + string(one) + b"\x00")
        bad["unsubscribe %d" % n] = packet("UNSUBSCRIBE", 2, number(1) + p + string(one))
    if t.version == 5:
        bad["shared, no local"] = packet("SUBSCRIBE", 2, number(1) + p + string("$share/g/a") + b"\x04")
        for name, one in {"id 0": b"\x0b\x00", "id twice": b"\x0b\x01\x0b\x02", "id too large": b"\x0b\xff\xff\xff\xff\x01", "unknown": b"\x7e\x00",
                          "of another packet": b"\x23\x00\x01"}.items():
            bad["property " + name] = packet("SUBSCRIBE", 2, number(1) + block(one) + string("a") + b"\x00")
    after_connect(t, bad)


@dialogue()
def acks_of_nothing(t):
    bad = {}
    for kind in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"):
        flags = 2 if kind == "PUBREL" else 0
        bad[kind + " unknown"] = packet(kind, flags, number(99))
        bad[kind + " id 0"] = packet(kind, flags, number(0))
        bad[kind + " flags"] = packet(kind, flags ^ 2, number(99))
        bad[kind + " cut off"] = packet(kind, flags, b"\x00")
        bad[kind + " empty"] = packet(kind, flags, b"")
        bad[kind + " with code"] = packet(kind, flags, number(99) + b"\x00")
        bad[kind + " with refusal"] = packet(kind, flags, number(99) + b"\x80")
        bad[kind + " with a code that is none"] = packet(kind, flags, number(99) + b"\x42")
        bad[kind + " with properties"] = packet(kind, flags, number(99) + b"\x00" + block(raw_property(0x1F, string("why"))))
        bad[kind + " with a bad property"] = packet(kind, flags, number(99) + b"\x00" + block(raw_property(0x23, number(1))))
    after_connect(t, bad)


@dialogue(versions=(5,))
def bad_disconnects(t):
    after_connect(t, {
        "expiry from nothing": packet("DISCONNECT", 0, b"\x00" + block(raw_property(0x11, struct.pack("!I", 5)))),
        "bad property": packet("DISCONNECT", 0, b"\x00" + block(raw_property(0x23, number(1)))),
        "cut off": packet("DISCONNECT", 0, b"\x00\x05"),
        "reason string": packet("DISCONNECT", 0, b"\x00" + block(raw_property(0x1F, string("bye")))),
        "AUTH": packet("AUTH", 0, b"\x18" + block(raw_property(0x15, string("x")))),
        "AUTH, empty": packet("AUTH", 0, b""),
    })


@dialogue()
def neighbours_of_the_malformed(t):
    """Somebody else's protocol errors touch nobody."""
    r, w = t.client("reader").subscribe(t.topic("x")), t.client("writer")
    for n in range(20):
        t.client("bad%02d" % n).send(b"\x30\xff\xff\xff\xff\x01").settle()
        w.publish(t.topic("x"), "%d" % n, qos=n % 3)
    r.settle()
