# SPDX-License-Identifier: BSD-2-Clause
"""Signs records as docs/spec/4-records.md says (R-4.29, R-4.30), by hashlib and the openssl command
alone: an outside look at what a peer takes for a signed record. For tests only."""
import base64
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

from peer import LIMIT_S, Skip

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
RECORD = re.compile(r"(<key xmlns=(?:(?!</key>).)*</key>)(<value xmlns=(?:(?!</value>).)*</value>)"
                    r"\{(SIGNATURE|FORGED)\}")


def base64_text(data):
    return base64.b64encode(data).decode()


def reference(name, part):
    digest = base64_text(hashlib.sha256(part.encode()).digest())
    return (f'<Reference URI="#{name}"><Transforms><Transform Algorithm="{EXCLUSIVE}"/></Transforms>'
            '<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
            f"<DigestValue>{digest}</DigestValue></Reference>")


def canonical(element):
    """Of an element that is canonical but for its empty elements."""
    return re.sub(r"<(\w+)([^<>]*)/>", r"<\1\2></\1>", element)


def raw_signature(der):
    """r and s of 32 bytes each, from the two DER integers."""
    first = 4 + der[3]
    numbers = der[4:first], der[first + 2:first + 2 + der[first + 1]]
    return b"".join(int.from_bytes(n, "big").to_bytes(32, "big") for n in numbers)


class Signer:
    """One P-256 key with a self-signed certificate, or with those of the files given."""

    def __init__(self, key=None, certificate=None):
        if not shutil.which("openssl"):
            raise Skip("the openssl command is not installed")
        self.folder = tempfile.TemporaryDirectory()
        self.key = key or os.path.join(self.folder.name, "key")
        self.made = {}
        if key is None:
            self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                         "-out", self.key)
        if certificate is None:
            self.certificate = self.openssl("req", "-x509", "-new", "-key", self.key, "-subj",
                                            "/CN=test", "-days", "3650", "-outform", "DER")
        else:
            self.certificate = self.openssl("x509", "-in", certificate, "-outform", "DER")
        public = self.openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER")
        digest = hashlib.sha1(public).digest()
        self.owner = digest.hex().upper()
        self.owner_hash = base64_text(digest)

    def openssl(self, *words, data=b""):
        done = subprocess.run(["openssl", *words], input=data, capture_output=True,
                              timeout=LIMIT_S, check=True)
        return done.stdout

    def signature(self, key, value):
        """The Signature element; the same for the same record."""
        if (key, value) not in self.made:
            self.made[key, value] = self.make(key, value)
        return self.made[key, value]

    def make(self, key, value):
        info = (f'<CanonicalizationMethod Algorithm="{EXCLUSIVE}"/><SignatureMethod '
                'Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>'
                + reference("One", key) + reference("Two", value) + "</SignedInfo>")
        der = self.openssl("dgst", "-sha256", "-sign", self.key,
                           data=canonical(f'<SignedInfo xmlns="{DSIG}">{info}').encode())
        return (f'<Signature xmlns="{DSIG}"><SignedInfo>{info}'
                f"<SignatureValue>{base64_text(raw_signature(der))}</SignatureValue><KeyInfo>"
                f"<X509Data><X509Certificate>{base64_text(self.certificate)}</X509Certificate>"
                "</X509Data></KeyInfo></Signature>")

    def fill(self, text):
        """With every {SIGNATURE} behind key and value filled in, and every {FORGED} with a valid
        signature of the same key and another value, whose digest is made to fit."""
        def make(match):
            key, value = match[1], match[2]
            if match[3] == "SIGNATURE":
                return key + value + self.signature(key, value)
            other = self.signature(key, value.replace("</value>", "other</value>"))
            return key + value + re.sub('<Reference URI="#Two">.*</Reference>',
                                        lambda _: reference("Two", value), other)
        return RECORD.sub(make, text)
