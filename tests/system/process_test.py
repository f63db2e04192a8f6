#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""locserd as a process: start, signals, exit, its folder, its ports, its memory."""
import hashlib
import itertools
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import tempfile

from peer import (LOCSER, LOCSERD, LIMIT_S, Peer, Skip, for_anyone, main, refused, run, tcp,
                  until)


def test_starts_answers_and_leaves():
    with Peer() as peer:
        status = peer.ask("status")
        assert status["version"] and status["data"] == peer.data, status
        assert peer.sockets == status["listen"], status
        ring = peer.ask("ring")
        assert [row["peer"] for row in ring if row["role"] == "self"] == [peer.id], ring
        assert peer.stop() == 0, peer.errors()
        assert not os.path.exists(peer.control)


def test_udp_and_tcp_share_the_port():
    with Peer() as peer:
        host, port = peer.at
        assert peer.sockets == [f"udp:{host}:{port}", f"tcp:{host}:{port}"], peer.sockets


def test_sigint_leaves_too():
    with Peer() as peer:
        peer.signal(signal.SIGINT)
        assert peer.wait() == 0


def test_leave_command_ends_it():
    with Peer() as peer:
        assert peer.cli("leave")[0] == 0
        assert peer.wait() == 0


def test_peer_id_survives_a_restart():
    with tempfile.TemporaryDirectory() as folder:
        ids = []
        for _ in range(2):
            with Peer(data=folder) as peer:
                ids.append(peer.id)
                assert peer.stop() == 0
        assert ids[0] == ids[1]


def test_files_are_ours_alone():
    with Peer() as peer:
        for name in os.listdir(peer.data):
            mode = stat.S_IMODE(os.stat(os.path.join(peer.data, name)).st_mode)
            assert mode & 0o077 == 0, (name, oct(mode))
        assert stat.S_IMODE(os.stat(peer.control).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(peer.data).st_mode) == 0o700


def test_a_folder_in_use_is_refused():
    with Peer() as peer:
        status, errors = refused(data=peer.data)
        assert status == 1
        assert peer.data in errors and f"process {peer.process.pid}" in errors, errors
        assert "--data DIR" in errors
        assert peer.cli("status")[0] == 0  # the first one is not disturbed


def test_a_killed_peer_starts_again():
    with tempfile.TemporaryDirectory() as folder:
        with Peer(data=folder) as peer:
            peer.kill()
            assert os.path.exists(peer.control)  # stale: nobody answers
        with Peer(data=folder) as peer:
            assert peer.cli("status")[0] == 0


def test_a_living_control_socket_is_not_taken():
    with Peer() as peer:
        status, errors = refused("--control", peer.control)
        assert status == 1 and "another locserd answers there" in errors, errors
        assert peer.cli("status")[0] == 0


def test_a_control_path_that_is_a_file_is_kept():
    with tempfile.NamedTemporaryFile() as file:
        status, errors = refused("--control", file.name)
        assert status == 1 and "--control PATH" in errors, errors
        assert os.path.isfile(file.name)


def test_a_control_path_that_is_too_long():
    status, errors = refused("--control", "/tmp/" + "x" * 200)
    assert status == 1 and "longer than a socket's may be" in errors, errors


def test_a_taken_port_is_named():
    for kind, name in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
        with socket.socket(socket.AF_INET, kind) as holder:
            holder.bind(("127.0.0.1", 0))
            if name == "tcp":
                holder.listen(1)
            port = holder.getsockname()[1]
            status, errors = refused(listen=f"127.0.0.1:{port}")
            assert status == 1
            assert f"{name} 127.0.0.1:{port}: " in errors and "--listen HOST:PORT" in errors, errors


def test_an_address_of_nobody_here():
    status, errors = refused(listen="192.0.2.1:5060")
    assert status == 1 and "must be an address of this machine" in errors, errors


def test_a_wildcard_needs_advertise():
    status, errors = refused(listen="0.0.0.0:0")
    assert status == 2 and "--advertise HOST:PORT" in errors, errors
    with Peer("--advertise", "127.0.0.1:45454", listen="0.0.0.0:0") as peer:
        assert peer.address == "127.0.0.1:45454"


def test_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        raise Skip(f"no IPv6 on loopback: {error}")
    with Peer(listen="[::1]:0") as peer:
        assert peer.address.startswith("[::1]:")
        tcp(peer.at).close()


def test_a_folder_nobody_can_make():
    status, errors = refused(data="/proc/nowhere")
    assert status == 1 and "/proc/nowhere" in errors and "--data DIR" in errors, errors


def test_a_broken_identity_is_kept():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "identity")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write("broken")
        status, errors = refused(data=folder)
        assert status == 1 and path in errors, errors
        with open(path) as file:
            assert file.read() == "broken"


def kept_by(peer, other):
    """An address for which that one of two peers is responsible."""
    for n in itertools.count():
        address = f"sip:u{n}@example.net"
        key = hashlib.sha1(address.encode()).hexdigest().upper()
        if other.id < peer.id and other.id < key <= peer.id:
            return address
        if other.id > peer.id and not peer.id < key <= other.id:
            return address


def test_a_second_signal_ends_at_once():
    """Its neighbour is stopped, so leaving cannot be quick; the second signal does not wait."""
    with Peer() as first, Peer("--join", first.address) as second:
        until(lambda: len(first.ask("peers")) >= 1, "a ring of two")
        address = kept_by(second, first)  # something to hand over
        until(lambda: first.cli("put", address, "sip:x@192.0.2.7")[0] == 0, "a record", 60)
        first.signal(signal.SIGSTOP)
        try:
            second.signal(signal.SIGTERM)
            until(lambda: "leaving the ring" in second.errors(), "leaving")
            second.signal(signal.SIGTERM)
            assert second.wait() == 1 and "stopped at once" in second.errors()
        finally:
            first.signal(signal.SIGCONT)


def test_sighup_reads_the_file_again():
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write('log = "error"\n')
        file.flush()
        with Peer("--config", file.name) as peer:
            assert peer.ask("log") == {"level": "error"}
            file.seek(0)
            file.write('log = "debug"\noverlay = "other"\n')
            file.flush()
            peer.signal(signal.SIGHUP)
            until(lambda: peer.ask("log") == {"level": "debug"}, "the new level")
            until(lambda: "'overlay' needs a restart" in peer.errors(), "the warning")
            file.seek(0)
            file.write('log = "loud"\n')
            file.truncate()
            file.flush()
            peer.signal(signal.SIGHUP)  # an error changes nothing
            until(lambda: f"{file.name}:1: log: 'loud'" in peer.errors(), "the error")
            assert peer.ask("log") == {"level": "debug"}
            status, _, errors = peer.cli("reload")
            assert status == 1 and "'loud'" in errors, errors
            assert peer.stop() == 0


def test_tells_its_supervisor():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(path)
            supervisor.settimeout(LIMIT_S)
            with Peer(env={"NOTIFY_SOCKET": path}) as peer:
                assert supervisor.recv(100) == b"READY=1"
                peer.stop()
                assert supervisor.recv(100) == b"STOPPING=1"


def test_without_words():
    """A new ring in the default folder on the default port, as an ordinary user."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 5060))
        except OSError:
            raise Skip("port 5060 is taken here")
    with tempfile.TemporaryDirectory() as folder, for_anyone(LOCSERD, LOCSER) as [locserd, locser]:
        os.chmod(folder, 0o711)
        home = os.path.join(folder, "home")
        os.mkdir(home)
        more = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            os.chown(home, user.pw_uid, user.pw_gid)
            more = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        env = {"PATH": os.environ["PATH"], "HOME": home}
        process = subprocess.Popen([locserd], env=env, cwd="/", stdout=subprocess.PIPE, text=True,
                                   stdin=subprocess.DEVNULL, **more)
        try:
            line = process.stdout.readline()
            assert f"data in {home}/.local/state/locser" in line, line
            assert "udp:127.0.0.1:5060, tcp:127.0.0.1:5060" in line, line
            status, output, errors = run(locser, "ring", env=env, **more)
            assert status == 0 and "127.0.0.1:5060" in output, errors
        finally:
            process.terminate()
            assert process.wait(LIMIT_S) == 0
            process.stdout.close()


def test_idle_memory():
    """Memory that an idle peer has for itself: a number that is promised. Clean pages of the
    libraries are not counted: whether they are private depends on who else runs here."""
    with Peer() as peer:
        until(lambda: peer.cli("status")[0] == 0, "an answer")
        with open(f"/proc/{peer.process.pid}/maps") as maps:
            if "libasan" in maps.read():
                raise Skip("built with a sanitizer")
        try:
            with open(f"/proc/{peer.process.pid}/smaps_rollup") as file:
                text = file.read()
        except OSError as error:
            raise Skip(f"no smaps_rollup: {error}")
        kib = {name: int(n) for name, n in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        private = kib["Private_Dirty"] + kib["Private_Clean"]
        dirty = kib["Private_Dirty"]
        print(f"     idle: private {private} KiB (dirty {dirty}), RSS {kib['Rss']} KiB")
        assert dirty < 4096, text


if __name__ == "__main__":
    main(globals())
