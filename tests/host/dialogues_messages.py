"""PUBLISH in all its forms: QoS flows, retained messages, limits, properties."""

import struct

from harness.wire import string

from peer import packet
from stage import dialogue

EVERYWHERE = ("open", "narrow", "unretained", "mounted")
ALL_PROPERTIES = {"user": [("z", "1"), ("a", "2"), ("z", "3"), ("", "")], "content-type": "text/plain",
                  "correlation-data": bytes(range(16)), "message-expiry-interval": 2000, "payload-format-indicator": 1}


@dialogue(configs=EVERYWHERE)
def every_qos_to_every_qos(t):
    r = t.client("reader")
    for qos in (0, 1, 2):
        r.subscribe((t.topic("to%d/#" % qos), qos))
    w = t.client("writer")
    for qos in (0, 1, 2):
        for to in (0, 1, 2):
            w.publish(t.topic("to%d/x" % to), "%d to %d" % (qos, to), qos=qos)
            if w.over:
                w = t.client("writer")
    r.settle()


@dialogue(configs=EVERYWHERE)
def to_oneself(t):
    a = t.client("a").subscribe((t.topic("#"), 1))
    a.publish(t.topic("x"), "1", qos=0).publish(t.topic("x"), "2", qos=1).settle()


@dialogue(configs=EVERYWHERE)
def nobody_reads(t):
    a = t.client("a")
    for qos in (0, 1):
        a.publish(t.topic("x"), "1", qos=qos)
    a.publish(t.topic("x"), "kept", qos=1, retain=True)
    a.settle()


@dialogue()
def second_flow_step_by_step(t):
    r = t.client("reader").subscribe(t.topic("x"))
    r.acks = False
    w = t.client("writer")
    w.publish(t.topic("x"), "1", qos=2, mid=9, wait=False).until("PUBREC")
    r.settle()
    w.publish(t.topic("x"), "1", qos=2, mid=9, dup=True, wait=False).until("PUBREC")
    w.publish(t.topic("x"), "another under the same id", qos=2, mid=9, wait=False).until("PUBREC")
    w.pubrel(9)
    r.settle()
    r.ack("PUBREC", 1).settle()
    r.ack("PUBREC", 1).settle()
    r.ack("PUBCOMP", 1).settle()
    w.settle()


@dialogue()
def a_reader_refuses_with_pubrec(t):
    r = t.client("reader").subscribe(t.topic("x"))
    r.acks = False
    w = t.client("writer")
    for n in range(3):
        w.publish(t.topic("x"), str(n), qos=2)
    r.settle()
    if t.version == 5:
        r.ack("PUBREC", 1, 0x80).settle()
        r.ack("PUBREC", 2, 0x97).settle()
    r.ack("PUBACK", 3).settle()


@dialogue(configs=("open", "narrow", "unretained"))
def a_reader_that_does_not_ack(t):
    """The window, and the queue behind it."""
    r = t.client("reader", properties={"receive-maximum": 4}).subscribe(t.topic("x"))
    r.acks = False
    w = t.client("writer")
    for n in range(30):
        w.publish(t.topic("x"), "%d" % n, qos=1)
    r.settle()
    for mid in range(1, 26):
        r.ack("PUBACK", mid).settle()


@dialogue(versions=(5,), configs=("open", "narrow"))
def the_brokers_receive_maximum(t):
    w = t.client("writer")
    for n in range(1, 25):
        w.publish(t.topic("x"), "%d" % n, qos=2, mid=n, wait=False)
    for _ in range(24):
        if w.until("PUBREC") is None:
            break
    w.settle()


@dialogue(configs=("open", "mounted", "unretained"))
def retained(t):
    w = t.client("writer")
    for name in ("a", "b", "c/d"):
        for qos in (0, 1, 2):
            w.publish(t.topic("%s/%d" % (name, qos)), "%s %d" % (name, qos), qos=qos, retain=True)
            if w.over:
                w = t.client("writer")
    w.publish(t.topic("a/0"), "newer", qos=1, retain=True).settle()
    if w.over:
        return
    t.client("r1").subscribe(t.topic("a/0"), t.topic("+/1"), t.topic("c/#"), t.topic("b/2")).settle()
    w.publish(t.topic("a/0"), "", qos=1, retain=True)
    live = t.client("r2").subscribe((t.topic("#"), 1)).settle()
    w.publish(t.topic("b/1"), "", qos=0, retain=True).publish(t.topic("c/d/2"), "changed", qos=1, retain=True)
    live.settle()
    live.subscribe((t.topic("#"), 1)).settle()
    t.client("r3").subscribe((t.topic("+/+/+"), 0)).settle()


@dialogue(versions=(5,))
def retain_handling_and_as_published(t):
    w = t.client("writer").publish(t.topic("x"), "kept", qos=1, retain=True)
    for handling in (0, 1, 2):
        for as_published in (0, 8):
            r = t.client("r%d%d" % (handling, as_published))
            options = 1 | as_published | handling << 4
            r.subscribe((t.topic("x"), options)).settle()
            r.subscribe((t.topic("x"), options)).settle()
            w.publish(t.topic("x"), "live", qos=1, retain=True).publish(t.topic("x"), "not kept", qos=1)
            r.settle()


@dialogue(versions=(5,), configs=("open", "mounted", "narrow"))
def properties_pass(t):
    more = dict(ALL_PROPERTIES, **{"response-topic": t.topic("answer")})
    v5 = t.client("reader").subscribe(t.topic("#"))
    v4 = t.client("old", peer_version=4).subscribe(t.topic("#"))
    w = t.client("writer")
    for qos in (0, 1):
        w.publish(t.topic("x"), "text", qos=qos, properties=more)
    w.publish(t.topic("kept"), "text", qos=1, retain=True, properties=more)
    for one in more:
        w.publish(t.topic("x"), "alone", qos=1, properties={one: more[one]})
    v5.settle(), v4.settle()
    t.client("late").subscribe(t.topic("kept")).settle()
    t.client("asker").subscribe(t.topic("answer"))
    v5.publish(t.topic("answer"), "to you", qos=1, properties={"correlation-data": more["correlation-data"]}).settle()


@dialogue(versions=(5,))
def request_and_response(t):
    asker = t.client("asker", properties={"request-response-information": 1}).subscribe(t.topic("answers/asker"))
    server = t.client("server").subscribe(t.topic("questions"))
    asker.publish(t.topic("questions"), "6*7?", qos=1, properties={"response-topic": t.topic("answers/asker"),
                                                                    "correlation-data": b"\x00\xff"})
    server.until("PUBLISH")
    server.publish(t.topic("answers/asker"), "42", qos=1, properties={"correlation-data": b"\x00\xff"})
    asker.settle()


@dialogue()
def old_to_new_and_back(t):
    old, new = t.client("old", peer_version=4).subscribe(t.topic("#")), t.client("new", peer_version=5).subscribe(t.topic("#"))
    old.publish(t.topic("x"), "from old", qos=2)
    new.publish(t.topic("x"), "from new", qos=2)
    old.settle(), new.settle()


@dialogue(versions=(5,), configs=("open", "narrow"))
def topic_alias_towards_the_broker(t):
    r = t.client("reader").subscribe(t.topic("#"))
    w = t.client("writer")
    w.publish(t.topic("long/name"), "sets", qos=1, properties={"topic-alias": 1})
    w.publish("", "uses", qos=1, properties={"topic-alias": 1})
    w.publish("", "uses 0", qos=0, properties={"topic-alias": 1, "user": [("a", "b")]})
    w.publish(t.topic("other"), "changes", qos=1, properties={"topic-alias": 1})
    w.publish("", "uses the new one", qos=1, properties={"topic-alias": 1})
    w.publish(t.topic("third"), "another", qos=1, properties={"topic-alias": 3})
    w.publish("", "both", qos=1, properties={"topic-alias": 3})
    w.publish("", "unknown", qos=0, properties={"topic-alias": 2})
    w.settle()
    r.settle()
    for alias in (0, 4, 10, 11, 65535):
        w = t.client("w%d" % alias)
        w.publish(t.topic("x"), "alias %d" % alias, qos=0, properties={"topic-alias": alias}).settle()
    r.settle()


@dialogue(versions=(5,))
def topic_alias_towards_the_client(t):
    r = t.client("reader", properties={"topic-alias-maximum": 2}).subscribe((t.topic("#"), 1))
    w = t.client("writer")
    for n in range(3):
        for name in ("one", "two", "three"):
            w.publish(t.topic(name), "%d" % n, qos=1)
    r.settle()


@dialogue(versions=(5,), configs=("open", "unretained"))
def maximum_packet_size_of_the_client(t):
    """What is too large for it never comes; the rest does."""
    for qos in (0, 1, 2):
        r = t.client("reader%d" % qos, properties={"maximum-packet-size": 200}).subscribe((t.topic("#"), qos))
        w = t.client("writer%d" % qos)
        w.publish(t.topic("x"), "x" * 300, qos=qos).publish(t.topic("x"), "small", qos=qos)
        w.publish(t.topic("x"), "y" * 30, qos=qos, properties={"user": [("k", "v" * 200)]}).settle()
        r.settle()


@dialogue(configs=("open", "unretained", "narrow"))
def sizes(t):
    r = t.client("reader").subscribe((t.topic("#"), 1))
    for n in (0, 1, 100, 126, 127, 128, 1000, 2100, 3000, 3001, 16383, 16384, 70000, 2097152, 3000000):
        w = t.client("w%d" % n)
        w.publish(t.topic("x"), bytes(i * 7 & 0xff for i in range(min(n, 256))) * (n // 256 + 1) if n > 256 else b"z" * n, qos=1)
        w.settle()
        r.settle()


@dialogue()
def topics_of_all_kinds(t):
    r = t.client("reader").subscribe((t.topic("#"), 1), ("//+/#", 1))
    for n, name in enumerate(["/", "a//b", "/a", "a/", "a b", "\u00fc/\u4e2d/\U0001f600", "A", "a", "$x", ".", "chat", "chat/x", "x" * 500,
                              "a" + "/b" * 150, "a" + "/b" * 250, "\ufeff"]):
        w = t.client("w%02d" % n)
        w.publish(t.topic(name), "in level", qos=1).settle()
    w = t.client("writer")
    w.publish("//%s/x" % t.id("x"), "begins empty", qos=1)
    w.settle()
    r.settle()


@dialogue()
def names_near_the_chats(t):
    """Topics that begin like the plugin's, and are none of it."""
    r = t.client("reader").subscribe(("chats/#", 1), ("Chat/#", 1), ("/chat/#", 1), ("chat%s/#" % t.version, 1), ("+/chat/#", 1))
    w = t.client("writer")
    for name in ("chats/rooms/general/send", "Chat/rooms/general", "/chat/rooms/general/send", "x/chat/rooms/general/send",
                 "chat%s/rooms/general" % t.version, "chats", "chats/users/a/inbox"):
        w.publish(name, '{"message":"x"}', qos=1).publish(name, '{"message":"x"}', qos=2)
    w.settle()
    r.settle()


@dialogue(configs=("open", "rules"))
def reserved_topics(t):
    for n, name in enumerate(["$SYS/x", "$SYS/broker/version", "$SYS/broker/connection/x/state", "$CONTROL",
                              "$share/a/b", "$other/x", "$"]):
        for qos in (0, 1, 2):
            t.client("w%02d%d" % (n, qos)).publish(name, "x", qos=qos).settle().disconnect()
            t.client("v%02d%d" % (n, qos), will=(name, "x", qos, False)).settle().cut()


@dialogue(configs=("open", "unretained"))
def retain_with_every_end(t):
    for n, (payload, qos) in enumerate([(b"\x00", 0), (b"x" * 1500, 1), (b"", 1), (b"", 2)]):
        t.client("w%d" % n).publish(t.topic("%d" % n), payload, qos=qos, retain=True).settle()
    t.client("r").subscribe(t.topic("#")).settle()


@dialogue()
def many_packets_at_once(t):
    r = t.client("reader").subscribe((t.topic("#"), 0))
    w = t.client("writer")
    w.send(b"".join(packet("PUBLISH", 2, string(t.topic("%d" % (n % 7))) + struct.pack("!H", n) + w.properties(None) + b"%d" % n)
                    for n in range(1, 300)))
    w.settle()
    r.settle()
