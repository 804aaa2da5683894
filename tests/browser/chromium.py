"""Chromium without a window, by selenium. Whatever it starts ends with it, also when the test run is killed."""

import contextlib
import os
import shutil
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM = os.environ.get("CHAT_CHROMIUM", "/usr/bin/chromium")
SUPERVISOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor.py")
TIMEOUT = 20.0

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage",
         "--disable-search-engine-choice-screen", "--force-color-profile=srgb"]


class Browser:
    """One profile of its own. size: of the window's inside, in CSS pixels."""

    def __init__(self, size=(1280, 800), dark=False, touch=False):
        self.folder = tempfile.mkdtemp(prefix="chat-browser-")
        self.driver = None
        try:
            options = webdriver.ChromeOptions()
            options.binary_location = CHROMIUM
            for flag in FLAGS:
                options.add_argument(flag)
            options.add_argument("--user-data-dir=" + self.folder)
            options.add_argument("--window-size=%d,%d" % size)
            options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
            # chromedriver under a supervisor: selenium must not look for another one, nor leave one behind.
            self.driver = webdriver.Chrome(options=options, service=Service(self._launcher()))
            self.driver.set_script_timeout(60)
            self.driver.set_page_load_timeout(60)
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": touch})
            self.prefers(dark=dark)
        except BaseException:
            self.quit()
            raise

    def _launcher(self):
        path = os.path.join(self.folder, "chromedriver")
        with open(path, "w") as f:
            f.write('#!/bin/sh\nexec %s %s %s "$@"\n' % (sys.executable, SUPERVISOR, self.folder))
        os.chmod(path, 0o755)
        return path

    def prefers(self, dark=False, still=True):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}]})

    def offline(self, off=True):
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {
            "offline": off, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})

    def open(self, url):
        self.driver.get(url)
        return self

    def js(self, script, *arguments):
        """The body of a function: its value."""
        return self.driver.execute_script(script, *arguments)

    def run(self, script, *arguments):
        """The body of an async function: what its promise is fulfilled with, an assertion when it is rejected."""
        __tracebackhide__ = True
        kind, value = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "(async function () { %s }).apply(null, [...arguments].slice(0, -1))"
            ".then((v) => done(['value', v]), (e) => done(['error', String(e && e.stack || e)]))" % script, *arguments)
        assert kind == "value", value
        return value

    def wait(self, script, *arguments, timeout=TIMEOUT, what=None):
        """Until the body of that function returns something true, which is returned."""
        __tracebackhide__ = True
        end = time.monotonic() + timeout
        while True:
            value = self.js(script, *arguments)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError("not within %g s: %s" % (timeout, what or script))
            time.sleep(0.02)

    def console(self):
        """What the console has said since the last time, as text."""
        return [entry["level"] + " " + entry["message"] for entry in self.driver.get_log("browser")]

    def quit(self):
        if self.driver is not None:
            with contextlib.suppress(Exception):
                self.driver.quit()
        for _ in range(20):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                break
            time.sleep(0.05)
