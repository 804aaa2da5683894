"""token.c and PyJWT say the same of tokens.

Thousands of generated tokens go through token.c (by way of token-driver) and through PyJWT. What token.c takes,
PyJWT takes: to that there is no exception. Where token.c is the stricter of the two, why() says so and for what
reason. CHAT_BUILD_DIR names the build, CHAT_SEED another seed, CHAT_TOKENS another number.
"""

import base64
import collections
import json
import os
import pathlib
import random
import re
import subprocess
import time
import warnings

import jwt
import pytest

from keys import Ec, Ed25519, Rsa, Secret, base64url, key_set, pem, sign
from tokens import Generator, Question, Draft

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DRIVER = pathlib.Path(os.environ.get("CHAT_BUILD_DIR", REPOSITORY / "build")) / "tests/token/token-driver"
TOKENS = int(os.environ.get("CHAT_TOKENS", "8000"))
FIXED_SEED = 20261126
LEEWAY = 30
TOKEN_MAX = 8192

KEYS = [Secret(32, "h32"), Secret(64, "h64"), Rsa(2048, "r1"), Rsa(3072, "r\u00e9 2"), Ec("P-256", "p256"), Ec("P-384", "p384"),
        Ec("P-521", "p521"), Ec("P-256"), Rsa(2048), Secret(48)]
ADDRESS = re.compile(r"(?P<local>[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64})@"
                     r"(?P<domain>[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*)")

warnings.simplefilter("ignore")  # what newer versions say of short secrets


# -- token.c ----------------------------------------------------------------------------

def run(feed):
    answers = subprocess.run([DRIVER], input=feed, stdout=subprocess.PIPE, check=True, timeout=600).stdout.decode().split("\n")
    assert answers.pop() == ""
    return [answer.split("\t") for answer in answers]


def escaped(word):
    return "-" if word is None else word


def ask(questions, now, keys=KEYS):
    text = key_set(keys)
    feed = b"jwks %d\n%s" % (len(text), text)
    for q in questions:
        feed += ("token %d %d %s %s %s\n" % (len(q.token), now, escaped(q.issuer), escaped(q.audience), q.claim)).encode() + q.token
    answers = run(feed)
    assert answers[0][0] == "keys", answers[0]
    assert len(answers) == len(questions) + 1
    return answers[1:]


# -- PyJWT, with the keys chosen by hand ----------------------------------------------------

class Refused(Exception):
    pass


def candidates(header, keys):
    """Those that answer to the name, or those without one, or all; as far as they are for the algorithm."""
    kid = header.get("kid")
    if kid is not None:
        named = [key for key in keys if key.kid == kid]
        keys = named or [key for key in keys if key.kid is None]
    return [key for key in keys if header.get("alg") in key.algs]


def pyjwt(q, keys):
    """The claims, or Refused."""
    try:
        header = jwt.get_unverified_header(q.token)
        found = candidates(header, keys)
    except Exception as error:  # also those that are no jwt.PyJWTError
        raise Refused(repr(error)) from None
    fault = "no key"
    for key in found:
        try:
            return jwt.decode(q.token, key.public, algorithms=key.algs, audience=q.audience, issuer=q.issuer, leeway=LEEWAY,
                              options={"require": ["exp"] + ["iss"] * bool(q.issuer) + ["aud"] * bool(q.audience)})
        except Exception as error:
            fault = repr(error)
    raise Refused(fault)


def identity(claims, claim):
    """Our own rules on top: an address, verified."""
    email = claims.get(claim)
    match = ADDRESS.fullmatch(email) if isinstance(email, str) and len(email) <= 254 else None
    if not match:
        raise Refused("no address")
    verified = claims.get("email_verified", True)
    if claim == "email" and verified is not True and verified != "true":
        raise Refused("not verified")
    return match["local"] + "@" + match["domain"].lower()


# -- where token.c is stricter, and why --------------------------------------------------------

class Twice(Exception):
    pass


def members(pairs):
    if len({key for key, _ in pairs}) < len(pairs):
        return {"twice": True}
    return dict(pairs)


def constant(name):
    raise ValueError(name)


def top_level(data):
    """A part's object by the rules of RFC 8259 alone, or ValueError."""
    text = data.decode("utf-8")
    depth = deepest = 0
    for c in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (c in "[{") - (c in "]}")
        deepest = max(deepest, depth)
    if deepest > 64 or text.startswith("\ufeff"):
        raise ValueError("too deep, or with a mark in front")
    seen = []
    value = json.loads(text, object_pairs_hook=lambda pairs: seen.append(pairs) or dict(pairs), parse_constant=constant)
    if not isinstance(value, dict):
        raise ValueError("no object")
    json.dumps(value, ensure_ascii=False).encode()  # lone surrogates
    keys = [key for key, _ in seen[-1]]
    if len(set(keys)) < len(keys):
        raise ValueError("a member twice")
    if len(keys) > 64:
        raise ValueError("more than 64 members")
    return value


def why(q):
    """Why token.c refuses what PyJWT may take; None where it has no reason of its own."""
    if len(q.token) > TOKEN_MAX:
        return "too long"
    parts = q.token.split(b".")
    if len(parts) != 3:
        return "not three parts"
    for part in parts:
        if not re.fullmatch(rb"[A-Za-z0-9_-]*", part) or len(part) % 4 == 1 or \
                base64url(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))) != part:
            return "not strict base64url"
    try:
        header, claims = (top_level(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))) for part in parts[:2])
    except ValueError as error:
        return "not strict JSON: %s" % error
    if "crit" in header or "b64" in header:
        return "crit or b64"
    if header.get("typ", "JWT") is None or str(header.get("typ", "JWT")).lower() not in ("jwt", "at+jwt", "application/jwt",
                                                                                          "application/at+jwt"):
        return "typ"
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "a date that is no number"
        if not -253402300799 <= value <= 253402300799:
            return "a date beyond the year 9999"
    if q.audience is None and "aud" in claims:
        return "an audience that nobody asked for"
    if "kid" in header and not isinstance(header["kid"], str):
        return "a kid that is no text"
    return None


# -- the comparison -------------------------------------------------------------------------

def disagreement(q, answer, keys=KEYS):
    try:
        claims = pyjwt(q, keys)
        who = identity(claims, q.claim)
    except Refused as refusal:
        if answer[0] == "good":
            return "taken by token.c, refused by PyJWT: %s" % refusal
    else:
        reason = why(q)
        if answer[0] == "good" and reason:
            return "taken, although %s" % reason
        if answer[0] != "good" and not reason:
            return "taken by PyJWT, refused by token.c as %s" % answer[0]
        if answer[0] == "good" and answer[1:] != [who, str(int(claims["exp"] // 1))]:
            return "for whom and until when: %s" % answer
    if not q.faults and answer[0] != "good":
        return "meant to be good, refused as %s" % answer[0]
    if len(q.faults) == 1 and answer[0] not in q.faults[0].split("|"):
        return "meant to be %s, refused as %s" % (q.faults[0], answer[0])
    return None


def compare(questions, now, keys=KEYS):
    answers = ask(questions, now, keys)
    faults = ["%s: %r" % (d, q) for q, a in zip(questions, answers) for d in [disagreement(q, a, keys)] if d]
    assert not faults, "%d disagreements, the first: %s" % (len(faults), "\n".join(faults[:5]))
    return collections.Counter(a[0] for a in answers)


@pytest.mark.parametrize("seed", [FIXED_SEED, "fresh"])
def test_generated_tokens(seed):
    if seed == "fresh":
        seed = int(os.environ.get("CHAT_SEED") or random.SystemRandom().randrange(2 ** 32))
    print("CHAT_SEED=%d CHAT_TOKENS=%d" % (seed, TOKENS))
    now = int(time.time())
    generator = Generator(seed, KEYS, now)
    total = collections.Counter()
    for _ in range(0, TOKENS, 1000):  # so that the two clocks stay together
        generator.now = now = int(time.time())
        total += compare([generator.question() for _ in range(min(1000, TOKENS))], now)
    print(", ".join("%s %d" % item for item in total.most_common()))

    # A corpus that no longer reaches some rule would prove nothing of it.
    assert TOKENS / 5 < total["good"] < TOKENS * 4 / 5
    if TOKENS >= 8000:
        for name in ("malformed", "unsupported", "algorithm_not_allowed", "bad_signature", "missing_claim", "expired",
                     "not_yet_valid", "wrong_issuer", "wrong_audience", "not_an_address", "unverified_address"):
            assert total[name] >= 20, name


def question(key, alg, header, claims, **asked):
    data = b".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    q = Question(data + b"." + base64url(sign(key, alg, data)), Draft())
    for name, value in asked.items():
        setattr(q, name, value)
    return q


def test_unknown_key():
    now = int(time.time())
    named = [key for key in KEYS if key.kid]
    q = question(KEYS[0], "HS256", {"alg": "HS256", "kid": "x"}, {"exp": now + 300, "email": "a@b"})
    assert ask([q], now, named) == [["unknown_key"]]


@pytest.mark.parametrize("key", [key for key in KEYS if not isinstance(key, Secret)], ids=lambda key: "%s %s" % (key.algs[0], key.kid))
def test_keys_in_pem(key):
    now, text = int(time.time()), pem(key)
    tokens = [question(key, alg, {"alg": alg, "kid": "of somebody"}, {"exp": now + 300, "email": "a@b"}).token for alg in key.algs]
    feed = b"file %d\n%s" % (len(text), text) + b"".join(b"token %d %d - - -\n%s" % (len(t), now, t) for t in tokens)
    assert run(feed) == [["keys", "1", "0"]] + [["good", "a@b", str(now + 300)]] * len(tokens)


def test_key_of_a_kind_that_is_not_known():
    now, key = int(time.time()), Ed25519("ed")
    q = question(key, "EdDSA", {"alg": "EdDSA", "kid": "ed"}, {"exp": now + 300, "email": "a@b"})
    text = key_set(KEYS + [key])
    feed = b"jwks %d\n%s" % (len(text), text) + b"token %d %d - - -\n%s" % (len(q.token), now, q.token)
    assert run(feed) == [["keys", "10", "1"], ["algorithm_not_allowed"]]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: "%s %s" % (key.algs[0], key.kid))
def test_every_prefix_and_every_bit(key):
    """Refused by both of them, or by token.c alone: never taken."""
    now = int(time.time())
    alg = key.algs[-1]
    good = question(key, alg, {"alg": alg}, {"exp": now + 300, "email": "a@b"})
    bent = [good.token[:n] for n in range(len(good.token))]
    bent += [good.token[:n] + bytes([good.token[n] ^ 1 << bit]) + good.token[n + 1:] for n in range(len(good.token)) for bit in range(8)]
    questions = [good]
    for token in bent:
        q = Question(token, Draft())
        q.faults = ["?", "?"]
        questions.append(q)
    answers = ask(questions, now, [key])
    assert answers[0][0] == "good"
    assert [q for q, a in zip(questions[1:], answers[1:]) if a[0] == "good"] == []
