"""trusted_proxies: whose X-Forwarded-For is believed, for the log and for rate_connects."""

import pytest

from harness.websocket import HttpAnswer

A = "alice@example.com"


def come(chat, *forwarded, address=A):
    """A session through a proxy that says this, one field for each; the address that the log has."""
    since = len(chat.log())
    session = chat.raw_ws(address, headers=[("X-Forwarded-For", value) for value in forwarded])
    line = chat.wait_log(r"session of %s opened from (\S+)" % address, since=since)
    session.close()
    return line.group(1)


def test_nobody_is_believed_unasked(brokers):
    chat = brokers()
    assert come(chat, "203.0.113.9") == "127.0.0.1"


def test_a_proxy_is_believed(brokers):
    chat = brokers(options={"trusted_proxies": "127.0.0.1, 10.0.0.0/8"})
    assert come(chat, "203.0.113.9") == "203.0.113.9"
    assert come(chat, "2001:db8::1") == "2001:db8::1"
    assert come(chat, "[2001:db8::1]:443") == "2001:db8::1"
    assert come(chat, "203.0.113.9:4711, 10.1.2.3") == "203.0.113.9"
    assert come(chat, "1.2.3.4, 203.0.113.9") == "203.0.113.9", "what stands further left is the client's own claim"
    assert come(chat, "1.2.3.4", "203.0.113.9") == "203.0.113.9"
    assert come(chat, *["1.2.3.4"] * 20, "203.0.113.9", "10.0.0.2") == "203.0.113.9"
    assert come(chat) == "127.0.0.1"
    assert come(chat, "unknown") == "127.0.0.1"
    assert come(chat, "203.0.113.9, garbage") == "127.0.0.1"
    assert come(chat, "<script>\t\\n") == "127.0.0.1"


def test_another_peer_is_not(brokers):
    chat = brokers(options={"trusted_proxies": "10.0.0.0/8"})
    assert come(chat, "203.0.113.9") == "127.0.0.1"


def test_connects_are_counted_for_the_client(brokers):
    chat = brokers(options={"trusted_proxies": "127.0.0.0/8", "rate_connects": "1/s burst 3"})

    def ask(client):
        return chat.http("GET", "/health", headers=[("X-Forwarded-For", client)])

    statuses = [ask("203.0.113.9").status for _ in range(6)]
    assert statuses[:3] == [200] * 3 and 429 in statuses[3:], statuses
    assert ask("203.0.113.9").json["error"] == "rate_limited"
    assert ask("203.0.113.10").status == 200
    # A customer's whole /64 is one.
    statuses = [ask("2001:db8:0:1::%x" % n).status for n in range(1, 7)]
    assert 429 in statuses[3:], statuses
    assert ask("2001:db8:0:2::1").status == 200
    with pytest.raises(HttpAnswer) as refused:
        for _ in range(4):
            chat.raw_ws(A, headers=[("X-Forwarded-For", "203.0.113.9")])
    assert refused.value.status == 429
    chat.wait_log(r"too many connections from 203\.0\.113\.9 ")


def test_a_claim_cannot_spend_for_somebody_else(brokers):
    """Who is no proxy stays who he is, whatever he writes."""
    chat = brokers(options={"trusted_proxies": "10.0.0.0/8", "rate_connects": "1/s burst 3"})
    statuses = [chat.http("GET", "/health", headers=[("X-Forwarded-For", "203.0.113.%d" % n)]).status for n in range(6)]
    assert 429 in statuses, statuses
