"""/metrics: the numbers of the whole node, whoever is asked; who may ask; the same under $SYS."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from harness.dialogue import wait_for
from harness.history import Replay, say, wait_stored, with_history
from harness.scrape import PREFIX, scrape

A, B = "alice@example.com", "bob@example.com"
LABELS = {"result", "reason", "status", "code", "via", "kind", "le"}


def until(chat, what, *expected):
    """Until the scrape has these values; returns it."""
    last = []

    def there():
        last[:] = [scrape(chat)]
        return last[0] if all(last[0].get(key) == value for key, value in expected) else None
    return wait_for(there, lambda: "%s: %s" % (what, [(key, last[0].get(key)) for key, _ in expected] if last else None))


def talk(chat, room_readers=3):
    """Alice says two things, of which one is bad, to so many others; a direct message to Bob."""
    alice = chat.ws(A)
    readers = [chat.ws("reader%d@example.com" % n) for n in range(room_readers - 1)] + [chat.ws(B)]
    alice.send({"message": "hi"})
    for reader in readers:
        reader.expect_message("hi", A)
    alice.send("no JSON")
    alice.expect_error("invalid_json")
    alice.send({"message": "psst", "to": B, "ref": "1"})
    readers[-1].expect_message("psst", A)
    alice.expect(ref="1")
    return alice, readers


def test_the_text_is_clean(brokers):
    chat = with_history(brokers)
    talk(chat)
    now = scrape(chat)
    for family in now.families.values():
        assert family.name.startswith(PREFIX) and family.documentation, family
        for sample in family.samples:
            assert set(sample.labels) <= LABELS or family.name == PREFIX + "build_info", sample
            assert sample.value >= 0
    assert "@" not in now.text and "general" not in now.text
    [info] = now.families[PREFIX + "build_info"].samples
    assert set(info.labels) == {"version", "mosquitto"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", info.labels["mosquitto"]) and info.labels["mosquitto"] in chat.log()
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "metrics"], input=now.text, text=True, capture_output=True)
        assert checked.returncode == 0 and checked.stderr == "", checked


def test_what_happens_is_counted(brokers):
    chat = with_history(brokers)
    alice, readers = talk(chat)
    mqtt = chat.mqtt(A)
    mqtt.send({"message": "from MQTT"})
    readers[0].expect_message("from MQTT", A)
    alice.expect_message("from MQTT", A)
    now = until(chat, "a talk", (("deliveries_total", "room"), 3 + 4), (("deliveries_total", "direct"), 1))
    assert now["sessions", None] == 4 and now["bridges", None] == 1 and now["bridge_restarts_total", None] == 0
    assert now["connects_total", "session"] == 4
    assert now["messages_received_total", "ws"] == 2 and now["messages_received_total", "mqtt"] == 1
    assert now["messages_rejected_total", "invalid_json"] == 1
    assert now["fanout_sessions_count", None] == 2 and now["fanout_sessions_sum", None] == 3 + 4
    assert now["fanout_sessions_bucket", "2"] == 0 and now["fanout_sessions_bucket", "5"] == 2
    assert now["publish_to_delivery_seconds_count", None] == 3 + 4
    assert 0 <= now["publish_to_delivery_seconds_sum", None] < 7 * 60
    alice.close()
    gone = until(chat, "a farewell", (("sessions", None), 3))
    assert gone["disconnects_total", "1000"] == 1 and gone.sum("disconnects_total") == 1
    written = until(chat, "history", (("history_queue_bytes", None), 0))
    assert written["history_flush_seconds_count", None] >= 1
    assert written["http_answers_total", "200"] >= 2


def test_recoveries(brokers):
    chat = with_history(brokers)
    first, *rest = say(chat, ["one", "two", "three"])
    wait_stored(chat, first["id"], *[frame["id"] for frame in rest])
    late = chat.ws(B, since=first["id"])
    assert Replay(late).texts() == ["two", "three"]
    until(chat, "room and inbox", (("recoveries_total", "complete"), 2), (("recoveries_total", "incomplete"), 0))


def test_who_reads_too_slowly(brokers):
    chat = brokers(options={"outbox_bytes": "64k"})
    chat.raw_ws(B, receive_buffer=4096)
    alice = chat.ws(A)

    def closed():
        alice.send_many([{"message": "x" * 3900}] * 50)
        return scrape(chat)["disconnects_total", "4001"] == 1
    wait_for(closed, "the slow reader is closed")
    now = scrape(chat)
    assert now["deliveries_dropped_total", "slow"] > 0, now.text
    # What is left of the frame that had begun to leave waits for it to be taken.
    assert now["outbox_bytes", None] < 4100


def test_several_bridges_are_one_node(brokers):
    chat = brokers(options={"bridges": "3"})
    sessions = [chat.ws("user%d@example.com" % n) for n in range(12)]
    sessions[0].send({"message": "hi"})
    for session in sessions[1:]:
        session.expect_message("hi", "user0@example.com")
    for _ in range(6):  # whichever bridge is asked
        now = until(chat, "sums", (("sessions", None), 12), (("connects_total", "session"), 12), (("deliveries_total", "room"), 11),
                    (("fanout_sessions_sum", None), 11), (("bridges", None), 3))
        assert now["messages_received_total", "ws"] == 1


def test_a_bridge_that_is_killed_takes_nothing_back(brokers):
    chat = brokers(options={"bridges": "2"})
    chat.allow("next start in", "chat-bridge")
    sessions = [chat.ws("user%d@example.com" % n) for n in range(8)]
    before = until(chat, "eight sessions", (("sessions", None), 8), (("connects_total", "session"), 8))
    for lives in (1, 2):
        pids = chat.wait_bridges(2)
        os.kill(pids[0], signal.SIGKILL)
        chat.wait_bridges(2, but=pids[:1])
        after = until(chat, "a new life", (("bridge_restarts_total", None), lives), (("bridges", None), 2))
        less = {key: (value, after.get(key)) for key, value in before.growing().items() if after.get(key, 0) < value}
        assert not less, less
        assert after["connects_total", "session"] == 8
        before = after
    # Both have been replaced, and with them their sessions.
    until(chat, "nobody is left", (("sessions", None), 0))
    chat.ws(A)
    until(chat, "one more", (("sessions", None), 1), (("connects_total", "session"), 9))
    for session in sessions:
        session.close()


def test_who_may_ask(brokers, tmp_path):
    config = tmp_path / "chat.conf"
    config.write_text("metrics_allow 203.0.113.0/24, 2001:db8::1\n")
    for part in (tmp_path, *tmp_path.parents):
        if os.stat(part).st_uid == os.getuid() and part != part.parent:
            os.chmod(part, os.stat(part).st_mode | 0o011)
    chat = brokers(options={"trusted_proxies": "127.0.0.1", "chat_config": str(config)})

    def status(client=None):
        return chat.http("GET", "/metrics", headers=[("X-Forwarded-For", client)] if client else []).status
    assert status() == 200
    assert status("203.0.113.9") == 200 and status("2001:db8::1") == 200
    assert status("203.0.114.9") == 403 and status("2001:db8::2") == 403 and status("10.0.0.1") == 403
    since = len(chat.log())
    config.write_text("metrics_allow 10.0.0.0/8\n")
    chat.hup()
    chat.wait_log("new settings are in force", since=since)
    assert status("10.0.0.1") == 200 and status("203.0.113.9") == 403 and status("127.0.0.9") == 200


def test_nobody_asks_through_a_proxy_that_is_not_listed(chat):
    assert chat.http("GET", "/metrics", headers=[("X-Forwarded-For", "127.0.0.1")]).status == 403
    assert chat.http("GET", "/metrics").status == 200


def test_off(brokers):
    chat = brokers(options={"metrics": "off"}, lines=["sys_interval 1"])
    assert chat.http("GET", "/metrics").status == 404
    watcher = chat.mqtt("watcher")
    watcher.subscribe("$SYS/broker/chat/#")
    watcher.subscribe("$SYS/broker/uptime")
    # Two rounds of the broker's own numbers, and none of the chat's.
    for _ in range(2):
        topic = watcher.next().topic
        assert topic == "$SYS/broker/uptime", topic


@pytest.mark.parametrize("bridge", [True, False])
def test_sys(brokers, bridge):
    chat = brokers(bridge=bridge, lines=["sys_interval 1"])
    author = chat.mqtt(A)
    watcher = chat.mqtt("watcher")
    watcher.subscribe("$SYS/broker/chat/messages_received_total/mqtt")
    for n in (1, 2):
        author.send({"message": "hi %d" % n})
        assert watcher.next().raw == b"%d" % n
    # It is retained, and readable with nothing but a subscription.
    late = chat.mqtt("late")
    late.subscribe("$SYS/broker/chat/#")
    seen = {}

    def all_there():
        frame = late.next()
        assert frame.retain, frame
        seen[frame.topic[len("$SYS/broker/chat/"):]] = frame.raw
        return {"messages_received_total/mqtt", "bridges", "history_queue_bytes"} <= set(seen)
    wait_for(all_there, lambda: "numbers under $SYS, have %r" % seen)
    assert seen["messages_received_total/mqtt"] == b"2" and seen["bridges"] == (b"1" if bridge else b"0")
    assert "bridge_restarts_total" not in seen, "what has never happened is not there"
