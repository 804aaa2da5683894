"""mosquitto-chat-ctl, by itself and as mosquitto_ctrl's module `chat`."""

import json
import os
import shutil
import subprocess

import pytest

from harness.broker import BUILD, MOSQUITTO, SANITIZE
from harness.dialogue import TIMEOUT, Closed
from harness.moderation import moderated, with_passwords
from harness.tls import EVERYWHERE
from harness.tokens import A, B, session

CTL = os.path.join(BUILD, "ctrl", "mosquitto-chat-ctl")
MODULE = os.path.join(BUILD, "ctrl", "mosquitto_ctrl_chat.so")


def run(*words, **environment):
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT + 12, env=dict(os.environ, **environment))


def ctl(chat, *words, user=A, password="secret"):
    return run(CTL, "-h", "127.0.0.1", "-p", str(chat.mqtt_port), "-u", user, "-P", password, *words)


def test_commands_at_a_terminal(brokers):
    chat = with_passwords(brokers, auth="broker")
    bob = chat.ws(B, token="secret")
    done = ctl(chat, "listSessions", "--user", B, "--count", "1")
    assert done.returncode == 0 and json.loads(done.stdout)["sessions"][0]["user"] == B, done
    done = ctl(chat, "kick", B, "enough \u00e9 \"x\"")
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"sessions":1}\n', ""), done
    assert bob.expect_close(4102).reason == "kicked: enough \u00e9 \"x\""
    for words, out in [(["ban", B, "--seconds", "60", "spam"], '{"sessions":0}\n'), (["unban", B], ""),
                       (["mute", B, "--room", "general"], ""), (["unmute", B, "--room", "general"], ""),
                       (["closeRoom", "hall"], ""), (["openRoom", "hall"], ""), (["renameRoom", "hall", "salon"], ""), (["announce", "tea"], "")]:
        done = ctl(chat, *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, out, ""), done
    audit = json.loads(ctl(chat, "getAudit").stdout)["entries"]
    assert [one["command"] for one in audit][::-1] == \
        ["kick", "ban", "unban", "mute", "unmute", "closeRoom", "openRoom", "renameRoom", "announce"], audit
    ban = audit[-2]
    assert (ban["user"], ban["seconds"], ban["text"]) == (B, 60, "spam"), ban
    bob = chat.ws(B, token="secret")
    done = ctl(chat, "drain", "1")
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"sessions":1,"seconds":1}\n', ""), done
    bob.expect_close(1012)
    for words, status in ((["undrain"], 0), (["undrain"], 1)):
        assert ctl(chat, *words).returncode == status


def test_what_goes_wrong_is_said(brokers):
    chat = with_passwords(brokers)
    for words, error in [(["unban", B], "not_found"), (["kick", "bob"], "invalid_email: user"),
                         (["kick"], "missing_field: user")]:
        done = ctl(chat, *words)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "mosquitto-chat-ctl: %s\n" % error), done
    for words in (["dance"], ["kick", B, "a", "b"], ["ban", B, "--seconds"], ["ban", B, "--seconds", "x"], ["ban", B, "--x", "1"],
                  ["ban", B, "--seconds", "-1"], ["ban", B, b"\xff"], []):
        assert ctl(chat, *words).returncode == 2, words
    done = ctl(chat, "listBans", user=B)
    assert done.returncode == 1 and "no moderator" in done.stderr, done
    done = ctl(chat, "listBans", password="wrong")
    assert done.returncode == 1 and "authori" in done.stderr.lower(), done
    done = run(CTL, "-h", "127.0.0.1", "-p", "1", "listBans")
    assert done.returncode == 1 and "cannot be reached" in done.stderr, done
    done = run(CTL, "--help")
    assert done.returncode == 0 and "closeRoom ROOM" in done.stdout, done


def test_a_token_from_a_file_over_the_unix_socket(brokers):
    chat = moderated(brokers)
    session(chat, B)
    path = chat.file("token", chat.issuer.token(A) + "\n", 0o600)
    done = run(CTL, "--unix", chat.socket_path, "-u", A, "--password-file", path, "kick", B)
    assert (done.returncode, done.stdout) == (0, '{"sessions":1}\n'), done


@pytest.mark.skipif(SANITIZE or EVERYWHERE, reason="mosquitto_ctrl itself is not built with sanitizers")
def test_as_a_module_of_mosquitto_ctrl(brokers):
    ctrl = shutil.which("mosquitto_ctrl") or os.path.join(os.path.dirname(MOSQUITTO), "mosquitto_ctrl")
    chat = with_passwords(brokers)
    bob = chat.mqtt(B, password="secret")
    where = {"LD_LIBRARY_PATH": os.path.dirname(MODULE), "PATH": os.path.dirname(CTL) + ":" + os.environ["PATH"]}
    options = ["-h", "127.0.0.1", "-p", str(chat.mqtt_port), "-u", A, "-P", "secret"]
    done = run(ctrl, *options, "chat", "kick", B, "by \"ctrl\"", **where)
    assert done.returncode == 0 and json.loads(done.stdout)["sessions"] in (0, 1), done
    assert isinstance(bob.next(), Closed)
    done = run(ctrl, *options, "chat", "unban", B, **where)
    assert (done.returncode, done.stderr) == (1, "mosquitto-chat-ctl: not_found\n"), done
    done = run(ctrl, "chat", "help", **where)
    assert done.returncode == 0 and "closeRoom ROOM" in done.stdout, done
