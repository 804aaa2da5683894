"""Links to other brokers (`connection` blocks) in both directions: what goes over them stays the same with the plugin.

The other broker is always one without the plugin. What is recorded is what readers at both ends receive.
"""

import re

import pytest

from stage import CONFIGS, Config, Stage, at_once, compare

OPEN = CONFIGS["open"].lines


def link(port, protocol, *more):
    return ["connection other", "address 127.0.0.1:%d" % port, "bridge_protocol_version " + protocol, "remote_clientid over-there",
            "local_clientid over-here", "restart_timeout 1", "topic both/# both 2", "topic out/# out 1", "topic in/# in 1",
            "topic # both 1 here/ there/", "topic low/# both 0", "topic mark/# both 2", *more]


class Ends:
    """Brokers here and there, readers and writers at both."""

    def __init__(self, here, there, version):
        self.here, self.there = Stage(here.mqtt_port, "link", version), Stage(there.mqtt_port, "link", version)
        self.there.record = self.here.record  # one transcript
        self.marks = [stage.client("mark").subscribe(("mark/x", 2 | 4)) for stage in (self.here, self.there)]

    def close(self):
        self.here.close()
        self.there.close()

    def settle(self, *readers):
        """A marker from each end to the other says that all before it has arrived."""
        for sender, receiver in (self.marks, self.marks[::-1]):
            sender.publish("mark/x", "mark", qos=2)
            receiver.until("PUBLISH")
        for one in readers:
            one.settle()

    def transcript(self):
        return [line for line in self.here.transcript() if not line.startswith("mark<")]


def traffic(ends):
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
    ends.settle()
    v.publish("in/kept", "kept there", qos=1, retain=True)
    ends.settle(here, there)
    for stage, topics in ((ends.here, ("both/kept", "in/kept")), (ends.there, ("both/kept", "in/kept"))):
        stage.client("late %s" % ("here" if stage is ends.here else "there"), client_id="late").subscribe(*topics).settle()


def play(here, there):
    ends = Ends(here, there, 5)
    try:
        traffic(ends)
    finally:
        ends.close()
    return ends.transcript()


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
    ours = at_once(*[lambda pair=pair: play(*pair) for pair in pairs])
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
    """What waited for it arrives when the other broker is back, which says so in its log."""
    pairs = []
    for loaded in (False, True):
        there = hosts(CONFIGS["open"], False)
        here = hosts(Config(OPEN + link(there.mqtt_port, "mqttv311", "notifications false")), loaded)
        wait_link(here, there)
        pairs.append((here, there))
    for here, there in pairs:
        since = len(here.log())
        # The link's end is an error to the broker that has it, and so is each attempt until the other one is back.
        here.allow("Error creating bridge|Connection refused")
        assert there.terminate() == 0
        here.wait_log("over-here", since=since)
        stage = Stage(here.mqtt_port, "link", 5)
        stage.client("writer").publish("out/x", "waits 1", qos=1).publish("both/x", "waits 2", qos=2).publish("in/x", "stays", qos=1).publish(
            "low/x", "lost", qos=0).settle()
        stage.close()
    since = [len(there.log()) for _, there in pairs]
    for _, there in pairs:
        there.start()
    received = []
    for (here, there), at in zip(pairs, since):
        there.wait_log(r"Received PUBLISH from over-there .*'both/x'", since=at)
        stage = Stage(here.mqtt_port, "link", 5)
        stage.client("writer").publish("out/x", "after", qos=1).settle()
        stage.close()
        there.wait_log(r"Received PUBLISH from over-there .*'out/x', \.\.\. \(5 bytes\)", since=at)
        received.append(re.findall(r"Received PUBLISH from over-there \(d0, (q\d, r\d), m\d+, ('(?:out|both|in|low)/.*)", there.log()[at:]))
    assert len(received[0]) >= 3
    compare(*[["%s %s" % one for one in lines] for lines in received])
