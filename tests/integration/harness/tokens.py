"""Tokens: who issues them (PyJWT, with keys made afresh), and brokers that ask for them.

    chat = with_tokens(brokers, Issuer("RS256"))
    alice = chat.ws(A, token=chat.issuer.token(A))
    bob = chat.mqtt(B, password=chat.issuer.token(B))

Every token that was made is searched for in the broker's log when the broker has ended (Broker.finish).
"""

import importlib.util
import os
import subprocess
import time

import jwt

from .broker import REPO
from .dialogue import ANY, FACTOR, MARKER, Closed
from .history import with_history

LEEWAY = 30     # seconds for which a token is good beyond its exp
WARNING = 60    # seconds before exp at which its session is told

_spec = importlib.util.spec_from_file_location("token_test_keys", os.path.join(REPO, "tests", "token", "keys.py"))
keys = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(keys)

MAKE = {"HS256": lambda kid: keys.Secret(32, kid), "RS256": lambda kid: keys.Rsa(2048, kid), "ES256": lambda kid: keys.Ec("P-256", kid)}


class Issuer:
    """One key, by the algorithm it signs with. kid: its name in a key set and in each token."""

    made = []  # of all issuers of the test: texts that no log may hold

    def __init__(self, kind="ES256", kid=None):
        self.kind = kind
        self.key = MAKE[kind](kid)
        if kind == "HS256":
            # Text of one line, as people have it in such a file.
            self.key.private = self.key.public = self.key.private.hex().encode()

    def token(self, address, seconds=600, header=None, **claims):
        """A token that says exp = now + seconds. claims: further ones; None takes one away."""
        claims = {"exp": int(time.time()) + seconds, "email": address, **claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        header = dict({"kid": self.key.kid} if self.key.kid else {}, **(header or {}))
        token = jwt.encode(claims, self.key.private, algorithm=self.kind, headers=header)
        Issuer.made.append(token)
        return token

    def ending(self, address, left=3, **more):
        """A token whose exp is past, and whose leeway is over in so many seconds."""
        return self.token(address, left * FACTOR - LEEWAY, **more)

    def file(self):
        """What token_key_file holds: a secret, or a public key in PEM."""
        return self.key.public + b"\n" if self.kind == "HS256" else keys.pem(self.key)


def key_set(*issuers):
    """What token_jwks_file holds."""
    return keys.key_set([issuer.key for issuer in issuers])


def spoil(token):
    """The same with another signature."""
    head, claims, signature = token.split(".")
    spoiled = ".".join([head, claims, ("B" if signature[0] == "A" else "A") + signature[1:]])
    Issuer.made.append(spoiled)
    return spoiled


def unsigned(address, seconds=600):
    """alg none."""
    token = jwt.encode({"exp": int(time.time()) + seconds, "email": address}, None, algorithm="none")
    Issuer.made.append(token)
    return token


def write_keys(path, what):
    """Keys (bytes), as a rename puts them in place."""
    with open(path + ".new", "wb") as f:
        f.write(what)
    os.chmod(path + ".new", 0o644)  # the broker may run as another user
    os.replace(path + ".new", path)
    return path


def with_tokens(brokers, issuer=None, jwks=None, start=True, history=False, **options):
    """A broker with auth token. jwks: the issuers of a key set; issuer: whose tokens the harness itself uses."""
    chat = with_history(brokers, start=False, history=history, auth="token", **options)
    chat.issuer = issuer or (jwks[0] if jwks else Issuer())
    chat.keys = write_keys(os.path.join(chat.folder, "jwks.json" if jwks else "token.key"),
                           key_set(*jwks) if jwks else chat.issuer.file())
    if "token_key_file" not in chat.options and "token_jwks_file" not in chat.options:
        chat.options["token_jwks_file" if jwks else "token_key_file"] = chat.keys
    chat.password_of = lambda address: chat.issuer.token(address)
    chat.secrets = Issuer.made
    return chat.start() if start else chat


# --- in tests ---

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"


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


def by_query(chat, address, token, **more):
    return chat.raw_ws(address, token=token, events="typing", **more)


def by_header(chat, address, token, **more):
    return chat.raw_ws(address, headers=[("Authorization", "Bearer " + token)], events="typing", **more)


def by_subprotocol(chat, address, token, **more):
    return chat.raw_ws(address, headers=[("Sec-WebSocket-Protocol", "bearer, " + token)], events="typing", **more)


WAYS = [by_query, by_header, by_subprotocol]


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
