# SPDX-License-Identifier: BSD-2-Clause
"""A certificate that phones and browsers can check."""
import subprocess

from lib.place import need


def certificate(place):
    """Words for locserd: a certificate for 127.0.0.1 and its key, made for this run. The second is
    the file to trust. Linphone looks for addresses among the DNS names."""
    need("openssl", "openssl")
    pem, key = place.path("server.pem"), place.path("server.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1,DNS:127.0.0.1", "-out", pem, "-keyout", key],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return ["--tls-certificate", pem, "--tls-key", key]
