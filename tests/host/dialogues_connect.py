"""CONNECT and what ends a connection: flags, return codes, client ids, keepalive, sessions, wills."""

import re
import struct
import time

from harness.wire import string

from peer import packet
from stage import dialogue


@dialogue()
def plain_connect(t):
    t.client("a").settle().disconnect()


@dialogue(configs=("open", "narrow", "unretained"))
def empty_client_id_clean(t):
    t.client("a", client_id="").settle().disconnect()


@dialogue(configs=("open", "narrow"))
def empty_client_id_not_clean(t):
    t.client("a", client_id="", clean=False).settle().disconnect()


@dialogue(versions=(5,), configs=("open", "narrow", "unretained"))
def what_the_broker_says_it_can(t):
    t.client("a", properties={"session-expiry-interval": 5, "receive-maximum": 3, "maximum-packet-size": 200,
                              "topic-alias-maximum": 7, "request-response-information": 1,
                              "request-problem-information": 0, "user": [("one", "1"), ("one", "2"), ("two", "")]})
    t.client("b", keepalive=65535).disconnect()
    t.client("c", keepalive=0).disconnect()


@dialogue(versions=(5,))
def assigned_client_id_is_one_of_its_own(t):
    one, two = t.client("a", client_id=""), t.client("b", client_id="")
    one.settle(), two.settle()


@dialogue()
def same_id_takes_over(t):
    first = t.client("a")
    t.client("b", client_id=t.id("a")).settle()
    first.end()


@dialogue()
def take_over_of_a_session(t):
    first = t.client("a", clean=False, properties={"session-expiry-interval": 100})
    first.subscribe(t.topic("x"))
    second = t.client("b", client_id=t.id("a"), clean=False, properties={"session-expiry-interval": 100})
    first.end()
    t.client("w").publish(t.topic("x"), "to the second", qos=1)
    second.settle().disconnect()
    t.client("c", client_id=t.id("a"), clean=True).settle().disconnect()
    t.client("d", client_id=t.id("a"), clean=False).settle().disconnect()


@dialogue()
def clean_session_forgets(t):
    a = t.client("a", clean=False, properties={"session-expiry-interval": 100}).subscribe(t.topic("x"))
    a.disconnect()
    t.client("b", client_id=t.id("a")).settle().disconnect()
    t.client("w").publish(t.topic("x"), "lost", qos=1)
    t.client("c", client_id=t.id("a"), clean=False).settle()


@dialogue(configs=("open", "narrow", "unretained"))
def queue_while_away(t):
    reader = {"client_id": t.id("reader"), "clean": False, "properties": {"session-expiry-interval": 100}}
    t.client("first", **reader).subscribe((t.topic("0"), 0), (t.topic("1"), 1), (t.topic("2"), 2), (t.topic("+"), 1)).disconnect()
    w = t.client("writer")
    for qos in (0, 1, 2, 1, 1, 0, 2):
        for to in ("0", "1", "2"):
            w.publish(t.topic(to), "%d to %s" % (qos, to), qos=qos)
    again = t.client("second", **reader).settle()
    w.publish(t.topic("1"), "awake", qos=1)
    again.settle().disconnect()
    t.client("third", **reader).settle()


@dialogue()
def resend_after_reconnect(t):
    """Without acks everything comes again, with DUP, and the broker goes on where the flow stood."""
    reader = {"client_id": t.id("reader"), "clean": False, "properties": {"session-expiry-interval": 100}}
    a = t.client("first", **reader).subscribe(t.topic("#"))
    a.acks = False
    w = t.client("writer")
    for n in range(3):
        w.publish(t.topic("one"), "one %d" % n, qos=1).publish(t.topic("two"), "two %d" % n, qos=2)
    a.settle()
    a.ack("PUBACK", 1)
    a.ack("PUBREC", 2)
    a.settle().cut()
    b = t.client("second", **reader).settle()
    b.cut()
    t.client("third", **reader).settle()


@dialogue()
def sender_resends_after_reconnect(t):
    """QoS 2, cut between PUBREC and PUBREL; QoS 1 with DUP."""
    r = t.client("reader").subscribe(t.topic("#"))
    writer = {"client_id": t.id("writer"), "clean": False, "properties": {"session-expiry-interval": 100}}
    w = t.client("first", **writer)
    w.send(b"").publish(t.topic("two"), "once", qos=2, mid=77, wait=False)
    w.until("PUBREC")
    w.cut()
    r.settle()
    w = t.client("second", **writer)
    w.publish(t.topic("two"), "once", qos=2, mid=77, dup=True, wait=False)
    w.until("PUBREC")
    r.settle()
    w.pubrel(77)
    r.settle()
    w.pubrel(77)
    w.publish(t.topic("one"), "twice", qos=1, mid=78).publish(t.topic("one"), "twice", qos=1, mid=78, dup=True)
    r.settle()


@dialogue(slow=True)
def keepalive_ends(t):
    observer = t.client("observer").subscribe(t.topic("will"))
    a = t.client("a", keepalive=1, will=(t.topic("will"), "too quiet", 1, False))
    a.end()
    observer.until("PUBLISH")


@dialogue(configs=("open", "narrow"))
def will_at_each_qos_and_end(t):
    observer = t.client("observer").subscribe(t.topic("will/#"))
    for qos in (0, 1, 2):
        for retain in (False, True):
            name = "%d%d" % (qos, retain)
            a = t.client("cut" + name, will=(t.topic("will/cut" + name), "gone " + name, qos, retain))
            if a.refused:
                continue
            a.cut()
            observer.until("PUBLISH")
            t.client("bye" + name, will=(t.topic("will/bye" + name), "never", qos, retain)).disconnect()
    observer.settle()
    t.client("late").subscribe(t.topic("will/#")).settle()


@dialogue(versions=(5,))
def will_with_properties(t):
    observer = t.client("observer").subscribe(t.topic("will"))
    t.client("a", will=(t.topic("will"), b"\x00\xff", 1, False, {
        "user": [("b", "1"), ("a", "2"), ("b", "3")], "content-type": "x/y", "response-topic": t.topic("answer"),
        "correlation-data": b"\x00\x01", "message-expiry-interval": 1000, "payload-format-indicator": 0})).cut()
    observer.until("PUBLISH")
    # DISCONNECT with will
    b = t.client("b", will=(t.topic("will"), "on purpose", 1, False))
    b.disconnect(code=4)
    observer.until("PUBLISH")
    observer.settle()


@dialogue(versions=(5,), slow=True)
def will_waits_for_its_delay(t):
    observer = t.client("observer").subscribe(t.topic("will"))
    will = {"client_id": t.id("a"), "clean": False, "properties": {"session-expiry-interval": 100}}
    t.client("a", will=(t.topic("will"), "not sent, it came back", 1, False, {"will-delay-interval": 2}), **will).cut()
    t.client("b", will=(t.topic("will"), "after a second", 1, False, {"will-delay-interval": 1}), **will).cut()
    observer.until("PUBLISH")
    observer.settle()


@dialogue(versions=(5,), slow=True)
def session_expires(t):
    """Its will is sent then, whatever its delay: that is how we know."""
    observer = t.client("observer").subscribe(t.topic("will"))
    t.client("a", clean=False, will=(t.topic("will"), "expired", 1, False, {"will-delay-interval": 100}),
             properties={"session-expiry-interval": 1}).subscribe(t.topic("x")).cut()
    observer.until("PUBLISH")
    t.client("b", client_id=t.id("a"), clean=False, properties={"session-expiry-interval": 1}).settle().disconnect()


@dialogue(versions=(5,))
def session_expiry_changed_at_disconnect(t):
    again = {"client_id": t.id("a"), "clean": False, "properties": {"session-expiry-interval": 100}}
    t.client("a", **again).disconnect(code=0, properties={"session-expiry-interval": 0})
    t.client("b", **again).disconnect(code=0, properties={"session-expiry-interval": 200})
    t.client("c", **again).disconnect()
    one = t.client("d", client_id=t.id("d"))
    one.disconnect(code=0, properties={"session-expiry-interval": 10})
    t.client("e", client_id=t.id("d"), clean=False).settle()


@dialogue(versions=(5,))
def offered_authentication_methods(t):
    t.peer("a").send(t.peer("other").connect_packet(t.id("a"), properties={
        "authentication-method": "SCRAM-SHA-1", "authentication-data": b"x"})).end()


@dialogue(configs=("open", "accounts, open", "closed", "rules"))
def user_names_of_all_kinds(t):
    """Who may connect: names, addresses, none, with password and without."""
    for n, (user, password) in enumerate([
            (None, None), ("", None), ("", ""), ("alice", None), ("alice", ""), ("alice", "rabbit"), ("alice", "Rabbit"),
            ("bob@example.com", "builder"), ("bob@example.com", "x"), ("nobody", "rabbit"), ("nobody@example.com", None),
            ("nobody@example.com", "x"), ("carol", "c a r o l"), ("carol", b"c a r o l\x00"), ("a/b", "x"), ("a+b", None),
            ("#", "x"), ("x" * 300, "y" * 5000), ("\u00fc\u4e2d@example.com", "x"), ("@", None), ("a@b@c", "")]):
        t.client("n%02d" % n, user=user, password=password).settle().disconnect()


@dialogue(configs=("open", "accounts", "accounts, open", "closed"))
def password_without_user(t):
    t.client("a", user=None, password="rabbit").settle().disconnect()


@dialogue(configs=("name is id",))
def id_is_the_user_name(t):
    first = t.client("a", user="alice", password="rabbit")
    first.publish("byid/alice/x", "1", qos=1).publish("byid/%s/x" % t.id("a"), "2", qos=1).settle()
    t.client("b", user="alice", password="rabbit").settle()
    first.end()
    t.client("c", user="bob@example.com", password="builder").subscribe("byid/#").publish("byid/bob@example.com/x", "3", qos=1).settle()
    t.client("d", user=None).end()


@dialogue()
def many_client_ids(t):
    for n, text in enumerate(["x", "x" * 23, "x" * 24, "x" * 1000, "x" * 65535, " ", "a/b", "a+b", "#", "$share", "\u00fc\u4e2d",
                              "chat", "chat-", "ws", "WS-1", "-ws-1", "local.x"]):
        if len(text) > 1000 and t.version == 5:
            continue
        t.client("n%02d" % n, client_id=text if len(text) == 65535 else text + t.id("")).settle().disconnect()


@dialogue(versions=(3, 4, 5, 6, 0x83))
def protocol_names_and_versions(t):
    for n, protocol in enumerate(["MQIsdp", "MQTT", "MQTt", "", "MQIsdpMQIsdp"]):
        peer = t.peer("n%d" % n)
        peer.send(peer.connect_packet(t.id("n%d" % n), protocol=protocol)).next()
        peer.settle()


@dialogue()
def second_connect(t):
    a = t.client("a")
    a.send(a.connect_packet(t.id("a"))).end()


@dialogue()
def a_connect_in_pieces(t):
    a = t.peer("a")
    whole = a.connect_packet(t.id("a")) + packet("PINGREQ", 0, b"")
    for n in range(len(whole)):
        a.send(whole[n:n + 1])
    a.next()
    a.next()
    many = t.peer("b")
    many.send(many.connect_packet(t.id("b")) + packet("SUBSCRIBE", 2, struct.pack("!H", 1) + many.properties(None) +
                                                      string(t.topic("x")) + b"\x01") +
              packet("PUBLISH", 0, string(t.topic("x")) + many.properties(None) + b"in one go") + packet("DISCONNECT", 0, b""))
    many.end()


@dialogue()
def bytes_behind_disconnect(t):
    observer = t.client("observer").subscribe(t.topic("#"))
    a = t.client("a", will=(t.topic("will"), "no", 0, False))
    a.send(packet("DISCONNECT", 0, b"") + packet("PUBLISH", 0, string(t.topic("x")) + a.properties(None) + b"too late")).end()
    observer.settle()


@dialogue(versions=(5,))
def disconnect_with_every_code(t):
    observer = t.client("observer").subscribe(t.topic("#"))
    for code in (0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x87, 0x01, 0xff):
        t.client("n%02x" % code, will=(t.topic("%02x" % code), "will", 1, False)).disconnect(
            code, {"reason-string": "because", "user": [("a", "b")]})
        observer.settle()


@dialogue()
def the_broker_never_sends_elsewhere(t):
    """No server redirection: neither a refused nor an admitted client is told of another server."""
    a = t.client("a").settle()
    assert not any(re.search("server-reference", line) for line in a.lines)


@dialogue(versions=(5,), configs=("open", "unretained"), slow=True)
def queued_message_expires(t):
    reader = {"client_id": t.id("reader"), "clean": False, "properties": {"session-expiry-interval": 100}}
    t.client("first", **reader).subscribe(t.topic("#")).disconnect()
    w = t.client("writer")
    w.publish(t.topic("short"), "gone", qos=1, properties={"message-expiry-interval": 1})
    w.publish(t.topic("long"), "there", qos=1, properties={"message-expiry-interval": 1000})
    w.publish(t.topic("kept"), "gone", qos=1, retain=True, properties={"message-expiry-interval": 1})
    w.publish(t.topic("kept2"), "there", qos=1, retain=True, properties={"message-expiry-interval": 1000})
    time.sleep(2.2)  # nothing says that a message has expired
    t.client("second", **reader).settle()
    t.client("late").subscribe(t.topic("#")).settle()
