# SPDX-License-Identifier: BSD-2-Clause
"""The secrets in a data folder, as bytes to look for in what others may see (R-6.12)."""
import base64
import os
import re

PEM = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(.*?)\n-----END", re.S)
HASH = re.compile(rb"\b[0-9a-f]{32}(?:[0-9a-f]{32})?\b")


def files_of(data):
    for folder, _, files in os.walk(data):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    yield path, file.read()


def secrets_of(data):
    """What of the files in a data folder must be seen nowhere else: the numbers of private keys."""
    found = {}
    for path, text in files_of(data):
        for pem in PEM.findall(text):
            der = base64.b64decode(pem.replace(b"\n", b""))
            found[path] = der[-100:-66] if len(der) > 120 else der[-32:]
            # PKCS #8 of P-256: the 32 octets of the key follow 02 01 01 04 20
            at = der.find(b"\x02\x01\x01\x04\x20")
            if at >= 0:
                found[path] = der[at + 5:at + 37]
    return found


def passwords_of(data):
    """The hashes that are as good as the passwords (R-7.36)."""
    with open(os.path.join(data, "users", "passwords"), "rb") as file:
        return {f"HA1 {i}": bytes.fromhex(text.decode())
                for i, text in enumerate(HASH.findall(file.read()))}


def spellings(secret):
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for skip in range(3):
        whole = (len(secret) - skip) // 3 * 3
        yield base64.b64encode(secret[skip:skip + whole])[:32]


def is_in(secret, text):
    return any(spelling in text for spelling in spellings(secret))


def memory_of(pid):
    """What a process could have written and has not given back. PermissionError: not for us."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        parts = []
        for line in maps:
            span, mode = line.split()[:2]
            if not mode.startswith("rw"):
                continue
            first, last = (int(number, 16) for number in span.split("-"))
            try:
                memory.seek(first)
                parts.append(memory.read(last - first))
            except (OSError, OverflowError):
                pass  # gone since, or the kernel's
        return b"".join(parts)
