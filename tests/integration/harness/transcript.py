"""Replays a written dialogue: who connects, what they send, what comes. The format, line by line:

    # a remark
    ana = ana@example.com          a name for an address; a digit behind the name is another socket of it
    ana connects                   opens /ws/<address> and is in its rooms
    ana dials                      opens it, and waits for nothing
    ana > TEXT                     sends a text frame, TEXT as it stands
    ana < {"sender":"...",...}     the next frame has these fields; "*" is any text, a field "-" is not there
    ana < nothing                  nothing has come
    ana < closed 4100              the server closes
    ana leaves                     closes its socket
    GET /messages/...              the answer is a list of
    | {"sender_id":"...",...}      these, in this order; nothing follows
    GET /messages/... 400          another status, with an object

Every frame that comes must have what the original's page reads of it: sender and message, both texts.
"""

import json
import re

from .dialogue import ABSENT, Closed, Frame, matches, wait_for

ANY_TEXT = re.compile(r"(?s).+")
ORIGINAL_FIELDS = ["chat_id", "sender_id", "receiver_id", "message", "timestamp"]


def check_page_fields(frame):
    """What a page that knows only data.sender and data.message makes of a frame."""
    __tracebackhide__ = True
    for field in ("sender", "message"):
        assert isinstance(frame.get(field), str) and frame[field], "no %s: %r" % (field, frame)


def wanted_fields(text):
    return {key: ANY_TEXT if value == "*" else ABSENT if value == "-" else value
            for key, value in json.loads(text).items()}


class Replay:
    def __init__(self, chat):
        self.chat = chat
        self.addresses, self.sockets = {}, {}
        self.list, self.path = None, None

    def run(self, path):
        with open(path, encoding="utf-8") as f:
            lines = [line.rstrip("\n") for line in f]
        for number, line in enumerate(lines + ["# the end"], 1):
            try:
                self.line(line)
            except AssertionError as error:
                raise AssertionError("%s, line %d: %s\n%s" % (path.rsplit("/", 1)[-1], number, line, error)) from error

    def line(self, line):
        if self.list is not None and not line.startswith("|"):
            self.check_list()
        if not line or line.startswith("#"):
            return
        if line.startswith("GET "):
            self.get(*line.split()[1:])
        elif line.startswith("|"):
            self.list.append(wanted_fields(line[1:]))
        elif (match := re.fullmatch(r"(\w+) = (\S+)", line)):
            self.addresses[match[1]] = match[2]
        elif (match := re.fullmatch(r"(\w+) (connects|dials)", line)):
            self.connect(match[1], match[2] == "connects")
        elif (match := re.fullmatch(r"(\w+) leaves", line)):
            self.leave(match[1])
        elif (match := re.fullmatch(r"(\w+) > (.*)", line)):
            self.sockets[match[1]].send(match[2])
        elif (match := re.fullmatch(r"(\w+) < (.*)", line)):
            self.expect(self.sockets[match[1]], match[2])
        else:
            raise AssertionError("this line is not understood")

    def address(self, name):
        return self.addresses[re.fullmatch(r"(\D+)\d*", name)[1]]

    def connect(self, name, wait):
        # as the page does: the address as it is, no query
        socket = self.chat.plain_ws(self.address(name), path="/ws/" + self.address(name))
        self.sockets[name] = socket
        if wait:  # the page knows neither ref nor ack: this is the replay's own question
            socket.sync()

    def leave(self, name):
        def ended():
            return len(re.findall("session of %s closed" % re.escape(self.address(name)), self.chat.log()))
        before = ended()
        self.sockets.pop(name).close()
        wait_for(lambda: ended() > before, "the server knows that %s has left" % name)

    def expect(self, socket, what):
        if what == "nothing":
            # The answer to this comes the whole way round, behind all that the broker has for this socket, whether
            # it receives or not; and the room's messages, on their own way, are faster than both.
            socket.send({"type": "typing", "room": self.chat.room, "ref": "round"})
            event = socket.next()
            assert event.get("ref") == "round" if isinstance(event, Frame) else False, event
            socket.sync()
            return
        event = socket.next()
        if what.startswith("closed "):
            assert isinstance(event, Closed) and event.code == int(what.split()[1]), event
            return
        assert isinstance(event, Frame) and event.json, event
        check_page_fields(event)
        assert matches(event, wanted_fields(what)), event

    def get(self, path, status="200"):
        if status == "200":
            self.list, self.path = [], path
            return
        answer = self.ask(path)
        assert answer.status == int(status) and isinstance(answer.json, dict), answer

    def ask(self, path):
        """As fetch() asks from a page of another origin."""
        answer = self.chat.http("GET", path, [("Origin", "http://front.example:3000")])
        assert answer.headers.get("access-control-allow-origin") in ("*", "http://front.example:3000"), answer.headers
        return answer

    def check_list(self):
        wanted, self.list = self.list, None
        answer = None

        def there():  # what was said is in the file after a moment
            nonlocal answer
            answer = self.ask(self.path)
            return answer.status == 200 and len(answer.json) >= len(wanted)
        wait_for(there, lambda: "%r, have %r" % (wanted, answer))
        assert len(answer.json) == len(wanted), answer.json
        for have, want in zip(answer.json, wanted):
            assert list(have) == ORIGINAL_FIELDS and matches(have, want), have
