"""Moderators: commands over MQTT and over a session, and what they are answered.

    chat = moderated(brokers)
    boss = Moderator(chat)
    boss.ok("kick", user=B)
    boss.refused("kick", "missing_field", field="user")
"""

import os
import subprocess

from .tokens import A, B, member, session, with_tokens

CONTROL = "$CONTROL/chat/v1"
RESPONSE = CONTROL + "/response"


def moderated(brokers, **options):
    """A broker with auth token, of which A is a moderator."""
    options.setdefault("moderators", A)
    return with_tokens(brokers, **options)


def with_passwords(brokers, **options):
    """A broker with a password_file ("secret" for A and B), of which A is a moderator."""
    chat = brokers(start=False, options=dict({"moderators": A}, **options))
    path = chat.file("passwords", "")
    for address in (A, B):
        subprocess.run(["mosquitto_passwd", "-b", path, address, "secret"], check=True, capture_output=True)
    os.chmod(path, 0o644)
    chat.lines.append("password_file " + path)
    return chat.start()


class _Asking:
    def __init__(self):
        self.asked = 0

    def send(self, *commands):
        """The responses to these commands."""
        raise NotImplementedError

    def one(self, command, **members):
        self.asked += 1
        mark = "n%d" % self.asked
        responses = self.send(dict(members, command=command, correlationData=mark))
        assert len(responses) == 1, responses
        response = responses[0]
        assert response.pop("correlationData") == mark and response.pop("command") == command, response
        return response

    def ok(self, command, **members):
        """Its data, {} where there is none."""
        response = self.one(command, **members)
        assert set(response) <= {"data"}, response
        return response.get("data", {})

    def refused(self, command, error, field=None, **members):
        response = self.one(command, **members)
        wanted = {"error": error}
        if field:
            wanted["field"] = field
        assert response == wanted, response


class Moderator(_Asking):
    """Over MQTT."""

    def __init__(self, chat, address=A, client=None, **more):
        super().__init__()
        self.client = client or member(chat, address, **more)
        assert self.client.subscribe(RESPONSE) < 0x80

    def raw(self, payload):
        assert self.client.publish(CONTROL, payload) == 0
        frame = self.client.next()
        assert frame.topic == RESPONSE and list(frame) == ["responses"], frame
        return frame["responses"]

    def send(self, *commands):
        return self.raw({"commands": list(commands)})


class SessionModerator(_Asking):
    """Over WebSocket."""

    def __init__(self, chat, address=A, client=None):
        super().__init__()
        self.client = client or session(chat, address)

    def send(self, *commands):
        ref = "c%d" % self.asked
        self.client.send({"type": "command", "commands": list(commands), "ref": ref})
        frame = self.client.expect(type="response", ref=ref)
        assert list(frame) == ["type", "ref", "responses"], frame
        return frame["responses"]
