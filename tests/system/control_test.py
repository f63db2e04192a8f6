#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The control socket: JSON-RPC, its limits, and clients that misbehave."""
import json
import os
import subprocess
import threading
import time

from peer import LOCSER, Control, Peer, for_anyone, main, run, tcp, until


def test_json_rpc():
    with Peer() as peer:
        control = Control(peer.control)
        answer = control.call("status")
        assert answer["jsonrpc"] == "2.0" and answer["id"] == 7, answer
        assert answer["result"]["data"] == peer.data, answer
        for line, code in ((b"{\n", -32700), (b"[]\n", -32600), (b"17\n", -32700),
                           (b'{"id":1}\n', -32600), (b'{"id":1,"method":"frob"}\n', -32601),
                           (b'{"id":1,"method":"get"}\n', -32602),
                           (b'{"id":1,"method":"get","params":[1]}\n', -32600),
                           (b'{"id":1,"method":"put","params":{"uri":"sip:a@b"}}\n', -32602),
                           (b'{"id":1,"method":"put","params":{"uri":"sip:a@b","contact":"sip:c@d",'
                            b'"expires":-1}}\n', -32602),
                           (b'{"id":1,"method":"log","params":{"level":"x"}}\n', -32602),
                           (b"\xff\xfe\x00\n", -32700)):
            control.send(line)
            answer = control.read()
            assert answer["error"]["code"] == code and answer["error"]["message"], (line, answer)
        control.send(b"\n\r\n")  # empty lines are nothing
        assert control.call("log")["result"] == {"level": "info"}
        control.close()


def test_two_requests_in_one_packet_and_one_in_many():
    with Peer() as peer:
        control = Control(peer.control)
        one = json.dumps({"id": 1, "method": "status"}).encode() + b"\n"
        control.send(one + one)
        assert control.read()["id"] == control.read()["id"] == 1
        for i in range(len(one)):
            control.send(one[i:i + 1])
        assert control.read()["id"] == 1
        control.close()


def test_a_line_too_long():
    with Peer() as peer:
        control = Control(peer.control)
        try:
            control.send(b"x" * 200000)
        except OSError:
            pass  # closed while we still wrote
        try:
            answer = control.read()
            assert answer is None or answer["error"]["code"] == -32600, answer
        except ConnectionResetError:
            pass
        control.close()
        assert peer.cli("status")[0] == 0


def test_deep_json():
    with Peer() as peer:
        control = Control(peer.control)
        control.send(b"[" * 60000 + b"\n")
        assert control.read()["error"]["code"] == -32700
        control.close()


def test_at_most_32_clients():
    with Peer() as peer:
        clients = [Control(peer.control) for _ in range(40)]
        alive = 0
        for client in clients:
            try:
                alive += client.call("log") is not None
            except OSError:
                pass
        assert alive == 32, alive
        for client in clients:
            client.close()
        until(lambda: peer.cli("status")[0] == 0, "room again")


def test_a_client_that_goes_away_while_it_waits():
    with Peer() as peer:
        for _ in range(20):
            control = Control(peer.control)
            control.send({"id": 1, "method": "lookup", "params": {"uri": "sip:a@b.example"}})
            control.close()
        assert peer.cli("status")[0] == 0


def test_trace():
    with Peer() as peer:
        control = Control(peer.control)
        assert control.call("trace")["result"] is True
        connection = tcp(peer.at)
        connection.sendall(peer.sip(transport="TCP"))
        while True:
            event = control.read()
            assert event["method"] == "trace" and "id" not in event, event
            if event["params"]["name"] == "sip.in":
                break
        params = event["params"]
        assert params["peer"].startswith("127.0.0.1:") and params["transport"] == "tcp", params
        assert abs(params["time"] / 1e6 - time.time()) < 60, params
        connection.close()
        control.close()


def test_watch_prints_events():
    with Peer() as peer:
        watch = subprocess.Popen([LOCSER, "--control", peer.control, "watch"], text=True,
                                 stdout=subprocess.PIPE)
        connection = tcp(peer.at)
        # The subscription races the request, so it is asked again until it shows.
        stop = threading.Event()

        def keep_asking():
            while not stop.wait(0.1):
                connection.sendall(peer.sip(transport="TCP"))
        thread = threading.Thread(target=keep_asking)
        thread.start()
        line = watch.stdout.readline()
        stop.set()
        thread.join()
        while line and " sip.in " not in line:
            line = watch.stdout.readline()
        assert "sip.in" in line and "peer=127.0.0.1:" in line, line
        connection.close()
        peer.stop()  # the end of locserd ends it
        watch.stdout.read()
        assert watch.wait(60) == 0
        watch.stdout.close()


def test_a_slow_subscriber_is_dropped_and_holds_up_nobody():
    with Peer() as peer:
        slow = Control(peer.control)
        assert slow.call("trace")["result"] is True
        connection = tcp(peer.at)
        connection.settimeout(60)

        def flood():
            for _ in range(200):
                connection.sendall(peer.sip(transport="TCP"))
            got = 0
            while got < 200:
                got += connection.recv(65536).count(b"SIP/2.0 ")
            return "a client does not read" in peer.errors()
        until(flood, "the drop", 60)
        assert peer.cli("status")[0] == 0
        connection.close()
        slow.close()


def test_leave_answers_before_the_end():
    with Peer() as peer:
        control = Control(peer.control)
        assert control.call("leave")["result"] is True
        assert control.read() is None
        assert peer.wait() == 0
        control.close()


def test_no_other_user_gets_in():
    with Peer() as peer:
        if os.geteuid() != 0:
            assert os.stat(peer.control).st_mode & 0o777 == 0o600
            return
        with for_anyone(LOCSER) as [locser]:
            status, _, errors = run(locser, "--control", peer.control, "status", user=65534)
        assert status == 3 and "Permission denied" in errors, errors


if __name__ == "__main__":
    main(globals())
