"""auth token: who gets in with which token and by which way, what happens at its end, renewal, new keys."""

import os
import subprocess

import pytest

from harness.dialogue import ANY, FACTOR, MARKER, Closed, wait_for
from harness.history import Replay, wait_stored, with_history
from harness.tokens import LEEWAY, WARNING, Issuer, key_set, spoil, unsigned, with_tokens, write_keys
from harness.tunnel import Tunnel
from harness.websocket import HttpAnswer, session_path

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"
KINDS = ["HS256", "RS256", "ES256"]


@pytest.fixture
def chat(brokers):
    return with_tokens(brokers)


def session(chat, address, **more):
    """In its rooms, with a token of ten minutes."""
    return chat.ws(address, token=chat.issuer.token(address), **more)


def member(chat, address, **more):
    """The same over MQTT."""
    return chat.mqtt(address, password=chat.issuer.token(address), **more)


def near_its_end(chat, address, left=3, **more):
    """A session that is told at once that its token ends, and is closed in so many seconds. Ready."""
    one = chat.raw_ws(address, token=chat.issuer.ending(address, left), events="typing", **more)
    one.expect_all({"type": "ready", "user": address}, EXPIRING)
    return one


def lets_in(chat, address, token):
    """Whether a session with that token gets into its rooms."""
    one = chat.raw_ws(address, token=token, events="typing")
    first = one.next()
    one.close()
    if isinstance(first, Closed):
        assert first.code == 4101, first
        return False
    assert first.get("type") in ("ready", "system"), first
    return True


EXPIRING = {"type": "system", "code": "token_expiring", "sender": "System", "message": ANY}


def expect_refused(one):
    end = one.expect_close(4101)
    assert end.reason.startswith("token"), end
    return end.reason


def expect_expired(one):
    end = one.expect_close(4002, timeout=8 * FACTOR)
    assert end.reason == "token expired", end


def expect_renewed(one, ref):
    frame = one.expect(type="ack", ref=ref)
    assert set(frame) == {"type", "ref"}, frame


def talk(one, other):
    """Both are there, in both directions."""
    for author, reader in ((one, other), (other, one)):
        author.send({"message": "from %s" % author.name})
        reader.expect_message("from %s" % author.name, author.address)


# --- the ways in ---

def by_query(chat, address, token, **more):
    return chat.raw_ws(address, token=token, events="typing", **more)


def by_header(chat, address, token, **more):
    return chat.raw_ws(address, headers=[("Authorization", "Bearer " + token)], events="typing", **more)


def by_subprotocol(chat, address, token, **more):
    return chat.raw_ws(address, headers=[("Sec-WebSocket-Protocol", "bearer, " + token)], events="typing", **more)


WAYS = [by_query, by_header, by_subprotocol]


@pytest.mark.parametrize("kind", KINDS)
def test_each_way_with_each_kind_of_key(brokers, kind):
    chat = with_tokens(brokers, Issuer(kind))
    bob = member(chat, B).read_room()
    for n, way in enumerate(WAYS):
        alice = way(chat, A, chat.issuer.token(A))
        assert alice.headers.get("sec-websocket-protocol") == ("bearer" if way is by_subprotocol else None)
        alice.expect_ready(["general"])
        alice.send({"message": "hi %d" % n})
        bob.expect_message("hi %d" % n, A)
        alice.close()


def test_a_page_offers_it_as_a_subprotocol(chat):
    """By a client that checks the answer, as browsers do."""
    alice = chat.ws(A, subprotocols=["bearer", chat.issuer.token(A)])
    assert alice.socket.subprotocol == "bearer"
    alice.expect_nothing()


def test_a_key_set_of_several(brokers):
    issuers = [Issuer(kind, kid="key-%s" % kind) for kind in KINDS]
    chat = with_tokens(brokers, jwks=issuers)
    for issuer in issuers:
        by_query(chat, A, issuer.token(A)).expect_ready()
    by_query(chat, A, Issuer("ES256", kid="another").token(A)).expect_close(4101)


def test_the_first_way_counts(chat):
    """Subprotocol, header, parameter: the first that is there, whatever the others hold."""
    good, bad = chat.issuer.token(A), spoil(chat.issuer.token(A))

    def with_all(protocol, header, query):
        headers = [("Sec-WebSocket-Protocol", "bearer, %s" % protocol)] * (protocol is not None)
        headers += [("Authorization", "Bearer %s" % header)] * (header is not None)
        return chat.raw_ws(A, headers=headers, events="typing", **({"token": query} if query is not None else {}))

    for ways in ((good, bad, bad), (None, good, bad), (good, None, bad), (good, bad, None), (good, None, None)):
        with_all(*ways).expect_ready()
    for ways in ((bad, good, good), (None, bad, good), (bad, None, good), (bad, good, None)):
        expect_refused(with_all(*ways))


def test_other_claims(brokers):
    chat = with_tokens(brokers, token_issuer="https://id.example", token_audience="chat", token_email_claim="upn")
    made = chat.issuer.token

    def complete(address, **more):
        return made(None, **{"upn": address, "iss": "https://id.example", "aud": ["wiki", "chat"], **more})

    chat.password_of = complete
    chat.ws(A, token=complete(A)).expect_nothing()
    chat.mqtt(A, password=complete(A)).read_room().read_inbox()
    for token in (complete(A, iss=None), complete(A, iss="https://evil.example"), complete(A, aud=None), complete(A, aud="wiki"),
                  complete(None, email=A), complete(B, email=A)):
        expect_refused(by_query(chat, A, token))
        assert chat.mqtt_refused(A, password=token) == 0x87


def test_an_address_in_other_spelling(chat):
    """The domain's case does not matter, the local part's does, in both places."""
    by_query(chat, "alice@EXAMPLE.com", chat.issuer.token("alice@Example.COM")).expect_ready()
    expect_refused(by_query(chat, "Alice@example.com", chat.issuer.token(A)))
    by_query(chat, "a+b&c'%@example.com", chat.issuer.token("a+b&c'%@example.com")).expect_ready()


# --- who does not get in ---

FAULTS = [
    ("missing", lambda issuer: ""),
    ("malformed", lambda issuer: "abc"),
    ("malformed", lambda issuer: issuer.token(A).rsplit(".", 1)[0]),
    ("bad_signature", lambda issuer: spoil(issuer.token(A))),
    ("bad_signature", lambda issuer: Issuer(issuer.kind).token(A)),
    ("algorithm_not_allowed", lambda issuer: unsigned(A)),
    ("algorithm_not_allowed", lambda issuer: Issuer("HS256").token(A)),
    ("unsupported", lambda issuer: issuer.token(A, header={"typ": "logout+jwt"})),
    ("expired", lambda issuer: issuer.token(A, -LEEWAY - 1)),
    ("not_yet_valid", lambda issuer: issuer.token(A, nbf=4102444800)),
    ("missing_claim", lambda issuer: issuer.token(A, exp=None)),
    ("missing_claim", lambda issuer: issuer.token(None)),
    ("wrong_audience", lambda issuer: issuer.token(A, aud="wiki")),
    ("not_an_address", lambda issuer: issuer.token("alice")),
    ("unverified_address", lambda issuer: issuer.token(A, email_verified=False)),
    ("another_address", lambda issuer: issuer.token(B)),
]


@pytest.mark.parametrize("way", WAYS)
def test_bad_tokens(chat, way):
    bob = member(chat, B).read_room()
    bob.subscribe("chat/users/%s/presence" % A)
    for _, make in FAULTS[1:]:
        one = way(chat, A, make(chat.issuer))
        assert one.headers.get("sec-websocket-protocol") == ("bearer" if way is by_subprotocol else None)
        one.send({"message": "let me in"})
        expect_refused(one)
    # Nobody was shown, nothing was passed on.
    bob.expect_nothing()


@pytest.mark.parametrize("name, make", FAULTS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_log_names_the_fault(chat, name, make):
    """To its sender it says only whether there was one."""
    token = make(chat.issuer)
    since = len(chat.log())
    reason = expect_refused(chat.raw_ws(A, **({"token": token} if token else {})))
    assert reason == ("token not accepted" if token else "token missing")
    chat.wait_log("refused a token from .*: %s$" % name, since=since)


def test_no_token_at_all(chat):
    expect_refused(chat.raw_ws(A))
    expect_refused(chat.raw_ws(A, token=""))
    expect_refused(chat.raw_ws(A, headers=[("Authorization", "Basic YWxpY2U6eA==")]))
    bob = session(chat, B)
    bob.send({"message": "x", "to": A, "ref": "1"})
    bob.expect_all({"type": "ack", "ref": "1"}, {"code": "recipient_offline"})


def test_a_bad_address_is_still_that(chat):
    chat.raw_ws(path="/ws/alice?token=" + chat.issuer.token(A)).expect_close(4100)


def test_a_refused_one_takes_nobodys_place(chat):
    """Neither a device's nor one of the sessions of the person whose address stands in the path."""
    alice = session(chat, A, device="phone")
    for token in (chat.issuer.token(B), spoil(chat.issuer.token(A))):
        expect_refused(by_query(chat, A, token, device="phone"))
    alice.expect_nothing()
    alice.send({"message": "still here", "ref": "1"})
    alice.expect_ack("1")


def test_origins_are_none_unless_listed(brokers, chat):
    origin = [("Origin", "https://chat.example.org")]
    path = session_path(A, {"token": chat.issuer.token(A)})
    mqtt = [("Sec-WebSocket-Protocol", "mqtt")]
    own = [("Origin", "http://127.0.0.1:%d" % chat.ws_port)]  # the page that comes from here is no exception
    for more in ({"path": path, "headers": origin}, {"path": path, "headers": own}, {"path": "/mqtt", "headers": origin + mqtt}):
        with pytest.raises(HttpAnswer) as answer:
            chat.raw_ws(A, **more)
        assert answer.value.status == 403 and answer.value.json["error"] == "forbidden_origin"
    chat.raw_ws(A, path=path + "&events=typing").expect_ready()
    listed = with_tokens(brokers, chat.issuer, allowed_origins="https://chat.example.org")
    by_header(listed, A, chat.issuer.token(A), origin=None).expect_ready()
    listed.raw_ws(A, path=path + "&events=typing", headers=origin).expect_ready()


def test_refusals_are_logged_once_a_minute_for_each_cause(chat):
    since = len(chat.log())
    for _ in range(4):
        for token in (spoil(chat.issuer.token(A)), chat.issuer.token(A, -LEEWAY - 1)):
            chat.mqtt_refused(A, password=token)
    chat.wait_log("bad_signature", since=since)
    lines = [line for line in chat.log()[since:].splitlines() if "chat: " in line]
    for cause in ("bad_signature", "expired"):
        assert len([line for line in lines if cause in line]) == 1, lines


# --- MQTT ---

@pytest.mark.parametrize("version, refusal", [(5, 0x87), (4, 5)])
def test_mqtt_clients(chat, version, refusal):
    alice = session(chat, A)
    bob = member(chat, B, version=version).read_room().read_inbox()
    alice.send({"message": "to all"})
    alice.send({"message": "to you", "to": B})
    bob.expect_all({"message": "to all", "sender": A}, {"message": "to you", "sender": A, "to": B})
    bob.send({"message": "back"})
    alice.expect_message("back", B)
    bob.expect_message("back", B)
    for token in (None, "", "abc", spoil(chat.issuer.token(B)), chat.issuer.token(A), chat.issuer.token(B, -LEEWAY - 1), unsigned(B)):
        assert chat.mqtt_refused(B, version=version, password=token) == refusal, token
    bob.alive()
    alice.expect_nothing()


@pytest.mark.parametrize("version, refusal", [(5, 0x87), (4, 5)])
def test_mqtt_over_websocket(chat, version, refusal):
    alice = session(chat, A)
    bob = chat.tunnel(B, version=version, password=chat.issuer.token(B)).read_room()
    bob.send({"message": "hi"})
    alice.expect_message("hi", B)
    assert chat.mqtt_refused(B, version=version, password=chat.issuer.token(A), transport=Tunnel(chat)) == refusal


@pytest.mark.parametrize("version", [5, 4])
def test_who_has_no_address_has_no_part_in_it(brokers, version):
    """Without a user name, or with one that is no address: the broker's own rules, and no topic of the chat."""
    chat = with_tokens(brokers, start=False)
    passwords(chat, sensor="rabbit")
    chat.start()
    alice = session(chat, A)
    for name, word in ((None, None), ("sensor", "rabbit")):
        one = chat.mqtt(name, version=version, password=word)
        one.subscribe("chat/rooms/general")
        one.subscribe("chat/users/%s/presence" % A)
        one.subscribe("#")
        answer = one.send({"message": "hi"})
        assert answer == (0x87 if version == 5 else 0), answer
        alice.expect_nothing()
        alice.send({"message": "for members"})
        one.expect_nothing()
        assert one.subscribe("sensors/1") < 0x80
        assert one.publish("sensors/1", b"21.5") == 0
        assert one.expect().raw == b"21.5"
    assert chat.mqtt_refused("sensor", version=version, password="wrong") == (0x87 if version == 5 else 5)


@pytest.mark.parametrize("version", [5, 4])
def test_mqtt_clients_are_cut_off_at_the_end(chat, version):
    alice = session(chat, A)
    bob = chat.mqtt(B, version=version, password=chat.issuer.ending(B)).read_room()
    alice.send({"message": "hi"})
    bob.expect_message("hi", A)
    end = bob.next(8 * FACTOR)
    assert isinstance(end, Closed), end
    member(chat, B, version=version).read_room().alive()


@pytest.mark.parametrize("version", [5, 4])
def test_a_persistent_mqtt_session_goes_on_with_the_next_token(chat, version):
    kept = {"version": version, "client_id": "keeps", "clean": False, "session_expiry": 300}
    bob = chat.mqtt(B, password=chat.issuer.ending(B), **kept).read_room(qos=1)
    assert isinstance(bob.next(8 * FACTOR), Closed)
    alice = session(chat, A)
    for n in range(3):
        alice.send({"message": "while away %d" % n, "ref": "r%d" % n})
        alice.expect_ack("r%d" % n)
    bob = member(chat, B, **kept)
    assert bob.session_present
    for n in range(3):
        bob.expect_message("while away %d" % n, A)
    bob.expect_nothing()


# --- the end of a token ---

def test_nothing_is_said_long_before_the_end(chat):
    alice = session(chat, A)
    alice.expect_nothing()


def test_a_session_is_told_a_minute_before(chat):
    alice = chat.raw_ws(A, token=chat.issuer.token(A, WARNING + 3 * FACTOR), events="typing")
    alice.expect_ready()
    alice.expect_nothing()
    alice.expect(**EXPIRING)
    alice.expect_nothing()
    alice.send({"message": "and goes on", "ref": "1"})
    alice.expect_ack("1")


def test_a_session_ends_with_its_token(chat):
    bob = session(chat, B)
    alice = chat.plain_ws(A, token=chat.issuer.ending(A))
    alice.expect(**EXPIRING)
    alice.send({"message": "still good", "ref": "1"})
    alice.expect_ack("1")
    bob.expect_message("still good", A)
    expect_expired(alice)
    chat.wait_log(r"session of %s.* closed: 4002 token expired" % A)
    bob.expect_nothing()


def test_each_session_has_its_own_end(chat):
    """Two sessions and an MQTT client of one person."""
    long = session(chat, A)
    mqtt = member(chat, A).read_room()
    short = near_its_end(chat, A)
    expect_expired(short)
    bob = session(chat, B)
    bob.send({"message": "who is left?"})
    long.expect_message("who is left?", B)
    mqtt.expect_message("who is left?", B)
    long.expect_nothing()


def test_the_notice_is_in_the_language_of_the_others(brokers):
    chat = with_tokens(brokers, notices="es")
    alice = chat.plain_ws(A, token=chat.issuer.ending(A, 5))
    frame = alice.expect(**dict(EXPIRING, sender="Sistema"))
    english = with_tokens(brokers, chat.issuer)
    assert frame["message"] != english.plain_ws(A, token=chat.issuer.ending(A, 5)).expect(**EXPIRING)["message"]


# --- renewal ---

def test_a_renewed_session_outlives_its_first_token(chat):
    """The same session: nothing that is said meanwhile is lost or comes twice."""
    bob = session(chat, B)
    alice = near_its_end(chat, A, 4)
    other = near_its_end(chat, C, 4)  # whose end shows that the time is over
    for n in range(10):
        bob.send({"message": "before %d" % n})
    alice.send({"type": "token", "token": chat.issuer.token(A), "ref": "new"})
    for n in range(10):
        bob.send({"message": "after %d" % n})
    frames = [alice.next() for _ in range(21)]
    acks = [frame for frame in frames if frame.get("type") == "ack"]
    assert [(set(ack), ack["ref"]) for ack in acks] == [({"type", "ref"}, "new")], acks
    said = [frame["message"] for frame in frames if "id" in frame]
    assert said == ["%s %d" % (when, n) for when in ("before", "after") for n in range(10)], said
    other.drain_until_close(4002)
    alice.expect_nothing()
    alice.send({"message": "still here", "ref": "1"})
    bob.expect_message("still here", A)
    alice.expect_ack("1")


def test_a_renewal_may_be_shorter(chat):
    alice = session(chat, A)
    alice.send({"type": "token", "token": chat.issuer.ending(A), "ref": "1"})
    alice.expect_all({"type": "ack", "ref": "1"}, EXPIRING)
    expect_expired(alice)


def test_a_renewal_without_ref(chat):
    alice = near_its_end(chat, A)
    other = near_its_end(chat, C)
    alice.send({"type": "token", "token": chat.issuer.token(A)})
    alice.expect_nothing()
    expect_expired(other)
    alice.expect_nothing()


def test_a_bad_renewal_leaves_everything_as_it_was(chat):
    alice = session(chat, A)
    for n, (_, make) in enumerate(FAULTS[1:]):
        alice.send({"type": "token", "token": make(chat.issuer), "ref": "r%d" % n})
        frame = alice.expect(type="error", code="invalid_token", ref="r%d" % n, sender="System", message=ANY)
        assert set(frame) <= {"type", "code", "message", "sender", "field", "ref"}, frame
    alice.send({"message": "still here", "ref": "1"})
    alice.expect_ack("1")
    short = near_its_end(chat, B)
    short.send({"type": "token", "token": chat.issuer.token(A), "ref": "1"})
    short.expect(type="error", code="invalid_token", ref="1")
    expect_expired(short)


def test_a_frame_that_is_no_renewal(chat):
    alice = session(chat, A)
    for n, frame in enumerate(({}, {"token": 1}, {"token": None}, {"token": ""}, {"token": chat.issuer.token(A), "room": "general"})):
        alice.send({"type": "token", "ref": "r%d" % n, **frame})
        alice.expect(type="error", ref="r%d" % n, code=ANY, message=ANY)
    alice.expect_nothing()


def test_nobody_reads_a_renewal(chat):
    """It goes past every topic that somebody could read."""
    bob = member(chat, B)
    bob.subscribe("#")
    alice_too = member(chat, A)
    alice_too.subscribe("#")
    alice = session(chat, A)
    token = chat.issuer.token(A)
    alice.send({"type": "token", "token": token, "ref": "1"})
    expect_renewed(alice, "1")
    alice.send({"message": "behind it"})
    for one in (bob, alice_too):
        frames = []
        while not frames or frames[-1].get("message") != "behind it":
            frames.append(one.next())
        assert not any(token.encode() in frame.raw for frame in frames), frames


@pytest.mark.parametrize("auth", [None, "none", "broker"])
def test_without_tokens_there_is_no_renewal(brokers, auth):
    chat = with_passwords(brokers) if auth == "broker" else brokers(options={"auth": auth})
    alice = chat.ws(A, **({"token": WORDS[A]} if auth == "broker" else {}))
    alice.send({"type": "token", "token": Issuer().token(A), "ref": "1"})
    alice.expect(type="error", code="unavailable", ref="1")


# --- history, devices ---

def test_since_and_pages(brokers):
    chat = with_tokens(brokers, history=True)
    alice, bob = session(chat, A), session(chat, B)
    ids = []
    for n in range(4):
        alice.send({"message": "room %d" % n, "ref": "r%d" % n})
        ids.append(alice.expect_ack("r%d" % n)["id"])
    alice.send({"message": "psst", "to": B, "ref": "d"})
    ids.append(alice.expect_ack("d")["id"])
    wait_stored(chat, *ids)
    bob.close()
    bob = chat.raw_ws(B, token=chat.issuer.token(B), since=ids[0])
    replay = Replay(bob)
    assert [frame["message"] for frame in replay.replay["general"]] == ["room 1", "room 2", "room 3"]
    assert [frame["message"] for frame in replay.replay["inbox"]] == ["psst"]
    bob.send({"type": "history", "room": "general", "ref": "p"})
    assert len(bob.expect(type="history", ref="p")["messages"]) == 4
    bob.send({"type": "history", "with": A, "ref": "q"})
    assert [one["message"] for one in bob.expect(type="history", ref="q")["messages"]] == ["psst"]
    by_query(chat, B, chat.issuer.token(A), since=ids[0]).expect_close(4101)


def test_after_the_end_since_brings_what_was_missed(brokers):
    chat = with_tokens(brokers, history=True)
    bob = session(chat, B)
    bob.send({"message": "seen", "ref": "0"})
    seen = bob.expect_ack("0")["id"]
    alice = near_its_end(chat, A)
    expect_expired(alice)
    bob.send({"message": "missed", "ref": "1"})
    wait_stored(chat, bob.expect_ack("1")["id"])
    replay = Replay(chat.raw_ws(A, token=chat.issuer.token(A), since=seen))
    assert [frame["message"] for frame in replay.replay["general"]] == ["missed"]


def test_a_device_comes_back_with_another_token(chat):
    bob = session(chat, B)
    expect_expired(near_its_end(chat, A, device="phone"))
    bob.send({"message": "while away", "ref": "1"})
    bob.expect_ack("1")
    bob.send({"message": "psst", "to": A, "ref": "2"})
    bob.expect_all({"type": "ack", "ref": "2"}, {"code": "recipient_offline"})
    alice = session(chat, A, device="phone")
    alice.expect_all({"message": "while away", "sender": B}, {"message": "psst", "sender": B, "to": A})
    # And takes its own place, with a token of its own.
    again = session(chat, A, device="phone")
    alice.expect_close(4104)
    again.expect_nothing()


# --- HTTP ---

@pytest.mark.parametrize("how", ["header", "query"])
def test_http_with_a_token(brokers, how):
    chat = with_tokens(brokers, history=True)
    alice = session(chat, A)
    ids = []
    for n, to in enumerate((None, B)):
        alice.send({"message": "m%d" % n, "ref": "r%d" % n, **({"to": to} if to else {})})
        answers = [{"type": "ack", "ref": "r%d" % n}] + [{"code": "recipient_offline"}] * (to is not None)
        ids.append(alice.expect_all(*answers)[0]["id"])
    wait_stored(chat, *ids)

    def get(path, token):
        if token is None:
            return chat.http("GET", path)
        if how == "header":
            return chat.http("GET", path, [("Authorization", "Bearer " + token)])
        return chat.http("GET", path + ("&" if "?" in path else "?") + "token=" + token)

    pair, others = "/messages/%s_%s" % (A, B), "/messages/%s_%s" % (B, C)
    good = chat.issuer.token(A)
    wait_for(lambda: A in get("/users", good).body.decode(), "Alice among the users")
    assert [one["message"] for one in get("/rooms/general/messages?limit=5", good).json["messages"]] == ["m0"]
    for token in (good, chat.issuer.token(B)):
        assert [one["message"] for one in get(pair, token).json] == ["m1"]
        assert [one["message"] for one in get("/messages/%s_%s" % (B, A), token).json] == ["m1"]
    for path, token in ((others, good), (pair, chat.issuer.token(C))):
        answer = get(path, token)
        assert (answer.status, answer.json["error"]) == (403, "forbidden"), path
    for path in ("/users", "/rooms/general/messages", pair, others):
        for token in (None, "abc", spoil(good), chat.issuer.token(A, -LEEWAY - 1), unsigned(A)):
            answer = get(path, token)
            assert (answer.status, answer.json["error"]) == (401, "invalid_token"), (path, token)
            assert answer.headers["www-authenticate"] == "Bearer"
    head = chat.http("HEAD", "/users")
    assert head.status == 401 and head.headers["www-authenticate"] == "Bearer" and head.body == b""
    # Good within the leeway, as everywhere.
    assert get("/users", chat.issuer.ending(A, 9)).status == 200


def test_http_for_which_nobody_is_asked(chat):
    assert chat.http("GET", "/").status == 200
    assert chat.http("GET", "/chat-client.js").status == 200
    assert chat.http("GET", "/health").status == 200
    assert chat.http("OPTIONS", "/users").status == 204


# --- new keys ---

@pytest.fixture(params=["token_key_file", "token_jwks_file"])
def keyed(request, brokers):
    """chat, and a function that puts an issuer's keys in place of those that are there."""
    jwks = request.param == "token_jwks_file"
    first = Issuer("ES256", kid="first" if jwks else None)
    chat = with_tokens(brokers, jwks=[first]) if jwks else with_tokens(brokers, first)
    chat.take = lambda *issuers: write_keys(chat.keys, key_set(*issuers) if jwks else issuers[0].file())
    chat.next_issuer = Issuer("ES256", kid="second" if jwks else None)
    return chat


def reread(chat):
    """SIGHUP, up to where the broker has done with it."""
    since = len(chat.log())
    chat.hup()
    chat.wait_log("Reloading config", since=since)


def test_new_keys_at_a_reload(keyed):
    chat, old, new = keyed, keyed.issuer, keyed.next_issuer
    alice, bob = session(chat, A), session(chat, B)
    mqtt = member(chat, C).read_room()
    assert not lets_in(chat, A, new.token(A))
    chat.take(new)
    # A file alone does nothing: it takes the signal.
    assert lets_in(chat, A, old.token(A)) and not lets_in(chat, A, new.token(A))
    reread(chat)
    wait_for(lambda: lets_in(chat, A, new.token(A)), "the new key is in force")
    assert not lets_in(chat, A, old.token(A))
    # Who is in stays, and renews with the new key, not the old one.
    talk(alice, bob)
    assert mqtt.expect(message=ANY)["sender"] == A
    assert mqtt.expect(message=ANY)["sender"] == B
    mqtt.alive()
    alice.send({"type": "token", "token": old.token(A), "ref": "1"})
    alice.expect(type="error", code="invalid_token", ref="1")
    alice.send({"type": "token", "token": new.token(A), "ref": "2"})
    expect_renewed(alice, "2")
    chat.issuer = new
    alice.expect_nothing()


def test_two_keys_while_they_change(brokers):
    """As keys are rotated: the new one beside the old one, then alone."""
    old, new = Issuer("RS256", kid="old"), Issuer("ES256", kid="new")
    chat = with_tokens(brokers, jwks=[old])
    write_keys(chat.keys, key_set(old, new))
    reread(chat)
    wait_for(lambda: lets_in(chat, A, new.token(A)), "the new key is in force")
    assert lets_in(chat, A, old.token(A))
    write_keys(chat.keys, key_set(new))
    reread(chat)
    wait_for(lambda: not lets_in(chat, A, old.token(A)), "the old key has gone")
    assert lets_in(chat, A, new.token(A))


BAD_KEYS = [b"", b"short\n", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b'{"keys":[{"kty":"oct","k":"AA"}]}', b"x" * 70000, None]


@pytest.mark.parametrize("bad", BAD_KEYS, ids=lambda bad: "gone" if bad is None else repr(bad[:16]))
def test_a_bad_file_keeps_the_old_keys(keyed, bad):
    chat, old = keyed, keyed.issuer
    alice, bob = session(chat, A), session(chat, B)
    if bad is None:
        os.unlink(chat.keys)
    else:
        write_keys(chat.keys, bad)
    since = len(chat.log())
    reread(chat)
    chat.wait_log(chat.keys, since=since)
    assert lets_in(chat, A, old.token(A)) and not lets_in(chat, A, chat.next_issuer.token(A))
    talk(alice, bob)
    lines = [line for line in chat.log()[since:].splitlines() if chat.keys in line]
    assert len(lines) == 1, lines
    # And a good one is taken the next time.
    chat.take(chat.next_issuer)
    reread(chat)
    wait_for(lambda: lets_in(chat, A, chat.next_issuer.token(A)), "the new key is in force")


def test_options_that_change(brokers):
    """issuer, audience and the file's name in chat_config."""
    first, second = Issuer("ES256"), Issuer("RS256")
    chat = with_tokens(brokers, first, token_key_file=None, start=False)
    more = write_keys(chat.keys + ".2", second.file())
    chat.options["chat_config"] = chat.file("chat.conf", "token_key_file %s\n" % chat.keys)
    chat.start()
    alice = session(chat, A)
    assert lets_in(chat, A, first.token(A)) and not lets_in(chat, A, second.token(A))

    def take(text):
        since = len(chat.log())
        chat.file("chat.conf", text)
        chat.hup()
        chat.wait_log("new settings are in force", since=since)

    take("token_key_file %s\ntoken_issuer https://id.example\ntoken_audience chat\n" % more)
    assert not lets_in(chat, A, second.token(A)) and not lets_in(chat, A, first.token(A))
    assert lets_in(chat, A, second.token(A, iss="https://id.example", aud="chat"))
    # Both files, none, a relative path: as at the start, but the last good settings stay.
    for text in ("token_key_file %s\ntoken_jwks_file %s\n" % (more, more), "", "token_key_file token.key\n"):
        since = len(chat.log())
        chat.file("chat.conf", text)
        chat.hup()
        chat.wait_log("the last good settings stay", since=since)
        assert lets_in(chat, A, second.token(A, iss="https://id.example", aud="chat"))
    alice.send({"message": "still here", "ref": "1"})
    alice.expect_ack("1")


def test_a_reload_asks_nobody_for_a_token_again(chat):
    """The broker goes through everybody's password again at SIGHUP: that of a renewed session is over."""
    bob = session(chat, B)
    alice, over = near_its_end(chat, A, 4), near_its_end(chat, C, 4)
    device = near_its_end(chat, A, 4, device="phone")
    for one in (alice, device):
        one.send({"type": "token", "token": chat.issuer.token(A), "ref": "1"})
        expect_renewed(one, "1")
    expect_expired(over)
    reread(chat)
    bob.send({"message": "after the reload"})
    for one in (alice, device):
        one.expect_message("after the reload", B)
        one.expect_nothing()


# --- options ---

def refused(brokers, option, **options):
    chat = with_tokens(brokers, start=False, bridge=False, **options)
    chat.options = {name: value for name, value in chat.options.items() if value is not None}
    log = chat.start_refused()
    assert any(option in line for line in log.splitlines() if "chat" in line), log


def test_exactly_one_kind_of_keys(brokers, tmp_path):
    refused(brokers, "token_key_file", token_key_file=None)
    refused(brokers, "token_jwks_file", token_key_file=write_keys(str(tmp_path / "a"), Issuer().file()),
            token_jwks_file=write_keys(str(tmp_path / "b"), key_set(Issuer())))


@pytest.mark.parametrize("option", ["token_key_file", "token_jwks_file"])
@pytest.mark.parametrize("value", ["token.key", "./token.key", "/nowhere/token.key", "/"])
def test_a_path_that_is_none(brokers, option, value):
    refused(brokers, value if value.startswith("/") else option, **{option: value})


@pytest.mark.parametrize("bad", [bad for bad in BAD_KEYS if bad is not None], ids=lambda bad: repr(bad[:16]))
@pytest.mark.parametrize("option", ["token_key_file", "token_jwks_file"])
def test_bad_keys_at_the_start(brokers, tmp_path, option, bad):
    path = write_keys(str(tmp_path / "keys"), bad)
    refused(brokers, path, **{option: path})


@pytest.mark.parametrize("auth", [None, "none", "broker"])
@pytest.mark.parametrize("option", ["token_key_file", "token_jwks_file", "token_issuer", "token_audience", "token_email_claim"])
def test_token_options_without_tokens(brokers, tmp_path, auth, option):
    value = write_keys(str(tmp_path / "keys"), Issuer().file()) if option.endswith("_file") else "x"
    log = brokers(start=False, bridge=False, options={"auth": auth, option: value}).start_refused()
    assert "plugin_opt_" + option in log, log


# --- auth broker ---

WORDS = {A: "rabbit", B: "p&ss=w+\u00f6r%d", "sensor": "rabbit"}


def passwords(chat, **more):
    """A password_file with these."""
    path = chat.file("passwords", "")
    for name, word in more.items():
        subprocess.run(["mosquitto_passwd", "-b", path, name, word], check=True)
    chat.lines.append("password_file " + path)


def with_passwords(brokers, history=False, **options):
    words = dict(WORDS, **{MARKER: "marker-secret"})
    chat = with_history(brokers, start=False, history=history, auth="broker", **options)
    passwords(chat, **words)
    chat.password_of = words.get
    chat.secrets = ["marker-secret", "p&ss=w", "rabbit-hole"]
    return chat.start()


def test_the_broker_knows_the_passwords(brokers):
    chat = with_passwords(brokers)
    alice, bob = chat.ws(A, token=WORDS[A]), chat.ws(B, token=WORDS[B])
    talk(alice, bob)
    by_header(chat, A, WORDS[A]).expect_ready()
    by_subprotocol(chat, A, WORDS[A]).expect_ready()
    mqtt = chat.mqtt(A, password=WORDS[A]).read_room()
    bob.send({"message": "to all"})
    mqtt.expect_message("to all", B)
    sensor = chat.mqtt("sensor", password=WORDS["sensor"])
    assert sensor.send({"message": "x"}) == 0x87


def test_the_broker_knows_better(brokers):
    chat = with_passwords(brokers)
    bob = chat.ws(B, token=WORDS[B])
    for address, more in ((A, {}), (A, {"token": "rabbit-hole"}), (A, {"token": WORDS[B]}), (C, {"token": WORDS[A]}),
                          (A, {"token": Issuer().token(A)})):
        one = chat.raw_ws(address, **more)
        one.send({"message": "let me in"})
        one.expect_close(4101)
    assert chat.mqtt_refused(A, password="rabbit-hole") == 0x87
    assert chat.mqtt_refused(A) == 0x87
    bob.expect_nothing()


def test_the_reason_of_the_broker(brokers):
    chat = with_passwords(brokers)
    assert chat.raw_ws(A, token="rabbit-hole").expect_close(4101).reason == "token not accepted"
    assert chat.raw_ws(A).expect_close(4101).reason == "token missing"


def test_http_has_no_broker_to_ask(brokers):
    chat = with_passwords(brokers, history=True)
    for path in ("/users", "/rooms/general/messages", "/messages/%s_%s" % (A, B)):
        for headers in ([], [("Authorization", "Bearer " + WORDS[A])]):
            answer = chat.http("GET", path, headers)
            assert (answer.status, answer.json["error"]) == (403, "forbidden"), path
    assert chat.http("GET", "/health").status == 200


def test_a_reload_leaves_whoever_the_broker_knows(brokers):
    chat = with_passwords(brokers)
    alice, bob = chat.ws(A, token=WORDS[A]), chat.ws(B, token=WORDS[B])
    reread(chat)
    talk(alice, bob)


def test_a_reload_ends_whom_the_broker_knows_no_more(brokers):
    chat = with_passwords(brokers)
    alice, bob = chat.ws(A, token=WORDS[A]), chat.ws(B, token=WORDS[B])
    mqtt = chat.mqtt(A, password=WORDS[A])
    subprocess.run(["mosquitto_passwd", "-D", os.path.join(chat.folder, "passwords"), A], check=True)
    reread(chat)
    alice.expect_close(4003, 4101)
    assert isinstance(mqtt.next(), Closed)
    chat.raw_ws(A, token=WORDS[A]).expect_close(4101)
    bob.send({"message": "still here", "ref": "1"})
    bob.expect_ack("1")
