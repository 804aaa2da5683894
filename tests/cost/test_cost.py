"""What a message and a delivery cost: instructions and system calls in a fixed dialogue, held against ceilings.

A ceiling stands a good part above what was counted on Debian 12 when it was written down (in brackets): another compiler or
library moves the count a little, a copy, an allocation or a system call too many for each delivery moves it over the ceiling.
Who makes something cheaper lowers it; who has a reason to make it dearer raises it and says so in the commit.
"""

import os
import re
import signal
import subprocess

import pytest

import callgrind
from harness.broker import BRIDGE, Broker
from harness.dialogue import TIMEOUT

READERS = 20
MESSAGES = 200
DELIVERIES = READERS * MESSAGES
BURST = 500

# Instructions.
PLUGIN_MESSAGE = 12000   # the plugin's message callback, for an accepted message (8,400)
BRIDGE_MESSAGE = 38000   # the bridge, for a message and its deliveries (25,700)
# System calls of the bridge.
CALLS_A_DELIVERY = 2.2   # one message at a time: each delivery is a send of its own (1.64)
SENDS_IN_A_BURST = 0.1   # as many as fit leave in one send (0.023)


@pytest.fixture
def brokers():
    made = []

    def make(**arguments):
        one = Broker(valgrind=False, **arguments)
        made.append(one)
        return one.start(timeout=10 * TIMEOUT)

    yield make
    problems = [problem for one in made for problem in one.finish()]
    assert not problems, "\n".join(problems[:20])


def gathering(chat):
    """(author, readers): all are in the room, and have had a first message."""
    author = chat.ws("author@example.com")
    readers = [chat.ws("reader%d@example.com" % n) for n in range(READERS)]
    one_by_one(author, readers, 1)
    return author, readers


def one_by_one(author, readers, count):
    """Each message reaches everybody before the next is sent."""
    for n in range(count):
        text = "message %d %s" % (n, "x" * 100)
        author.send({"message": text})
        for reader in readers:
            reader.expect(message=text, timeout=10 * TIMEOUT)


def test_instructions_of_the_plugin(brokers, tmp_path):
    chat = brokers(command=callgrind.command(str(tmp_path), "broker"))
    author, readers = gathering(chat)
    callgrind.begin(chat.pid)
    one_by_one(author, readers, MESSAGES)
    counts = callgrind.Counts(chat.pid, str(tmp_path), "broker")
    spent = counts.of("plugin.c:on_message") / MESSAGES
    print("plugin: %.0f instructions a message in its message callback; broker with all: %.0f" % (spent, counts.total / MESSAGES))
    assert spent < PLUGIN_MESSAGE


def test_instructions_of_the_bridge(brokers, tmp_path):
    program = tmp_path / "bridge"
    program.write_text("#!/bin/sh\nexec %s %s \"$@\"\n" % (" ".join(callgrind.command(str(tmp_path), "counts")), BRIDGE))
    program.chmod(0o755)
    # valgrind knows neither seccomp nor Landlock
    chat = brokers(options={"bridge_program": str(program), "sandbox": "off"})
    author, readers = gathering(chat)
    [pid] = chat.bridge_pids()
    callgrind.begin(pid)
    one_by_one(author, readers, MESSAGES)
    counts = callgrind.Counts(pid, str(tmp_path), "counts")
    spent = counts.total / MESSAGES
    print("bridge: %.0f instructions a message to %d readers, %.0f a delivery" % (spent, READERS, spent / READERS))
    assert spent < BRIDGE_MESSAGE


class Calls:
    """The system calls of a process while the with-block runs: strace's counts, by name."""

    def __init__(self, pid, path):
        self.pid, self.path, self.counts = pid, str(path), {}

    def __enter__(self):
        self.strace = subprocess.Popen(["strace", "-f", "-c", "-o", self.path, "-p", str(self.pid)], stderr=subprocess.PIPE, text=True)
        line = self.strace.stderr.readline()
        assert "attached" in line, line
        return self

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        self.strace.communicate(timeout=TIMEOUT)
        with open(self.path) as f:
            for line in f:
                found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
                if found and found.group(2) != "total":
                    self.counts[found.group(2)] = int(found.group(1))


needs_strace = pytest.mark.skipif(os.geteuid() != 0, reason="strace attaches to another process")


@needs_strace
def test_system_calls_of_a_delivery(brokers, tmp_path):
    chat = brokers()
    author, readers = gathering(chat)
    [pid] = chat.bridge_pids()
    with Calls(pid, tmp_path / "calls") as calls:
        one_by_one(author, readers, MESSAGES)
    total = sum(calls.counts.values())
    print("one by one: %.2f system calls a delivery %r" % (total / DELIVERIES, calls.counts))
    # fewer than one would mean that strace has not seen them
    assert DELIVERIES * 0.9 < calls.counts["sendto"] and total < DELIVERIES * CALLS_A_DELIVERY
    # registered once: no change of interest for what is written at once
    assert calls.counts.get("epoll_ctl", 0) < MESSAGES / 10


@needs_strace
def test_sends_of_a_burst(brokers, tmp_path):
    chat = brokers()
    _, readers = gathering(chat)
    speaker = chat.mqtt("speaker@example.com")
    [pid] = chat.bridge_pids()
    with Calls(pid, tmp_path / "calls") as calls:
        # The broker finds all of them at once, however slowly they are written here.
        os.kill(chat.process.pid, signal.SIGSTOP)
        for n in range(BURST):
            speaker.send({"message": "burst %d" % n}, qos=0)
        os.kill(chat.process.pid, signal.SIGCONT)
        for reader in readers:
            for n in range(BURST):
                reader.expect(message="burst %d" % n, timeout=10 * TIMEOUT)
    print("burst: %.3f sends a delivery %r" % (calls.counts["sendto"] / (BURST * READERS), calls.counts))
    assert calls.counts["sendto"] < BURST * READERS * SENDS_IN_A_BURST
