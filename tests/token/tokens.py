"""Tokens: good ones, ones with one fault, ones with several, and bent bytes, from a seed."""

import json
import random

from keys import Ec, Ed25519, Rsa, Secret, base64url, pem, sign

EMAILS = ["alice@x.org", "Bob@X.ORG", "o'hara+x/y@ex-1.example", "a@b", "{~}_%@1.2.3.4", "z" * 64 + "@x.org"]
BAD_EMAILS = ["", "a", "a@", "@x.org", "a@@x.org", "a b@x.org", "a@x..org", "a@x.org ", "\na@x.org", "a@\u00e9.org", "a@x.org\0",
              "Alice <a@x.org>", "z" * 65 + "@x.org", "a@" + "l" * 64, "a@x.org,b@x.org"]
ISSUER, AUDIENCE = "https://id.example/r\u00e9alm", "chat"
YEAR = 365 * 86400


class Raw(str):
    """JSON text that goes into a part as it is."""


class Draft:
    """What a token is made from. header and claims are lists of pairs."""

    def __init__(self):
        self.header, self.claims = [], []
        self.key = self.alg = None     # what signs
        self.signed = True             # False: no signature
        self.before = []               # changes of the two texts: functions of (header, claims)
        self.after = []                # changes of the whole token
        self.signature = []            # changes of the signature's bytes
        self.issuer = self.audience = None
        self.claim = "email"
        self.faults = []               # the names that are right, for each bend

    def set(self, pairs, name, value):
        pairs[:] = [pair for pair in pairs if pair[0] != name] + [(name, value)]

    def remove(self, pairs, name):
        pairs[:] = [pair for pair in pairs if pair[0] != name]


class Question:
    def __init__(self, token, draft):
        self.token, self.issuer, self.audience, self.claim = token, draft.issuer, draft.audience, draft.claim
        self.faults = draft.faults

    def __repr__(self):
        return "issuer=%r audience=%r claim=%r faults=%r token=%r" % (self.issuer, self.audience, self.claim, self.faults,
                                                                   self.token[:4000])


class Generator:
    def __init__(self, seed, keys, now):
        self.random, self.keys, self.now = random.Random(seed), keys, now
        self.strange = {"secret": Secret(64), "rsa": Rsa(), "ec": Ec("P-256"), "ed": Ed25519()}
        self.bends = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("bend_")]

    # -- JSON in the many ways to write it ----------------------------------------

    def string(self, s):
        eager = self.random.choice([0, 0, 0, 0.1, 1])
        if eager == 0:
            return json.dumps(s, ensure_ascii=self.random.random() < 0.5)
        out = ""
        for c in s:
            if self.random.random() >= eager or ord(c) > 0xffff:
                out += json.dumps(c)[1:-1]
            elif c == "/" and self.random.random() < 0.5:
                out += "\\/"
            else:
                out += "\\u%04x" % ord(c)
        return '"%s"' % out

    def value(self, v):
        if isinstance(v, Raw):
            return str(v)
        if isinstance(v, str):
            return self.string(v)
        if isinstance(v, list):
            return "[%s]" % ",".join(self.space() + self.value(x) for x in v)
        return json.dumps(v)

    def space(self):
        return self.random.choice(["", "", "", "", " ", "\r\n", "\t"])

    def object(self, pairs):
        self.random.shuffle(pairs)
        return "%s{%s}%s" % (self.space(), ",".join(self.space() + self.string(k) + self.space() + ":" + self.space() + self.value(v)
                                                    for k, v in pairs), self.space())

    def date(self, seconds):
        """As an integer, a fraction or with an exponent."""
        return self.random.choice([seconds, seconds, seconds + 0.25, Raw("%d.0" % seconds), Raw("%de0" % seconds),
                                   Raw("%.9fE9" % (seconds / 1e9)), Raw("%d.%s" % (seconds, "0" * 60))])

    # -- a good one -------------------------------------------------------------------

    def good(self):
        r, d = self.random, Draft()
        d.key = r.choice(self.keys)
        d.alg = r.choice(d.key.algs)
        d.header = [("alg", d.alg)]
        if r.random() < 0.5:
            d.header.append(("typ", r.choice(["JWT", "jwt", "at+jwt", "application/at+jwt"])))
        if d.key.kid is not None and r.random() < 0.6:
            d.header.append(("kid", d.key.kid))
        elif d.key.kid is None and r.random() < 0.2:
            d.header.append(("kid", "of nobody"))
        if r.random() < 0.1:
            d.header.append((r.choice(["jku", "x5u"]), "https://evil.example/keys"))
        if r.random() < 0.1:
            d.header.append(("jwk", Raw(json.dumps(self.strange["rsa"].jwk()))))
        d.claims = [("exp", self.date(self.now + r.choice([300, 3600, YEAR, 100 * YEAR]))), ("sub", "1234")]
        if r.random() < 0.1:
            d.claim = r.choice(["upn", "https://x.org/email", "\u00e9-mail"])
        d.claims.append((d.claim, r.choice(EMAILS)))
        if r.random() < 0.5:
            d.claims.append(("iat", self.date(self.now - r.choice([300, YEAR, 50 * YEAR]))))
        if r.random() < 0.3:
            d.claims.append(("nbf", self.date(self.now - r.choice([300, YEAR]))))
        if r.random() < 0.4:
            d.issuer = ISSUER
        if d.issuer or r.random() < 0.3:
            d.claims.append(("iss", ISSUER))
        if r.random() < 0.4:
            d.audience = AUDIENCE
            d.claims.append(("aud", r.choice([AUDIENCE, [AUDIENCE], ["mail", AUDIENCE]])))
        if r.random() < 0.2:
            d.claims.append(("email_verified", r.choice([True, "true"])))
        if r.random() < 0.3:
            d.claims.append((r.choice(["name", "roles", "", "\U0001f600"]), r.choice(["\u00e9\U0001f600", [1, [2, {}]], None, 1e300, -0.0])))
        return d

    # -- faults, one each -----------------------------------------------------------------

    def bend_expired(self, d):
        d.set(d.claims, "exp", self.date(self.now - self.random.choice([300, YEAR, self.now, self.now + 5])))
        return "expired"

    def bend_exp_is_no_date(self, d):
        d.set(d.claims, "exp", self.random.choice([
            str(self.now + 300), "", None, True, False, [], Raw("{}"), Raw("1e400"), Raw("-1e400"), Raw("NaN"), Raw("Infinity"),
            Raw("1e999999999"), Raw("9" * 400), Raw("%d" % ((self.now + 300) * 1000)), Raw("0%d" % (self.now + 300)),
            Raw("+%d" % (self.now + 300)), Raw("%d." % (self.now + 300)), Raw("0x7fffffff"), Raw("1_900_000_000"), Raw("253402300800")]))
        return "malformed"

    def bend_no_exp(self, d):
        d.remove(d.claims, "exp")
        return "missing_claim"

    def bend_early(self, d):
        d.set(d.claims, self.random.choice(["nbf", "iat"]), self.date(self.now + self.random.choice([300, YEAR])))
        return "not_yet_valid"

    def bend_nbf_is_no_date(self, d):
        d.set(d.claims, self.random.choice(["nbf", "iat"]), self.random.choice(["1", "x", None, True, [1], Raw("1e400"), Raw("NaN")]))
        return "malformed"

    def bend_issuer(self, d):
        d.issuer = ISSUER
        value = self.random.choice([ISSUER + "/", ISSUER[:-1], "", [ISSUER], None, 1, ISSUER.upper(), ISSUER + "\0", "gone"])
        if value == "gone":
            d.remove(d.claims, "iss")
            return "missing_claim"
        d.set(d.claims, "iss", value)
        return "wrong_issuer"

    def bend_audience(self, d):
        d.audience = AUDIENCE
        value = self.random.choice(["mail", "", [], ["mail", "wiki"], "CHAT", "chat ", "chat\0", "gone"])
        if value == "gone":
            d.remove(d.claims, "aud")
            return "missing_claim"
        d.set(d.claims, "aud", value)
        return "wrong_audience"

    def bend_audience_is_none(self, d):
        d.audience = AUDIENCE
        d.set(d.claims, "aud", self.random.choice([1, True, Raw("{}"), Raw('{"chat":1}'), [AUDIENCE, 1], [[AUDIENCE]], [None]]))
        return "malformed"

    def bend_audience_of_others(self, d):
        d.audience = None
        d.set(d.claims, "aud", self.random.choice([AUDIENCE, [AUDIENCE], "", []]))
        return "wrong_audience"

    def bend_no_address(self, d):
        d.remove(d.claims, d.claim)
        return "missing_claim"

    def bend_address(self, d):
        d.set(d.claims, d.claim, self.random.choice(BAD_EMAILS + [None, 1, ["alice@x.org"], Raw("{}")]))
        return "not_an_address"

    def bend_unverified(self, d):
        d.remove(d.claims, d.claim)
        d.claim = "email"
        d.set(d.claims, "email", "alice@x.org")
        d.set(d.claims, "email_verified", self.random.choice([False, "false", None, 0, "", "TRUE"]))
        return "unverified_address"

    def bend_none(self, d):
        d.set(d.header, "alg", self.random.choice(["none", "None", "NONE", "nOnE", "", "null", "EdDSA", "hs256", "HS256 ", "A128KW"]))
        d.signed = self.random.random() < 0.5
        return "algorithm_not_allowed"

    def bend_alg_is_no_text(self, d):
        value = self.random.choice([None, 1, ["HS256"], Raw("{}"), "gone"])
        d.remove(d.header, "alg")
        if value != "gone":
            d.header.append(("alg", value))
        return "malformed"

    def bend_confusion(self, d):
        """An HMAC with a public key as secret; its header says so, or does not."""
        key = self.random.choice([key for key in self.keys if not isinstance(key, Secret)])
        d.alg = "HS256"
        d.set(d.header, "alg", self.random.choice(["HS256", "HS256", key.algs[0]]))
        d.remove(d.header, "kid")
        if key.kid is not None:
            d.header.append(("kid", key.kid))
        text = pem(key)
        d.key = self.random.choice([text, text.rstrip(), text.replace(b"\n", b"\r\n")])
        # a nameless key is one of all where no name is said
        return "algorithm_not_allowed|bad_signature" if key.kid is None or dict(d.header)["alg"] != "HS256" else "algorithm_not_allowed"

    def bend_algorithm_of_another_length(self, d):
        key = self.random.choice([key for key in self.keys if isinstance(key, Ec)])
        d.key, d.alg = key, self.random.choice(["ES" + n for n in ("256", "384", "512") if "ES" + n not in key.algs])
        d.set(d.header, "alg", d.alg)
        d.remove(d.header, "kid")
        if key.kid is not None:
            d.header.append(("kid", key.kid))
            return "algorithm_not_allowed"
        return "bad_signature"

    def bend_another_key(self, d):
        d.key = self.strange[{"H": "secret", "R": "rsa", "P": "rsa", "E": "ec"}[d.alg[0]]] if not isinstance(d.key, bytes) else b"x" * 32
        return "bad_signature"

    def bend_unknown_key(self, d):
        if d.key not in self.keys or d.key.kid is None:
            return self.bend_another_key(d)
        d.set(d.header, "kid", self.random.choice(["", "x", d.key.kid + "\0", d.key.kid + " ", "../../../dev/null", "k" * 5000, "' or 1=1--"]))
        # there are keys without a name, which are tried then; the library reads no NUL
        return "bad_signature|algorithm_not_allowed|malformed"

    def bend_kid_is_no_text(self, d):
        d.set(d.header, "kid", self.random.choice([None, 1, True, ["k"], Raw("{}")]))
        return "malformed"

    def bend_critical(self, d):
        name, value = self.random.choice([("crit", ["exp"]), ("crit", []), ("crit", None), ("b64", False), ("b64", True)])
        d.set(d.header, name, value)
        return "unsupported"

    def bend_type(self, d):
        d.set(d.header, "typ", self.random.choice(["dpop+jwt", "logout+jwt", "JWE", "", "JWT ", "JWT\0", "x" * 100]))
        return "unsupported"

    def bend_signature_gone(self, d):
        d.signed = False
        return "bad_signature"

    def bend_signature_length(self, d):
        d.signature.append(self.random.choice([lambda s: s[:-1], lambda s: s + b"\0", lambda s: b"\0" + s, lambda s: s + s,
                                               lambda s: s[:self.random.randrange(len(s) or 1)]]))
        return "bad_signature"

    def bend_signature_bit(self, d):
        def flip(s):
            at = self.random.randrange(len(s) * 8) if s else 0
            return bytes(c ^ (1 << at % 8 if i == at // 8 else 0) for i, c in enumerate(s)) or b"x"
        d.signature.append(flip)
        return "bad_signature"

    def bend_duplicate(self, d):
        pairs = self.random.choice([d.header, d.claims])
        if pairs:
            name, value = self.random.choice(pairs)
            pairs.append((name, self.random.choice([value, value, None, "x"])))
        else:
            d.before.append(lambda h, c: (h, "{"))
        return "malformed"

    def bend_json(self, d):
        change = self.random.choice([
            lambda t: t + "x", lambda t: t.rstrip()[:-1], lambda t: "\ufeff" + t, lambda t: "[" + t + "]", lambda t: t.rstrip()[:-1] + ",}",
            lambda t: "/**/" + t, lambda t: "", lambda t: t + "\0", lambda t: t.strip()[:-1] + ',"x":"\\ud800"}',
            lambda t: t.strip()[:-1] + ',"x":NaN}', lambda t: t.strip()[:-1] + ',"x":-Infinity}', lambda t: t.strip()[:-1] + ",'x':1}",
            lambda t: t.strip()[:-1] + ',"x":' + "[" * 70 + "]" * 70 + "}", lambda t: t.strip()[:-1] + ',"x":"\n"}',
            lambda t: t.strip()[:-1] + "".join(',"c%d":1' % i for i in range(70)) + "}"])
        which = self.random.random() < 0.5
        text = lambda t: change(t) if isinstance(t, str) else t  # bytes: bent already
        d.before.append(lambda h, c: (text(h), c) if which else (h, text(c)))
        return "malformed"

    def bend_encoding(self, d):
        change = self.random.choice([lambda b: b.strip()[:-1] + b',"x":"\xff"}', lambda b: b.strip()[:-1] + b',"x":"\xed\xa0\x80"}',
                                     lambda b: b.strip()[:-1] + b',"x":"\xc0\xaf"}', lambda b: b.decode().encode("utf-16"),
                                     lambda b: b.decode().encode("utf-32-le")])
        which = self.random.random() < 0.5
        d.before.append(lambda h, c: (self.bytes(h, change), c) if which else (h, self.bytes(c, change)))
        return "malformed"

    @staticmethod
    def bytes(text, change):
        try:
            return change(text if isinstance(text, bytes) else text.encode())
        except UnicodeError:
            return b"\xff"

    def bend_base64(self, d):
        def change(token):
            parts = token.split(b".")
            at = self.random.randrange(len(parts))
            part = parts[at]
            place = self.random.randrange(len(part) + 1)
            kind = self.random.randrange(5)
            if kind == 0:
                part = part + b"=" * self.random.choice([1, 2, -len(part) % 4 or 4])
            elif kind == 1:
                part = part[:place] + self.random.choice([b" ", b"\n", b"=", b"+", b"/", b"\0", b"!", b"\xff", b"%", b"A=A"]) + part[place:]
            elif kind == 2 and (b"-" in part or b"_" in part):
                part = part.replace(b"-", b"+").replace(b"_", b"/")
            elif kind == 3 and len(part) % 4 in (2, 3):  # bits that belong to no byte
                digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                part = part[:-1] + digits[digits.index(part[-1:]) | 1:][:1] if part[-1:] in digits else part + b"="
            else:
                part = part + b"=" * (-len(part) % 4 or 4)
            parts[at] = part
            return b".".join(parts)
        d.after.append(change)
        return "malformed"

    def bend_parts(self, d):
        d.after.append(self.random.choice([lambda t: t + b".", lambda t: b"." + t, lambda t: t.rpartition(b".")[0], lambda t: t.partition(b".")[2],
                                           lambda t: t.replace(b".", b"", 1), lambda t: b"", lambda t: b"..", lambda t: t + b"." + t,
                                           lambda t: b"Bearer " + t, lambda t: t + b"\n", lambda t: b'{"payload":"' + t + b'"}']))
        return "malformed"

    def bend_length(self, d):
        size = self.random.choice([8200, 10000, 100000])
        d.set(d.claims, "x", "x" * size)
        return "malformed"

    # -- together -------------------------------------------------------------------------

    def token(self, d):
        header, claims = self.object(d.header), self.object(d.claims)
        for change in d.before:
            header, claims = change(header, claims)
        parts = [base64url(p if isinstance(p, bytes) else p.encode("utf-8", "surrogatepass")) for p in (header, claims)]
        data = b".".join(parts)
        signature = sign(d.key, d.alg, data) if d.signed else b""
        for change in d.signature:
            signature = change(signature)
        token = data + b"." + base64url(signature)
        for change in d.after:
            token = change(token)
        return token

    def question(self):
        r = self.random
        d = self.good()
        for bend in r.sample(self.bends, r.choice([0, 0, 0, 1, 1, 1, 1, 1, 2, 3])):
            d.faults.append(bend(d))
        token = self.token(d)
        if r.random() < 0.08:
            token = self.bytes_bent(token)
            d.faults += ["?", "?"]
        return Question(token, d)

    def bytes_bent(self, token):
        r, token = self.random, bytearray(token)
        for _ in range(r.choice([1, 1, 1, 2, 5])):
            at = r.randrange(len(token) + 1)
            kind = r.randrange(4)
            if kind == 0 and at < len(token):
                token[at] ^= 1 << r.randrange(8)
            elif kind == 1:
                token[at:at + r.choice([1, 1, 10])] = b""
            elif kind == 2:
                token[at:at] = r.choice([b"A", b".", b"=", b"\0", bytes([r.randrange(256)]), bytes(token[:20])])
            else:
                del token[at:]
        return bytes(token)
