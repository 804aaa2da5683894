"""Identities: every address of the rule, in paths, user names and topics; nothing else."""

import pytest

from harness.dialogue import ABSENT
from harness.websocket import HttpAnswer
from harness.wire import topic_level

LABEL63 = "d" * 63
LONGEST_DOMAIN = ".".join([LABEL63, LABEL63, "d" * 61])  # 189 bytes: with a local part of 64 and the @ 254

# path as it goes over the wire, the identity it means
PATHS = [
    ("alice@example.com", "alice@example.com"),
    ("alice%40example.com", "alice@example.com"),
    ("%61lice@example.com", "alice@example.com"),
    ("alice@localhost", "alice@localhost"),
    ("a@b", "a@b"),
    ("alice+tag@example.com", "alice+tag@example.com"),
    ("alice%2Btag@example.com", "alice+tag@example.com"),
    ("alice%2btag%40example.com", "alice+tag@example.com"),
    ("a&b@example.com", "a&b@example.com"),
    ("a%26b@example.com", "a&b@example.com"),
    ("a=b&c=d@example.com", "a=b&c=d@example.com"),
    ("o'brien@example.com", "o'brien@example.com"),
    ("o%27brien@example.com", "o'brien@example.com"),
    ("100%25@example.com", "100%@example.com"),
    ("a%2540b@example.com", "a%40b@example.com"),
    ("a%252Bb@example.com", "a%2Bb@example.com"),
    ("a%253Fb@example.com", "a%3Fb@example.com"),
    ("why%3F@example.com", "why?@example.com"),
    ("and%2For@example.com", "and/or@example.com"),
    ("%2Froot@example.com", "/root@example.com"),
    ("a%2F..%2Fb@example.com", "a/../b@example.com"),
    ("%2F%2F@example.com", "//@example.com"),
    ("..%2F@example.com", "../@example.com"),
    ("%2E%2E@example.com", "..@example.com"),
    (".@example.com", ".@example.com"),
    ("..@example.com", "..@example.com"),
    ("a..b.@example.com", "a..b.@example.com"),
    ("%23hash@example.com", "#hash@example.com"),
    ("!$*-_~`^@example.com", "!$*-_~`^@example.com"),
    ("%7B%7C%7D@example.com", "{|}@example.com"),
    ("{|}@example.com", "{|}@example.com"),
    ("Alice@EXAMPLE.Com", "Alice@example.com"),
    ("ALICE%40Xn--Bcher-KVA.example", "ALICE@xn--bcher-kva.example"),
    ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
    ("x" * 64 + "@" + LONGEST_DOMAIN, "x" * 64 + "@" + LONGEST_DOMAIN),
    ("%2B" * 64 + "%40" + LONGEST_DOMAIN, "+" * 64 + "@" + LONGEST_DOMAIN),
    ("a@1.2.3.4", "a@1.2.3.4"),
    ("a@" + LABEL63 + ".com", "a@" + LABEL63 + ".com"),
    ("a@x-y.com", "a@x-y.com"),
]

# what stands decoded in the path and is no address
NO_ADDRESS = [
    "alice", "@example.com", "alice@", "a@b@c", "alice example@example.com", "alice@exa mple.com", " alice@example.com",
    "alice@example.com ", "alice@-example.com", "alice@example-.com", "alice@example..com", "alice@example.com.",
    "alice@.com", "álice@example.com", "alice@exämple.com", "alice@example_x.com", "a,b@example.com", "a;b@example.com",
    "a:b@example.com", "a(b)@example.com", '"a b"@example.com', "a\\b@example.com", "<a>@example.com", "[a]@example.com",
    "a@[1.2.3.4]", "a@" + "d" * 64 + ".com", "x" * 65 + "@example.com", "x" * 64 + "@" + LONGEST_DOMAIN + "d",
    "a@x/y", "a@x+y", "alice%40example.com", "alice%2540example.com", "a\x01b@example.com", "a\x7fb@example.com", "a\nb@example.com", "\u200balice@example.com",
]


def quote_all(text):
    return "".join("%%%02X" % byte for byte in text.encode())


@pytest.mark.parametrize("path, identity", PATHS, ids=[p[0][:40] for p in PATHS])
def test_addresses_in_the_path(chat, path, identity):
    reader = chat.mqtt("reader@example.com").read_room()
    inbox = chat.mqtt(identity).read_inbox()
    alice = chat.raw_ws(identity, path="/ws/%s?events=typing" % path)
    assert alice.expect_ready(["general"])["user"] == identity
    alice.send({"message": "hi", "from": identity})
    reader.expect_message("hi", identity)
    # What is sent to that identity arrives, whoever sends it.
    reader.send({"message": "hello", "to": identity}, to=identity)
    alice.expect_message("hello", "reader@example.com", to=identity)
    inbox.expect_message("hello", "reader@example.com", to=identity)
    alice.send({"message": "back", "to": "Reader@example.com"})
    inbox.expect_message("back", identity, to="Reader@example.com")


@pytest.mark.parametrize("path, identity", [p for p in PATHS if p[0] == p[1]], ids=lambda p: p[:40])
def test_addresses_as_user_names(broker, path, identity):
    alice = broker.mqtt(identity).read_notices().read_inbox()
    reader = broker.mqtt("reader@example.com", 4).read_room()
    assert alice.send({"message": "hi", "ref": "r"}) == 0
    reader.expect_message("hi", identity)
    alice.expect_ack("r")
    assert reader.send({"message": "hello"}, to=identity) == 0
    assert alice.expect_message("hello", "reader@example.com").topic == "chat/users/%s/inbox" % topic_level(identity)


@pytest.mark.parametrize("address", NO_ADDRESS + [""], ids=ascii)
def test_what_is_no_address_in_the_path(chat, address):
    """Accepted and closed with 4100, because a page cannot read the status of a failed upgrade."""
    try:
        session = chat.raw_ws(path="/ws/" + quote_all(address) + "?events=typing")
    except HttpAnswer as answer:
        # No character of a header line, or no path at all: plain HTTP may refuse that.
        assert address == "" or any(c < " " or c == "\x7f" for c in address), answer
        assert answer.status in (400, 404)
        return
    session.expect_close(4100)


@pytest.mark.parametrize("path", ["alice%20x@example.com", "alice%20@example.com", "%20alice@example.com",
                                  "alice%2540example.com", "alice%252Bb%2540example.com", "alice%00@example.com",
                                  "alice%0D%0Ax@example.com", "a%C3%A9@example.com", "a%E9@example.com"])
def test_encoded_nonsense_in_the_path(chat, path):
    try:
        chat.raw_ws(path="/ws/" + path).expect_close(4100)
    except HttpAnswer as answer:
        assert "%00" in path or "%0D" in path, answer
        assert answer.status == 400


@pytest.mark.parametrize("path", ["alice%zz@example.com", "alice%4@example.com", "alice@example.com%", "%", "100%@example.com"])
def test_broken_percent_encoding(chat, path):
    """Never read as something else."""
    try:
        chat.raw_ws(path="/ws/" + path).expect_close(4100)
    except HttpAnswer as answer:
        assert answer.status == 400


@pytest.mark.parametrize("path", ["/ws/alice@example.com/", "/ws/alice@example.com/x", "/ws//alice@example.com",
                                  "/ws/x/../alice@example.com", "/ws/./alice@example.com", "/WS/alice@example.com",
                                  "/ws", "/wsx/alice@example.com", "//ws/alice@example.com", "/x/../ws/alice@example.com",
                                  "/ws%2Falice@example.com", "/%77s/alice@example.com%2F"])
def test_paths_that_are_not_quite_it(chat, path):
    """Split on / first, then decoded: none of these is a session of alice (an equivalent spelling may be)."""
    try:
        session = chat.raw_ws("alice@example.com", path=path + "?events=typing")
    except HttpAnswer as answer:
        assert answer.status in (400, 404)
        return
    session.expect_close(4100)


def test_a_question_mark_starts_the_query(chat):
    alice = chat.raw_ws(path="/ws/alice?@example.com")
    alice.expect_close(4100)
    alice = chat.raw_ws("alice@example.com", path="/ws/alice@example.com?events=typing&x@y")
    assert alice.expect_ready()["user"] == "alice@example.com"


def test_a_plus_is_a_plus(chat):
    plus = chat.ws("a+b@example.com")
    bob = chat.ws("bob@example.com")
    bob.send({"message": "hi", "to": "a+b@example.com", "ref": "1"})
    bob.expect_ack("1")
    frame = plus.expect_message("hi", "bob@example.com", to="a+b@example.com")
    assert frame["to"] == "a+b@example.com"


def test_local_parts_differ_by_case(broker):
    lower, upper = broker.mqtt("alice@example.com").read_inbox(), broker.mqtt("ALICE@example.com").read_inbox()
    bob = broker.mqtt("bob@example.com")
    bob.send({"message": "hi"}, to="alice@example.com")
    lower.expect_message("hi", "bob@example.com")
    upper.expect_nothing()


def test_the_domain_in_fields_is_lowered(chat):
    alice, bob = chat.ws("alice@example.com"), chat.ws("bob@example.com")
    alice.send({"message": "hi", "to": "bob@EXAMPLE.COM", "from": "alice@Example.com", "ref": "1"})
    bob.expect_message("hi", "alice@example.com", to="bob@example.com")
    alice.expect_ack("1")
    alice.send({"message": "hi", "from": "Alice@example.com"})
    alice.expect_error("sender_mismatch", field="from")
    bob.expect_nothing()


@pytest.mark.parametrize("field, code", [("to", "invalid_email"), ("from", "invalid_email")])
def test_what_is_no_address_in_fields(broker, field, code):
    alice = broker.mqtt("alice@example.com").read_notices()
    bob = broker.mqtt("bob@example.com").read_inbox().read_room()
    for address in NO_ADDRESS + [""]:
        if address == "alice%40example.com" or address == "alice%2540example.com":
            continue
        assert alice.send({"message": "x", field: address}, to="bob@example.com") == 0x87
        alice.expect_error(code, field=field, ref=ABSENT)
    bob.expect_nothing()
