# SPDX-License-Identifier: BSD-2-Clause
"""The control socket of a peer: JSON-RPC, one object a line; and the traces of many peers."""
import json
import selectors
import socket
import threading

from lib.place import Failure

LIMIT_S = 30


class Refused(Failure):
    """The peer answered with an error."""

    def __init__(self, method, error):
        super().__init__(f"{method}: {error.get('message')} ({error.get('code')})")
        self.code = error.get("code")


class Control:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")
        self.last_id = 0

    def ask(self, method, **params):
        """Sends without waiting for the answer; its id."""
        self.last_id += 1
        line = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        self.socket.sendall(json.dumps(line).encode() + b"\n")
        return self.last_id

    def answer_any(self, method="answer"):
        """The next whole answer, an error too."""
        line = self.file.readline()
        if not line:
            raise Failure(f"{method}: the control socket was closed")
        return json.loads(line)

    def answer(self, method="answer"):
        reply = self.answer_any(method)
        if "error" in reply:
            raise Refused(method, reply["error"])
        return reply["result"]

    def call(self, method, **params):
        self.ask(method, **params)
        return self.answer(method)

    def close(self):
        self.file.close()
        self.socket.close()


class Traces:
    """Calls take(peer, event) for each trace event of these peers, in a thread of its own. A peer
    that ends just falls silent."""

    def __init__(self, peers, take):
        self.take = take
        self.selector = selectors.DefaultSelector()
        self.stopped = threading.Event()
        for peer in peers:
            control = Control(peer.control_path)
            control.call("trace")
            control.socket.setblocking(False)
            self.selector.register(control.socket, selectors.EVENT_READ, [peer, control, b""])
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _read(self, key):
        peer, control, before = key.data
        try:
            data = control.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(control.socket)
            control.close()
            return
        *lines, key.data[2] = (before + data).split(b"\n")
        for line in lines:
            note = json.loads(line)
            if note.get("method") == "trace":
                self.take(peer, note["params"])

    def _run(self):
        while not self.stopped.is_set():
            for key, _ in self.selector.select(0.05):
                self._read(key)

    def close(self):
        self.stopped.set()
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.data[1].close()
        self.selector.close()
