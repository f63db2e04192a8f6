# SPDX-License-Identifier: BSD-2-Clause
"""Linphone's console client, without a sound card, driven by its standard input. It can be at
either end of lib.call.Line.call."""
import math
import os
import re
import struct
import subprocess
import wave

from lib.place import Failure, free_ports, need, until

RC = """\
[sip]
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port={tls}
{trusts}use_ipv6=0
register_only_when_network_is_up=0
media_encryption={media}
media_encryption_mandatory={mandatory}
default_proxy=0
[rtp]
audio_rtp_port={rtp}-{rtp_end}
[net]
firewall_policy=none
"""
ACCOUNT = """\
[proxy_0]
reg_proxy=<sip:{home};transport={transport}>
reg_route=<sip:{home};transport={transport};lr>
reg_identity=sip:{user}@{domain}
reg_expires=300
reg_sendregister=1
publish=0
"""
PASSWORD = """\
[auth_info_0]
username={user}
userid={user}
passwd={password}
realm={domain}
domain={domain}
"""
REMOTE = """\
[misc]
config-uri={settings}
"""
RTP_PORTS = 8
STATES = {"CALL_ESTABLISHED": "LinphoneCallStreamsRunning", "CALL_CLOSED": "LinphoneCallReleased"}


def _tone(path):
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"".join(struct.pack("<h", int(8000 * math.sin(math.tau * 440 * i / 8000)))
                                 for i in range(8000 * 10)))


class Linphone:
    """settings: a URL that it is to have its account from, in place of knowing it. transport tls:
    its media are encrypted (SRTP), and it believes in no servers but those of the file `trusts`."""

    def __init__(self, place, user, home, transport="udp", domain="example.net", password="",
                 settings=None, trusts=None):
        need("linphonec", "linphone-cli")
        self.place, self.user = place, user
        self.uri = f"sip:{user}@{domain}"
        self.name = f"phone-{user}"
        self.folder = place.path(self.name)
        port = free_ports(2)
        self.rtp_first = free_ports(RTP_PORTS)
        os.makedirs(os.path.join(self.folder, ".local/share/linphone"))
        files = {".asoundrc": "pcm.!default { type null }\nctl.!default { type null }\n",
                 "rc": RC.format(udp=port if transport == "udp" else 0,
                                 tcp=port if transport == "tcp" else 0,
                                 tls=port if transport == "tls" else 0,
                                 trusts=f"root_ca={trusts}\n" if trusts else "",
                                 media="srtp" if transport == "tls" else "none",
                                 mandatory=int(transport == "tls"), rtp=self.rtp_first,
                                 rtp_end=self.rtp_first + RTP_PORTS - 1)}
        files["rc"] += (REMOTE.format(settings=settings) if settings else
                        ACCOUNT.format(home=home.address, transport=transport, user=user,
                                       domain=domain))
        if password:
            files["rc"] += PASSWORD.format(user=user, password=password, domain=domain)
        for file, text in files.items():
            with open(os.path.join(self.folder, file), "w", encoding="ascii") as out:
                out.write(text)
        _tone(os.path.join(self.folder, "tone.wav"))
        names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR",
                 "PULSE_RUNTIME_PATH", "TMPDIR", "HOME")
        env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **dict.fromkeys(names, self.folder),
               "XDG_DATA_HOME": os.path.join(self.folder, ".local/share")}
        # At the end of its standard input linphonec would take all memory that there is.
        command = ["prlimit", "--as=4294967296", "linphonec",
                   "-c", os.path.join(self.folder, "rc"), "-d", 5,
                   "-l", os.path.join(self.folder, "sip.log"), "-a"]
        self.process = place.start(self.name, command, stdin=subprocess.PIPE, env=env)
        self._play()

    def _play(self):
        self._say("soundcard use files")
        self._say("play " + os.path.join(self.folder, "tone.wav"))

    def _say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def command(self, name, params=""):
        self._say({"dial": f"call {params}", "hangup": "terminate"}[name])

    def log(self):
        return self.place.text(os.path.join(self.name, "sip.log"))

    def mark(self):
        return 0, len(self.log())

    def wait_registered(self, limit_s=20):
        until(lambda: "LinphoneRegistrationOk" in self.log(), f"{self.user} is registered", limit_s)
        if "GET /provision/" in self.log():
            self._play()  # settings that it fetches undo it
        return self

    def wait_event(self, kind, mark, limit_s=20):
        moved = re.compile(rf"CallSession \S+ moving from state \w+ to {STATES[kind]}\b")
        until(lambda: moved.search(self.log()[mark[1]:]), f"{self.user} has {kind}", limit_s)

    def saw(self, method, mark=(0, 0)):
        return bool(re.search(rf"^{method} sips?:\S+ SIP/2\.0", self.log()[mark[1]:], re.M))

    def own_statistics(self, mark):
        """It prints none that count packets; a call with it needs the capture."""
        raise Failure(f"{self.user}: RTP can only be counted by capture")

    @property
    def rtp_ports(self):
        return range(self.rtp_first, self.rtp_first + RTP_PORTS)
