"""chat_config: options that change with SIGHUP, and what a bad one does (nothing, but say so)."""

import os
import re
import signal

import pytest

from harness.dialogue import FACTOR, wait_for
from harness.websocket import HttpAnswer

A, B = "alice@example.com", "bob@example.com"


class Config:
    def __init__(self, folder):
        self.path = str(folder / "chat.conf")
        self.write("# nothing yet\n")

    def write(self, text):
        with open(self.path, "w") as f:
            f.write(text)
        os.chmod(self.path, 0o644)


@pytest.fixture
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat-config")
    for part in (folder, *folder.parents):
        if os.stat(part).st_uid == os.getuid() and part != part.parent:
            os.chmod(part, os.stat(part).st_mode | 0o011)
    return Config(folder)


def taken_over(chat, config, text):
    since = len(chat.log())
    config.write(text)
    chat.hup()
    chat.wait_log(re.escape(config.path) + " has been read again", since=since)
    chat.wait_log("new settings are in force", since=since)


def refused(chat, config, text):
    """The line that the log has about it."""
    since = len(chat.log())
    config.write(text)
    chat.hup()
    chat.wait_log("the last good settings stay", since=since)
    return next(line for line in chat.log()[since:].splitlines() if config.path in line)


def test_it_counts_from_the_start(brokers, config):
    config.write("max_message_chars 5\n")
    chat = brokers(options={"chat_config": config.path})
    alice = chat.ws(A)
    alice.send({"message": "123456", "ref": "1"})
    alice.expect_error("too_long", "message", "1")


def test_what_may_change_changes_and_sessions_stay(brokers, config):
    chat = brokers(options={"chat_config": config.path, "rate_messages": None, "rate_connects": None})
    alice, bob = chat.ws(A), chat.ws(B)
    taken_over(chat, config, "# of today\n\n  max_message_chars\t5  \r\nrate_messages off\n")
    alice.send({"message": "123456", "ref": "1"})
    alice.expect_error("too_long", "message", "1")
    for n in range(60):
        alice.send({"message": "%d" % n})
    for n in range(60):
        bob.expect_message("%d" % n, A)
    taken_over(chat, config, "rate_messages 1/s burst 2\n")
    for n in range(4):
        alice.send({"message": "123456", "ref": "r%d" % n})
    answers = [alice.expect(ref="r%d" % n)["type"] for n in range(4)]
    assert answers.count("error") >= 1 and answers[0] == "ack", answers


def test_origins_sessions_and_rates_of_the_bridge(brokers, config):
    chat = brokers(options={"chat_config": config.path, "rate_connects": None})
    chat.raw_ws(A, headers=[("Origin", "https://a.example")])
    taken_over(chat, config, "allowed_origins https://b.example\nmax_sessions_per_user 1\n")
    with pytest.raises(HttpAnswer) as answer:
        chat.raw_ws(B, headers=[("Origin", "https://a.example")])
    assert answer.value.status == 403
    chat.raw_ws(B, headers=[("Origin", "https://b.example")]).sync()
    chat.raw_ws(B).expect_close(4103)
    taken_over(chat, config, "max_sessions 1\nmax_sessions_per_user 1\n")
    with pytest.raises(HttpAnswer) as answer:
        chat.raw_ws("carol@example.com")
    assert answer.value.status == 503
    taken_over(chat, config, "rate_connects 1/s burst 1\n")
    statuses = [chat.http("GET", "/health").status for _ in range(4)]
    assert 429 in statuses, statuses


def test_proxies(brokers, config):
    chat = brokers(options={"chat_config": config.path})

    def status():
        return chat.http("GET", "/metrics", headers=[("X-Forwarded-For", "203.0.113.9")]).status
    taken_over(chat, config, "metrics_allow 203.0.113.0/24\n")
    assert status() == 403
    taken_over(chat, config, "metrics_allow 203.0.113.0/24\ntrusted_proxies 127.0.0.1\n")
    assert status() == 200


@pytest.mark.parametrize("setting", ["outbox_bytes 64k", "outbox_seconds 1s"])
def test_what_a_session_may_leave_unread(brokers, config, setting):
    """Of a session that was there before: 700 KB are within 1 MB, and may stay over half of it for 30 s."""
    chat = brokers(options={"chat_config": config.path})
    slow = chat.raw_ws(B, events="typing", receive_buffer=4096)
    slow.expect_ready()
    alice, other = chat.ws(A), chat.ws("carol@example.com")

    def say(count):
        for n in range(count):
            alice.send({"message": "%d " % n + "x" * 3900})
        for n in range(count):
            other.expect(sender=A)
    say(250)
    assert not re.search(r"closed: 4001", chat.log())
    taken_over(chat, config, setting + "\n")
    say(1)
    chat.wait_log(r"session of %s closed: 4001" % re.escape(B), timeout=15 * FACTOR)
    slow.drain_until_close(4001, timeout=30 * FACTOR)


@pytest.mark.parametrize("text, line, reason", [
    ("max_message_chars 0\n", 1, "a number from 1 to"),
    ("# x\n\nmax_message_chars\n", 3, "a name and a value are expected"),
    ("nonsense 1\n", 1, "no option that can change at a reload"),
    ("port 8001\n", 1, "no option that can change at a reload"),
    ("plugin_opt_max_message_chars 5\n", 1, "without plugin_opt_"),
    ("max_message_chars 5\nmax_message_chars 6\n", 2, "given twice"),
    ("max_message_chars 5\nrate_messages fast\n", 2, "is expected"),
])
def test_a_bad_file_changes_nothing(brokers, config, text, line, reason):
    config.write("max_message_chars 10\n")
    chat = brokers(options={"chat_config": config.path, "rate_messages": None})
    alice, bob = chat.ws(A), chat.ws(B)
    said = refused(chat, config, text)
    assert reason in said and re.search(r":%d: |line %d: " % (line, line), said), said
    alice.send({"message": "1234567890"})
    bob.expect_message("1234567890", A)
    alice.send({"message": "12345678901", "ref": "1"})
    alice.expect_error("too_long", "message", "1")


def test_a_file_that_is_gone_changes_nothing(brokers, config):
    config.write("max_message_chars 10\n")
    chat = brokers(options={"chat_config": config.path})
    alice = chat.ws(A)
    os.unlink(config.path)
    since = len(chat.log())
    chat.hup()
    chat.wait_log("No such file or directory", since=since)
    alice.send({"message": "12345678901", "ref": "1"})
    alice.expect_error("too_long", "message", "1")


@pytest.mark.parametrize("text", ["max_message_chars 0\n", "nonsense 1\n", "port 8001\n", "x" * 70000, "rate_messages\0off\n"])
def test_at_the_start_a_bad_file_stops_the_broker(brokers, config, text):
    config.write(text)
    log = brokers(start=False, options={"chat_config": config.path}).start_refused()
    assert config.path in log


def test_given_in_both_places(brokers, config):
    config.write("max_message_chars 10\n")
    broker = brokers(start=False, options={"chat_config": config.path, "max_message_chars": "20"})
    log = broker.start_refused()
    assert re.search(re.escape(config.path) + r":1: max_message_chars 10: given twice", log), log


def test_a_bridge_that_is_started_anew_has_the_new_settings(brokers, config):
    chat = brokers(options={"chat_config": config.path})
    chat.allow("chat-bridge", "Socket error", "protocol error")
    taken_over(chat, config, "max_sessions_per_user 1\n")
    [pid] = chat.bridge_pids()
    os.kill(pid, signal.SIGKILL)
    chat.wait_bridges(1, but=(pid,))
    first = chat.ws(A)
    chat.raw_ws(A).expect_close(4103)
    first.send({"message": "1", "ref": "1"})
    first.expect_ack("1")
    wait_for(lambda: chat.http("GET", "/health").status == 200, "health")
