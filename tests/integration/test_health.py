"""/health and /ready: a message really comes round, or they are 503 within a second."""

import contextlib
import os
import signal
import threading
import time

import pytest

from harness.dialogue import FACTOR, TIMEOUT, wait_for

A, B = "alice@example.com", "bob@example.com"
PATHS = {"/health": "ok", "/ready": "ready"}


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("path", PATHS)
def test_fine(chat, path):
    wait_for(lambda: chat.http("GET", path).status == 200, "200 for " + path)
    assert chat.http("GET", path).json == {"status": PATHS[path]}
    head = chat.http("HEAD", path)
    assert head.status == 200 and head.body == b""


def test_a_broker_that_stands_still(chat):
    """Every process is there and every connection stands, and yet nobody gets a message. (A second, and what a busy machine adds.)"""
    alice, bob = chat.ws(A), chat.ws(B)
    wait_for(lambda: chat.http("GET", "/ready").status == 200, "ready")
    with stopped(chat.pid):
        for path in PATHS:
            began = time.monotonic()
            answer = chat.http("GET", path)
            took = time.monotonic() - began
            assert answer.status == 503 and answer.json["error"] == "no_answer", answer
            assert took < 1.5 * FACTOR, "%s took %.2f s" % (path, took)
        # Many at once are one question, and each has its second.
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(chat.http("GET", "/health").status)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        assert answers == [503] * 20
    for path in PATHS:
        wait_for(lambda: chat.http("GET", path).status == 200, "200 for " + path)
    alice.send({"message": "still here"})
    bob.expect_message("still here", A)


def test_a_moment_of_standing_still(chat):
    """Shorter than a second: the answer comes late, and it is 200."""
    assert chat.http("GET", "/health").status == 200
    answers = []
    asking = threading.Thread(target=lambda: answers.append(chat.http("GET", "/health").status))
    with stopped(chat.pid):
        asking.start()
        asking.join(0.3)
        assert asking.is_alive(), answers
    asking.join(TIMEOUT)
    assert answers == [200]


def test_who_asks_may_hang_up(chat):
    """Nothing is kept of those who went away while they waited."""
    with stopped(chat.pid):
        for _ in range(30):
            with chat.connect() as sock:
                sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert chat.http("GET", "/health").status == 503
    wait_for(lambda: chat.http("GET", "/health").status == 200, "health")


def test_without_the_broker(brokers):
    chat = brokers(start=False)
    chat.allow(".*")
    chat.socket_path += "-elsewhere"
    chat.start()

    def answer(path):
        with contextlib.suppress(OSError):
            return chat.http("GET", path)
        return None
    for path in PATHS:
        got = wait_for(lambda: answer(path), "an answer to " + path, timeout=TIMEOUT + 5)
        assert got.status == 503 and got.json["error"] == "broker_away", got


def test_a_new_bridge_is_ready_again(chat):
    chat.allow("next start in", "chat-bridge")
    wait_for(lambda: chat.http("GET", "/ready").status == 200, "ready")
    [pid] = chat.bridge_pids()
    os.kill(pid, signal.SIGKILL)
    chat.wait_bridges(1, but=[pid])
    statuses = []

    def ready():
        with contextlib.suppress(OSError, AssertionError):
            statuses.append(chat.http("GET", "/ready"))
            return statuses[-1] is not None and statuses[-1].status == 200
        return False
    wait_for(ready, lambda: "ready again: %r" % statuses)
