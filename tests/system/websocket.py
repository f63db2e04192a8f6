# SPDX-License-Identifier: BSD-2-Clause
"""A WebSocket (RFC 6455) of the standard library's socket and ssl, and a SIP phone that speaks
through it (RFC 7118), for the tests in this folder. It may be as rude as a test wants."""
import base64
import hashlib
import json
import os
import re
import socket
import ssl
import struct
import time

from peer import LIMIT_S, until

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    """The answer was not 101: status, header fields, body."""

    def __init__(self, status, fields, body):
        super().__init__(f"{status} {body!r}")
        self.status, self.fields, self.body = status, fields, body


def web_at(peer, scheme="http"):
    """(host, port) of the page's server, from what the peer says of itself."""
    for address in peer.ask("status")["web"]:
        if address.startswith(scheme + "://"):
            host, _, port = address.partition("://")[2].rpartition(":")
            return host.strip("[]"), int(port)
    raise AssertionError(f"no {scheme} there")


def patiently(what):
    """Turns of a loop that waits, though what keeps a connection open comes all the time."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        yield
    raise AssertionError(f"never came within {LIMIT_S} s: {what}")


def open_stream(at, tls=None, name="localhost"):
    stream = socket.create_connection(at, timeout=LIMIT_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(stream, server_hostname=name) if tls else stream


def read_answer(stream):
    """(status, {name: value}, body) of one HTTP answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65536)
        if not more:
            raise ConnectionError(f"ended after {data!r}")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    status = int(lines[0].split(" ")[1])
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    length = int(fields.get("content-length", 0)) if status != 101 else 0
    while len(body) < length:
        more = stream.recv(65536)
        if not more:
            break
        body += more
    return status, fields, body


def http(at, method="GET", path="/", fields=None, body=b"", tls=None, host=None):
    """One request, one answer."""
    with open_stream(at, tls) as stream:
        named = {"Host": host or f"{at[0]}:{at[1]}", **(fields or {})}
        if body:
            named["Content-Length"] = len(body)
        lines = [f"{method} {path} HTTP/1.1"] + [f"{n}: {v}" for n, v in named.items()
                                                 if v is not None]
        stream.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return read_answer(stream)


class WebSocket:
    """Connected on construction, or Refused."""

    def __init__(self, at, path="/sip", protocol="sip", tls=None, host=None, fields=None):
        self.stream = open_stream(at, tls)
        key = base64.b64encode(os.urandom(16)).decode()
        named = {"Host": host or f"{at[0]}:{at[1]}", "Upgrade": "websocket",
                 "Connection": "Upgrade", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Protocol": protocol, **(fields or {})}
        lines = [f"GET {path} HTTP/1.1"] + [f"{n}: {v}" for n, v in named.items()
                                            if v is not None]
        self.stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.rest = b""
        status, self.fields, body = self._read_head()
        if status != 101:
            self.stream.close()
            raise Refused(status, self.fields, body)
        expected = base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()
        assert self.fields["sec-websocket-accept"] == expected
        self.rest = body

    def _read_head(self):
        return read_answer(self.stream)

    def frame(self, data, opcode=TEXT, final=True, masked=True, length=None):
        """One frame; length: what it claims."""
        size = len(data) if length is None else length
        head = bytes([(0x80 if final else 0) | opcode])
        mask_bit = 0x80 if masked else 0
        if size < 126:
            head += bytes([mask_bit | size])
        elif size < 65536:
            head += bytes([mask_bit | 126]) + struct.pack(">H", size)
        else:
            head += bytes([mask_bit | 127]) + struct.pack(">Q", size)
        if masked:
            key = os.urandom(4)
            data = bytes(b ^ key[i % 4] for i, b in enumerate(data))
            head += key
        self.stream.sendall(head + data)

    def send(self, data, opcode=TEXT):
        self.frame(data.encode() if isinstance(data, str) else data, opcode)

    def send_in_pieces(self, data, size, opcode=TEXT):
        data = data.encode() if isinstance(data, str) else data
        pieces = [data[i:i + size] for i in range(0, len(data), size)]
        for i, piece in enumerate(pieces):
            self.frame(piece, opcode if i == 0 else 0, final=i == len(pieces) - 1)

    def _take(self, size):
        while len(self.rest) < size:
            more = self.stream.recv(65536)
            if not more:
                raise ConnectionError("ended")
            self.rest += more
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def _frame_in(self):
        first, second = self._take(2)
        assert not second & 0x80, "a server does not mask"
        size = second & 0x7f
        if size == 126:
            size, = struct.unpack(">H", self._take(2))
        elif size == 127:
            size, = struct.unpack(">Q", self._take(8))
        return bool(first & 0x80), first & 0x0f, self._take(size)

    def read(self):
        """(opcode, bytes) of the next whole message, or of a close; pings are answered."""
        kind, whole = None, b""
        for _ in patiently("a message"):
            final, opcode, data = self._frame_in()
            if opcode == PING:
                self.frame(data, PONG)
            elif opcode == CLOSE:
                return CLOSE, data
            elif opcode != PONG:
                kind = opcode or kind
                whole += data
                if final:
                    return kind, whole

    def read_close(self):
        """The status of the close frame; 1006: the connection just ended."""
        try:
            while True:
                kind, data = self.read()
                if kind == CLOSE:
                    return struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 1005
        except (ConnectionError, ssl.SSLError):
            return 1006

    def ask(self, method, **params):
        """JSON-RPC over /events; what comes between is thrown away."""
        self.send(json.dumps({"jsonrpc": "2.0", "id": method, "method": method,
                              "params": params}))
        for _ in patiently(method):
            answer = json.loads(self.read()[1])
            if answer.get("id") == method:
                return answer

    def notification(self, method, good=lambda params: True):
        """The params of the next one of that name that is good."""
        for _ in patiently(method):
            note = json.loads(self.read()[1])
            if note.get("method") == method and good(note["params"]):
                return note["params"]

    def close(self):
        self.stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" \
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=ice-ufrag:abcd\r\n"


def header(message, name):
    found = re.search(rf"^{name}:[ \t]*(.*?)\r$", message, re.I | re.M)
    return found[1] if found else ""


def headers(message, name):
    return re.findall(rf"^{name}:[ \t]*(.*?)\r$", message, re.I | re.M)


class Datagrams:
    """A phone's UDP socket, with the send and read of a WebSocket."""

    def __init__(self, at):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(LIMIT_S)
        self.socket.bind(("127.0.0.1", 0))
        self.to = self.source = at
        self.place = "127.0.0.1:%d" % self.socket.getsockname()[1]

    def send(self, text):
        to = self.source if text.startswith("SIP/2.0 ") else self.to
        self.socket.sendto(text.encode(), to)

    def read(self):
        data, self.source = self.socket.recvfrom(65536)
        return TEXT, data

    def close(self):
        self.socket.close()


class Phone:
    """What a browser does: `.invalid` in Via and Contact, +sip.instance and reg-id, one flow. With
    udp=True a plain phone; with scheme="sips" it speaks of itself and others so."""

    count = 0

    def __init__(self, peer, user, domain="example.net", instance=None, **more):
        self.peer, self.user, self.domain = peer, user, domain
        self.instance = instance or os.urandom(8).hex()
        self.udp = more.pop("udp", False)
        self.scheme = more.pop("scheme", "sip")
        if self.udp:
            self.socket = Datagrams(peer.at)
            self.transport, self.place = "udp", self.socket.place
        else:
            self.socket = WebSocket(web_at(peer, "https" if more.get("tls") else "http"), **more)
            self.transport = "wss" if more.get("tls") else "ws"
            self.place = os.urandom(6).hex() + ".invalid"
        self.call_id = os.urandom(6).hex()
        self.cseq = 0
        self.seen = []

    def contact(self, **params):
        more = "".join(f";{name}={value}" for name, value in params.items())
        return f"<{self.scheme}:{self.user}@{self.place}{'' if self.udp else ';transport=ws;ob'}>{more}"

    def request(self, method, uri, to=None, call_id=None, cseq=None, more="", body=""):
        Phone.count += 1
        self.cseq += 1
        text = (f"{method} {uri} SIP/2.0\r\n"
                f"Via: SIP/2.0/{self.transport.upper()} {self.place};rport;"
                f"branch=z9hG4bKw{os.getpid()}x{Phone.count}\r\n"
                f"Max-Forwards: 70\r\nFrom: <sip:{self.user}@{self.domain}>;tag=f{self.call_id}\r\n"
                f"To: {to or '<' + uri + '>'}\r\nCall-ID: {call_id or self.call_id}\r\n"
                f"CSeq: {cseq or self.cseq} {method}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
                f"{body}")
        return text

    def read(self):
        """The next SIP message, as text."""
        if self.seen:
            return self.seen.pop(0)
        kind, data = self.socket.read()
        if kind == CLOSE:
            raise ConnectionError("closed")
        return data.decode()

    def response(self, method, least=200):
        """The next response to that method that is at least so final."""
        for _ in patiently(f"a response to {method}"):
            text = self.read()
            if text.startswith("SIP/2.0 ") and header(text, "CSeq").endswith(method):
                if int(text.split(" ")[1]) >= least:
                    return text

    def incoming(self, method):
        for _ in patiently(method):
            text = self.read()
            if text.startswith(method + " "):
                return text

    def register(self, expires=300, reg_id=1, call_id=None):
        if call_id:
            self.call_id, self.cseq = call_id, 0
        params = {"+sip.instance": f'"<urn:uuid:{self.instance}>"', "reg-id": reg_id}
        if not reg_id:
            params = {}
        uri = f"sip:{self.domain}"
        self.socket.send(self.request(
            "REGISTER", uri, to=f"<sip:{self.user}@{self.domain}>",
            more=f"Contact: {self.contact(**params)};expires={expires}\r\n"
                 "Supported: path, outbound, gruu\r\n"))
        return self.response("REGISTER")

    def call(self, user):
        """INVITE; its text."""
        self.call_id = os.urandom(6).hex()
        text = self.request("INVITE", f"{self.scheme}:{user}@{self.domain}",
                            more=f"Contact: {self.contact()}\r\nContent-Type: application/sdp\r\n",
                            body=OFFER)
        self.socket.send(text)
        return text

    def within(self, method, final, cseq=None):
        """A request in the dialog that this response to our INVITE made, by its Route set."""
        target = re.search(r"<(.*?)>", header(final, "Contact"))[1]
        routes = [one for line in headers(final, "Record-Route") for one in line.split(",")]
        more = "".join(f"Route: {route.strip()}\r\n" for route in reversed(routes))
        text = self.request(method, target, to=header(final, "To"),
                            call_id=header(final, "Call-ID"), cseq=cseq, more=more)
        self.socket.send(text)
        return text

    def back(self, method, invite, to):
        """A request in the dialog from the side that was called; to: our own To with its tag."""
        target = re.search(r"<(.*?)>", header(invite, "Contact"))[1]
        routes = [one for line in headers(invite, "Record-Route") for one in line.split(",")]
        more = "".join(f"Route: {route.strip()}\r\n" for route in routes)
        text = self.request(method, target, to=header(invite, "From"),
                            call_id=header(invite, "Call-ID"), more=more)
        text = re.sub(r"^From: .*?\r$", "From: " + to.replace("\\", "") + "\r", text, count=1,
                      flags=re.M)
        self.socket.send(text)
        return text

    def answer(self, request, status, reason="OK", more="", body=""):
        """A response on the flow."""
        copied = "".join(f"{name}: {value}\r\n" for name in ("Via", "Record-Route")
                         for value in headers(request, name))
        to = header(request, "To")
        to += "" if ";tag=" in to or status == 100 else f";tag=t{self.place[:6]}"
        text = (f"SIP/2.0 {status} {reason}\r\n{copied}From: {header(request, 'From')}\r\nTo: {to}\r\n"
                f"Call-ID: {header(request, 'Call-ID')}\r\nCSeq: {header(request, 'CSeq')}\r\n"
                f"{more}Content-Length: {len(body)}\r\n\r\n{body}")
        self.socket.send(text)
        return text

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def bound(peer, aor, count=1):
    """Waits until the peer holds so many bindings of the address."""
    def now():
        rows = [row for row in peer.ask("bindings") if row["aor"] == aor]
        return (rows or True) if len(rows) == count else None
    return until(now, f"{count} bindings of {aor}")
