# SPDX-License-Identifier: BSD-2-Clause
"""Programs with a fault in them (base/plant.h): some files of the core are compiled with -DPLANT=n
and named before libcore.a, so the archive's own are never taken."""
import json
import os
import shlex
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(ROOT, "build"))


def compile_with(number, file, folder):
    """The object's path."""
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as commands:
        entry = next(e for e in json.load(commands) if e["file"] == os.path.join(ROOT, file))
    words = shlex.split(entry["command"])
    target = os.path.join(folder, f"{number}-{os.path.basename(file)}.o")
    words[words.index("-o") + 1] = target
    compiler = next(i for i, word in enumerate(words) if os.path.basename(word) != "ccache")
    words[compiler + 1:compiler + 1] = [f"-DPLANT={number}", "-fno-lto"]
    subprocess.run(words, check=True, cwd=entry["directory"])
    return target


def build(program, number, files, folder):
    """The path of that program of the build folder with a fault; `program` is a target's name."""
    objects = [compile_with(number, file, folder) for file in files]
    asked = subprocess.run(["ninja", "-C", BUILD, "-t", "commands", "-s", program], check=True,
                           capture_output=True, text=True).stdout.splitlines()[-1]
    words = [word for word in shlex.split(asked) if word not in (":", "&&", "-flto=auto")]
    target = os.path.join(folder, f"{os.path.basename(program)}-{number}")
    out = words.index("-o")
    words[out + 1] = target
    words[out:out] = objects
    subprocess.run(words, check=True, cwd=BUILD)
    return target
