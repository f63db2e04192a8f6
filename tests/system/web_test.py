#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The page's server (docs/web.md) and SIP over WebSocket (RFC 7118), by a hand-made client:
R-7.71 to R-7.75."""
import json
import os
import socket

from peer import LIMIT_S, Peer, main, refused, run, until
from websocket import (BINARY, CLOSE, PING, PONG, TEXT, Phone, Refused, WebSocket, bound, header,
                       headers, http, web_at)

WEB = ("--web", "127.0.0.1:0", "--log", "debug")


def ask(at, method, **params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    status, _, answer = http(at, "POST", "/api", {"Content-Type": "application/json"}, body)
    assert status == 200, (status, answer)
    return json.loads(answer)


def test_the_page_and_its_header_fields():
    with Peer(*WEB) as peer:
        at = web_at(peer)
        status, fields, body = http(at)
        assert status == 200 and b"<html" in body and fields["content-type"].startswith("text/html")
        policy = fields["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert f"ws://{at[0]}:{at[1]}" in policy and "unsafe" not in policy
        assert fields["x-content-type-options"] == "nosniff"
        status, fields, body = http(at, "HEAD")
        assert status == 200 and body == b"" and int(fields["content-length"]) > 0


def test_registers_and_is_known_to_the_ring():
    with Peer(*WEB) as peer, Phone(peer, "bob") as bob:
        assert bob.register().startswith("SIP/2.0 200 ")
        row, = bound(peer, "sip:bob@example.net")
        assert row["transport"] == "ws" and bob.place in row["contact"]
        contact, = peer.ask("get", "sip:bob@example.net")
        assert "transport=tcp" in contact["path"] and bob.place in contact["contact"]
        assert bob.place not in contact["path"]
        assert ask(web_at(peer), "bindings")["result"] == [row]


if __name__ == "__main__":
    main(globals())
