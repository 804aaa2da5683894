"""What an engine for containers does with an image, without one: a copy of its files, namespaces of its own, the user,
environment and command that the image names, volumes, health checks, the signal to stop.

Needs root, and the image in buildah's store (CHAT_BUILDAH: the command with its options). The network is the one of
the tests: every container of a test has it, so a container's ports are ports of 127.0.0.1.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

from harness.dialogue import TIMEOUT, wait_for
from harness.server import Server

BUILDAH = shlex.split(os.environ.get("CHAT_BUILDAH", "buildah"))
OTHER_ADDRESS = "192.0.2.1"  # one more of this network, as a container has besides 127.0.0.1

# Arguments: root, ro or rw, then "kind target source-or-options" three by three, --, the command. Runs as process 1
# of the new namespaces and becomes the container's command.
INSIDE = r"""
set -e
root=$1 mode=$2
shift 2
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
for device in null:3 zero:5 full:7 random:8 urandom:9; do
	mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"
done
ln -s /proc/self/fd "$root/dev/fd"
while [ "$1" != -- ]; do
	case $1 in
	bind) mount --bind "$3" "$root$2" ;;
	tmpfs) mount -t tmpfs -o "nosuid,nodev,noexec${3:+,$3}" tmpfs "$root$2" ;;
	esac
	shift 3
done
shift
[ "$mode" = rw ] || mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""


def buildah(*arguments):
    done = subprocess.run([*BUILDAH, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, "buildah %s: %s" % (" ".join(arguments), done.stderr[-2000:])
    return done.stdout.strip()


class Image:
    def __init__(self, name):
        self.name = name
        self.config = json.loads(buildah("inspect", "--type", "image", name))["Docker"]["config"]


class Container(Server):
    """A container that runs, until stop() or finish().

    user, command: instead of the image's. read_only: nothing but volumes can be written. tmpfs: {folder: options}.
    volumes: {folder: path} as named volumes: new ones begin with what the image has there. What the image declares
    and nobody names gets a new one. binds: {path in the container: path outside}, as they are."""

    def __init__(self, image, user=None, command=None, read_only=False, tmpfs=None, volumes=None, binds=None):
        self.image = image
        self.clients, self.transcript = [], []
        self.folder = tempfile.mkdtemp(prefix="chat-container-")
        self.log_path = os.path.join(self.folder, "log")
        self.container = buildah("from", "--pull-never", image.name)
        self.files = buildah("mount", self.container)
        config = image.config
        self.identity = self._identity(user or config["User"])
        mounts = []
        volumes = dict(volumes or {})
        for target in config.get("Volumes") or {}:
            if target not in (binds or {}):
                volumes.setdefault(target, os.path.join(self.folder, target.strip("/").replace("/", "-")))
        for target, path in volumes.items():
            if not os.path.exists(path):
                subprocess.run(["cp", "-a", self.files + target, path], check=True)
            mounts += ["bind", target, path]
        for target, path in (binds or {}).items():
            os.makedirs(self.files + target, exist_ok=True)  # all that is bound here is folders
            mounts += ["bind", target, path]
        for target, options in (tmpfs or {}).items():
            mounts += ["tmpfs", target, options]
        words = command or (config.get("Entrypoint") or []) + config["Cmd"]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child=KILL", "bash", "-c", INSIDE, "inside",
                 self.files, "ro" if read_only else "rw", *mounts, "--", *self.identity, *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: self.process.poll() is not None or self._is_inside(), lambda: "inside; log: " + self.log())

    def _is_inside(self):
        """Process 1 has the container's files and user."""
        with contextlib.suppress(OSError):
            with open("/proc/%d/status" % (self.pid or 0)) as f:
                return "\nUid:\t%s\t" % self.uid in f.read()
        return False

    def _identity(self, user):
        """The words before a command that make it that user's, without any privilege: N, N:N. A number without a group
        has the one of /etc/passwd, or 0."""
        uid, _, gid = user.partition(":")
        self.uid = uid
        if not gid:
            with open(self.files + "/etc/passwd") as f:
                gid = next((line.split(":")[3] for line in f if line.split(":")[2] == uid), "0")
        return ["/usr/bin/setpriv", "--reuid=" + uid, "--regid=" + gid, "--clear-groups", "--no-new-privs",
                "--bounding-set=-all", "--inh-caps=-all", "/usr/bin/env", "-i", *self.image.config["Env"]]

    # what runs

    @property
    def pid(self):
        """Its process 1, as seen from outside."""
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
            children = f.read().split()
        return int(children[0]) if children else None

    def processes(self):
        """{name: status of /proc as a dict} of all processes in it."""
        found = {}
        inside = os.stat("/proc/%d/ns/pid" % self.pid).st_ino
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.stat("/proc/%s/ns/pid" % name).st_ino == inside:
                    with open("/proc/%s/status" % name) as f:
                        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
                    found[status["Name"]] = dict(status, pid=int(name))
        return found

    def execute(self, *words, timeout=30):
        """Runs a command in it, as its user; the answer has returncode and stdout (with stderr)."""
        return subprocess.run(["nsenter", "--target", str(self.pid), "--mount", "--pid", "--ipc", "--uts", "--root", "--wd",
                               *self.identity, *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)

    def health(self):
        """The image's own health check, once: exit code and output."""
        check = self.image.config["Healthcheck"]
        kind, *words = check["Test"]
        assert kind == "CMD"
        return self.execute(*words, timeout=check["Timeout"] / 1e9)

    def wait_healthy(self):
        def healthy():
            assert self.process.poll() is None, "ended with %d: %s" % (self.process.returncode, self.log())
            return self.health().returncode == 0
        wait_for(healthy, lambda: "healthy; log: " + self.log(), timeout=2 * TIMEOUT)
        return self

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def stop(self, grace=10):
        """The image's signal to process 1, as an engine stops a container: exit code and seconds."""
        began = time.monotonic()
        os.kill(self.pid, getattr(signal, self.image.config["StopSignal"]))
        code = self.process.wait(grace)
        return code, time.monotonic() - began

    def finish(self):
        self.close_clients()
        # Not through unshare: what it asked of the kernel ends where its child takes up another user.
        if self.process.poll() is None:
            os.kill(self.pid or self.process.pid, signal.SIGKILL)
        self.process.wait()
        buildah("rm", self.container)
        shutil.rmtree(self.folder)
