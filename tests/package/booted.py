"""A Debian machine with its systemd as process 1, which starts, reloads and stops mosquitto as it does on a real one.

Its processes have mount, process, host name, IPC and cgroup namespaces of their own; the network is the tests', so that their
clients reach it. What systemd could change of the machine that tests it is not there or cannot be written: no device but
the usual ones, /sys and /proc/sys read-only, neither modules nor clock. Its cgroup is called like the root, which
tests/package/run has locked, so what a run that was killed has left behind is taken away by the next one.
"""

import os
import re
import subprocess
import time

from harness.dialogue import TIMEOUT, wait_for
from machine import ENVIRONMENT, Machine

BOOT_TIMEOUT = 60.0
BRIDGE = "mosquitto-chat-bridge"
UNIT = "mosquitto.service"
NAMESPACES = ["--mount", "--pid", "--uts", "--ipc", "--cgroup"]

# Nothing that these tests ask for, and some of it would wait for what is not there.
MASKED = ["timers.target", "systemd-journald-audit.socket", "systemd-udevd.service", "systemd-update-utmp.service", "tmp.mount"]

# Given the root: the last steps before systemd, within the namespaces. Where nothing is mounted on /dev, systemd would mount the
# kernel's there; and the console is that of the machine that tests.
ENTER = """
set -e
cd "$1"
mount --rbind dev dev
mount --bind dev/null dev/console
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
pivot_root . .
umount --lazy .
exec setpriv --bounding-set=-sys_module,-sys_time /sbin/init --unit=basic.target
"""


class Impossible(Exception):
    """This system lets nobody make what a systemd needs; the text says what."""


def must(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise Impossible("%s: %s" % (" ".join(words), done.stdout.strip() or done.returncode))


class Booted(Machine):
    def __init__(self, base):
        super().__init__(base)
        self.systemd_parent = self.init = None
        self.cgroup = os.path.join(self.folder, "cgroup", "mosquitto-chat-" + os.path.basename(base))
        try:
            self.make_cgroup()
            for name in ["/usr/local/sbin/invoke-rc.d", "/usr/sbin/policy-rc.d"]:
                os.unlink(self.path(name))
            for name in MASKED:
                os.symlink("/dev/null", self.path("/etc/systemd/system/" + name))
            self.boot()
        except BaseException:
            self.finish()
            raise

    def make_cgroup(self):
        above = os.path.dirname(self.cgroup)
        os.mkdir(above)
        must("mount", "-t", "cgroup2", "cgroup2", above)
        self.remove_cgroup()
        try:
            os.mkdir(self.cgroup)
        except OSError as e:
            raise Impossible("no cgroup can be made: %s" % e) from e
        must(*self.apart("mount", "-t", "sysfs", "sysfs", "/sys"))

    def apart(self, *words):
        """A command with this machine's namespaces; it ends with the one that made them."""
        return ["sh", "-c", 'echo 0 >"$1" && shift && exec "$@"', "sh", self.cgroup + "/cgroup.procs",
                "unshare", *NAMESPACES, "--fork", "--kill-child=KILL", *words]

    def remove_cgroup(self):
        """With those below it; none of them has a process."""
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            os.rmdir(folder)

    def boot(self):
        with open(os.path.join(self.folder, "output"), "ab") as output:
            self.systemd_parent = subprocess.Popen(self.apart("sh", "-c", ENTER, "sh", self.files), env={**ENVIRONMENT, "container": "tests"},
                                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_for(lambda: self.exists("/run/systemd/private") or self.systemd_parent.poll() is not None, self.log, timeout=BOOT_TIMEOUT)
        assert self.systemd_parent.poll() is None, self.log()
        with open("/proc/%d/task/%d/children" % (self.systemd_parent.pid, self.systemd_parent.pid)) as f:
            (self.init,) = map(int, f.read().split())
        wait_for(lambda: self.ask("is-active", "basic.target") == "active", self.log, timeout=BOOT_TIMEOUT)

    # what runs on it

    def inside(self, *words):
        return ["nsenter", "--target", str(self.init), "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd", *words]

    def execute(self, *words):
        return subprocess.run(self.inside(*words), env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)

    def run(self, *words):
        if not self.init:
            return super().run(*words)
        done = self.execute(*words)
        assert done.returncode == 0, "%s: %d\n%s\n%s" % (" ".join(words), done.returncode, done.stdout, self.log())
        return done.stdout

    def ask(self, *words):
        """What systemctl answers, whatever it thinks of it."""
        return self.execute("systemctl", *words).stdout.strip()

    def show(self, name):
        return self.run("systemctl", "show", "--property", name, "--value", UNIT).strip()

    # its broker

    def edit(self, text):
        """A drop-in of its administrator's, as systemctl edit makes it; the broker is restarted with it."""
        os.makedirs(self.path("/etc/systemd/system/%s.d" % UNIT), exist_ok=True)
        self.write("/etc/systemd/system/%s.d/override.conf" % UNIT, text)
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "restart", UNIT)
        self.wait_chat()

    def start(self):
        self.run("systemctl", "start", UNIT)
        return self

    def start_chat(self):
        return self.start().wait_chat()

    def wait_chat(self):
        wait_for(lambda: self.listens(self.ws_port) and self.http("/health").status == 200, lambda: "healthy; log: " + self.log(),
                 timeout=2 * TIMEOUT)
        return self

    def stop(self):
        """How many seconds it takes."""
        began = time.monotonic()
        self.run("systemctl", "stop", UNIT)
        return time.monotonic() - began

    def processes(self):
        """Of the service: {name of the program: [process]}, as numbers of the tests' own namespace."""
        found = {}
        try:
            with open("%s/system.slice/%s/cgroup.procs" % (self.cgroup, UNIT)) as f:
                pids = [int(line) for line in f]
        except FileNotFoundError:
            return found
        for pid in pids:
            try:
                name = os.path.basename(os.readlink("/proc/%d/exe" % pid))
            except FileNotFoundError:
                continue
            found.setdefault(name.removesuffix(" (deleted)"), []).append(pid)
        return found

    def one(self, program):
        (pid,) = self.processes()[program]
        return pid

    def limits(self, program):
        """(soft, hard) of open files."""
        with open("/proc/%d/limits" % self.one(program)) as f:
            return re.search(r"^Max open files +(\d+) +(\d+) ", f.read(), re.M).groups()

    def journal(self):
        return self.execute("journalctl", "--no-pager", "--output=short", "--lines=200").stdout if self.init else ""

    def log(self):
        return super().log() + self.journal()

    def finish(self):
        self.close_clients()
        if self.systemd_parent:
            self.systemd_parent.kill()  # process 1 of the namespace gets the same, and with it all others
            self.systemd_parent.wait()
            wait_for(lambda: not os.path.isdir(self.cgroup) or "populated 0" in self.events(), "the end of all its processes")
        self.remove_cgroup()
        super().finish()

    def events(self):
        with open(self.cgroup + "/cgroup.events") as f:
            return f.read()
