"""The end of every session stands in the log once, with all that is to be known; and lines as JSON."""

import json
import os
import re
import signal

import pytest

from harness.dialogue import wait_for

A, B = "alice@example.com", "bob@example.com"


def objects(chat):
    """The chat's lines, all of which must be objects."""
    found = []
    for line in chat.log().splitlines():
        text = re.sub(r"^\d+: ", "", line)
        assert not re.match(r"chat(-bridge(\[\d+\])?)?: ", text), line
        if text.startswith("{"):
            one = json.loads(text)
            assert list(one)[:3] == ["program", "level", "text"], line
            assert all(isinstance(value, (str, int)) for value in one.values()), line
            found.append(one)
    return found


def ends(chat):
    return [one for one in objects(chat) if one.get("event") == "session_closed"]


def end_of(chat, user):
    [one] = wait_for(lambda: [one for one in ends(chat) if one["user"] == user], "the end of " + user)
    return one


def test_ends_as_objects(brokers):
    chat = brokers(options={"log_format": "json", "outbox_bytes": "64k", "bridges": "1"})
    by_client, lost, refused, slow = ("%s@example.com" % name for name in ("by-client", "lost", "refused", "slow"))
    chat.ws(by_client).close()
    one = end_of(chat, by_client)
    assert (one["code"], one["reason"], one["bytes_unsent"]) == (1000, "by the client", 0)
    assert one["program"] == "chat-bridge" and one["level"] == "info" and one["client"].startswith("ws-")
    assert 0 <= one["milliseconds"] < 60000
    [opened] = [one for one in objects(chat) if one.get("event") == "session_opened" and one["user"] == by_client]
    assert opened["address"] == "127.0.0.1" and opened["client"] == one["client"]
    chat.raw_ws(lost).close()
    assert end_of(chat, lost)["code"] == 1006
    bad = chat.raw_ws(refused)
    bad.send_frame(2, b"binary")
    assert end_of(chat, refused)["code"] == 1003
    chat.raw_ws(slow, receive_buffer=4096)
    alice = chat.ws(A)

    def too_slow():
        alice.send_many([{"message": "x" * 3900}] * 50)
        return [one for one in ends(chat) if one["user"] == slow]
    [one] = wait_for(too_slow, "the slow reader is closed")
    assert one["code"] == 4001 and one["bytes_unsent"] > 65536
    # Each of them once, however much came after it.
    assert chat.terminate() == 0
    users = sorted(one["user"] for one in ends(chat))
    assert users == sorted([by_client, lost, refused, slow, A]), users
    assert end_of(chat, A)["code"] in (1001, 4003)


def test_tunnels_as_objects(brokers):
    chat = brokers(options={"log_format": "json"})
    client = chat.tunnel(A)
    client.ping()
    client.disconnect()

    def ended():
        return [one for one in objects(chat) if one.get("event") == "tunnel_closed"]
    [one] = wait_for(ended, "the tunnel's end")
    assert one["address"] == "127.0.0.1" and one["bytes_from_client"] > 0 and one["bytes_to_client"] > 0 and one["bytes_unsent"] == 0


def test_everything_is_an_object(brokers):
    """Lines of the plugin, of limits, of counters and of a bridge that ends by itself."""
    chat = brokers(options={"log_format": "json", "bridges": "2"})
    chat.allow("next start in", "chat-bridge")
    for _ in range(3):
        chat.raw_ws(path="/ws/" + "x" * 300).expect_close(4100)
        assert chat.mqtt_refused("$chat-bridge") is not None
    pids = chat.wait_bridges(2)
    os.kill(pids[0], signal.SIGKILL)
    chat.wait_bridges(2, but=pids[:1])
    wait_for(lambda: any("runs again" in one["text"] for one in objects(chat)), "a new bridge")
    assert chat.terminate() == 0
    found = objects(chat)
    assert {one["program"] for one in found} == {"chat", "chat-bridge[0]", "chat-bridge[1]"}
    assert any(one["text"].startswith("mosquitto-chat ") and one["level"] == "notice" for one in found)
    assert any("next start in" in one["text"] and one["level"] == "error" for one in found)
    assert any(one["text"].startswith("counters: ") for one in found)
    assert any(one.get("more") == 2 and "(2 more since)" in one["text"] for one in found), found


@pytest.mark.parametrize("address", ["b+o'b/#{|}~@example.com", "n" * 64 + "@" + ".".join(["d" * 60] * 3) + ".ex"])
def test_long_and_odd_names(brokers, address):
    chat = brokers(options={"log_format": "json"})
    chat.ws(address).close()
    assert end_of(chat, address)["code"] == 1000


def test_ends_as_text(chat):
    for n in range(5):
        chat.ws("user%d@example.com" % n).close()
    pattern = r"chat-bridge: session of (\S+) closed: 1000 by the client \(ws-\S+, \d+ s, 0 bytes unsent\)$"
    wait_for(lambda: len(re.findall(pattern, chat.log(), re.M)) == 5, "five ends")
    assert "\x1f" not in chat.log() and "session_closed" not in chat.log()
