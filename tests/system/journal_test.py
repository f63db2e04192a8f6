#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The journal under locserd: crashes, damage, a full disk (R-4.26)."""
import glob
import os
import shutil
import sqlite3
import subprocess
import tempfile

from peer import Peer, Skip, main, refused, until

BOB, CONTACT = "sip:bob@b.example", "sip:bob@192.0.2.4:5060"


def put(peer, uri=BOB, contact=CONTACT):
    until(lambda: peer.cli("put", uri, contact)[0] == 0, f"a put of {uri}")


def contacts(peer, uri=BOB):
    status, output, _ = peer.cli("get", uri)
    return output if status == 0 else ""


def damage(path, at, junk):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(junk)


def filled(folder, count=50):
    """A journal with records, closed in good order; its path."""
    with Peer(data=folder) as peer:
        for i in range(count):
            put(peer, f"sip:user{i}@b.example")
        peer.kill()
    path = os.path.join(folder, "journal.db")
    with sqlite3.connect(path) as database:  # the log into the file, so that the file is all
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


def test_what_was_acknowledged_survives_kill():
    with tempfile.TemporaryDirectory() as folder:
        with Peer(data=folder) as peer:
            put(peer)
            peer.kill()
        with Peer(data=folder) as peer:
            until(lambda: CONTACT in contacts(peer), "the record after a kill -9")
            assert peer.ask("status")["journal_damaged"] == 0


def test_a_removal_survives_kill():
    with tempfile.TemporaryDirectory() as folder:
        with Peer(data=folder) as peer:
            put(peer)
            until(lambda: peer.cli("remove", BOB, CONTACT)[0] == 0, "the removal")
            peer.kill()
        with Peer(data=folder) as peer:
            until(lambda: peer.ask("status"), "an answer")
            until(lambda: peer.cli("get", BOB)[0] == 1, "not found")


def test_damage_is_refused_and_nothing_is_changed():
    with tempfile.TemporaryDirectory() as folder:
        path = filled(folder)
        for at, junk in ((0, b"j" * 100), (4096, b"\xa5" * 4096)):
            bad = tempfile.mkdtemp(dir=folder)
            shutil.copy(path, os.path.join(bad, "journal.db"))
            damage(os.path.join(bad, "journal.db"), at, junk)
            with open(os.path.join(bad, "journal.db"), "rb") as file:
                before = file.read()
            status, errors = refused(data=bad)
            assert status == 1, errors
            assert os.path.join(bad, "journal.db") in errors and "mv " in errors, errors
            with open(os.path.join(bad, "journal.db"), "rb") as file:
                assert file.read() == before


def test_an_empty_or_newer_or_foreign_journal():
    for make, said in ((lambda path: open(path, "w").close(), "is empty"),
                       (lambda path: change(path, "PRAGMA user_version = 99",
                                            "PRAGMA application_id = 1279480658"), "newer"),
                       (lambda path: change(path, "CREATE TABLE t (x)"), "another program")):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "journal.db")
            make(path)
            status, errors = refused(data=folder)
            assert status == 1 and path in errors and said in errors, errors


def change(path, *statements):
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def test_a_damaged_row_is_left_out():
    with tempfile.TemporaryDirectory() as folder:
        path = filled(folder, 5)
        change(path, "UPDATE record SET bytes = x'00' WHERE rowid = "
                     "(SELECT min(rowid) FROM record)")
        with Peer(data=folder) as peer:
            assert peer.ask("status")["journal_damaged"] == 1
            assert "is damaged and was left out" in peer.errors(), peer.errors()
            assert len(peer.ask("records")) == 2 * 5 - 1  # each user's contact and certificates


def test_an_unreadable_journal():
    if os.geteuid() == 0:
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "journal.db"))
            status, errors = refused(data=folder)
            assert status == 1 and "journal.db" in errors, errors
        return
    with tempfile.TemporaryDirectory() as folder:
        path = filled(folder, 1)
        os.chmod(path, 0)
        status, errors = refused(data=folder)
        assert status == 1 and path in errors, errors


def fill(peer):
    """Puts until one is refused; how many were taken."""
    for i in range(5000):
        status, _, errors = peer.cli("put", f"sip:user{i}@b.example", "sip:" + "x" * 2000 + "@b")
        if status != 0:
            assert status == 1 and errors.startswith("locser: "), errors
            return i
    raise AssertionError("the disk never filled")


def test_a_journal_at_its_limit():
    with Peer("--journal-bytes-max", 262144) as peer:
        put(peer)
        taken = fill(peer)
        assert taken > 5, taken
        until(lambda: peer.ask("status")["journal"] == "cannot be written", "the state")
        assert "make room on its disk" in peer.errors(), peer.errors()
        assert CONTACT in contacts(peer)  # reads go on
        assert peer.stop() == 0


def test_a_full_disk():
    if os.geteuid() != 0:
        raise Skip("needs root to mount a small tmpfs")
    with tempfile.TemporaryDirectory() as folder:
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "locser-test", folder],
                               capture_output=True, text=True, check=False)
        if mount.returncode != 0:
            raise Skip(f"no tmpfs here: {mount.stderr.strip()}")
        try:
            full_disk(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=False)


def full_disk(folder):
    data = os.path.join(folder, "data")
    with Peer(data=data) as peer:
        put(peer)
        room = os.statvfs(folder)
        ballast = os.path.join(folder, "ballast")
        with open(ballast, "wb") as file:
            file.write(b"b" * max(0, room.f_bavail * room.f_bsize - 200000))
        fill(peer)
        until(lambda: "make room on its disk" in peer.errors(), "the log line")
        assert CONTACT in contacts(peer)  # reads go on, nothing is lost
        os.unlink(ballast)
        put(peer, "sip:carol@b.example")  # and with room it goes on
        until(lambda: "can be written again" in peer.errors(), "the log line")
        peer.kill()
    with Peer(data=data) as peer:
        until(lambda: CONTACT in contacts(peer), "the first record")
        until(lambda: CONTACT in contacts(peer, "sip:carol@b.example"), "the last record")


def test_a_full_disk_at_the_first_start():
    if os.geteuid() != 0:
        raise Skip("needs root to mount a small tmpfs")
    with tempfile.TemporaryDirectory() as folder:
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "locser-test", folder],
                               capture_output=True, text=True, check=False)
        if mount.returncode != 0:
            raise Skip(f"no tmpfs here: {mount.stderr.strip()}")
        try:
            with open(os.path.join(folder, "ballast"), "wb") as file:
                file.write(b"b" * 16384)
            status, errors = refused(data=os.path.join(folder, "data"))
            assert status == 1 and folder in errors, errors
            assert not [path for path in glob.glob(folder + "/data/journal.db")
                        if os.path.getsize(path) == 0]
        finally:
            subprocess.run(["umount", "-l", folder], check=False)


if __name__ == "__main__":
    main(globals())
