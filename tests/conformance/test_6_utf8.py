"""Section 6: text is UTF-8, and nothing else is (6.1 to 6.23).

Each sequence is sent bare, as the whole of a text message, and inside a chat message; each of these in one frame,
in frames of one byte, and in one frame of which the network brings a byte at a time. Valid text that is no chat
message is answered with an error and the session stays; what is not UTF-8 is answered by 1007.
"""

import json

import pytest

from conversation import chat_message, pieces
from harness.websocket import PING, TEXT

KOSME = "κόσμε".encode()
BROKEN = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64"
TEXTS = "Hello-µ@ßöäüàá-UTF-8!!".encode()


def in_frame(client, payload):
    client.send_frame(TEXT, payload)


def in_fragments(client, payload):
    client.send_fragments(pieces(payload) or [b"", b""])


def in_bytes(client, payload):
    client.send_chopped(client.frame(TEXT, payload))


WAYS = [in_frame, in_fragments, in_bytes]


def is_utf8(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def wrapped(data):
    """Inside a chat message, as it is wherever JSON lets it be, and behind a letter: it may be blank."""
    if any(byte < 0x20 or byte in b'"\\' for byte in data):
        return json.dumps({"message": "x" + data.decode()}, ensure_ascii=False).encode()
    return chat_message(b"x" + data)


def check_valid(client, data):
    assert is_utf8(data)
    for way in WAYS:
        way(client, data)
        client.expect_answer(data)
        if b"\0" not in data:
            payload = wrapped(data)
            way(client, payload)
            client.expect_answer(payload)
    client.closes()


def check_invalid(connect, data):
    assert not is_utf8(data)
    for way in WAYS:
        for payload in (data, wrapped(data)):
            client = connect()
            way(client, payload)
            client.expect_failed(1007)


# 6.1 to 6.6: how text is cut

def test_empty_6_1_1(client):
    client.send_frame(TEXT, b"")
    client.expect_refusal("invalid_json")
    client.closes()


def test_empty_fragments_6_1_2(client):
    client.send_fragments([b"", b"", b""])
    client.expect_refusal("invalid_json")
    client.closes()


def test_fragments_of_which_one_is_not_empty_6_1_3(client):
    client.send_fragments([b"", chat_message("middle frame payload"), b""])
    client.expect_echo("middle frame payload")
    client.closes()


@pytest.mark.parametrize("parts, text", [
    ([TEXTS], TEXTS), ([TEXTS[:8], TEXTS[8:]], TEXTS), (pieces(TEXTS), TEXTS), (pieces(KOSME), KOSME),
], ids=["6.2.1", "6.2.2", "6.2.3", "6.2.4"])
def test_valid_in_fragments(client, parts, text):
    client.send_fragments([b'{"message":"'] + parts + [b'"}'])
    client.expect_echo(text)
    client.closes()


def test_invalid_in_a_frame_6_3_1(client):
    client.send_frame(TEXT, BROKEN)
    client.expect_failed(1007)


def test_invalid_in_fragments_6_3_2(client):
    client.send_fragments(pieces(BROKEN))
    client.expect_failed(1007)


GOOD, WRONG = KOSME + b"\xf4", b"\x90\x80\x80"  # beyond U+10FFFF as soon as 0x90 is there


def test_fail_fast_after_the_bad_frame_6_4_1(client):
    """Not before the first frame's end is known to be bad, and before the message ends."""
    client.send_frame(TEXT, KOSME, fin=False)
    client.send_frame(PING, b"fine so far")
    client.expect_pong(b"fine so far")
    client.send_frame(0, b"\xf4\x90\x80\x80", fin=False)
    client.expect_failed(1007)


def test_fail_fast_after_the_bad_byte_in_its_frame_6_4_2(client):
    client.send_frame(TEXT, GOOD, fin=False)
    client.send_frame(PING, b"fine so far")
    client.expect_pong(b"fine so far")
    client.send_frame(0, WRONG[:1], fin=False)
    client.expect_failed(1007)


@pytest.mark.parametrize("first, second", [(KOSME, b"\xf4\x90\x80\x80"), (GOOD, WRONG[:1])], ids=["6.4.3", "6.4.4"])
def test_fail_fast_inside_a_frame(client, first, second):
    """The frame never ends: what is there of it is enough."""
    data = client.frame(TEXT, first + second + b"edited" * 10)
    head = len(data) - len(first + second) - 60
    client.send_chopped(data[:head + len(first)], head + len(first))
    client.send_bytes(data[head + len(first):head + len(first) + len(second)])
    client.expect_failed(1007)


@pytest.mark.parametrize("n", range(1, 6), ids=lambda n: "6.5.%d" % n)
def test_code_points(client, n):
    """The first letters of a word, a frame for each code point."""
    letters = [letter.encode() for letter in KOSME.decode()[:n]]
    client.send_fragments([b'{"message":"'] + letters + [b'"}'])
    client.expect_echo(b"".join(letters))
    client.closes()


@pytest.mark.parametrize("n", range(1, len(KOSME) + 1), ids=lambda n: "6.6.%d" % n)
def test_prefixes(client, connect, n):
    """All prefixes of a word of several-byte letters: half a letter at the end is none."""
    if is_utf8(KOSME[:n]):
        check_valid(client, KOSME[:n])
        return
    for way in WAYS:
        half = connect()
        way(half, KOSME[:n])
        half.expect_failed(1007)


# 6.7 to 6.23: sequences

def surrogates(*codes):
    return b"".join(chr(code).encode("utf-8", "surrogatepass") for code in codes)


VALID = {
    "6.7": [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    "6.9": [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    "6.11": [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"],
    "6.22": [chr(plane << 16 | 0xfffe | low).encode() for plane in range(17) for low in (0, 1)],
    "6.23": [chr(code).encode() for code in range(0xfff9, 0x10000)],
}

INVALID = {
    "6.8": [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    "6.10": [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    "6.11": [None, None, None, None, b"\xf4\x90\x80\x80"],  # the first four are valid
    "6.12": [b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80", b"\x80\xbf\x80\xbf", b"\x80\xbf\x80\xbf\x80",
             b"\x80\xbf\x80\xbf\x80\xbf", bytes(range(0x80, 0xc0))],
    "6.13": [b"".join(bytes([first, 0x20]) for first in firsts)
             for firsts in (range(0xc0, 0xe0), range(0xe0, 0xf0), range(0xf0, 0xf8), range(0xf8, 0xfc), (0xfc,))],
    "6.14": [b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80",
             b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"],
    "6.15": [b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf"],
    "6.16": [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    "6.17": [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"],
    "6.18": [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"],
    "6.19": [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"],
    "6.20": [surrogates(code) for code in (0xd800, 0xdb7f, 0xdb80, 0xdbff, 0xdc00, 0xdf80, 0xdfff)],
    "6.21": [surrogates(high, low) for high in (0xd800, 0xdb7f, 0xdb80, 0xdbff) for low in (0xdc00, 0xdfff)],
}


def numbered(sequences):
    return [pytest.param(data, id="%s.%d" % (section, n + 1))
            for section, of in sequences.items() for n, data in enumerate(of) if data is not None]


@pytest.mark.parametrize("data", numbered(VALID))
def test_valid(client, data):
    check_valid(client, data)


@pytest.mark.parametrize("data", numbered(INVALID))
def test_invalid(connect, data):
    check_invalid(connect, data)


# beyond the numbered ones

@pytest.mark.parametrize("half", [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"])
def test_half_a_letter_and_an_empty_last_fragment(client, half):
    client.send_fragments([b'{"message":"x' + half, b""])
    client.expect_failed(1007)


def test_a_ping_is_not_text(client):
    """Its payload is neither checked nor taken for a part of the letter around it."""
    data = chat_message("€")
    for cut in range(len(data)):
        client.send_fragments([data[:cut], data[cut:]], between=[client.frame(PING, b"\xff\xe2\x82")])
        client.expect_pong(b"\xff\xe2\x82")
        client.expect_echo("€")
    client.closes()


@pytest.mark.parametrize("at", [1022, 1023, 1024, 1025, 1026, 2047, 2048, 2049, 4095])
def test_letters_across_the_servers_reads(client, at):
    """Its buffer has about 1024 bytes."""
    for letter in ("é", "€", "😀"):
        text = "x" * (at - 12 - 8) + letter * 3
        for _ in range(2):
            client.send_frame(TEXT, chat_message(text))
            client.expect_echo(text)
    client.send_frame(TEXT, chat_message(b"x" * (at - 20) + b"\xe2\x82"))
    client.expect_failed(1007)
