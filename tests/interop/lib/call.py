# SPDX-License-Identifier: BSD-2-Clause
"""A call between two phones, and the proof that it happened."""
import time
from concurrent.futures import ThreadPoolExecutor

from lib.place import Failure, until
from lib.rtp import Capture

TALK_S = 3
RTP_MIN = 100  # of about 150 in each direction


class Line:
    """Two or more phones and the capture that sees all their RTP ports."""

    def __init__(self, place, *phones):
        self.capture = Capture(place, min(p.rtp_first for p in phones),
                               max(p.rtp_ports[-1] for p in phones))

    def call(self, caller, callee, media=None, hang_up=None, limit_s=20):
        """Dials, talks, hangs up. media(to_caller, to_callee) is told the packets so far. Raises
        Failure unless all of it happened; else {"setup_s", "to_caller", "to_callee", "by"}."""
        marks = {phone: phone.mark() for phone in (caller, callee)}
        before = [self.capture.count(p.rtp_ports) for p in (caller, callee)]
        began = time.monotonic()
        caller.command("dial", callee.uri)
        for phone in caller, callee:
            phone.wait_event("CALL_ESTABLISHED", marks[phone], limit_s)
        setup_s = time.monotonic() - began
        time.sleep(TALK_S)
        if media and self.capture.available:
            media(*self._counts(caller, callee, before))
        (hang_up or caller).command("hangup")
        for phone in caller, callee:
            phone.wait_event("CALL_CLOSED", marks[phone])
            until(lambda p=phone: p.saw("BYE", marks[p]), f"a BYE in the SIP log of {phone.user}")
        to_caller, to_callee, by = self._result(caller, callee, before, marks)
        if min(to_caller, to_callee) < RTP_MIN:
            raise Failure(f"RTP packets by {by}: {to_caller} to {caller.user}, {to_callee} to "
                          f"{callee.user}; at least {RTP_MIN} are needed")
        return {"setup_s": setup_s, "to_caller": to_caller, "to_callee": to_callee, "by": by}

    def call_all(self, *pairs):
        """These calls at the same time."""
        with ThreadPoolExecutor(len(pairs)) as pool:
            for done in [pool.submit(self.call, *pair) for pair in pairs]:
                done.result()

    def _counts(self, caller, callee, before):
        return [self.capture.count(p.rtp_ports) - b for p, b in zip((caller, callee), before)]

    def _result(self, caller, callee, before, marks):
        if self.capture.available:
            return *self._counts(caller, callee, before), "capture"
        sides = [until(lambda p=p: p.own_statistics(marks[p]), f"statistics of {p.user}")
                 for p in (caller, callee)]
        return sides[0][1], sides[1][1], "the phones' statistics"
