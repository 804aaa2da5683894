"""Tokens: who issues them (PyJWT, with keys made afresh), and brokers that ask for them.

    chat = with_tokens(brokers, Issuer("RS256"))
    alice = chat.ws(A, token=chat.issuer.token(A))
    bob = chat.mqtt(B, password=chat.issuer.token(B))

Every token that was made is searched for in the broker's log when the broker has ended (Broker.finish).
"""

import importlib.util
import os
import time

import jwt

from .broker import REPO
from .dialogue import FACTOR
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

