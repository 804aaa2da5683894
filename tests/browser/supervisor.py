"""supervisor.py FOLDER ARGUMENT...: runs chromedriver in a session of its own; when it ends, or who started this,
everything in that session does, and the folder with the profile goes.

selenium stops chromedriver alone, and Chromium would outlive a test run that was killed.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time

CHROMEDRIVER = os.environ.get("CHAT_CHROMEDRIVER", "/usr/bin/chromedriver")


def others():
    """Processes of this session but this one."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/stat" % name) as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[3]) == os.getpid() and fields[0] not in "ZX":
            yield int(name)


def end(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_by = time.monotonic() + 5
    while time.monotonic() < end_by:
        left = list(others())
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            if not left:
                break
        time.sleep(0.01)
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    os._exit(0)


def main():
    parent = os.getppid()
    os.setsid()
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(one, end)
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        return
    subprocess.Popen([CHROMEDRIVER] + sys.argv[2:]).wait()
    end()


main()
