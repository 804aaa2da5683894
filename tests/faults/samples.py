"""What a process takes, sample by sample, and the verdict on the curve. The verdict is pure: numbers in, sentences out."""

import dataclasses
import os
import statistics

KB, MB = 1024, 1024 * 1024
SLACK = 12  # descriptors that are no sockets: a database that was opened meanwhile, its log


@dataclasses.dataclass
class Sample:
    """Of one process. Memory in bytes; own: what it alone holds and has written to (its heap, above all)."""

    at: float
    rss: int
    pss: int
    own: int
    sockets: int
    others: int
    threads: int
    ticks: int = 0  # of CPU time since its start


@dataclasses.dataclass
class Bounds:
    """How far the median of a later third may be above the first one's, and how much a process may still hold
    when everybody has left."""

    share: float = 0.03
    more: int = MB
    left: int = MB


def take(pid, at):
    """None when the process is gone."""
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
    except (OSError, StopIteration):
        return None
    return Sample(at, memory["Rss:"], memory["Pss:"], memory["Private_Dirty:"] + memory.get("Swap:", 0), sockets, others,
                  threads, int(fields[11]) + int(fields[12]))


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


def growth(name, samples, start, end, bounds):
    """What is wrong with the curve of a process between start and end: a list of sentences."""
    parts = thirds(samples, start, end)
    if any(len(part) < 3 for part in parts):
        return ["%s: only %s samples in the three thirds" % (name, [len(part) for part in parts])]
    medians = [statistics.median(s.own for s in part) for part in parts]
    allowed = medians[0] * bounds.share + bounds.more
    # What grows is higher in the last third than in both before it; what breathes is not.
    if medians[2] - medians[0] > allowed and medians[2] > medians[1]:
        return ["%s: its memory grows: %s KB in the three thirds behind the warm-up (%.0f KB more, %.0f allowed)" % (
            name, ", ".join("%.0f" % (m / KB) for m in medians), (medians[2] - medians[0]) / KB, allowed / KB)]
    sockets = [statistics.median(s.sockets + s.others for s in part) for part in parts]
    if sockets[2] - sockets[0] > 20 + 0.3 * sockets[0] and sockets[2] > sockets[1]:
        return ["%s: its descriptors grow: %s in the three thirds" % (name, sockets)]
    return []


def remains(name, before, samples, start, end, after, bounds, memory=True):
    """What is left over: before anybody came, and after everybody has left."""
    wrong = []
    if after.sockets > before.sockets or after.others > before.others + SLACK:
        wrong.append("%s: %d sockets and %d other descriptors are open, %d and %d before anybody came" % (
            name, after.sockets, after.others, before.sockets, before.others))
    if after.threads > before.threads:
        wrong.append("%s: %d threads, %d before anybody came" % (name, after.threads, before.threads))
    last = [s.own for s in thirds(samples, start, end)[2]]
    if memory and last and after.own > statistics.median(last) + bounds.left:
        wrong.append("%s: holds %.0f KB with nobody there, %.0f KB with everybody" % (
            name, after.own / KB, statistics.median(last) / KB))
    return wrong


def curve(samples, start, columns=12):
    """Lines of text: some of the samples, evenly over the time."""
    step = max(1, (len(samples) - 1) // columns)
    chosen = samples[::step]
    if samples and chosen[-1] is not samples[-1]:
        chosen.append(samples[-1])
    lines = ["       s   RSS KB   PSS KB   own KB  sockets  others  threads   CPU"]
    before = None
    for s in chosen:
        load = (s.ticks - before.ticks) / os.sysconf("SC_CLK_TCK") / (s.at - before.at) if before else 0
        lines.append("%8.1f %8d %8d %8d %8d %7d %8d  %3.0f%%" % (
            s.at - start, s.rss // KB, s.pss // KB, s.own // KB, s.sockets, s.others, s.threads, 100 * load))
        before = s
    return lines
