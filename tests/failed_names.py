"""A plugin of pytest's, for scripts/test: the names of the tests that failed, one a line, in the file $CHAT_FAILED_NAMES.
What a sanitizer or valgrind has found stands there with a "!" before it: it need not show itself twice."""

import os

FOUND = ("Sanitizer", "runtime error:", "valgrind", "Invalid read", "Invalid write", "lost in loss record")


def pytest_runtest_logreport(report):
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        text = report.longreprtext + "".join(content for _, content in report.sections)
        mark = "!" if any(word in text for word in FOUND) else ""
        with open(os.environ["CHAT_FAILED_NAMES"], "a", encoding="utf-8") as file:
            file.write(mark + report.nodeid + "\n")
