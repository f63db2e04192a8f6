# SPDX-License-Identifier: BSD-2-Clause
"""RTP packets that reach a phone's own ports, counted in a capture of loopback where that is
permitted."""
import shutil
import struct
import subprocess
import threading

from lib.place import until

ETHERNET, IPV4, UDP, RTP = 14, 0x0800, 17, 12  # header bytes; EtherType; protocol; header bytes


class Capture:
    """available says whether packets can be seen; count(ports) how many RTP packets came there."""

    def __init__(self, place, first, last):
        self.counts = {}
        self.lengths = {}  # port -> lengths of the packets
        self.process = None
        tcpdump = shutil.which("tcpdump", path="/usr/bin:/usr/sbin:/bin:/sbin")
        if tcpdump is None:
            self.why = "tcpdump is not installed"
            return
        self.process = place.start(
            "tcpdump", [tcpdump, "-i", "lo", "--immediate-mode", "-U", "-n", "-s", "80", "-w", "-",
                        f"udp and dst portrange {first}-{last}"], stdout=subprocess.PIPE)
        until(lambda: self.process.poll() is not None or "listening on" in place.text("tcpdump.err"),
              "tcpdump starts")
        if self.process.poll() is not None:
            self.why = "capturing is not permitted"
            self.process.stdout.close()
            return
        threading.Thread(target=self._read, daemon=True).start()
        place.closers.append(self.close)

    @property
    def available(self):
        return self.process is not None and self.process.poll() is None

    def _read(self):
        stream = self.process.stdout
        stream.read(24)  # the file's header
        while True:
            head = stream.read(16)
            if len(head) < 16:
                return
            self._take(stream.read(struct.unpack("=4I", head)[2]))

    def _take(self, frame):
        if len(frame) < ETHERNET + 28 or struct.unpack_from("!H", frame, 12)[0] != IPV4:
            return
        header = (frame[ETHERNET] & 15) * 4
        udp = ETHERNET + header
        if frame[ETHERNET + 9] != UDP or len(frame) < udp + 8 + RTP:
            return
        port, length = struct.unpack_from("!HH", frame, udp + 2)
        if frame[udp + 8] >> 6 == 2 and length > 8 + RTP and port % 2 == 0:  # odd: RTCP
            self.counts[port] = self.counts.get(port, 0) + 1
            self.lengths.setdefault(port, set()).add(length - 8)

    def count(self, ports):
        return sum(self.counts.get(port, 0) for port in ports)

    def lengths_of(self, ports):
        return set().union(*(self.lengths.get(port, ()) for port in ports))

    def close(self):
        if self.available:
            self.process.terminate()
