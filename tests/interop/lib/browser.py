# SPDX-License-Identifier: BSD-2-Clause
"""Pages of locserd in headless Chromium with a microphone that is not there; tests/browser/driver.js
does what is asked for."""
import json
import os
import shutil
import subprocess

from lib.place import ROOT, Failure, Skip, need

DRIVER = os.path.join(ROOT, "tests", "browser")
LIMIT_S = 60


def _prepare():
    need("chromium", "chromium")
    need("node", "nodejs")
    if not os.path.isdir(os.path.join(DRIVER, "node_modules", "playwright-core")):
        need("npm", "npm")
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=DRIVER,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise Skip("npm could not fetch playwright-core: " + done.stdout.strip()[-200:])


class Browser:
    """loopback_media: whether loopback is offered for RTP. Two pages on one machine need it where
    there is no other network; baresip cannot have it."""

    def __init__(self, place, name="browser", loopback_media=True):
        _prepare()
        self.place, self.name, self.last_id = place, name, 0
        home = place.path(name)
        os.makedirs(home)
        self.process = place.start(
            name, ["node", "driver.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=DRIVER,
            env={"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": home, "LC_ALL": "C.UTF-8",
                 "CHROMIUM": shutil.which("chromium"), "LOOPBACK_MEDIA": str(int(loopback_media))})
        place.closers.append(self.close)
        self.begun = False  # it starts while others do

    def _answer(self, what):
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"{what}: the browser ended: {self.place.text(self.name + '.err')[-400:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(f"{what}: {answer['error']}")
        return answer["result"]

    def do(self, act, page, **more):
        if not self.begun:
            self._answer("starting Chromium")
            self.begun = True
        self.last_id += 1
        asked = {"id": self.last_id, "do": act, "page": page, **more}
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        return self._answer(f"{page}: {act}")

    def close(self):
        """The driver ends Chromium when its input ends."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        self.process.stdout.close()


class Page:
    """One tab with storage of its own."""

    def __init__(self, browser, name, url, **more):
        self.browser, self.name = browser, name
        self.do("open", url=url, **more)

    def do(self, act, **more):
        return self.browser.do(act, self.name, **more)

    def online(self, address):
        self.uri = f"sip:{address}"
        self.do("online", address=address)
        self.do("waitLine", state="on")
        return self

    def sip(self, way, start):
        """Frames of SIP whose first line begins so."""
        return [f["text"] for f in self.do("frames") if f["way"] == way and f["text"].startswith(start)]

    def check_clean(self):
        """No error on its console (a refused Content-Security-Policy is one), nothing from elsewhere."""
        trouble = self.do("trouble")
        if trouble["errors"] or trouble["elsewhere"]:
            raise Failure(f"{self.name}: {trouble}")
