"""A hub (a mosquitto without the plugin) and nodes (brokers with it) on loopback, each link through a wire that can be cut."""

import contextlib
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness.broker import MOSQUITTO, Broker, _die_with_parent, free_port, mosquitto_version
from harness.dialogue import FACTOR, TIMEOUT, wait_for
from harness.history import history_file

PASSWORD = "only-for-tests"
# How long whatever goes over a link may take: config/node.conf has `restart_timeout 1 10`, so a link that was cut is tried
# again up to ten seconds later, and what its first try meets may cost another ten.
LINKED = 30.0 * FACTOR
HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, "..", "..", "config")


def shipped(name):
    """The lines of config/<name> that are no comments, and with mosquitto 2.1 the one that it alone knows."""
    with open(os.path.join(CONFIG, name)) as f:
        lines = [line.strip() for line in f]
    if mosquitto_version() >= (2, 1):
        lines = [line.replace("#packet_buffer_size", "packet_buffer_size") for line in lines]
    return [line for line in lines if line and not line.startswith("#")]


class Wire:
    """Passes bytes on from a port of its own to another, until it is cut: then connections end and new ones are refused.
    held: they stay, but nothing passes, as with a cable that is out."""

    def __init__(self, to_port):
        self.to_port, self.port = to_port, free_port()
        self.whole, self.held, self.ended = True, False, False
        self.listener = None
        self.pairs, self.lock = [], threading.Lock()
        self.listen()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(8)
        self.listener.setblocking(False)

    def _run(self):
        while not self.ended:
            with self.lock:
                self._accept()
                self._pass_on()
            time.sleep(0.001)

    def _accept(self):
        if not self.listener:
            return
        with contextlib.suppress(BlockingIOError):
            a, _ = self.listener.accept()
            b = socket.socket()
            with contextlib.suppress(OSError):
                b.connect(("127.0.0.1", self.to_port))
                for s in (a, b):
                    s.setblocking(False)
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.pairs.append((a, b))
                return
            a.close()
            b.close()

    def _pass_on(self):
        if self.held:
            return
        with selectors.DefaultSelector() as ready:
            for a, b in self.pairs:
                ready.register(a, selectors.EVENT_READ, (a, b))
                ready.register(b, selectors.EVENT_READ, (b, a))
            for key, _ in ready.select(0.001) if self.pairs else ():
                source, sink = key.data
                try:
                    data = source.recv(262144)
                    sink.setblocking(True)
                    sink.sendall(data)
                    sink.setblocking(False)
                except OSError:
                    data = b""
                if not data:
                    self._end(source)

    def _end(self, one):
        for pair in [p for p in self.pairs if one in p]:
            self.pairs.remove(pair)
            for s in pair:
                s.close()

    def cut(self):
        with self.lock:
            self.listener.close()
            self.listener = None
            for a, _ in list(self.pairs):
                self._end(a)

    def mend(self):
        with self.lock:
            self.listen()

    def close(self):
        self.ended = True
        self.thread.join()
        with contextlib.suppress(AttributeError):
            self.listener.close()
        for a, _ in list(self.pairs):
            self._end(a)


class Hub:
    """config/hub.conf, but for its paths and its port. address: where it listens; reach: where this test finds it; command:
    what runs it."""

    def __init__(self, users, root="chat", address="127.0.0.1", reach=None, command=()):
        self.address, self.reach, self.command = address, reach or address, list(command)
        self.folder = tempfile.mkdtemp(prefix="hub-")
        os.chmod(self.folder, 0o755)
        self.port = free_port()
        self.users, self.root = users, root
        self.process = None
        self.log_path = os.path.join(self.folder, "log")
        self.allowed = []

    def config(self):
        acl = [line[1:].strip() for line in open(os.path.join(CONFIG, "hub.conf")) if re.match(r"#\s+pattern ", line)]
        self._write("acl", "\n".join(acl) + "\n")
        passwords = os.path.join(self.folder, "passwords")
        open(passwords, "w").close()
        for user in self.users:
            subprocess.run(["mosquitto_passwd", "-b", passwords, user, PASSWORD], check=True, stderr=subprocess.DEVNULL)
        os.chmod(passwords, 0o644)
        text = "\n".join(["user root", "log_dest stderr", "log_type all"] + shipped("hub.conf")) + "\n"
        for old, new in (("listener 1884 127.0.0.1", "listener %d %s" % (self.port, self.address)),
                         ("/etc/mosquitto/hub-passwords", passwords),
                         ("/etc/mosquitto/hub-acl", os.path.join(self.folder, "acl")),
                         ("/var/lib/mosquitto-hub/", self.folder + "/")):
            assert old in text, old
            text = text.replace(old, new)
        return self._write("hub.conf", text)

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command + [MOSQUITTO, "-c", self.config()], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, cwd=self.folder, start_new_session=True,
                                            preexec_fn=_die_with_parent)

        def listens():
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(OSError):
                socket.create_connection((self.reach, self.port), timeout=1).close()
                return True
        wait_for(listens, "the hub listens")
        return self

    def log(self):
        with open(self.log_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(TIMEOUT)

    def finish(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.stop()
        lost = [line for line in self.log().splitlines() if "being dropped" in line]
        shutil.rmtree(self.folder, ignore_errors=True)
        return ["the hub lost messages: " + line for line in lost]


class Node(Broker):
    """A broker with the plugin and config/node.conf, named node1, node2, …"""

    def __init__(self, name, hub_port, bridge=True, root="chat", hub_address="127.0.0.1", **options):
        lines = shipped("node.conf")
        text = "\n".join(line for line in lines if not line.startswith(("plugin_opt_", "max_", "persistence")))
        for old, new in (("hub.example.org:1884", "%s:%d" % (hub_address, hub_port)), ("change-me", PASSWORD), ("node1", name)):
            assert old in text, old
            text = text.replace(old, new)
        defaults = dict(re.match(r"plugin_opt_(\S+) (.*)", line).groups() for line in lines if line.startswith("plugin_opt_"))
        defaults.update(node=name, presence_grace="500ms")
        defaults.update(options)
        super().__init__(bridge=bridge, options=defaults)
        self.name = name
        self.options["history_file"] = history_file(self)
        self.lines += ["persistence true", "persistence_location %s/" % self.folder]
        self.connection = text
        # What comes of a link that is not there.
        self.allow("Connection refused", "Error creating bridge", "Error: ")

    def config(self):
        return super().config().replace("max_queued_messages 20000", "max_queued_messages 100000") + self.connection + "\n"


class Star:
    def __init__(self, nodes=3, bridge=True, names=None, **options):
        self.names = names or ["node%d" % (n + 1) for n in range(nodes)]
        self.hub = Hub(self.names)
        self.wires, self.nodes = [], []
        self.bridge, self.options = bridge, options
        self.prepare = lambda node: None

    def start(self):
        self.hub.start()
        for name in self.names:
            self.wires.append(Wire(self.hub.port))
            self.nodes.append(Node(name, self.wires[-1].port, bridge=self.bridge, **self.options))
            self.prepare(self.nodes[-1])
            self.nodes[-1].start()
        self.wait_together()
        return self

    def __iter__(self):
        return iter(self.nodes)

    def __getitem__(self, n):
        return self.nodes[n]

    def wait_together(self, *nodes):
        """Until each of them has heard all others."""
        nodes = nodes or self.nodes
        for node in nodes:
            for other in nodes:
                if other is not node:
                    node.wait_log("chat: node %s is there" % other.name, timeout=LINKED)

    def logs(self):
        yield "hub", self.hub.log() if os.path.exists(self.hub.log_path) else ""
        for node in self.nodes:
            yield node.name, node.log() if os.path.exists(node.log_path) else getattr(node, "tail", "")

    def finish(self):
        problems = []
        for node in self.nodes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(node.pid, signal.SIGCONT)
            problems += ["%s: %s" % (node.name, problem) for problem in node.finish()]
        for wire in self.wires:
            wire.close()
        return problems + self.hub.finish()
