"""auth token: who gets in with which token and by which way, over WebSocket, MQTT and HTTP."""

import pytest

from harness.dialogue import FACTOR, Closed, wait_for
from harness.history import wait_stored
from harness.tokens import (A, B, C, FAULTS, LEEWAY, WAYS, Issuer, by_header, by_query, by_subprotocol, expect_refused,
                            member, passwords, session, spoil, unsigned, with_tokens)
from harness.tunnel import Tunnel
from harness.websocket import HttpAnswer, session_path

KINDS = ["HS256", "RS256", "ES256"]


@pytest.fixture
def chat(brokers):
    return with_tokens(brokers)


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
