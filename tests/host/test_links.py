"""Links to other brokers (`connection` blocks) in both directions: what goes over them stays the same with the plugin.

The other broker is always one without the plugin. What is recorded is what readers at both ends receive.
"""

import pytest

from stage import CONFIGS, Config, Stage, at_once, compare

OPEN = CONFIGS["open"].lines


def link(port, protocol, *more):
    return ["connection other", "address 127.0.0.1:%d" % port, "bridge_protocol_version " + protocol, "remote_clientid over-there",
            "local_clientid over-here", "restart_timeout 1", "topic both/# both 2", "topic out/# out 1", "topic in/# in 1",
            "topic # both 1 here/ there/", "topic low/# both 0", *more]


class Ends:
    """Brokers here and there, readers and writers at both."""

    def __init__(self, here, there, version):
        self.here = Stage(here.mqtt_port, "link", version)
        self.there = Stage(there.mqtt_port, "link", version)
        self.there.record = self.here.record  # one transcript
        self.hosts = here, there

    def close(self):
        self.here.close()
        self.there.close()

    def settle(self, *readers):
        """A marker from each end to the other says that all before it has arrived."""
        a, b = self.here.client("mark here", client_id="mark-%d" % id(self)), self.there.client("mark there", client_id="mark-%d" % id(self))
        for one in (a, b):
            one.subscribe(("both/mark", 2))
        a.publish("both/mark", "from here", qos=2)
        while "from here" not in (b.until("PUBLISH") or "closed: from here"):
            pass
        b.publish("both/mark", "from there", qos=2)
        while "from there" not in (a.until("PUBLISH") or "closed: from there"):
            pass
        for one in (a, b):
            one.lines.clear()
            one.disconnect()
            one.lines.clear()
        for one in readers:
            one.settle()


def traffic(ends, version):
    here = ends.here.client("here", client_id="r").subscribe(("both/#", 2), ("in/#", 2), ("here/#", 2), ("low/#", 2), ("out/#", 2))
    there = ends.there.client("there", client_id="r").subscribe(("both/#", 2), ("out/#", 2), ("there/#", 2), ("low/#", 2), ("in/#", 2))
    w, v = ends.here.client("writer here", client_id="w"), ends.there.client("writer there", client_id="w")
    properties = {"user": [("b", "1"), ("a", "2")], "content-type": "x", "correlation-data": b"\x00", "response-topic": "both/answer"}
    for one, topics in ((w, ("both/x", "out/x", "in/x", "here/x", "there/x", "low/x", "other/x")),
                        (v, ("both/x", "out/x", "in/x", "here/x", "there/x", "low/x", "other/x"))):
        for topic in topics:
            for qos in (0, 1, 2):
                one.publish(topic, "%s %s %d" % (one.name, topic, qos), qos=qos, properties=properties if qos else None)
                ends.settle()  # one at a time, so that both directions keep one order
    w.publish("both/kept", "kept here", qos=1, retain=True)
    v.publish("in/kept", "kept there", qos=1, retain=True)
    ends.settle(here, there)
    for stage, topics in ((ends.here, ("both/kept", "in/kept")), (ends.there, ("both/kept", "in/kept"))):
        stage.client("late %s" % ("here" if stage is ends.here else "there"), client_id="late").subscribe(*topics).settle()


def play(here, there, version, cut):
    ends = Ends(here, there, version)
    try:
        traffic(ends, version)
        if cut:
            cut(ends)
    finally:
        ends.close()
    return ends.here.transcript()


def wait_link(opener, other):
    other.wait_log(r"as over-there")
    opener.wait_log(r"Received SUBACK|Sending CONNECT|Connecting bridge")
    other.wait_log(r"Sending SUBACK to over-there")


@pytest.mark.parametrize("opener", ["we open it", "they open it"])
@pytest.mark.parametrize("protocol", ["mqttv311", "mqttv50"])
def test_a_link(hosts, protocol, opener):
    pairs = []
    for loaded in (False, True):
        if opener == "we open it":
            there = hosts(CONFIGS["open"], False)
            here = hosts(Config(OPEN + link(there.mqtt_port, protocol, "notification_topic status/link", "notifications true")), loaded)
            wait_link(here, there)
        else:
            here = hosts(CONFIGS["open"], loaded)
            there = hosts(Config(OPEN + link(here.mqtt_port, protocol, "notifications true")), False)
            wait_link(there, here)
        pairs.append((here, there))
    ours = at_once(*[lambda pair=pair: play(*pair, 5, None) for pair in pairs])
    assert sum("PUBLISH" in line for line in ours[0]) > 40
    compare(*ours)


def test_a_link_with_accounts(hosts):
    """They open it, with an account of our password_file, and are bound by our acl_file."""
    pairs = []
    for loaded in (False, True):
        here = hosts(CONFIGS["accounts"], loaded)
        there = hosts(Config(OPEN + [
            "connection other", "address 127.0.0.1:%d" % here.mqtt_port, "remote_clientid over-there", "remote_username alice",
            "remote_password rabbit", "restart_timeout 1", "notifications true", "topic open/# both 1", "topic own/# both 1", "topic elsewhere/# both 1"]), False)
        wait_link(there, here)
        pairs.append((here, there))

    def talk(here, there):
        stage, other = Stage(here.mqtt_port, "link", 5, "alice", "rabbit"), Stage(there.mqtt_port, "link", 5)
        other.record = stage.record
        try:
            r = stage.client("here").subscribe("#")
            far = other.client("there").subscribe("open/#", "own/#", "elsewhere/#")
            w = other.client("writer there")
            for topic in ("own/alice/x", "own/alice/secret", "own/bob/x", "elsewhere/x", "open/x"):
                w.publish(topic, "from there", qos=1)
            while "open/x" not in (r.until("PUBLISH") or "open/x"):
                pass
            near = stage.client("writer here")
            for topic in ("own/alice/y", "own/alice/secret", "elsewhere/y", "open/y"):
                near.publish(topic, "from here", qos=1)
            while "open/y" not in (far.until("PUBLISH") or "open/y"):
                pass
            r.settle(), far.settle()
        finally:
            stage.close(), other.close()
        return stage.transcript()

    compare(*at_once(*[lambda pair=pair: talk(*pair) for pair in pairs]))


def test_a_link_that_was_down(hosts):
    """What waited for it arrives when the other broker is back."""
    pairs = []
    for loaded in (False, True):
        there = hosts(CONFIGS["open"], False)
        here = hosts(Config(OPEN + link(there.mqtt_port, "mqttv311", "notifications false")), loaded)
        wait_link(here, there)
        pairs.append((here, there))
    stages = [Ends(here, there, 5) for here, there in pairs]
    for here, there in pairs:
        assert there.terminate() == 0
    for ends in stages:
        ends.here.client("writer").publish("out/x", "waits 1", qos=1).publish("both/x", "waits 2", qos=2).publish("low/x", "lost", qos=0).settle()
    since = []
    for here, there in pairs:
        since.append(len(there.log()))
        there.spawn()
    for (here, there), ends, at in zip(pairs, stages, since):
        there.wait_log(r"mosquitto version \S+ running", since=at)
        there.ended = False
        # Its session here is gone with the broker; a reader comes before the link does, or sees what is sent later.
        there.wait_log(r"Sending SUBACK to over-there", since=at)
        reader = ends.there.client("reader").subscribe("#")
        ends.settle(reader)
        ends.here.client("writer").publish("out/x", "after", qos=1).settle()
        ends.settle(reader)
        # What came before the reader did depends on who was faster.
        reader.lines[:] = [line for line in reader.lines if "waits" not in line and "mark" not in line and "quiet" not in line]
    transcripts = [ends.here.transcript() for ends in stages]
    for ends in stages:
        ends.close()
    for (_, there), at in zip(pairs, since):
        for text in ("out/x", "both/x"):
            there.wait_log(r"Received PUBLISH from over-there \(.*'%s'" % text, since=at)
    compare(*[[line for line in one if "mid=" not in line or "PUBLISH" not in line] for one in transcripts])
