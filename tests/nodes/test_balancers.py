"""nginx and HAProxy in front of two nodes, with the very text of docs/scaling.md but for ports and paths."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from harness.broker import Broker, _die_with_parent, free_port
from harness.dialogue import TIMEOUT, wait_for
from harness.tls import Certificate
from star import Star

A, B = "alice@example.com", "bob@example.com"
DOC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "scaling.md")


def written(name):
    """The block of docs/scaling.md that stands behind this name and a colon."""
    with open(DOC) as f:
        return re.search(r"(?m)^(?:.* )?%s:\n\n```\n(.*?)^```" % name, f.read(), re.S).group(1)


class Balancer:
    """One of the two, on a port of its own; clients use it as if it were the node that they are given."""

    def __init__(self, nodes):
        self.port, self.tls = free_port(), Certificate.shared()
        self.folder = tempfile.mkdtemp(prefix="balancer-")
        os.chmod(self.folder, 0o755)
        self.nodes = nodes
        pem = self.path("chat.pem")
        with open(pem, "w") as f:
            f.write(open(self.tls.cert).read() + open(self.tls.key).read())
        text = written(self.name)
        for n, node in enumerate(nodes):
            assert "node%d.example.org:8000" % (n + 1) in text
            text = text.replace("node%d.example.org:8000" % (n + 1), "127.0.0.1:%d" % node.ws_port)
        # the third is not there: what has no server leaves it out
        text = re.sub(r"server (node3 )?node3\.example\.org:8000( check)?;?", "", text)
        for old, new in self.changes(pem):
            assert old in text, old
            text = text.replace(old, new)
        assert "example.org" not in text, text
        self.write("conf", self.around(text))
        self.log = open(self.path("log"), "wb")
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
                                        cwd=self.folder, start_new_session=True, preexec_fn=_die_with_parent)

        def listens():
            assert self.process.poll() is None, open(self.path("log")).read()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
        wait_for(listens, self.name + " listens")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(TIMEOUT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # nginx' workers
            self.log.close()
            shutil.rmtree(self.folder, ignore_errors=True)


class Nginx(Balancer):
    name = "nginx"

    def changes(self, pem):
        return [("listen 443 ssl;", "listen 127.0.0.1:%d ssl;" % self.port), ("/etc/nginx/chat.pem", pem)]

    def around(self, text):
        """What Debian's nginx.conf has around the file in conf.d, as far as it must be there."""
        temp = "".join("%s_temp_path %s;\n" % (kind, self.path(kind)) for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return "daemon off;\npid %s;\nuser root;\nworker_processes 1;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n" % (
            self.path("pid"), temp, text)

    def command(self):
        return ["nginx", "-c", self.path("conf"), "-p", self.folder, "-e", "stderr"]


class HaProxy(Balancer):
    name = "HAProxy"

    def changes(self, pem):
        return [("bind :443 ssl", "bind 127.0.0.1:%d ssl" % self.port), ("/etc/haproxy/chat.pem", pem)]

    def around(self, text):
        return text

    def command(self):
        return ["haproxy", "-db", "-f", self.path("conf")]


class Door:
    """A node as its clients see it who come through the balancer, from another loopback address than the balancer's."""

    def __init__(self, node, balancer):
        self._node, self.ws_port, self.tls = node, balancer.port, balancer.tls
        self.clients = []  # they outlive a node

    def __getattr__(self, name):
        return getattr(self._node, name)

    def connect(self, receive_buffer=None):
        sock = socket.socket()
        sock.settimeout(TIMEOUT)
        sock.bind(("127.0.0.9", 0))
        sock.connect(("127.0.0.1", self.ws_port))
        return self.tls.wrap(sock)

    raw_ws, http = Broker.raw_ws, Broker.http

    def page(self, address):
        session = self.raw_ws(address, events="typing")
        session.expect_ready([self.room])
        return session


def where(star, address, n=1):
    """At which n nodes it has had sessions, by the log, which comes a moment after the session."""
    def found():
        there = [node for node in star if re.search(r"session of %s opened from 127\.0\.0\.9" % re.escape(address), node.log())]
        return len(there) == n and there
    return wait_for(found, "%s is at %d nodes" % (address, n))


@pytest.fixture(scope="module")
def shared_star(report_on):
    with report_on(Star(2, trusted_proxies="127.0.0.1", presence_grace="1s")) as one:
        yield one.start()


@pytest.mark.parametrize("kind, program", [(Nginx, "nginx"), (HaProxy, "haproxy")])
def test_the_text_of_the_docs(star, kind, program):
    if not shutil.which(program) and not os.path.exists("/usr/sbin/" + program):
        pytest.skip("%s is not installed" % program)
    balancer = kind(list(star))
    try:
        door = Door(star[0], balancer)
        # least_conn, leastconn: two sessions that stay are at two nodes
        names = ["%s.%s" % (program, user) for user in (A, B)]
        pages = [door.page(name) for name in names]
        nodes = [where(star, name) for name in names]
        assert nodes[0] != nodes[1], nodes
        for page, other, name in ((*pages, names[0]), (*reversed(pages), names[1])):
            page.send({"message": "hello", "ref": "1"})
            page.expect_ack("1")
            other.expect_message("hello", name)
        assert door.http("GET", "/health").status == 200
        # a node stops: its sessions end, whoever dials again is at the other
        gone = nodes[0][0]
        assert gone.terminate() == 0
        gone.close_clients()  # its marker
        pages[0].expect_end()
        again = door.page(names[0])
        where(star, names[0], 2)
        again.send({"message": "back"})
        pages[1].expect_message("back", names[0])
        assert door.http("GET", "/health").status == 200
        pages[1].close()
        again.close()
        gone.start()
        star.wait_together()
    finally:
        balancer.end()
