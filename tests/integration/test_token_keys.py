"""Keys and rules that change while the broker runs, options that do not fit; auth broker."""

import os
import subprocess

import pytest

from harness.dialogue import ANY, Closed, wait_for
from harness.tokens import (A, B, C, WORDS, Issuer, by_header, by_subprotocol, expect_expired, expect_renewed, key_set,
                            lets_in, member, near_its_end, session, talk, with_passwords, with_tokens,
                            write_keys)


@pytest.fixture
def chat(brokers):
    return with_tokens(brokers)


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


def test_bad_keys_keep_the_rules_they_came_with(brokers):
    """An issuer that is new in chat_config does not come into force with the keys of the old one."""
    chat = with_tokens(brokers, start=False)
    config = chat.file("chat.conf", "token_issuer https://old.example\n")
    chat.options["chat_config"] = config
    chat.password_of = lambda address: chat.issuer.token(address, iss="https://old.example")
    chat.allow("chat: ")
    chat.start()
    write_keys(config, b"token_issuer https://new.example\n")
    write_keys(chat.keys, b"short\n")
    reread(chat)
    assert lets_in(chat, A, chat.issuer.token(A, iss="https://old.example"))
    assert not lets_in(chat, A, chat.issuer.token(A, iss="https://new.example"))
    write_keys(chat.keys, chat.issuer.file())
    chat.password_of = lambda address: chat.issuer.token(address, iss="https://new.example")
    reread(chat)
    assert not lets_in(chat, A, chat.issuer.token(A, iss="https://old.example"))
    assert lets_in(chat, A, chat.issuer.token(A, iss="https://new.example"))


def test_a_reload_asks_nobody_for_a_token_again(brokers):
    """The broker goes through everybody's password again at SIGHUP: that of a renewed session is over."""
    chat = with_tokens(brokers, ping_interval="10m")  # nobody answers one while another is waited for
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
