"""What a process takes, sample by sample, and the verdict on the curve. The verdict is pure: numbers in, sentences out."""

import dataclasses
import os
import struct

KB, MB = 1024, 1024 * 1024
SLACK = 12  # descriptors that are no sockets: a database that was opened meanwhile, its log


@dataclasses.dataclass
class Sample:
    """Of one process. Memory in bytes; own: what it alone holds and has written to; heap: what of it is in use, by
    heap_counter.c, 0 where that is not loaded."""

    at: float
    rss: int
    pss: int
    own: int
    heap: int
    sockets: int
    others: int
    threads: int
    ticks: int = 0  # of CPU time since its start


@dataclasses.dataclass
class Bounds:
    """How far the last third may be above the first one: a share of it, and so many bytes. The heap in use is exact,
    but for what is under way; what the kernel sees keeps the marks of each peak. left: bytes of the heap that may still
    be in use when everybody has left, more than before they came."""

    heap: tuple = (0.03, MB)
    own: tuple = (0.15, 8 * MB)
    left: int = 256 * KB


def take(pid, at, folder=None):
    """None when the process is gone. folder: where its heap_counter.c writes."""
    try:
        memory = {}
        with open("/proc/%d/smaps_rollup" % pid) as f:
            for line in f:
                words = line.split()
                if words[-1] == "kB":
                    memory[words[0]] = int(words[1]) * KB
        with open("/proc/%d/status" % pid) as f:
            threads = next(int(line.split()[1]) for line in f if line.startswith("Threads:"))
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        sockets, others = descriptors(pid)
        heap = 0
        if folder:
            with open(os.path.join(folder, "heap.%d" % pid), "rb") as f:
                heap, = struct.unpack("=q", f.read(8))
    except (OSError, StopIteration):
        return None
    return Sample(at, memory["Rss:"], memory["Pss:"], memory["Private_Dirty:"] + memory.get("Swap:", 0), heap, sockets,
                  others, threads, int(fields[11]) + int(fields[12]))


def descriptors(pid):
    """(sockets, others)"""
    sockets = others = 0
    for name in os.listdir("/proc/%d/fd" % pid):
        try:
            link = os.readlink("/proc/%d/fd/%s" % (pid, name))
        except OSError:
            continue
        if link.startswith("socket:"):
            sockets += 1
        else:
            others += 1
    return sockets, others


def thirds(samples, start, end):
    """The samples behind the first quarter between start and end, in three parts."""
    warm = start + (end - start) / 4
    step = (end - warm) / 3
    return [[s for s in samples if warm + n * step <= s.at < warm + (n + 1) * step] for n in range(3)]


def floor(values):
    """What nine of ten are not below: a leak lifts it, and what a machine that stands still for a minute lets pile up
    does not."""
    return sorted(values)[len(values) // 10]


def growth(name, samples, start, end, bounds):
    """What is wrong with the curve of a process between start and end: a list of sentences."""
    parts = thirds(samples, start, end)
    if any(len(part) < 3 for part in parts):
        return ["%s: only %s samples in the three thirds" % (name, [len(part) for part in parts])]
    for what, (share, more) in (("heap", bounds.heap), ("own", bounds.own)):
        floors = [floor([getattr(s, what) for s in part]) for part in parts]
        allowed = floors[0] * share + more
        # What grows is higher in the last third than in both before it; what breathes is not.
        if floors[2] - floors[0] > allowed and floors[2] > floors[1]:
            return ["%s: its memory grows: %s KB (%s) in the three thirds behind the warm-up (%.0f KB more, %.0f allowed)" % (
                name, ", ".join("%.0f" % (one / KB) for one in floors), what, (floors[2] - floors[0]) / KB, allowed / KB)]
    sockets = [floor([s.sockets + s.others for s in part]) for part in parts]
    if sockets[2] - sockets[0] > 20 + 0.3 * sockets[0] and sockets[2] > sockets[1]:
        return ["%s: its descriptors grow: %s in the three thirds" % (name, sockets)]
    return []


def remains(name, before, after, bounds, known=0):
    """What is left over when everybody has left. known: bytes of the heap that are in use for a reason."""
    wrong = []
    if after.sockets > before.sockets or after.others > before.others + SLACK:
        wrong.append("%s: %d sockets and %d other descriptors are open, %d and %d before anybody came" % (
            name, after.sockets, after.others, before.sockets, before.others))
    if after.threads > before.threads:
        wrong.append("%s: %d threads, %d before anybody came" % (name, after.threads, before.threads))
    if after.heap > before.heap + bounds.left + known:
        wrong.append("%s: %.0f KB of its heap are in use, %.0f before anybody came (%.0f more are known of)" % (
            name, after.heap / KB, before.heap / KB, known / KB))
    return wrong


def curve(samples, start, columns=12):
    """Lines of text: some of the samples, evenly over the time."""
    step = max(1, (len(samples) - 1) // columns)
    chosen = samples[::step]
    if samples and chosen[-1] is not samples[-1]:
        chosen.append(samples[-1])
    lines = ["       s   RSS KB   PSS KB   own KB  heap KB  sockets  others  threads   CPU"]
    before = None
    for s in chosen:
        load = (s.ticks - before.ticks) / os.sysconf("SC_CLK_TCK") / (s.at - before.at) if before else 0
        lines.append("%8.1f %8d %8d %8d %8d %8d %7d %8d  %3.0f%%" % (
            s.at - start, s.rss // KB, s.pss // KB, s.own // KB, s.heap // KB, s.sockets, s.others, s.threads, 100 * load))
        before = s
    return lines
