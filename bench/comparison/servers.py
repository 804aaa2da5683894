"""The servers that are compared: how each is started alone, on loopback, with its best fair configuration.

A server's folder is temporary and goes with it. What cannot be started raises Unavailable with the reason, which
stands in the results: a comparison must not grow better by what is not there. Server.pids() are all its processes.
"""

import contextlib
import ctypes
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BENCH = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
REPO = os.path.dirname(BENCH)
PEERS = os.path.join(BENCH, "peers")
MOSQUITTO = os.environ.get("CHAT_MOSQUITTO", "/usr/sbin/mosquitto")
NGINX = "/usr/sbin/nginx"
PYTHON = "/usr/bin/python3"

START_SECONDS = 30
STOP_SECONDS = 10


class Unavailable(Exception):
    """This server cannot run here."""


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class _Ports:
    """Below the ephemeral ones, which the load generator's own connections use up; each in turn, so that what is left
    of a run's connections does not meet the next one's."""

    FIRST, COUNT = 18000, 1000
    at = os.getpid() * 7 % COUNT

    @classmethod
    def take(cls):
        for _ in range(cls.COUNT):
            port = cls.FIRST + cls.at
            cls.at = (cls.at + 1) % cls.COUNT
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                return port
        raise Unavailable("no port from %d on is free" % cls.FIRST)


def children(pid):
    """All processes below that one."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                with open("/proc/%s/stat" % name) as f:
                    parents.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(name))
    found, todo = [], [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found += below
        todo += below
    return sorted(found)


def program(path, why):
    if not os.path.exists(path):
        raise Unavailable(why)
    return path


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def debian(name):
    """The version of an installed package, without epoch and revision."""
    text = output("dpkg-query", "-W", "-f", "${Version}", name)
    return re.sub(r"^\d+:|[-+].*$", "", text.strip()) if "no packages" not in text else ""


class Server:
    """name: in options and results. title: for people. load: what chat-load needs to speak to it."""

    name = title = ""
    protocol = ()
    scheme = "ws"

    def __init__(self, build, **settings):
        self.build = build
        self.settings = settings
        self.port, self.mqtt_port = _Ports.take(), _Ports.take()
        self.folder = self.process = None

    # what differs

    def command(self):
        raise NotImplementedError

    def url(self):
        return "%s://127.0.0.1:%d/ws/user{n}@bench.example?room=r{room}" % (self.scheme, self.port)

    def version(self):
        return ""

    def environment(self):
        return {}

    def working_folder(self):
        return self.folder

    # life

    def file(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def template(self, name):
        with open(os.path.join(PEERS, name)) as f:
            text = f.read()
        for hole, value in (("MQTT_PORT", self.mqtt_port), ("PORT", self.port), ("FOLDER", self.folder)):
            text = re.sub(r"\b%s\b" % hole, str(value), text)
        return self.file(name, text)

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="chat-bench-")
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def log(self):
        with contextlib.suppress(OSError), open(os.path.join(self.folder, "log"), errors="replace") as f:
            return f.read()
        return ""

    def start(self):
        os.chmod(self.folder, 0o711)
        command = self.command()
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.working_folder(), env={**os.environ, **self.environment()},
                                            preexec_fn=_die_with_parent)
        end = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise Unavailable("ended with %d: %s" % (self.process.returncode, self.log()[-400:].strip()))
            if self.answers():
                return
            if time.monotonic() > end:
                raise Unavailable("does not listen after %d s: %s" % (START_SECONDS, self.log()[-400:].strip()))
            time.sleep(0.02)

    def answers(self):
        """To an HTTP request, with anything: a port that is open may be in the hands of one who is not ready yet."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
                probe.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                probe.recv(1)
                return True
        except ConnectionRefusedError:
            return False
        except ConnectionResetError:
            return True
        except OSError:
            return False

    def pids(self):
        return [self.process.pid, *children(self.process.pid)]

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Ours(Server):
    """config/mosquitto.conf with this run's paths and ports, and the limits that a load would meet lifted."""

    name, title = "ours", "mosquitto-chat"

    # All that differs from the shipped configuration besides paths and ports.
    LIFTED = {"rate_messages": "off", "rate_connects": "off", "max_sessions": "20000"}

    def command(self):
        return [program(MOSQUITTO, "mosquitto is not installed"), "-c", self.file("mosquitto.conf", self.config())]

    def config(self):
        data = os.path.join(self.folder, "data")
        os.makedirs(data, exist_ok=True)
        socket_path = os.path.join(self.folder, "chat.sock")
        options = {"port": self.port, "broker_socket": socket_path, "history_file": os.path.join(data, "chat.db"),
                   "bridge_program": os.path.join(self.build, "bridge", "mosquitto-chat-bridge"), **self.LIFTED,
                   **self.settings.get("options", {})}
        plugin = program(os.path.join(self.build, "plugin", "mosquitto_chat.so"), "the plugin is not built")
        with open(os.path.join(REPO, "config", "mosquitto.conf")) as f:
            shipped = f.read()
        lines, seen = [], set()
        for line in shipped.split("\n"):
            word, _, _ = line.partition(" ")
            if line.startswith("listener 0 "):
                line, word = "listener 0 " + socket_path, "listener 0"
            elif word == "listener":
                line = "listener %d 127.0.0.1" % self.mqtt_port
            elif word == "persistence_location":
                line = "persistence_location %s/" % data
            elif word == "plugin":
                line = "plugin " + plugin
            elif word.startswith("plugin_opt_") and word[11:] in options:
                line = "%s %s" % (word, options.pop(word[11:]))
            lines.append(line)
            seen.add(word)
        missing = {"listener", "listener 0", "persistence_location", "plugin", "plugin_opt_port"} - seen
        if missing:
            raise Unavailable("config/mosquitto.conf has no line %s" % ", ".join(sorted(missing)))
        lines += ["plugin_opt_%s %s" % item for item in options.items()]
        if os.geteuid() == 0:
            lines.insert(0, "user root")  # the temporary folder is root's
        return "\n".join(lines) + "\n"

    def version(self):
        found = re.search(r"mosquitto version (\S+)", output(MOSQUITTO, "-h"))
        commit = output("git", "-C", REPO, "describe", "--always", "--dirty").strip()
        return "%s in mosquitto %s" % (commit if "fatal" not in commit else "?", found.group(1) if found else "?")


class OursTls(Ours):
    name, title, scheme = "ours-tls", "mosquitto-chat, TLS", "wss"

    def command(self):
        cert, key = os.path.join(self.folder, "cert.pem"), os.path.join(self.folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"],
                       check=True, capture_output=True)
        self.settings = {**self.settings, "options": {**self.settings.get("options", {}), "tls_cert_file": cert,
                                                      "tls_key_file": key}}
        return super().command()


class Ideal(Server):
    name, title = "ideal", "minimal C server (bench/ideal.c)"

    def command(self):
        return [program(os.path.join(self.build, "bench", "chat-ideal"), "chat-ideal is not built"), str(self.port)]


class Mosquitto(Server):
    name, title = "mosquitto", "mosquitto's WebSocket listener"
    protocol = ("--protocol", "mqtt", "--topic", "chat/{room}")

    def command(self):
        conf = self.template("mosquitto.conf")
        if os.geteuid() == 0:
            with open(conf, "a") as f:
                f.write("user root\n")
        return [program(MOSQUITTO, "mosquitto is not installed"), "-c", conf]

    def url(self):
        return "ws://127.0.0.1:%d/mqtt" % self.port

    def version(self):
        found = re.search(r"mosquitto version (\S+)", output(MOSQUITTO, "-h"))
        return found.group(1) if found else ""


class Nchan(Server):
    name, title = "nchan", "nchan (nginx)"

    def command(self):
        program("/usr/lib/nginx/modules/ngx_nchan_module.so", "libnginx-mod-nchan is not installed")
        conf = self.template("nchan.conf")
        if os.geteuid() == 0:
            with open(conf) as f:
                text = f.read()
            self.file("nchan.conf", "user root;\n" + text)
        return [program(NGINX, "nginx is not installed"), "-p", self.folder, "-c", conf]

    def version(self):
        return "%s, nginx %s" % (debian("libnginx-mod-nchan"), debian("nginx"))


class Node(Server):
    script = ""

    def modules(self):
        return os.path.join(self.build, "peers", "node_modules")

    def command(self):
        node = shutil.which("node")
        if node is None:
            raise Unavailable("node is not installed")
        return [node, os.path.join(PEERS, self.script), str(self.port)]

    def environment(self):
        return {"NODE_PATH": self.modules(), "NODE_ENV": "production"}

    def package(self, name):
        with contextlib.suppress(OSError), open(os.path.join(self.modules(), name, "package.json")) as f:
            return re.search(r'"version":\s*"([^"]+)"', f.read()).group(1)
        return ""

    def node(self):
        return output("node", "--version").strip().lstrip("v")


class Ws(Node):
    name, title, script = "ws", "ws (Node.js)", "ws.js"

    def version(self):
        return "%s, Node.js %s" % (self.package("ws"), self.node())


class Aedes(Node):
    name, title, script = "aedes", "aedes (Node.js)", "aedes.js"
    protocol = ("--protocol", "mqtt", "--topic", "chat/{room}")

    def url(self):
        return "ws://127.0.0.1:%d/mqtt" % self.port

    def version(self):
        return "%s, Node.js %s" % (self.package("aedes"), self.node())


class Bun(Node):
    name, title, script = "bun", "uWebSockets (in Bun)", "bun.js"

    def package_name(self):
        return "@oven/bun-linux-" + {"x86_64": "x64"}.get(platform.machine(), platform.machine())

    def command(self):
        bun = program(os.path.join(self.modules(), self.package_name(), "bin", "bun"), "Bun is not installed")
        return [bun, os.path.join(PEERS, self.script), str(self.port)]

    def version(self):
        return self.package(self.package_name())


class FastApi(Server):
    name, title, loop = "fastapi", "FastAPI + uvicorn (asyncio)", "asyncio"

    def command(self):
        return [PYTHON, "-B", "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(self.port), "--loop", self.loop,
                "--http", "httptools", "--ws", "websockets", "--no-access-log", "--log-level", "error",
                "--backlog", "4096", *self.no_compression(), "fastapi_app:app"]

    def no_compression(self):
        """The generator asks for none; without it there is nothing to negotiate."""
        known = "ws-per-message-deflate" in output(PYTHON, "-m", "uvicorn", "--help")
        return ["--ws-per-message-deflate", "false"] if known else []

    def working_folder(self):
        return PEERS

    def version(self):
        return "%s, uvicorn %s, websockets %s" % tuple(debian("python3-" + name)
                                                       for name in ("fastapi", "uvicorn", "websockets"))


class FastApiUv(FastApi):
    name, title, loop = "fastapi-uvloop", "FastAPI + uvicorn (uvloop)", "uvloop"


ALL = {kind.name: kind for kind in (Ours, OursTls, Ideal, Mosquitto, Nchan, Ws, Aedes, Bun, FastApi, FastApiUv)}
