# SPDX-License-Identifier: BSD-2-Clause
"""baresip as Debian ships it, without a sound card, driven by its ctrl_tcp module."""
import json
import os
import re
import socket
import threading
import time

from lib.place import Failure, free_ports, need, until

CONFIG = """\
sip_listen 127.0.0.1:{sip}
{net}rtp_ports {rtp}-{rtp_end}
rtp_stats yes
ausrc_srate 48000
ausrc_channels 2
audio_player aubridge,player
audio_alert aubridge,alert
audio_source ausine,440
{dns}ctrl_tcp_listen 127.0.0.1:{ctrl}
module_path /usr/lib/baresip/modules
module g711.so
module ausine.so
module aubridge.so
module uuid.so
{modules}module_app account.so
{presence}module_app ctrl_tcp.so
"""
ACCOUNT = ('<sip:{user}@{domain};transport={transport}>;auth_user={auth_user};'
           'auth_pass={auth_pass};regint={regint};'
           'outbound="sip:{home};transport={transport}";answermode=auto;'
           'audio_codecs=PCMU/8000/1{media}{flows}\n')
DTLS_MODULES = "module srtp.so\nmodule dtls_srtp.so\nmodule ice.so\n"
RTP_PORTS = 8
SRTP_MODULES = "module srtp.so\n"
SIP_TRACE = re.compile(r"^(UDP|TCP|TLS) (\S+) -> (\S+)\n((?:SIP/2\.0 \d|[A-Z]+ sips?:).*?)^\x1b\[;m",
                       re.M | re.S)
REGISTERED = re.compile(r"\{\d+/(?:UDP|TCP|TLS)/v4\} 200 OK")
STATISTICS = re.compile(r"^packets: +(\d+) +(\d+)", re.M)
LIFE_S = 300  # it ends by itself after that, whatever happens to us


class Phone:
    """home: a peer, or what else has an address; dns: that of the server which knows it, if it is a
    name. dtls: it speaks to browsers, over any interface but loopback. second: it uses Outbound
    (RFC 5626), with a flow to that peer too. lamp: it shows how many messages wait, and takes none.
    transport tls: its media are encrypted (SRTP);
    whose certificate it is shown it does not check."""

    def __init__(self, place, user, home, transport="udp", domain="example.net", regint=60,
                 password="", dtls=False, second=None, dns=None, watches=(), lamp=False):
        need("baresip", "baresip-core")
        need("stdbuf", "coreutils")
        self.place, self.user, self.home, self.transport = place, user, home, transport
        self.uri = f"sip:{user}@{domain}"
        self.sip_port = free_ports(2)  # the second is for TLS, which baresip opens too
        self.ctrl_port = free_ports(1)
        self.rtp_first = free_ports(RTP_PORTS)
        self.address = f"127.0.0.1:{self.sip_port}"
        self.events, self.changed = [], threading.Condition()
        self.name = f"phone-{user}"
        self._write(domain, regint, password, dtls, second, dns, watches, lamp)
        self.start()

    def start(self):
        """Again, where it was ended; its log is new then."""
        folder = self.place.path(self.name)
        self.process = self.place.start(
            self.name, ["stdbuf", "-oL", "baresip", "-4", "-s", "-v", "-f", folder, "-t", LIFE_S],
            env={"HOME": folder, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
        self.socket = until(self._connect, f"{self.name} listens on its control port")
        self.place.closers.append(self.socket.close)
        threading.Thread(target=self._read, daemon=True).start()

    def _write(self, domain, regint, password, dtls, second, dns, watches, lamp):
        folder = self.place.path(self.name)
        os.mkdir(folder)
        flows = f';sipnat=outbound;outbound2="sip:{second.address};transport={self.transport}"' \
            if second else ""
        srtp = self.transport == "tls"
        values = {"flows": flows, "sip": self.sip_port, "rtp": self.rtp_first, "ctrl": self.ctrl_port,
                  "rtp_end": self.rtp_first + RTP_PORTS - 1, "user": self.user, "domain": domain,
                  "home": self.home.address, "transport": self.transport, "regint": regint,
                  "dns": f"dns_server {dns}\n" if dns else "",
                  "net": "rtcp_mux yes\n" if dtls else "net_interface 127.0.0.1\n",
                  "modules": DTLS_MODULES if dtls else SRTP_MODULES if srtp else "",
                  "media": ";mediaenc=dtls_srtp;medianat=ice" if dtls else
                           ";mediaenc=srtp-mand" if srtp else "",
                  "presence": "", "auth_user": self.user if password else "", "auth_pass": password}
        if watches:  # addresses whose presence it wants; its own it publishes
            values["presence"] = "module_app contact.so\nmodule_app presence.so\n"
            values["flows"] += ";pubint=60"
        values["presence"] += "module_app mwi.so\n" if lamp else "module_app menu.so\n"
        contacts = "".join(f"<{uri}>;presence=p2p\n" for uri in watches)
        for file, text in ("config", CONFIG), ("accounts", ACCOUNT), ("contacts", contacts):
            with open(os.path.join(folder, file), "w", encoding="ascii") as out:
                out.write(text.format(**values))

    def _connect(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.name} ended: {self.place.text(self.name + '.log')[-400:]}")
        try:
            return socket.create_connection(("127.0.0.1", self.ctrl_port), 1)
        except OSError:
            return None

    def _read(self):
        """Netstrings of JSON: LENGTH:TEXT,"""
        data = b""
        self.socket.settimeout(None)
        while True:
            head, colon, rest = data.partition(b":")
            if colon and len(rest) > int(head):
                note = json.loads(rest[:int(head)])
                data = rest[int(head) + 1:]
                with self.changed:
                    self.events.append(note)
                    self.changed.notify_all()
                continue
            try:
                more = self.socket.recv(65536)
            except OSError:
                return
            if not more:
                return
            data += more

    def command(self, name, params=""):
        text = json.dumps({"command": name, "params": params, "token": name})
        self.socket.sendall(f"{len(text)}:{text},".encode())

    def mark(self):
        """A place in time, for wait_event and messages."""
        return len(self.events), len(self.log())

    def wait_event(self, kind, mark, limit_s=20):
        end = time.monotonic() + limit_s
        with self.changed:
            while True:
                for event in self.events[mark[0]:]:
                    if event.get("type") == kind:
                        return event
                    if event.get("type") == "CALL_CLOSED":
                        raise Failure(f"{self.user}: no {kind}; the call ended: "
                                      f"{event.get('param')}")
                left = end - time.monotonic()
                if left <= 0:
                    raise Failure(f"{self.user}: no {kind} within {limit_s} s")
                self.changed.wait(left)

    def log(self):
        return self.place.text(self.name + ".log")

    def wait_registered(self, limit_s=20):
        until(lambda: REGISTERED.search(self.log()), f"{self.user} is registered", limit_s)
        return self

    def messages(self, mark=(0, 0)):
        """Whole SIP messages sent and received since the mark, as this phone logged them."""
        return [found[4] for found in SIP_TRACE.finditer(self.log()[mark[1]:])]

    def saw(self, method, mark=(0, 0)):
        return any(message.startswith(method + " ") for message in self.messages(mark))

    def wait_notified(self, mark, fits, what, limit_s):
        """A NOTIFY that fits, which this phone took with 200."""
        def found():
            return next((message for message in self.messages(mark)
                         if message.startswith("NOTIFY ") and fits(message)), None)
        notify = until(found, f"{self.user} is told {what}", limit_s)
        number = re.search(r"^CSeq: (\d+) NOTIFY", notify, re.M)[1]
        until(lambda: any(text.startswith("SIP/2.0 200") and f"CSeq: {number} NOTIFY" in text
                          for text in self.messages(mark)), "and says 200")

    def own_statistics(self, mark):
        """(sent, received) RTP packets of the call that ended since the mark, or None."""
        found = STATISTICS.findall(self.log()[mark[1]:])
        return tuple(map(int, found[-1])) if found else None

    @property
    def rtp_ports(self):
        return range(self.rtp_first, self.rtp_first + RTP_PORTS)
