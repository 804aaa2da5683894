"""mosquitto's own clients: what they print and how they end is the same with the plugin."""

import re
import subprocess

import pytest

from harness.dialogue import TIMEOUT
from stage import Stage, at_once, compare


def run(host, program, *words, given=None):
    """Its exit code and what it wrote."""
    done = subprocess.run([program, "-h", "127.0.0.1", "-p", str(host.mqtt_port), *words], input=given, capture_output=True, timeout=3 * TIMEOUT)
    text = (done.stdout + b"\n-- " + done.stderr).decode("utf-8", "replace").replace(str(host.mqtt_port), "PORT")
    return ["%s %s: %d" % (program, " ".join(words), done.returncode)] + re.sub(r"auto-[0-9A-F-]{36}", "auto-ID", text).splitlines()


def start(host, program, *words):
    process = subprocess.Popen([program, "-h", "127.0.0.1", "-p", str(host.mqtt_port), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return process


def finish(process):
    out, _ = process.communicate(timeout=3 * TIMEOUT)
    return ["%d" % process.returncode] + out.decode("utf-8", "replace").splitlines()


def wait_subscribed(host, client_id, since):
    host.wait_log("Sending SUBACK to %s" % re.escape(client_id), since=since)


def publish_and_read(host, version):
    lines, v = [], ["-V", version]
    for n, words in enumerate((["-m", "plain"], ["-q", "1", "-m", "one"], ["-q", "2", "-m", "two"], ["-r", "-m", "kept"], ["-n"])):
        lines += run(host, "mosquitto_pub", *v, "-i", "pub-%d" % n, "-t", "p/%d/x" % n, *words)
    lines += run(host, "mosquitto_pub", *v, "-t", "p/s/x", "-s", "-r", "-q", "1", given=b"from\nstdin\x00")
    lines += run(host, "mosquitto_pub", *v, "-t", "p/l/x", "-l", "-r", given=b"line 1\nline 2\n")
    lines += run(host, "mosquitto_sub", *v, "-t", "p/+/x", "-C", "3", "-v", "-q", "1")
    lines += run(host, "mosquitto_sub", *v, "-t", "p/+/x", "-C", "3", "-F", "%t|%q|%r|%l|%p|%x", "--retained-only")
    lines += run(host, "mosquitto_sub", *v, "-t", "p/+/x", "-R", "-W", "1")
    lines += run(host, "mosquitto_sub", *v, "-t", "$SYS/broker/version", "-C", "1", "-v")
    lines += run(host, "mosquitto_sub", *v, "-t", "p/+/x", "--remove-retained", "-W", "1")
    lines += run(host, "mosquitto_sub", *v, "-t", "p/+/x", "-W", "1", "-v")
    lines += run(host, "mosquitto_pub", *v, "-t", "p/#", "-m", "bad topic")
    lines += run(host, "mosquitto_pub", *v, "-t", "$SYS/x", "-q", "1", "-m", "denied", "-d", "-i", "denied")
    return lines


def request_and_response(host, _):
    since = len(host.log())
    server = start(host, "mosquitto_sub", "-V", "5", "-i", "rr-server", "-t", "q/ask", "-C", "1", "-F", "%t %R %D %P %p")
    wait_subscribed(host, "rr-server", since)
    asker = start(host, "mosquitto_rr", "-V", "5", "-i", "rr-asker", "-t", "q/ask", "-e", "q/answer", "-m", "6*7", "-D", "publish",
                  "correlation-data", "c1", "-D", "publish", "user-property", "k", "v")
    lines = finish(server)
    lines += run(host, "mosquitto_pub", "-V", "5", "-t", "q/answer", "-m", "42", "-D", "publish", "correlation-data", "c1")
    return lines + finish(asker)


def sessions_and_wills(host, _):
    lines = []
    for version in ("mqttv311", "5"):
        more = ["-D", "connect", "session-expiry-interval", "100"] if version == "5" else []
        sub = ["-V", version, "-i", "cli-" + version, "-c", "-q", "1", "-t", "s/" + version, *more]
        lines += run(host, "mosquitto_sub", *sub, "-E")
        lines += run(host, "mosquitto_pub", "-V", version, "-q", "1", "-t", "s/" + version, "-m", "waited")
        lines += run(host, "mosquitto_sub", *sub, "-C", "1", "-v")
        since = len(host.log())
        reader = start(host, "mosquitto_sub", "-V", version, "-i", "cli-reader-" + version, "-t", "w/" + version, "-C", "1", "-v")
        wait_subscribed(host, "cli-reader-" + version, since)
        since = len(host.log())
        dying = start(host, "mosquitto_sub", "-V", version, "-i", "cli-dying-" + version, "-t", "x", "--will-topic", "w/" + version, "--will-payload", "gone",
                      "--will-qos", "1")
        wait_subscribed(host, "cli-dying-" + version, since)
        dying.kill()
        dying.communicate()
        lines += finish(reader)
    return lines


def passwords(host, _):
    lines = []
    for user, password in (("alice", "rabbit"), ("alice", "wrong"), ("bob@example.com", "builder"), ("nobody", "x")):
        for version in ("mqttv31", "mqttv311", "5"):
            lines += run(host, "mosquitto_pub", "-V", version, "-u", user, "-P", password, "-t", "open/x", "-q", "1", "-m", "x", "-i", "cli")
            lines += run(host, "mosquitto_pub", "-V", version, "-u", user, "-P", password, "-t", "own/alice/x", "-q", "2", "-m", "x", "-i", "cli", "-d")
    return lines + run(host, "mosquitto_pub", "-t", "open/x", "-m", "x", "-i", "cli")


@pytest.mark.parametrize("case, config", [(publish_and_read, "open"), (request_and_response, "open"), (sessions_and_wills, "open"),
                                          (passwords, "accounts"), (passwords, "rules")])
@pytest.mark.parametrize("version", ["mqttv311", "5"])
def test_programs(pairs, case, config, version):
    if case is not publish_and_read and version != "5":
        pytest.skip("it names its versions itself")
    without, loaded = pairs(config)
    ours = at_once(*[lambda host=host: case(host, version) for host in (without, loaded)])
    assert len(ours[0]) > 3
    compare(*ours)


def test_paho(pairs):
    """A client library in ordinary use: connect, subscribe, publish at each QoS, from a thread of its own."""
    import threading

    from harness.paho import paho_client

    def play(host, version):
        stage = Stage(host.mqtt_port, "paho", version)
        lines, done = stage.lines_of("paho"), threading.Event()
        client = paho_client("paho-%d" % version, version)
        client.on_connect = lambda c, *_: c.subscribe("paho/#", 2)
        client.on_subscribe = lambda c, *_: [c.publish("paho/%d" % qos, "qos %d" % qos, qos) for qos in (0, 1, 2)]

        def on_message(_, __, message):
            lines.append("%s %r qos=%d retain=%d" % (message.topic, message.payload, message.qos, message.retain))
            if len(lines) == 3:
                done.set()
        client.on_message = on_message
        client.connect("127.0.0.1", host.mqtt_port)
        client.loop_start()
        assert done.wait(TIMEOUT), lines
        client.disconnect()
        client.loop_stop()
        return sorted(lines)

    for version in (4, 5):
        compare(*at_once(*[lambda host=host: play(host, version) for host in pairs("open")]))
