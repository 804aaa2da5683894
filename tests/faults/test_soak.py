"""Forty seconds of tests/faults/soak: what it finds in so short a time. And the verdict on its curves, which can fail."""

import io
import os
import random
import warnings

import pytest

import endurance
import samples
from harness.broker import MOSQUITTO, PLUGIN, SANITIZE
from samples import KB, MB, Bounds, Sample

SEED = int(os.environ.get("CHAT_FAULT_SEED") or random.SystemRandom().randrange(1, 1 << 31))


def curve_of(own, heap=lambda t: 10 * MB, sockets=lambda t: 20, threads=2):
    return [Sample(t, int(own(t)) + MB, int(own(t)), int(own(t)), heap(t), sockets(t), 9, threads) for t in range(0, 600, 3)]


def grown(own, **more):
    return samples.growth("it", curve_of(own, **more), 0, 600, Bounds())


def breath(t):
    return 20 * MB + (t * 7919 % 13) * 100 * KB


def test_what_breathes_does_not_grow():
    assert grown(breath) == []


def test_a_beginning_is_no_growth():
    assert grown(lambda t: min(t, 140) * 200 * KB + 20 * MB) == []


def test_what_piles_up_for_two_minutes_is_no_growth():
    assert grown(breath, heap=lambda t: (10 if t < 400 or t > 520 else 20) * MB) == []


def test_a_leak_is_growth():
    # 6 KB a second for ten minutes: 1.8 MB between the first and the last third.
    found = grown(breath, heap=lambda t: 10 * MB + t * 6 * KB)
    assert len(found) == 1 and "(heap)" in found[0], found


def test_pieces_that_nothing_fits_into_are_growth():
    found = grown(lambda t: breath(t) + t * 50 * KB)
    assert len(found) == 1 and "(own)" in found[0], found


def test_descriptors_that_are_not_closed():
    found = grown(breath, sockets=lambda t: 20 + t // 5)
    assert len(found) == 1 and "descriptors" in found[0], found


def test_too_few_samples_are_no_verdict():
    assert samples.growth("it", curve_of(breath)[:20], 0, 600, Bounds())


@pytest.mark.parametrize("sockets, others, threads, heap, word", [
    (6, 9, 2, 10 * MB, None), (6, 9 + samples.SLACK, 2, 10 * MB + 200 * KB, None), (7, 9, 2, 10 * MB, "sockets"),
    (6, 10 + samples.SLACK, 2, 10 * MB, "descriptors"), (6, 9, 3, 10 * MB, "threads"), (6, 9, 2, 10 * MB + 300 * KB, "heap")])
def test_what_remains(sockets, others, threads, heap, word):
    before = Sample(0, 0, 0, MB, 10 * MB, 6, 9, 2)
    found = samples.remains("it", before, Sample(700, 0, 0, 30 * MB, heap, sockets, others, threads), Bounds())
    assert len(found) == (1 if word else 0), found
    assert not word or word in found[0]


def test_what_is_known_of_remains():
    before, after = Sample(0, 0, 0, MB, 10 * MB, 6, 9, 2), Sample(700, 0, 0, MB, 11 * MB, 6, 9, 2)
    assert samples.remains("it", before, after, Bounds(), known=MB) == []


def soak(seed, *more):
    """(passed, what it said)"""
    said = io.StringIO()
    passed = endurance.main(["--seed", str(seed), "--seconds", "40", *more], said)
    return passed, said.getvalue()


# Sanitizers make everything large and slow: what they find by themselves, and descriptors, is what counts there.
BRIEF = ("--load", "0.5") if SANITIZE else ("--load", "1.5")


@pytest.mark.parametrize("how", [(), ("--tls", "--bridges", "2")], ids=["plain", "tls, two bridges"])
def test_a_short_soak(how):
    """As in test_faults.py: what two soaks in a row find is a failure, what one of them finds is shown."""
    for path in (MOSQUITTO, PLUGIN):
        if not os.path.exists(path):
            pytest.fail("%s is not there (build first, or set CHAT_BUILD_DIR)" % path)
    passed, first = soak(SEED, *BRIEF, *how)
    print(first)
    if passed:
        return
    passed, second = soak(SEED + 1, *BRIEF, *how)
    assert passed, "twice; first:\n%s\nthen:\n%s" % (first, second)
    warnings.warn("one soak of two found something\n%s" % first)
