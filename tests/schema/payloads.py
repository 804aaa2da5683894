"""Payloads for schema.c: valid ones, nearly valid ones and hostile ones, from a seed."""

import json
import random

AUTHORS = ["alice@x.org", "o'hara+x/y@ex-1.example", "a@b", "A.B@Sub.Example.ORG", "{~}_%@1.2.3.4"]
ROOMS = ["general", "a", "0-9_.z", "r" * 64]
RECIPIENTS = ["bob@x.org", "bob@X.ORG", "b!#$%&'*+/=?^_`{|}~-@y.example", "z" * 64 + "@x.org", "alice@x.org"]

GOOD_ADDRESSES = AUTHORS + RECIPIENTS + [
    "a@" + ".".join(["d" * 63] * 3 + ["e" * 59]),  # 253 bytes
    "a@" + ".".join(["d" * 63] * 3 + ["e" * 60]),  # 254
    ".a..b.@x", "-@x", "a@0", "a@x--y.z", "a@" + "l" * 63,
]
BAD_ADDRESSES = [
    "", "a", "@", "a@", "@x.org", "a@@x.org", "a@x@y", "a b@x.org", "a@x..org", "a@.x", "a@x.", "a@-x", "a@x-", "a@x.-y",
    "a@y-.z", "a@x_y", "a@" + "l" * 64, "z" * 65 + "@x.org", "a@" + ".".join(["d" * 63] * 3 + ["e" * 61]), "a@x.org\n",
    "\na@x.org", "a@x.org ", "a@\u00e9.org", "\u00e9@x.org", "a\u0000@x.org", "a@x.org\u0000", '"a b"@x.org', "a@[127.0.0.1]",
    "a,b@x.org", "a@x.org\r", "<a@x.org>", "a(b)@x.org", "a@x.\uff4frg", "a\u007f@x.org", "a@x\u212a.org",
]
GOOD_ROOMS = ROOMS + ["-", "_", ".", "..", "x" * 63]
BAD_ROOMS = ["", "General", "a b", "a/b", "+", "#", "$x", "r" * 65, "caf\u00e9", "a\n", "\na", "a\u0000", "a@b", "\u0663", "a\r"]
GOOD_TIMES = [
    "2026-11-22T14:07:31.482Z", "1985-04-12T23:20:50.52Z", "1996-12-19T16:39:57-08:00", "1990-12-31T23:59:60Z",
    "1990-12-31T15:59:60-08:00", "1937-01-01T12:00:27.87+00:20", "2000-02-29t00:00:00z", "1600-02-29T00:00:00Z", "2024-02-29T00:00:00-00:00",
    "0000-02-29T00:00:00Z", "9999-12-31T23:59:59." + "9" * 40 + "+23:59", "0001-01-01T00:00:00Z", "2016-06-30T23:59:60.999z",
    "2017-01-01T00:14:60+00:15", "2017-01-01T23:58:60-00:01", "2017-01-01T22:59:60+23:00", "2017-01-01T00:58:60-23:01",
]
BAD_TIMES = [
    "", "now", "2026-11-22", "14:07:31Z", "2026-11-22T14:07:31", "2026-11-22 14:07:31Z", "2026-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z", "2500-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z",
    "2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:60Z",
    "2026-01-01T23:59:60+01:00", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00+0000",
    "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00Z", "02026-01-01T00:00:00Z", "2026-1-1T00:00:00Z",
    "2026-01-01T00:00:00Z\n", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z ", "2026-01-01T00:00:00\u00b100:00",
    "\u0662\u0660\u0662\u0666-01-01T00:00:00Z", "2026-01-01T00:00:00\u2212" + "01:00", "2026-01-01T00:00:00+1:00",
    "2026-01-01T00:00:00.5", "2026-01-01T00:00:00.5+", "+2026-01-01T00:00:00Z", "2026-01-01T00:00:00ZZ", "2026/01/01T00:00:00Z",
    "2026-01-01T00:00:00\u0000Z", "2026-01-01T00-00-00Z", "2026-W01-1T00:00:00Z", "2026-001T00:00:00Z", "2026-01-01T00:00:00Zulu",
]
SPACES = [chr(c) for c in (9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F,
                           0x205F, 0x3000)]
NOT_QUITE_SPACES = list("\u200b\u200c\u200d\u2060\ufeff\u180e\u001c\u001d\u001e\u001f\u0008\u007f\u0084\u2800\u00ad\u115f\u3164")
KNOWN = ["message", "to", "room", "from", "timestamp", "ref", "type"]
UNKNOWN_KEYS = ["id", "sender", "Message", "message ", "", "x", "__proto__", "\u00e9", "k" * 64, "k" * 65, "mess\u0000age", "REF",
                "rof", "tx", "fron", "typo", "rooms", "massage", "timestomp", "\U0001f600", '"', "\\"]
CHARACTERS = ["a", "Z", "7", " ", '"', "\\", "/", "\n", "\t", "\b", "\f", "\r", "\u0001", "\u001f", "\u007f", "\u0080", "\u00e9",
              "\u07ff", "\u0800", "\u20ac", "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\uffff", "\U00010000", "\U0001f600",
              "\U0010ffff", "\u2028", "{", "}", ":", ",", "'", "<"]
TOKENS = ['{', '}', '[', ']', ':', ',', '"', '\\', '"message"', '"to"', '"ref"', '"type"', '"typing"', '"x"', 'true', 'false',
          'null', 'nul', 'True', 'NaN', 'Infinity', '-Infinity', '0', '-0', '-', '01', '1.5', '1.', '.5', '1e9', '1E+9', '1e', '+1',
          '0x1', '1_0', ' ', '\t', '\n', '\r', '\f', '\v', '\u00a0', '\ufeff', '\u2028', '\u0000', '\u0001', '\\u', '\\u0000',
          '\\ud800', '\\udc00', '\\ud83d\\ude00', '//', '/**/', "'", '\x7f', '9' * 400, '"message":"hi"', '{"message":"hi"}']
HOSTILE_BYTES = [b"\x00", b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xed\xa0\x80",
                 b"\xed\xbf\xbf", b"\xef\xbb\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
                 b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff", b"\xe2\x82", b"\xf0\x9f\x98", b"\\", b'"', b"\\u", b"\\ud800", b"\\u0000",
                 b"\n", b"\x1f", b"\x7f", b",", b"}", b"{", b"\xff\xfe{\x00"]


class Question:
    """A payload and where it is sent: max_chars and drop are the limits, target a room or an address."""

    def __init__(self, payload, max_chars, drop, author, target):
        self.payload, self.max_chars, self.drop, self.author, self.target = payload, max_chars, drop, author, target

    def __repr__(self):
        return "max_chars=%d drop=%d author=%s target=%s payload=%r" % (
            self.max_chars, self.drop, self.author, self.target, self.payload[:2000])


class Raw(str):
    """JSON text that goes into the payload as it is."""


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    # -- text ------------------------------------------------------------------

    def text(self, length):
        r = self.random
        style = r.random()
        if style < 0.5:
            return "".join(r.choice("abc xyz \u00e9\u00f1") for _ in range(length))
        if style < 0.9:
            return "".join(r.choice(CHARACTERS) for _ in range(length))
        if style < 0.95:
            return "".join(r.choice(SPACES) for _ in range(length))
        return r.choice(CHARACTERS) * length

    def message(self, max_chars):
        r = self.random
        style = r.random()
        if style < 0.7 or max_chars > 100:
            length = r.randrange(1, 40)
        else:
            length = max(0, max_chars + r.choice([-1, 0, 0, 1, 2]))
        if style > 0.985:
            length = max(0, max_chars + r.choice([-1, 0, 1]))
        return self.text(length)

    def ref(self):
        r = self.random
        length = r.choice([1, 2, 8, 20, 63, 64])
        return "".join(r.choice("abcdef0123456789-\"\\\n") for _ in range(length))

    def string(self, s):
        """s as a JSON string, written in one of the many ways to write it."""
        r = self.random
        if r.random() < 0.6:
            return json.dumps(s, ensure_ascii=r.random() < 0.5)
        eager = r.choice([0.02, 0.3, 1])
        short = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
        out = []
        for c in s:
            must = c in '"\\' or c < " "
            if not must and r.random() >= eager:
                out.append(c)
            elif c in short and r.random() < 0.5:
                out.append(short[c])
            else:
                units = c.encode("utf-16-be", "surrogatepass")
                for i in range(0, len(units), 2):
                    digits = "%04x" % int.from_bytes(units[i:i + 2], "big")
                    out.append("\\u" + (digits.upper() if r.random() < 0.5 else digits))
        return '"' + "".join(out) + '"'

    def space(self):
        return "".join(self.random.choice(" \t\n\r") for _ in range(self.random.choice([0, 0, 0, 0, 0, 1, 2, 9])))

    def write(self, pairs):
        """Pairs of key and value as a JSON object."""
        members = []
        for key, value in pairs:
            written = value if isinstance(value, Raw) else self.string(value) if isinstance(value, str) else json.dumps(value)
            members.append(self.space() + self.string(key) + self.space() + ":" + self.space() + written + self.space())
        text = self.space() + "{" + (",".join(members) or self.space()) + "}" + self.space()
        return text.encode("utf-8", "surrogatepass")

    # -- objects -----------------------------------------------------------------

    def address_as(self, address):
        """The same address with its domain in another case."""
        local, _, domain = address.partition("@")
        return local + "@" + self.random.choice([domain, domain.lower(), domain.upper()])

    def valid_pairs(self, q):
        r = self.random
        pairs = []
        typing = r.random() < 0.12
        if typing:
            pairs.append(("type", "typing"))
        else:
            pairs.append(("message", self.message(q.max_chars)))
            if r.random() < 0.2:
                pairs.append(("type", "message"))
            if r.random() < 0.3:
                pairs.append(("timestamp", r.choice(GOOD_TIMES)))
        if r.random() < 0.3:
            pairs.append(("from", self.address_as(q.author)))
        if r.random() < 0.3:
            pairs.append(("to", self.address_as(q.target)) if "@" in q.target else ("room", q.target))
        if r.random() < 0.4:
            pairs.append(("ref", self.ref()))
        r.shuffle(pairs)
        return pairs

    def odd_value(self):
        r = self.random
        return r.choice([None, True, False, 0, -1.5, 10 ** 30, [], {}, ["hi"], {"message": "hi", "a": [1, {"b": None}]},
                         Raw("-0.0e-0"), Raw("[" * 63 + "]" * 63), Raw("[" * 64 + "]" * 64), Raw('{"a":1,"a":2}'),
                         Raw('[{"a":[' * 30 + "]}]" * 30), Raw('{"":"\\ud800"}'), Raw("1" * 5000)])

    def bent_time(self):
        r = self.random
        s = list(r.choice(GOOD_TIMES))
        for _ in range(r.choice([1, 1, 2])):
            at = r.randrange(len(s))
            s[at] = r.choice("0123456789-+:.TtZz 6")
        return "".join(s)

    def bent_address(self):
        r = self.random
        s = list(r.choice(GOOD_ADDRESSES))
        at = r.randrange(len(s) + 1)
        s[at:at + r.choice([0, 0, 1])] = r.choice(["@", ".", "-", " ", "_", "a", "\n", "\u00e9", "\u0000", "x" * 30])
        return "".join(s)

    def bend(self, pairs, q):
        """One deviation, most of them faults."""
        r = self.random

        def put(key, value):
            pairs[:] = [p for p in pairs if p[0] != key] + [(key, value)]
            r.shuffle(pairs)

        deviations = [
            lambda: pairs.pop(r.randrange(len(pairs))) if pairs else None,
            lambda: put(r.choice(KNOWN), self.odd_value()),
            lambda: put(r.choice(KNOWN), ""),
            lambda: put(r.choice(KNOWN), self.text(r.randrange(5)) + "\u0000"),
            lambda: put(r.choice(["to", "from"]), r.choice(BAD_ADDRESSES)),
            lambda: put(r.choice(["to", "from"]), r.choice(GOOD_ADDRESSES)),
            lambda: put(r.choice(["to", "from"]), self.bent_address()),
            lambda: put("room", r.choice(BAD_ROOMS)),
            lambda: put("room", r.choice(GOOD_ROOMS)),
            lambda: put("timestamp", r.choice(BAD_TIMES)),
            lambda: put("timestamp", r.choice(GOOD_TIMES)),
            lambda: put("timestamp", self.bent_time()),
            lambda: put("timestamp", self.bent_time()),
            lambda: put("ref", r.choice(["r" * 64, "r" * 65, "\u00e9" * 32, "\u00e9" * 33, "\U0001f600" * 16, "\U0001f600" * 17,
                                         "\u20ac" * 21 + "x", "\u20ac" * 22, "\u0000", "r" * 5000, "\n"])),
            lambda: put("type", r.choice(["message", "typing", "Typing", "message\n", "join", "typing ", "typin"])),
            lambda: put("message", "".join(r.choice(SPACES) for _ in range(r.randrange(12)))),
            lambda: put("message", "".join(r.choice(SPACES) for _ in range(r.randrange(12))) + r.choice(NOT_QUITE_SPACES)),
            lambda: put("message", "".join(r.choice(CHARACTERS) for _ in range(q.max_chars + r.choice([0, 1])))),
            lambda: put(r.choice(UNKNOWN_KEYS), r.choice(["x", self.odd_value()])),
            lambda: put(r.choice(UNKNOWN_KEYS), r.choice(["x", self.odd_value()])),
            lambda: [put("k%d" % i, i) for i in range(r.choice([3, 30, 31, 32, 33]) - len(pairs))],
            lambda: pairs.append((r.choice(pairs)[0], r.choice(["x", self.odd_value()]))) if pairs else None,
            lambda: pairs.extend([("x", 1), ("x", 1)]),
            lambda: put(r.choice(KNOWN + UNKNOWN_KEYS), Raw(r.choice(['"\\ud800"', '"\\udc00x"', '"\\ude00\\ud83d"', '"\\ud83dx"',
                                                                      '"\\ud83d\\u0041"', '"\\ud83d\\ude00"', '"\\uD83D\\uDE00"']))),
            lambda: put(r.choice(KNOWN), Raw(r.choice(TOKENS))),
        ]
        r.choice(deviations)()

    # -- bytes -----------------------------------------------------------------------

    def damage(self, payload):
        r = self.random
        b = bytearray(payload)
        for _ in range(r.choice([1, 1, 1, 2, 5])):
            at = r.randrange(len(b) + 1)
            kind = r.randrange(7)
            if kind == 0 and at < len(b):
                b[at] ^= 1 << r.randrange(8)
            elif kind == 1:
                del b[at:at + r.choice([1, 1, 2, 8])]
            elif kind == 2:
                b[at:at] = r.choice(HOSTILE_BYTES)
            elif kind == 3:
                del b[at:]
            elif kind == 4:
                b[at:at] = r.choice(TOKENS).encode("utf-8", "surrogatepass")
            elif kind == 5 and at < len(b):
                b[at] = r.randrange(256)
            else:
                other = r.randrange(len(b) + 1)
                b[at:at] = b[min(at, other):max(at, other)][:200]
        return bytes(b)

    def soup(self):
        r = self.random
        style = r.random()
        if style < 0.6:
            return "".join(r.choice(TOKENS) for _ in range(r.randrange(1, 14))).encode("utf-8", "surrogatepass")
        if style < 0.7:
            return bytes(r.randrange(256) for _ in range(r.randrange(40)))
        if style < 0.8:
            depth = r.choice([62, 63, 64, 65, 66, 900, 5000])
            inner = ("[" * depth + "]" * depth) if r.random() < 0.7 else '{"a":' * depth + "1" + "}" * depth
            return r.choice(["%s", '{"message":"hi","x":%s}', '{"message":%s}']).replace("%s", inner).encode()
        if style < 0.9:
            return r.choice(["{}", " {} ", "", " ", "[]", "0", '"message"', "null", "true", "{} {}", '{"message":"hi"}\u0000',
                             "-", "[{}]", '["message","hi"]', "\ufeff{\"message\":\"hi\"}", "{\"message\":\"hi\"}\ufeff"]).encode()
        return '{"message":"hi"}'.encode(r.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7", "cp500"]))

    def huge(self):
        """Around the limit of a payload; the message itself is too long unless it is escapes."""
        r = self.random
        frame = len('{"message":"hi","x":""}')
        return ('{"message":"hi","x":"%s"}' % ("x" * (262144 - frame + r.choice([-1, 0, 1, 5000])))).encode()

    def question(self):
        r = self.random
        q = Question(b"", r.choice([4000, 4000, 4000, 12, 1, 200]), r.random() < 0.3, r.choice(AUTHORS), r.choice(ROOMS + RECIPIENTS))
        kind = r.random()
        if kind < 0.001:
            q.payload = self.huge()
            return q
        if kind < 0.06:
            q.payload = self.soup()
            return q
        pairs = self.valid_pairs(q)
        if kind > 0.35:
            for _ in range(r.choice([1, 1, 1, 1, 2, 3])):
                self.bend(pairs, q)
        q.payload = self.write(pairs)
        if kind > 0.8:
            q.payload = self.damage(q.payload)
        return q
