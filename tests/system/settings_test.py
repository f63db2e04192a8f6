#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The command lines of locserd and locser: what they accept, what they say, how they exit."""
import os
import tempfile

from peer import LOCSER, LOCSERD, ROOT, Peer, main, run


def check_config(text):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        status, output, errors = run(LOCSERD, "--check-config", "--config", file.name)
        return status, output, errors.replace(file.name, "FILE")


def test_the_example_is_good():
    status, output, errors = run(LOCSERD, "--check-config", "--config",
                                 os.path.join(ROOT, "examples/locserd.conf"))
    assert status == 0 and output.endswith(": good\n") and not errors, errors


def test_errors_name_file_line_and_option():
    for text, said in (('\n\nnonsense = 1\n', "FILE:3: no such option 'nonsense'"),
                       ('log = "loud"\n', "FILE:1: log: 'loud' is none of"),
                       ('\nsuccessors = 1000\n', "FILE:2: successors: '1000' is no number"),
                       ('listen = {"1.2.3.4:99999"}\n', "FILE:1: listen: '1.2.3.4:99999'"),
                       ('data = "unclosed\n', "FILE:"),
                       ('join = {"127.0.0.1:5060"\n', "FILE:")):
        status, output, errors = check_config(text)
        assert status == 2 and said in errors and not output, (text, errors)


def test_errors_of_the_whole():
    status, _, errors = check_config('listen = {"0.0.0.0:5060"}\n')
    assert status == 2 and "--advertise HOST:PORT" in errors, errors


def test_a_file_that_is_not_there():
    status, _, errors = run(LOCSERD, "--config", "/nonexistent/file")
    assert status == 2 and "/nonexistent/file: No such file" in errors, errors


def test_check_config_starts_nothing():
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        assert run(LOCSERD, "--check-config", "--data", data)[0] == 0
        assert not os.path.exists(data)


def test_version_and_help():
    for program in (LOCSERD, LOCSER):
        status, output, _ = run(program, "--version")
        assert status == 0 and output.startswith(os.path.basename(program) + " "), output
        status, output, _ = run(program, "--help")
        assert status == 0 and output.startswith("usage: "), output


def test_every_option_of_the_manual():
    words = ["--data", "/tmp/x", "--domain", "a.example", "--domain", "b.example", "--overlay",
             "lab", "--listen", "udp:127.0.0.1:5060", "--listen", "tcp:127.0.0.1:5060",
             "--advertise", "127.0.0.1:5060", "--join", "127.0.0.1:5062", "--control", "/tmp/c",
             "--no-digest", "--check-config"]
    status, _, errors = run(LOCSERD, *words)
    assert status == 0, errors


def test_wrong_words_of_locserd():
    for words in (["--frob"], ["word"], ["--listen"], ["--listen", "x y"], ["--log", "loud"]):
        status, output, errors = run(LOCSERD, *words)
        assert status == 2 and errors.startswith("locserd: ") and not output, (words, errors)
        assert errors.count("\n") == 1, errors


def test_wrong_words_of_locser():
    for words in ([], ["frob"], ["--frob"], ["get"], ["get", "a", "b"], ["put", "a"],
                  ["ring", "--trace"], ["get", "sip:a@b", "--expires", "5"],
                  ["put", "sip:a@b", "sip:c@d", "--expires", "soon"], ["--control"]):
        status, output, errors = run(LOCSER, *words)
        assert status == 2 and errors.startswith("locser: ") and not output, (words, errors)


def test_nobody_answers():
    status, _, errors = run(LOCSER, "--control", "/nonexistent/control", "status")
    assert status == 3 and "no locserd answers at /nonexistent/control" in errors, errors
    status, _, errors = run(LOCSER, "status", env={**os.environ, "LOCSER_CONTROL": "/nonexistent/x"})
    assert status == 3 and "/nonexistent/x" in errors, errors


def test_locser_control_is_found():
    with Peer() as peer:
        env = {**os.environ, "LOCSER_CONTROL": peer.control}
        status, output, errors = run(LOCSER, "status", env=env)
        assert status == 0 and peer.data in output, errors
        status, output, _ = run(LOCSER, "--control", peer.control, "log", "debug")
        assert status == 0 and "debug" in output
        status, _, errors = run(LOCSER, "log", "loud", env=env)
        assert status == 1 and "error, warning, info or debug" in errors, errors


if __name__ == "__main__":
    main(globals())
