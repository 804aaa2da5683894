"""SUBSCRIBE and UNSUBSCRIBE: filters, options, shared and overlapping subscriptions, $SYS."""

import re

from stage import dialogue

NAMES = ("a", "b", "a/b", "a/b/c", "a//c", "/a", "$a/b")


@dialogue(configs=("open", "mounted", "narrow"))
def granted_qos(t):
    a = t.client("a")
    a.subscribe((t.topic("0"), 0), (t.topic("1"), 1), (t.topic("2"), 2), (t.topic("2"), 0))
    a.subscribe((t.topic("0"), 2)).settle()


@dialogue(configs=("open", "mounted"))
def wildcards(t):
    w = t.client("writer")
    readers = [t.client("r%02d" % n).subscribe((t.topic(one), 1)) for n, one in enumerate(
        ["#", "+", "+/+", "+/#", "a/#", "a/+", "a/+/c", "+/b/#", "/+", "+/+/+", "a/b/c/#"])]
    for name in NAMES:
        w.publish(t.topic(name), name, qos=1)
    for one in readers:
        one.settle()


@dialogue()
def wildcards_from_the_root(t):
    """QoS 0, so that what the chat shows to addresses takes no packet ids."""
    r = [t.client("r%d" % n).subscribe((one, 0)) for n, one in enumerate(["#", "+/#", "+/+/+", "host/+/%s" % t.id(""), "/#"])]
    r = [one.settle() for one in r]
    # Retained messages of others have come; what counts is what comes now.
    for one in r:
        one.lines.clear()
    w = t.client("writer")
    w.publish("host/%s" % t.id(""), "two levels", qos=1).publish("host/x/%s" % t.id(""), "three", qos=1).publish("/" + t.id(""), "empty", qos=1)
    for one in r:
        one.settle()
        one.lines[:] = [line for line in one.lines if "PUBLISH" not in line or t.id("") in line]


@dialogue()
def system_topics(t):
    """Their names, and the values that say what this broker is."""
    a = t.client("a").subscribe(("$SYS/#", 0)).settle()
    # The last one to appear: in the first tick after the first client.
    while not any("$SYS/broker/clients/maximum" in line for line in a.lines) and a.next():
        pass
    lines = {re.match(r"PUBLISH (\S+)", line).group(1) for line in a.lines if line.startswith("PUBLISH")}
    a.lines[:] = sorted(lines)
    t.client("b").subscribe(("$SYS/broker/version", 1)).settle()
    t.client("c").subscribe(("+/broker/version", 1), ("$SYS/broker/+", 1)).unsubscribe("$SYS/broker/+")
    for one in t.peers[1:]:
        one.lines[:] = [line for line in one.lines if "uptime" not in line]


@dialogue(configs=("open", "mounted", "narrow"))
def overlapping(t):
    """What allow_duplicate_messages and the versions make of it stays what it is."""
    r = t.client("reader")
    r.subscribe((t.topic("a/#"), 0), (t.topic("a/b"), 1), (t.topic("+/b"), 2), properties={"subscription-identifier": 3})
    r.subscribe((t.topic("#"), 1), properties={"subscription-identifier": 268435455})
    w = t.client("writer")
    w.publish(t.topic("a/b"), "0", qos=0).publish(t.topic("a/b"), "1", qos=1)
    if t.max_qos == 2:
        w.publish(t.topic("a/b"), "2", qos=2)
    r.settle()
    r.unsubscribe(t.topic("a/b"), t.topic("+/b"))
    w.publish(t.topic("a/b"), "after", qos=1)
    r.settle()


@dialogue(versions=(5,))
def subscription_identifiers(t):
    w = t.client("writer").publish(t.topic("x"), "kept", qos=1, retain=True)
    r = t.client("reader").subscribe(t.topic("x"), properties={"subscription-identifier": 1}).settle()
    w.publish(t.topic("x"), "live", qos=1)
    r.settle()
    r.subscribe(t.topic("x"), properties={"subscription-identifier": 127, "user": [("a", "b")]}).settle()
    r.subscribe(t.topic("+"), properties={"subscription-identifier": 128})
    w.publish(t.topic("x"), "live", qos=2)
    r.settle()
    r.subscribe(t.topic("x")).settle()
    w.publish(t.topic("x"), "without", qos=1)
    r.settle()


@dialogue(versions=(5,))
def no_local(t):
    a = t.client("a").subscribe((t.topic("x"), 1 | 4), (t.topic("y"), 1))
    a.publish(t.topic("x"), "own", qos=1).publish(t.topic("y"), "own", qos=1).publish(t.topic("x"), "own", qos=1, retain=True).settle()
    t.client("b").publish(t.topic("x"), "other", qos=1)
    a.settle()
    a.subscribe((t.topic("x"), 1 | 4)).settle()


@dialogue(configs=("open", "mounted"))
def shared(t):
    readers = [t.client("r%d" % n).subscribe(("$share/g/" + t.topic("#"), 1)) for n in range(3)]
    other = t.client("other").subscribe(("$share/h/" + t.topic("+"), 2), (t.topic("x"), 0))
    w = t.client("writer").publish(t.topic("kept"), "kept", qos=1, retain=True)
    for n in range(9):
        w.publish(t.topic("x"), "%d" % n, qos=1)
    for one in readers + [other]:
        one.settle()
    readers[0].unsubscribe("$share/g/" + t.topic("#"))
    readers[1].disconnect()
    for n in range(3):
        w.publish(t.topic("x"), "later %d" % n, qos=1)
    for one in [readers[0], readers[2], other]:
        one.settle()
    t.client("late").subscribe(("$share/g/" + t.topic("#"), 1)).settle()


@dialogue()
def shared_with_somebody_away(t):
    away = {"client_id": t.id("away"), "clean": False, "properties": {"session-expiry-interval": 100}}
    t.client("first", **away).subscribe(("$share/g/" + t.topic("x"), 1)).disconnect()
    here = t.client("here").subscribe(("$share/g/" + t.topic("x"), 1))
    w = t.client("writer")
    for n in range(4):
        w.publish(t.topic("x"), "%d" % n, qos=1)
    here.settle()
    t.client("second", **away).settle()


@dialogue(configs=("open", "accounts", "rules"))
def unsubscribe_codes(t):
    a = t.client("a", user="alice", password="rabbit").subscribe("open/" + t.id(""), "own/alice/x")
    a.unsubscribe("open/" + t.id(""), "open/never", "own/alice/x", "#", "$share/g/open/x", "$SYS/#", "own/alice/secret")
    a.unsubscribe("open/" + t.id("")).settle()


@dialogue(versions=(5,))
def user_properties_of_other_packets(t):
    a = t.client("a", properties={"user": [("a", "1")] * 20})
    a.subscribe(t.topic("x"), properties={"user": [("a", "1"), ("b", "2")]}).settle()


@dialogue()
def subscribe_again_with_another_qos(t):
    r, w = t.client("reader"), t.client("writer")
    for qos in (0, 2, 1):
        r.subscribe((t.topic("x"), qos))
        w.publish(t.topic("x"), "granted %d" % qos, qos=2)
        r.settle()


@dialogue()
def a_hundred_filters_at_once(t):
    r, w = t.client("reader"), t.client("writer")
    r.subscribe(*[t.topic("%d" % n) for n in range(100)])
    for n in (0, 50, 99, 100):
        w.publish(t.topic("%d" % n), "%d" % n, qos=1)
    r.settle().unsubscribe(*[t.topic("%d" % n) for n in range(0, 120, 2)])
    for n in (0, 51, 98, 99):
        w.publish(t.topic("%d" % n), "again", qos=1)
    r.settle()


@dialogue()
def order_of_many(t):
    """From two authors, QoS mixed: each author's in order, and nothing between."""
    r = t.client("reader").subscribe(t.topic("#"))
    a, b = t.client("a"), t.client("b")
    for n in range(20):
        a.publish(t.topic("x"), "a%d" % n, qos=n % 3).settle()
        b.publish(t.topic("x"), "b%d" % n, qos=(n + 1) % 3).settle()
    r.settle()
