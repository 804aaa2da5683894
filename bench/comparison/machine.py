"""The machine a sitting was on, as it describes itself."""

import contextlib
import os
import platform
import re


def text_of(path):
    with contextlib.suppress(OSError), open(path) as f:
        return f.read()
    return ""


def machine():
    cpu = re.search(r"^model name\s*: (.*)$", text_of("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", text_of("/proc/meminfo"), re.M)
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', text_of("/etc/os-release"), re.M)
    return {
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(memory.group(1)) // 1024 if memory else 0,
        "kernel": platform.release(),
        "system": system.group(1) if system else platform.system(),
        "load_before": text_of("/proc/loadavg").split(" ")[0],
    }
