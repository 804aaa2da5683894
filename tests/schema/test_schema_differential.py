"""schema.c and config/message.schema.json say the same.

Some ten thousands of generated payloads go through schema.c (by way of schema-driver) and through a stock
JSON Schema validator, with the rules that a schema cannot say (its $comment names them) written down
here. CHAT_BUILD_DIR names the build, CHAT_SEED another seed, CHAT_PAYLOADS another number.
"""

import collections
import copy
import json
import os
import pathlib
import random
import subprocess

import jsonschema
import pytest

from payloads import Generator, Question

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DRIVER = pathlib.Path(os.environ.get("CHAT_BUILD_DIR", REPOSITORY / "build")) / "tests/schema/schema-driver"
SCHEMA = json.loads((REPOSITORY / "config/message.schema.json").read_text())
PAYLOADS = int(os.environ.get("CHAT_PAYLOADS", "20000"))
FIXED_SEED = 20261122

PAYLOAD_MAX = 262144
MEMBERS_MAX = 32
DEPTH_MAX = 64
REF_MAX = 64
FIELDS = ["message", "to", "room", "from", "timestamp", "ref", "type"]  # in the order in which faults are named
ID = "01JDABCDEFGHJKMNPQRSTVWXYZ"
TIME = "2026-11-22T14:07:31.482Z"


# -- the stock validator with the rules beside it --------------------------------------

def schema_for(max_chars, drop):
    schema = copy.deepcopy(SCHEMA)
    schema["$defs"]["text"]["maxLength"] = max_chars
    if drop:
        schema["maxProperties"] = MEMBERS_MAX
        for kind in ("message", "typing"):
            schema["$defs"][kind]["additionalProperties"] = True
    return schema


VALIDATORS = {}


def validator(max_chars, drop):
    key = max_chars, drop
    if key not in VALIDATORS:
        VALIDATORS[key] = jsonschema.Draft202012Validator(schema_for(max_chars, drop))
    return VALIDATORS[key]


class Members(list):
    """A JSON object as pairs, so that no key is lost."""


class Refused(Exception):
    """With what the refusal may be: pairs of error and field."""

    def __init__(self, *faults):
        super().__init__(*faults)
        self.faults = faults


def refuse_constant(name):
    raise ValueError(name)


def check_inside(value, depth):
    """Surrogates and nesting, which Python lets pass."""
    if isinstance(value, str):
        value.encode()  # UnicodeEncodeError is a ValueError
    elif isinstance(value, list):
        if depth > DEPTH_MAX:
            raise ValueError("too deep")
        for item in value:
            if isinstance(value, Members):
                item[0].encode()
                check_inside(item[1], depth + 1)
            else:
                check_inside(item, depth + 1)


def read_text(payload):
    """Rule 1, as far as it is not about keys."""
    if len(payload) > PAYLOAD_MAX:
        raise Refused(("too_long", ""))
    try:
        value = json.loads(payload.decode("utf-8"), object_pairs_hook=Members, parse_constant=refuse_constant,
                           parse_int=float, parse_float=float)
        check_inside(value, 1)
    except (ValueError, RecursionError):
        raise Refused(("invalid_json", ""), ("invalid_utf8", "")) from None
    return value


def the_ref(value):
    """The ref that every answer must carry."""
    refs = [v for k, v in value if k == "ref"] if isinstance(value, Members) else []
    if len(refs) == 1 and isinstance(refs[0], str) and 1 <= len(refs[0].encode()) <= REF_MAX and "\0" not in refs[0]:
        return refs[0]
    return ""


def fold(address):
    local, _, domain = address.partition("@")
    return local + "@" + domain.lower()


def leap_second_out_of_place(timestamp):
    """Rule 4; the pattern has checked the rest."""
    if timestamp[17:19] != "60":
        return False
    minutes = int(timestamp[11:13]) * 60 + int(timestamp[14:16])
    if timestamp[-1] not in "zZ":
        offset = int(timestamp[-5:-3]) * 60 + int(timestamp[-2:])
        minutes += offset if timestamp[-6] == "-" else -offset
    return minutes % 1440 != 1439


# The steps of plugin/schema.h: of several faults the first one is named.
ORDER = ["unknown_field", "wrong_type", "unknown_type", "invalid_ref", "invalid_character",
         "to invalid_email", "room invalid_room", "from invalid_email", "timestamp invalid_timestamp", "sender_mismatch",
         "address_mismatch", "missing_field", "empty_message", "too_long"]


def step(fault):
    name, field = fault
    return (ORDER.index(name if name in ORDER else "%s %s" % (field, name)),
            FIELDS.index(field) if field in FIELDS else -1)


def printable(key):
    return key if 1 <= len(key) <= 64 and all(" " <= c <= "~" for c in key) else ""


def fault_of(error, fields, direct):
    """What a fault that the stock validator has found is called on the wire."""
    field = error.absolute_path[0] if error.absolute_path else None
    if field is None and error.validator is None:
        # newer versions name neither field nor keyword where the schema of a field is `false`
        field = next(key for key in ("message", "timestamp") if key in fields and fields[key] is error.instance)
    if error.validator in ("additionalProperties", "maxProperties"):
        return "unknown_field", printable(next(key for key in fields if key not in FIELDS))
    if error.validator == "required":
        return "missing_field", "message"
    if field is None:
        assert error.validator == "not", error
        mismatch = not direct or fold(str(fields["to"])) != fold(direct)
        return "address_mismatch", "to" if mismatch else "room"
    if not isinstance(fields[field], str):
        return "wrong_type", field
    if error.validator is None:  # message or timestamp beside type typing
        return "unknown_field", field
    if field == "message":
        return {"not": "invalid_character", "maxLength": "too_long", "pattern": "empty_message"}[error.validator], field
    return {"type": "unknown_type", "ref": "invalid_ref", "room": "invalid_room", "timestamp": "invalid_timestamp",
            "to": "invalid_email", "from": "invalid_email"}[field], field


def check_object(value, q):
    if not isinstance(value, Members):
        raise Refused(("not_an_object", ""))
    keys = [key for key, _ in value]
    again = next((key for at, key in enumerate(keys) if key in keys[:at]), None)
    if again is not None:
        faults = [("duplicate_key", again if again in FIELDS else "")]
        if len(keys) > MEMBERS_MAX and again not in FIELDS:  # then keys are not all compared
            faults.append(("unknown_field", printable(next(key for key in keys if key not in FIELDS))))
        raise Refused(*faults)

    fields = dict(value)
    direct = q.target if "@" in q.target else None
    faults = [fault_of(error, fields, direct) for error in validator(q.max_chars, q.drop).iter_errors(fields)]
    sound = {key: value for key, value in fields.items() if key in FIELDS and isinstance(value, str)
             and not any(field == key for _, field in faults)}
    if len(sound.get("ref", "").encode()) > REF_MAX:
        faults.append(("invalid_ref", "ref"))
    if leap_second_out_of_place(sound.get("timestamp", TIME)):
        faults.append(("invalid_timestamp", "timestamp"))
    if "from" in sound and fold(sound["from"]) != fold(q.author):
        faults.append(("sender_mismatch", "from"))
    if "to" in sound and fold(sound["to"]) != fold(direct or ""):
        faults.append(("address_mismatch", "to"))
    if "room" in sound and (direct or sound["room"] != q.target):
        faults.append(("address_mismatch", "room"))
    if not faults:
        return fields

    # What the validator does not say of a string in which it found another fault, too.
    for key in ("message", "to", "room", "from", "timestamp"):
        if isinstance(fields.get(key), str) and "\0" in fields[key]:
            faults.append(("invalid_character", key))
    first = min(faults, key=step)
    if fields.get("type") == "typing" and first[0] == "unknown_field" and first[1] in ("message", "timestamp"):
        # these two are looked at last and may have a fault of their own, or another field has
        other = [fault for fault in faults if fault != first]
        raise Refused(first, *other, ("invalid_timestamp", "timestamp"))
    raise Refused(first)


def expected_output(fields, q):
    direct = "@" in q.target
    if fields.get("type") == "typing":
        out = {"type": "typing", "sender": fold(q.author)}
        if not direct:
            out["room"] = q.target
        return "typing", out
    out = {"id": ID, "sender": fold(q.author)}
    out.update({"to": fold(q.target)} if direct else {"room": q.target})
    out.update(message=fields["message"], timestamp=TIME)
    return "message", out


# -- schema.c ---------------------------------------------------------------------------

def ask(questions):
    feed = b"".join(b"%d %d %d %s %s\n%s" % (len(q.payload), q.max_chars, q.drop, q.author.encode(), q.target.encode(), q.payload)
                    for q in questions)
    answers = subprocess.run([DRIVER], input=feed, stdout=subprocess.PIPE, check=True, timeout=300).stdout
    lines = answers.decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(questions)
    return [line.split("\t") for line in lines]


# -- the comparison -----------------------------------------------------------------------

def disagreement(q, answer):
    """None, or what is wrong."""
    value = None
    try:
        value = read_text(q.payload)
        fields = check_object(value, q)
    except Refused as refusal:
        if answer[0] != "error":
            return "accepted by schema.c, refused by the schema"
        fault = answer[1], bytes.fromhex(answer[2]).decode()
        if fault not in refusal.faults:
            return "refused as %s instead of %s" % (fault, " or ".join(map(str, refusal.faults)))
    else:
        if answer[0] == "error":
            return "refused by schema.c (%s %s), accepted by the schema" % (answer[1], bytes.fromhex(answer[2]))
        kind, expected = expected_output(fields, q)
        written = bytes.fromhex(answer[1])
        if answer[0] != kind:
            return "taken for a %s" % answer[0]
        if json.loads(written.decode("utf-8"), object_pairs_hook=list) != list(expected.items()):
            return "delivered with other content: %r" % written
        if written != json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode():
            return "delivered in other bytes: %r" % written
    if bytes.fromhex(answer[-1]).decode() != the_ref(value):
        return "answered with the ref %r instead of %r" % (bytes.fromhex(answer[-1]), the_ref(value))
    return None


def compare(questions):
    answers = ask(questions)
    faults = ["%s: %r" % (d, q) for q, a in zip(questions, answers) for d in [disagreement(q, a)] if d]
    assert not faults, "%d disagreements, the first: %s" % (len(faults), "\n".join(faults[:5]))
    return collections.Counter(a[1] if a[0] == "error" else a[0] for a in answers)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("seed", [FIXED_SEED, "fresh"])
def test_generated_payloads(seed):
    if seed == "fresh":
        seed = int(os.environ.get("CHAT_SEED") or random.SystemRandom().randrange(2 ** 32))
    print("CHAT_SEED=%d CHAT_PAYLOADS=%d" % (seed, PAYLOADS))
    generator = Generator(seed)
    counts = compare([generator.question() for _ in range(PAYLOADS)])
    print(", ".join("%s %d" % item for item in counts.most_common()))

    # A corpus that no longer reaches some rule would prove nothing of it.
    accepted = counts["message"] + counts["typing"]
    assert PAYLOADS / 5 < accepted < PAYLOADS * 4 / 5
    if PAYLOADS >= 20000:
        for name in ("typing", "invalid_json", "invalid_utf8", "not_an_object", "missing_field", "unknown_field", "wrong_type",
                     "too_long", "empty_message", "invalid_email", "invalid_room", "invalid_timestamp", "invalid_ref",
                     "invalid_character", "address_mismatch", "sender_mismatch", "duplicate_key", "unknown_type"):
            assert counts[name] >= 20, name


def test_every_prefix_of_a_message():
    payload = ('\r\n{ "message" : "caf\u00e9 \\u00e9 \\ud83d\\ude00 \U0001f600 \\n" , "ref":"r\\u00e9" ,\t"timestamp":"2026-11-22T14:07:31.4Z",'
               '"from":"alice@x.org", "room":"general", "type":"message", "x":[1.5e-3,{"a":null}] }\n').encode()
    for drop in (False, True):
        compare([Question(payload[:n], 4000, drop, "alice@x.org", "general") for n in range(len(payload) + 1)])


@pytest.mark.parametrize("field", ["message", "ref", "timestamp", "room", "to", "from", "type"])
def test_every_byte_in_every_field(field):
    good = {"message": "hi", "ref": "r", "timestamp": "2026-11-22T14:07:31Z", "room": "general", "to": "bob@x.org",
            "from": "alice@x.org", "type": "message"}[field]
    target = "bob@x.org" if field == "to" else "general"
    questions = []
    for at in range(len(good) + 1):
        for byte in range(256):
            for cut in (0, 1):
                value = good[:at].encode() + bytes([byte]) + good[at + cut:].encode()
                rest = b"" if field == "message" else b',"message":"hi"'
                questions.append(Question(b'{"%s":"%s"%s}' % (field.encode(), value, rest), 4000, False, "alice@x.org", target))
    compare(questions)
