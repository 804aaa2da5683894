"""One mosquitto with the plugin: its folder, ports, configuration, log, processes and clients."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from . import valgrind as memcheck
from .dialogue import FACTOR, MARKER, TIMEOUT, wait_for
from .paho import Paho
from .tls import EVERYWHERE, Certificate
from .tunnel import Tunnel
from .websocket import RawWs, Ws, read_answer
from .wire import Mqtt, Refused, topic_level

REPO = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.path.abspath(os.environ.get("CHAT_BUILD_DIR") or os.path.join(REPO, "build"))
PLUGIN = os.path.join(BUILD, "plugin", "mosquitto_chat.so")
# CHAT_BRIDGE: a bridge of another build, such as one with ThreadSanitizer.
BRIDGE = os.path.abspath(os.environ.get("CHAT_BRIDGE") or os.path.join(BUILD, "bridge", "mosquitto-chat-bridge"))
MOSQUITTO = os.environ.get("CHAT_MOSQUITTO", "/usr/sbin/mosquitto")
SANITIZE = bool(os.environ.get("CHAT_SANITIZE"))
# Memory and time of such processes are not those of the programs, and they have no sandbox.
INSTRUMENTED = SANITIZE or memcheck.ALL

# What no log may hold, whatever a test does. ("disconnected due to out of memory" is how mosquitto 2.0,
# "disconnected: out of memory" how 2.1 calls a write to a socket whose other end has gone.)
FINDINGS = re.compile(
    r"(ERROR|WARNING): \w*Sanitizer|runtime error:|LeakSanitizer|Assertion .* failed|assert(ion)? fail|"
    r"double free|corrupted|stack smashing|Segmentation fault|(?<!due to )(?<!disconnected: )out of memory", re.I)
# What no log may hold unless the test expects it (Broker.allow).
SURPRISES = re.compile(
    r"^(\d+: )?Error\b|next start in|is killed|Outgoing messages are being dropped|protocol error", re.M)


class _Ports:
    """Free ports from a slice that an abstract socket name gives to this process alone: such names
    belong to the network, as ports do, so it holds between users and roots of one machine too."""

    FIRST, SLICE, SLICES = 20000, 200, 40
    lock = None
    base = at = 0

    @classmethod
    def take(cls):
        if cls.lock is None:
            for n in range(cls.SLICES):
                lock = socket.socket(socket.AF_UNIX)
                try:
                    lock.bind("\0mosquitto-chat-test-ports-%d" % n)
                except OSError:
                    lock.close()
                    continue
                cls.lock, cls.base = lock, cls.FIRST + n * cls.SLICE
                break
            else:
                raise AssertionError("no slice of ports is free")
        for _ in range(cls.SLICE):
            port = cls.base + cls.at
            cls.at = (cls.at + 1) % cls.SLICE
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
        raise AssertionError("no free port")


free_port = _Ports.take


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def stat_fields(pid):
    """The fields of /proc/PID/stat after the name: state, ppid, pgrp, session, …; None when gone."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None


def running(pid):
    fields = stat_fields(pid)
    return fields is not None and fields[0] not in "ZX"


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def libasan():
    path = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout
    path = os.path.realpath(path.strip())
    if os.path.getsize(path) < 4096:
        # A linker script: the library it names.
        with open(path) as f:
            path = os.path.realpath(re.search(r"/\S+libasan\.so\S*", f.read()).group(0))
    return path


def mosquitto_version():
    """(2, 0, 11)"""
    text = subprocess.run([MOSQUITTO, "-h"], capture_output=True, text=True).stdout
    return tuple(int(n) for n in re.match(r"mosquitto version (\d+)\.(\d+)\.(\d+)", text).groups())


class Broker:
    """bridge=False runs the plugin alone. options: plugin_opt_* (None leaves a default out).
    lines: further lines of mosquitto.conf before the listeners; plugin_lines: after the options.
    tls: a Certificate, with which the port speaks TLS. valgrind=True: broker and bridges run in it (harness/valgrind.py)."""

    def __init__(self, bridge=True, options=None, lines=(), plugin_lines=(), command=None, plugin=PLUGIN, tls=None,
                 valgrind=memcheck.ALL):
        self.folder = tempfile.mkdtemp(prefix="chat-")
        self.mqtt_port = free_port()
        self.ws_port = free_port()
        self.socket_path = os.path.join(self.folder, "chat.sock")
        self.conf_path = os.path.join(self.folder, "mosquitto.conf")
        self.log_path = os.path.join(self.folder, "log")
        self.plugin = plugin
        self.reports = memcheck.Reports() if valgrind else None
        self.bridge = bridge
        self.options = {
            "port": self.ws_port,
            "broker_socket": self.socket_path,
            "bridge_program": self.bridge_program() if bridge else "off",
            "rate_messages": "off",
            "rate_connects": "off",
        }
        if memcheck.ALL and bridge:
            self.options["header_timeout"] = "1m"  # in which a handshake is over there, with TLS too
        self.tls = tls or (Certificate.shared() if EVERYWHERE and bridge else None)
        self.options.update(self.tls.options if self.tls else {})
        self.options.update(options or {})
        self.ws_port = int(self.options["port"]) if str(self.options["port"]).isdigit() else self.ws_port
        self.root = self.options.get("topic_root", "chat")
        self.room = self.options.get("room", "general")
        self.lines = list(lines)
        self.plugin_lines = list(plugin_lines)
        self.command = command
        self.clients = []
        self.transcript = []
        self.allowed = []
        self.secrets = ()  # texts of which no part between dots may be in the log
        self.password_of = lambda address: None  # what the harness' own clients sign in with
        self.process = None
        self.ended = False
        self.gives_up = False  # it leaves without the plugin's end (harness/valgrind.py)
        self.seen_bridges = set()
        self.marker = None
        self.marks = 0
        self.memcheck = {}  # how many processes valgrind has reported of, after finish()
        self.log_file = open(self.log_path, "ab")

    # configuration and life

    def file(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def bridge_program(self):
        if self.reports:
            return self.file("bridge", self.reports.script(BRIDGE), 0o755)
        if not SANITIZE:
            return BRIDGE
        # The broker must not be searched for leaks (mosquitto has its own), the bridge shall be.
        return self.file("bridge", "#!/bin/sh\nunset LD_PRELOAD\nASAN_OPTIONS=detect_leaks=1\nexport ASAN_OPTIONS\n"
                         "exec %s \"$@\"\n" % BRIDGE, 0o755)

    def config(self):
        lines = ["user root"] if os.geteuid() == 0 else []
        lines += [
            "log_dest stderr",
            "log_type all",
            "allow_anonymous true",
            "allow_duplicate_messages true",
            "max_queued_messages 20000",
            "max_inflight_messages 1000",
        ]
        lines += self.lines
        lines += ["listener %d 127.0.0.1" % self.mqtt_port, "listener 0 %s" % self.socket_path]
        lines += ["plugin %s" % self.plugin]
        lines += ["plugin_opt_%s %s" % (name, value) for name, value in self.options.items() if value is not None]
        lines += self.plugin_lines
        return "\n".join(lines) + "\n"

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ASAN_", "UBSAN_", "LSAN_", "LD_"))}
        if SANITIZE:
            env["LD_PRELOAD"] = libasan()
            env["ASAN_OPTIONS"] = "detect_leaks=0"
            env["UBSAN_OPTIONS"] = "print_stacktrace=1"
        return env

    def spawn(self):
        with open(self.conf_path, "w") as f:
            f.write(self.config())
        command = (self.command or []) + (self.reports.command("broker") if self.reports else [])
        command += [MOSQUITTO, "-c", self.conf_path]
        self.transcript.append("-- " + " ".join(command))
        self.ended = False
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log_file,
                                        stderr=subprocess.STDOUT, env=self.environment(), cwd=self.folder,
                                        start_new_session=True, preexec_fn=_die_with_parent)

    def start(self, timeout=TIMEOUT):
        before = len(self.log())  # an earlier life's log, where it has had one
        self.spawn()
        end = time.monotonic() + timeout
        while True:
            if self.process.poll() is not None:
                raise AssertionError("the broker ended with %r:\n%s" % (self.process.returncode, self.log()))
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.mqtt_port), timeout=1).close()
                break
            if time.monotonic() > end:
                raise AssertionError("the broker does not listen:\n%s" % self.log())
            time.sleep(0.01)
        # It listens before its signal handlers stand; the line comes after them, where it is logged at all.
        end = time.monotonic() + 2 * FACTOR
        while not re.search(r"mosquitto version \S+ running", self.log()[before:]) and time.monotonic() < end:
            if self.process.poll() is not None:  # it was somebody else who listened
                raise AssertionError("the broker ended with %r:\n%s" % (self.process.returncode, self.log()))
            time.sleep(0.005)
        if memcheck.ALL and self.bridge and "log_type all" in self.config():
            # Elsewhere that is done before a test has said its first word; here it takes seconds.
            while not re.search(r"chat-bridge\S*: connected to the broker", self.log()[before:]) and time.monotonic() < end:
                time.sleep(0.05)
        self.bridge_pids()
        return self

    def start_refused(self, timeout=TIMEOUT + 6):
        """The broker must end by itself with an error before it serves anybody; returns the log."""
        self.allow(".*")
        self.spawn()
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("the broker runs, it should have refused:\n%s" % self.log()) from None
        self.ended = True
        log = self.log()
        assert code > 0, "ended with %d:\n%s" % (code, log)
        assert not re.search(r"mosquitto version \S+ running", log), log
        return log

    def terminate(self, timeout=TIMEOUT):
        """As systemd would; returns the exit code."""
        self.bridge_pids()
        self.ended = True
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self):
        self.bridge_pids()
        self.ended = True
        self.process.kill()
        self.process.wait()

    def restart(self):
        """Stop and start with the same folder and ports; clients of before are forgotten."""
        assert self.terminate() == 0
        self.close_clients()
        self.start()

    def hup(self):
        self.process.send_signal(signal.SIGHUP)

    @property
    def pid(self):
        """The broker itself, also under valgrind and the like (which keep the pid)."""
        return self.process.pid

    def bridge_pids(self):
        """Living children of the broker that are no zombies, sorted by age."""
        found = []
        for pid in processes():
            fields = stat_fields(pid)
            if fields and int(fields[1]) == self.pid and fields[0] not in "ZX":
                found.append((int(fields[19]), pid))
        pids = [pid for _, pid in sorted(found)]
        self.seen_bridges.update(pids)
        return pids

    def wait_bridges(self, n=1, but=(), timeout=TIMEOUT):
        """Until n bridges run that are not in but; returns their pids."""
        def there():
            pids = [p for p in self.bridge_pids() if p not in but]
            return pids if len(pids) == n else None
        return wait_for(there, lambda: "%d bridges, have %r but %r" % (n, self.bridge_pids(), but), timeout)

    # log

    def log(self):
        with open(self.log_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def counters(self, who="chat-bridge"):
        """Ends the broker; what that one has counted ("chat" is the plugin): {"closes 1000": 3, ...}. Of several
        bridges name one: "chat-bridge[1]"."""
        if not self.ended:
            assert self.terminate() == 0
        found = {}
        for line in re.findall(r"^(?:\d+: )?%s: counters: (.*)$" % re.escape(who), self.log(), re.M):
            for family in line.split("; "):
                name, *values = family.split(" ")
                found.update(("%s %s" % (name, label), int(n)) for label, n in (value.rsplit("=", 1) for value in values))
        return found

    def allow(self, *patterns):
        """Log lines that would be a surprise in other tests."""
        self.allowed += patterns

    def wait_log(self, pattern, timeout=TIMEOUT, since=0):
        """Until a line matches; returns the match. since: len(log()) of before."""
        compiled = re.compile(pattern, re.M)
        return wait_for(lambda: compiled.search(self.log()[since:]), "log line %r" % pattern, timeout)

    # clients

    def mqtt(self, user=None, version=5, **more):
        return Mqtt(self, user, version, **more)

    def mqtt_refused(self, user=None, version=5, **more):
        """The CONNACK code, None for a bare close; an assertion when it was let in."""
        try:
            client = Mqtt(self, user, version, **more)
        except Refused as refused:
            return refused.code
        raise AssertionError("%s was let in" % client.name)

    def tunnel(self, user=None, version=5, transport=None, **more):
        """The raw MQTT client over /mqtt; transport: a Tunnel of one's own."""
        return Mqtt(self, user, version, transport=transport or Tunnel(self), **more)

    def paho(self, user=None, version=5, **more):
        return Paho(self, user, version, **more)

    def ws(self, address, rooms=None, **query):
        """A session that is in its rooms: opts in to typing events and has seen its ready frame."""
        query.setdefault("events", "typing")
        session = Ws(self, address, rooms=rooms, **query)
        session.expect_ready(rooms or [self.room])
        return session

    def plain_ws(self, address, rooms=None, **query):
        """A session that opts in to nothing, as most pages are; sync() waits for its rooms."""
        return Ws(self, address, rooms=rooms, **query)

    def raw_ws(self, address="raw@chat.test", **more):
        return RawWs(self, address, **more)

    def connect(self, receive_buffer=None):
        """A connection to the WebSocket and HTTP port, TLS where it speaks that."""
        sock = socket.socket()
        try:
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(TIMEOUT)
            sock.connect(("127.0.0.1", self.ws_port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self.tls.wrap(sock) if self.tls else sock
        except BaseException:
            sock.close()
            raise

    def http(self, method, path, headers=(), body=b"", version="HTTP/1.1", host=True, raw=None):
        """One plain HTTP exchange; None when the server closed without an answer."""
        with self.connect() as sock:
            if raw is None:
                raw = ("%s %s %s\r\n" % (method, path, version)).encode("latin-1")
                if host:
                    raw += b"Host: 127.0.0.1:%d\r\n" % self.ws_port
                for line in headers:
                    raw += ("%s: %s\r\n" % line).encode("latin-1")
                raw += b"\r\n" + body
            sock.sendall(raw)
            return read_answer(sock, head_only=method == "HEAD")

    def mark(self, address, rooms):
        """Sends a marker to each room and to the address; returns their texts."""
        if self.marker is None or self.marker.closed:
            self.marker = Mqtt(self, MARKER, password=self.password_of(MARKER))
        texts = set()
        for topic in ["%s/rooms/%s/send" % (self.root, room) for room in rooms] + \
                     ["%s/users/%s/send" % (self.root, topic_level(address))]:
            self.marks += 1
            text = "mark-%d" % self.marks
            code = self.marker.publish(topic, {"message": text})
            assert code is not None and code < 0x80, "marker refused: %r" % code
            texts.add(text)
        return texts

    def close_clients(self):
        for client in self.clients:
            with contextlib.suppress(Exception):
                client.close()
        self.clients.clear()
        self.marker = None

    # the end

    def finish(self):
        """Stops everything; returns what a test must not leave behind."""
        problems = []
        if self.process is not None:
            if not self.ended:
                if self.process.poll() is not None:
                    problems.append("the broker ended by itself with %r" % self.process.returncode)
                else:
                    self.bridge_pids()
                    self.close_clients()
                    try:
                        code = self.terminate()
                        if code:
                            problems.append("the broker's exit code is %d" % code)
                    except subprocess.TimeoutExpired:
                        problems.append("the broker did not end on SIGTERM")
                        self.process.kill()
                        self.process.wait()
            problems += self.orphans()
        self.close_clients()
        self.log_file.close()
        log = self.log()
        problems += ["finding in the log: " + line for line in log.splitlines() if FINDINGS.search(line)]
        problems += ["surprise in the log: " + line for line in log.splitlines()
                     if SURPRISES.search(line) and not any(re.search(p, line) for p in self.allowed)]
        problems += ["a secret is in the log: ...%s..." % part[:12] for part in self.secret_parts() if part in log]
        problems += self.memory_findings()
        self.tail = log
        if not os.environ.get("CHAT_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
        return problems

    def memory_findings(self):
        """What valgrind has found, once."""
        if not self.reports:
            return []
        self.memcheck = self.reports.counts()
        found = self.reports.findings(leaks_of_broker=not self.gives_up)
        if self.process is not None and not self.memcheck["broker"]:
            found.append("valgrind has left no report of the broker")
        if self.process is not None and self.process.returncode >= 0 and self.memcheck["broker killed"] == self.memcheck["broker"]:
            found.append("valgrind's report of the broker ends early")
        if not os.environ.get("CHAT_KEEP"):
            self.reports.remove()
        return found

    def secret_parts(self):
        return {part for secret in self.secrets for part in secret.split(".") if len(part) >= 8}

    def orphans(self):
        """Bridges that outlive their broker, by what was seen and by the broker's process session."""
        def left():
            pids = {p for p in self.seen_bridges if running(p)}
            for pid in processes():
                fields = stat_fields(pid)
                if fields and int(fields[3]) == self.pid and pid != self.pid and fields[0] not in "ZX":
                    pids.add(pid)
            return pids
        try:
            wait_for(lambda: not left(), "", timeout=TIMEOUT / 2)
            return []
        except AssertionError:
            pids = left()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            return ["orphan bridge process %d" % pid for pid in pids]


class Crowd:
    """Reads one session in a thread while the test goes on writing to others."""

    def __init__(self, client, count, timeout):
        self.client, self.count, self.timeout = client, count, timeout
        self.frames, self.error = [], None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            end = time.monotonic() + self.timeout
            while len(self.frames) < self.count:
                self.frames.append(self.client.next(max(0.01, end - time.monotonic())))
        except Exception as error:  # handed to the test's thread by result()
            self.error = error

    def result(self):
        self.thread.join(self.timeout + 5)
        assert self.error is None and len(self.frames) == self.count, \
            "%s: %d of %d frames came (%r)" % (self.client.name, len(self.frames), self.count, self.error)
        return self.frames
