"""A Debian machine whose systemd does not run (booted.py has one that does): a copy of the system in CHAT_MACHINE, to which packages are installed and on which
mosquitto is started as its unit says.

Needs root, and a mount, process and network namespace of the tests' own (tests/package/run). The copy is an overlay, so
that it costs nothing; what is written to it is in memory. invoke-rc.d is one that writes down what it was asked for, since
nothing would carry it out; the tests do then as a service manager would.
"""

import contextlib
import glob
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness.dialogue import TIMEOUT, wait_for
from harness.server import Server

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
               "DEBIAN_FRONTEND": "noninteractive"}
CONF = "/etc/mosquitto/conf.d/chat.conf"
LOG = "/var/log/mosquitto/mosquitto.log"
RESTARTS = "/var/log/restarts"

# What the units of Debian's mosquitto say about its process, and this machine does or need not do. What else they come to
# say may be in the bridge's way, and has to be looked at.
SERVICE_KEYS = {"Type", "NotifyAccess", "WatchdogSec", "ExecStart", "ExecReload", "ExecStartPre", "Restart", "RestartSec", "LimitNOFILE", "User",
                "RuntimeDirectory", "LogsDirectory"}
FOLDERS = {"RuntimeDirectory": "/run/", "LogsDirectory": "/var/log/"}


class Machine(Server):
    def __init__(self, base):
        self.clients, self.transcript = [], []
        self.broker = None
        self.folder = tempfile.mkdtemp(prefix="chat-machine-")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.folder], check=True)
        self.files = os.path.join(self.folder, "root")
        for name in ["root", "upper", "work"]:
            os.mkdir(os.path.join(self.folder, name))
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", "lowerdir=%s,upperdir=%s/upper,workdir=%s/work"
                        % (base, self.folder, self.folder), self.files], check=True)
        for kind, target in [("proc", "proc"), ("tmpfs", "run"), ("tmpfs", "tmp"), ("tmpfs", "dev/shm")]:
            subprocess.run(["mount", "-t", kind, kind, self.path("/" + target)], check=True)
        self.write("/usr/local/sbin/invoke-rc.d", '#!/bin/sh\necho "$@" >>%s\n' % RESTARTS, 0o755)

    # its files and programs

    def path(self, name):
        return self.files + name

    def exists(self, name):
        return os.path.lexists(self.path(name))

    def read(self, name):
        with open(self.path(name), errors="replace") as f:
            return f.read()

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), mode)

    def run(self, *words):
        """What it says, of a command that must succeed."""
        done = subprocess.run(["chroot", self.files, *words], env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        assert done.returncode == 0, "%s: %d\n%s" % (shlex.join(words), done.returncode, done.stdout)
        return done.stdout

    # its packages

    def install(self, deb):
        shutil.copy(deb, self.path("/tmp/"))
        return self.run("dpkg", "--install", "/tmp/" + os.path.basename(deb))

    def remove(self):
        return self.run("dpkg", "--remove", "mosquitto-chat")

    def purge(self):
        return self.run("dpkg", "--purge", "mosquitto-chat")

    def status(self):
        return self.run("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}${Version}", "mosquitto-chat").split()

    def restarts(self):
        """What the packages have asked of invoke-rc.d since the last time."""
        if not self.exists(RESTARTS):
            return []
        asked = self.read(RESTARTS).splitlines()
        os.unlink(self.path(RESTARTS))
        return asked

    def systemd(self, pid):
        """From now on there seems to be one, with this process as the main one of mosquitto.service."""
        os.makedirs(self.path("/run/systemd/system"))
        self.write("/usr/local/sbin/systemctl",
                   '#!/bin/sh\n[ "$*" != "show --property MainPID --value mosquitto.service" ] || echo %d\n' % pid, 0o755)

    # its broker

    def service(self):
        """[Service] of mosquitto.service with its drop-ins: {key: [value]}."""
        files = [next(path for path in map(self.path, ["/usr/lib/systemd/system/mosquitto.service", "/lib/systemd/system/mosquitto.service"])
                      if os.path.exists(path))]
        files += sorted(glob.glob(self.path("/usr/lib/systemd/system/mosquitto.service.d/*.conf")))
        found = {}
        for name in files:
            section = None
            with open(name) as f:
                for line in map(str.strip, f):
                    if line.startswith("["):
                        section = line
                    elif section == "[Service]" and line and line[0] not in "#;":
                        key, _, value = line.partition("=")
                        found.setdefault(key, []).append(value)
        return found

    def descriptors(self):
        """Of the service, as far as this system lets us go; a service manager does the same."""
        soft, _, hard = self.service().get("LimitNOFILE", ["1024:524288"])[-1].partition(":")
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        return "%d:%d" % (min(int(soft), most), min(int(hard or soft), most))

    def start(self):
        """As the unit says, until it takes MQTT clients."""
        service = self.service()
        assert set(service) <= SERVICE_KEYS, service
        for command in service.get("ExecStartPre", []):
            self.run(*shlex.split(command))
        (user,) = service.get("User", ["root"])
        for key, above in FOLDERS.items():
            for name in service.get(key, []):
                self.run("install", "-d", "-o", user, "-g", user, above + name)
        (command,) = service["ExecStart"]
        with open(os.path.join(self.folder, "output"), "ab") as output:
            self.broker = subprocess.Popen(["prlimit", "--nofile=" + self.descriptors(), "chroot", "--userspec=" + user, self.files,
                                            *shlex.split(command)],
                                           env={"PATH": ENVIRONMENT["PATH"], "LANG": "C.UTF-8"}, stdin=subprocess.DEVNULL,
                                           stdout=output, stderr=output)
        wait_for(lambda: self.broker.poll() is not None or self.listens(self.mqtt_port), lambda: "the broker; log: " + self.log(),
                 timeout=2 * TIMEOUT)
        assert self.broker.poll() is None, self.log()
        return self

    def start_chat(self):
        self.start()
        wait_for(lambda: self.listens(self.ws_port) and self.http("/health").status == 200, lambda: "healthy; log: " + self.log(),
                 timeout=2 * TIMEOUT)
        return self

    def stop(self):
        self.close_clients()
        began = time.monotonic()
        self.broker.terminate()
        code = self.broker.wait(2 * TIMEOUT)
        self.broker = None
        assert code == 0, "%d after %.1f s; log: %s" % (code, time.monotonic() - began, self.log())
        return self

    @staticmethod
    def listens(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def bridge(self):
        """/proc/PID of the one bridge."""
        (found,) = [name for name in glob.glob("/proc/[0-9]*")
                    if os.path.exists(name + "/exe") and re.search(r"/mosquitto-chat-bridge\b", os.readlink(name + "/exe"))]
        return found

    def log(self):
        """The broker's own, and what came before there was one."""
        with open(os.path.join(self.folder, "output"), errors="replace") as f:
            return f.read() + (self.read(LOG) if self.exists(LOG) else "")

    def finish(self):
        self.close_clients()
        if self.broker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.broker.pid, signal.SIGKILL)
            self.broker.wait()
        subprocess.run(["umount", "--recursive", "--lazy", self.folder], check=True)
        os.rmdir(self.folder)
