"""The bridge's sandbox: in force, off where the option says so, and nothing that the bridge does is missing in it.

What it refuses, call by call: tests/unit/test_sandbox.c.
"""

import os
import platform
import re
import signal
import socket
import sqlite3
import ssl
import subprocess

import pytest

from harness.broker import BUILD, INSTRUMENTED
from harness.dialogue import wait_for
from harness.history import history_file, rows, say, with_history
from harness.tls import EVERYWHERE, Certificate

A, B = "alice@example.com", "bob@example.com"

pytestmark = pytest.mark.skipif(INSTRUMENTED or bool(os.environ.get("CHAT_BRIDGE")), reason="a bridge with sanitizers or in valgrind has no sandbox")


def status(pid):
    """The fields of /proc/PID/status."""
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f)


def said(chat):
    return re.findall(r"chat-bridge: (sandbox: .*)", chat.log())


def test_it_is_in_force(chat):
    chat.wait_log("connected to the broker")
    [line] = said(chat)
    assert re.fullmatch(r"sandbox: seccomp, Landlock ABI \d+", line), line
    [pid] = chat.bridge_pids()
    of = status(pid)
    assert of["Seccomp"] == "2" and of["Seccomp_filters"] == "2" and of["NoNewPrivs"] == "1", of
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(of[kind], 16) == 0, (kind, of[kind])
    if os.getuid() == 0:
        assert int(of["CapBnd"], 16) == 0, of["CapBnd"]
    # Not to be traced by others of its user: what lies there belongs to root.
    assert os.stat("/proc/%d/mem" % pid).st_uid == 0


def test_the_worker_thread_has_it_too(brokers):
    chat = with_history(brokers)
    say(chat, ["one", "two"])
    assert chat.http("GET", "/rooms/general/messages").status == 200
    [pid] = chat.bridge_pids()
    tasks = os.listdir("/proc/%d/task" % pid)
    assert len(tasks) > 1
    for task in tasks:
        with open("/proc/%d/task/%s/status" % (pid, task)) as f:
            assert re.search(r"^Seccomp:\t2$", f.read(), re.M), task


def test_off_is_off(brokers):
    chat = brokers(options={"sandbox": "off"})
    chat.wait_log("connected to the broker")
    assert said(chat) == ["sandbox: off, as plugin_opt_sandbox says"]
    [pid] = chat.bridge_pids()
    of = status(pid)
    assert of["Seccomp"] == status(os.getpid())["Seccomp"]
    assert of["CapEff"] == status(chat.pid)["CapEff"]
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({"message": "hi"})
    bob.expect_message("hi", A)


def test_each_of_several_and_the_next_life(brokers):
    chat = brokers(options={"bridges": "2"})
    chat.allow("next start in")
    pids = chat.wait_bridges(2)
    assert [status(pid)["Seccomp"] for pid in pids] == ["2", "2"]
    os.kill(pids[0], signal.SIGKILL)
    [fresh] = chat.wait_bridges(1, but=(pids[0], pids[1]))
    wait_for(lambda: status(fresh)["Seccomp_filters"] == "2", "the sandbox of the next life")


def presented(chat, trust):
    context = ssl.create_default_context(cafile=trust)
    with socket.create_connection(("127.0.0.1", chat.ws_port)) as raw, context.wrap_socket(raw, server_hostname="localhost") as tls:
        return tls.getpeercert(True)


@pytest.mark.skipif(EVERYWHERE, reason="certificates of its own")
def test_a_renewed_certificate_in_the_way_of_certbot(brokers, tmp_path):
    """live/NAME is a link into archive/, and a renewal lets it lead to a new file there."""
    for part in (tmp_path, *tmp_path.parents):
        if os.stat(part).st_uid == os.getuid() and part != part.parent:
            os.chmod(part, os.stat(part).st_mode | 0o011)
    made = Certificate()
    archive, live, elsewhere = tmp_path / "archive", tmp_path / "live", tmp_path / "elsewhere"
    for folder in (archive, live, elsewhere):
        folder.mkdir(mode=0o755)

    def renewal(folder, n):
        made.renew()
        for kind, source in (("cert", made.cert), ("key", made.key)):
            there = folder / ("%s%d.pem" % (kind, n))
            there.write_bytes(open(source, "rb").read())
            there.chmod(0o644)
            new = live / "new"
            new.symlink_to(there)
            os.replace(new, live / (kind + ".pem"))
        return str(folder / ("cert%d.pem" % n))

    first = renewal(archive, 1)
    chat = brokers(options={"tls_cert_file": str(live / "cert.pem"), "tls_key_file": str(live / "key.pem")})
    presented(chat, first)
    second = renewal(archive, 2)
    chat.hup()
    chat.wait_log("new settings and certificate are in force")
    presented(chat, second)
    # Where it did not lead at the start it is not followed, and the log says why.
    since = len(chat.log())
    renewal(elsewhere, 3)
    chat.hup()
    chat.wait_log(r"no certificate can be read from \S+/cert.pem: .*the sandbox opens files in the folders of the start alone", since=since)
    chat.wait_log("with the certificate from before", since=since)
    presented(chat, second)


def test_another_history_file_needs_a_restart(brokers):
    """The plugin makes a new file where somebody took the old one away. The bridge says that it cannot follow."""
    chat = with_history(brokers)
    chat.allow("not where it was", "history cannot be read")
    say(chat, ["before"])
    assert chat.http("GET", "/rooms/general/messages").status == 200
    alice = chat.ws(A)
    os.unlink(history_file(chat))
    alice.send({"message": "after", "ref": "after"})
    alice.expect(type="ack", ref="after")

    def written():
        try:
            return rows(chat)
        except sqlite3.Error:
            return None

    wait_for(written, "the message in the new file")
    assert chat.http("GET", "/rooms/general/messages").status == 503
    chat.wait_log("history cannot be read: .*not the file of the start, and the sandbox opens no other: restart the broker")
    chat.restart()
    answer = chat.http("GET", "/rooms/general/messages")
    assert answer.status == 200 and b"after" in answer.body


def test_a_refused_call_is_in_the_log(chat):
    """SIGSYS, which the kernel sends for a forbidden call, is named by the plugin."""
    chat.allow("next start in")
    [pid] = chat.bridge_pids()
    os.kill(pid, signal.SIGSYS)
    chat.wait_log(r"chat-bridge was ended by signal 31 \(Bad system call\)")
    chat.wait_bridges(1, but=(pid,))


@pytest.mark.parametrize("value", ["yes", "ON", "", "1"])
def test_other_values_stop_the_broker(brokers, value):
    log = brokers(start=False, options={"sandbox": value}).start_refused()
    if value:
        assert re.search(r"plugin_opt_sandbox.*`on` or `off` is expected", log), log


def test_the_build_is_hardened():
    """Full RELRO, PIE, no executable stack, stack protector, fortified calls; indirect branches tracked on x86."""
    def readelf(*flags):
        return subprocess.run(["readelf", "-W", *flags], capture_output=True, text=True, check=True).stdout

    for part in ("plugin/mosquitto_chat.so", "bridge/mosquitto-chat-bridge"):
        path = os.path.join(BUILD, part)
        assert re.search(r"^\s*Type:\s+DYN", readelf("-h", path), re.M), part
        segments = readelf("-l", path)
        assert "GNU_RELRO" in segments, part
        assert re.search(r"GNU_STACK.* RW  ?0x", segments), part
        assert re.search(r"FLAGS.*(BIND_NOW|NOW)", readelf("-d", path)), part
        symbols = readelf("--dyn-syms", path)
        assert "__stack_chk_fail" in symbols, part
        assert re.search(r"__(memcpy|vsnprintf|snprintf)_chk", symbols), part
        if platform.machine() == "x86_64":
            # Not the note in the file, which Debian's start files, linked in without one, make the linker leave out.
            code = subprocess.run(["objdump", "-d", path], capture_output=True, text=True, check=True).stdout
            assert code.count("endbr64") > 100, part
