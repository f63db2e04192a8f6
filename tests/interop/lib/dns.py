# SPDX-License-Identifier: BSD-2-Clause
"""A DNS server on loopback that knows a few names."""
import socket
import struct
import threading

from lib.place import free_ports

A, AAAA, SRV, NAPTR = 1, 28, 33, 35
TTL_S = 60


def _name(text):
    labels = [part.encode() for part in text.split(".") if part]
    return b"".join(bytes([len(part)]) + part for part in labels) + b"\0"


def _text(text):
    return bytes([len(text)]) + text.encode()


def a(address):
    return A, socket.inet_aton(address)


def aaaa(address):
    return AAAA, socket.inet_pton(socket.AF_INET6, address)


def srv(priority, weight, port, target):
    return SRV, struct.pack("!HHH", priority, weight, port) + _name(target)


def naptr(order, preference, service, replacement, flags="s"):
    return NAPTR, (struct.pack("!HH", order, preference) + _text(flags) + _text(service) +
                   _text("") + _name(replacement))


class Server:
    """records: name -> list of what a(), aaaa(), srv() and naptr() give."""

    def __init__(self, place, records):
        self.records = {name.lower(): found for name, found in records.items()}
        self.asked = []  # (type, name)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", free_ports(2)))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        place.closers.append(self.close)

    def close(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                question, source = self.socket.recvfrom(4096)
                self.socket.sendto(self._answer(question), source)
            except OSError:
                return

    def _answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        name = ".".join(labels).lower()
        kind, = struct.unpack_from("!H", question, at + 1)
        self.asked.append((kind, name))
        found = [data for own, data in self.records.get(name, []) if own == kind]
        rcode = 0 if name in self.records else 3
        head = question[:2] + struct.pack("!HHHHH", 0x8580 | rcode, 1, len(found), 0, 0)
        body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, TTL_S, len(data)) + data
                        for data in found)
        return head + question[12:at + 5] + body
