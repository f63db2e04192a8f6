# SPDX-License-Identifier: BSD-2-Clause
"""SIPp, one call or many, with scenarios put together from steps."""
from lib.place import Failure, free_ports, is_free, need, until

DOMAIN = "example.net"
TIMEOUT_S = 20
SDP = """\
v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 9000 RTP/AVP 0
"""


# ---- steps ----

def send(text, body="", more="", kind="application/sdp"):
    """[Via] stands for what a request of ours begins with, [Back] for what an answer repeats."""
    head = text.replace("[Via]", "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]"
                        "\nMax-Forwards: 70\nCall-ID: [call_id]")
    head = head.replace("[Back]", "[last_Via:]\n[last_From:]\n[To]\n[last_Call-ID:]\n[last_CSeq:]")
    head = head.replace("[To]", "[last_To:];tag=[pid]u[call_number]")
    kind = f"Content-Type: {kind}\n" if body else ""
    message = f"{head.strip()}\n{kind}Content-Length: [len]\n\n{body}"
    return f"<send {more}><![CDATA[\n{message}\n]]></send>"


def receive(what, optional=False, more="", actions=""):
    kind = "response" if isinstance(what, int) else "request"
    flag = ' optional="true"' if optional else ""
    return (f'<recv {kind}="{what}"{flag} {more}><action>{actions}</action></recv>' if actions else
            f'<recv {kind}="{what}"{flag} {more}/>')


def label(name):
    return f'<label id="{name}"/>'


def go(name):
    return f'<nop next="{name}"/>'


def pause(ms):
    return f'<pause milliseconds="{ms}"/>'


# ---- what a caller sends; -s gives the callee ----

FROM = f"From: <sip:caller@{DOMAIN}>;tag=[pid]c[call_number]"
TO = f"To: <sip:[service]@{DOMAIN}>"
CALLER_CONTACT = "Contact: <sip:caller@[local_ip]:[local_port]>"


def invite(domain=DOMAIN):
    return send(f"INVITE sip:[service]@{domain} SIP/2.0\n[Via]\n{FROM}\n{TO}\nCSeq: 1 INVITE\n"
                f"{CALLER_CONTACT}", SDP)


def invite_again(password):
    """The same call once more, with what the 407 asked for."""
    return send(f"INVITE sip:[service]@{DOMAIN} SIP/2.0\n[Via]\n{FROM}\n{TO}\nCSeq: 2 INVITE\n"
                f"{CALLER_CONTACT}\n{credentials('caller', password)}", SDP)


def inside(method, number):
    """A request inside the dialog, by its route set."""
    return send(f"{method} [next_url] SIP/2.0\n[Via]\n[routes]\n{FROM}\n{TO}[peer_tag_param]\n"
                f"CSeq: {number} {method}")


def ack_refused(domain=DOMAIN):
    """ACK of an answer that is no 2xx: in the INVITE's transaction."""
    return send(f"ACK sip:[service]@{domain} SIP/2.0\n[last_Via:]\nMax-Forwards: 70\n{FROM}\n"
                f"{TO}[peer_tag_param]\nCall-ID: [call_id]\nCSeq: 1 ACK")


def cancel():
    return send(f"CANCEL sip:[service]@{DOMAIN} SIP/2.0\n[last_Via:]\nMax-Forwards: 70\n{FROM}\n"
                f"{TO}\nCall-ID: [call_id]\nCSeq: 1 CANCEL")


PROVISIONAL = [receive(100, True), receive(180, True), receive(183, True)]


def call_of(domain):
    return [invite(domain), *PROVISIONAL, receive(200, more='rrs="true"'), inside("ACK", 1),
            pause(200), inside("BYE", 2), receive(200)]


CALL = call_of(DOMAIN)


def refused(status, domain=DOMAIN):
    return [invite(domain), *PROVISIONAL, receive(status), ack_refused(domain)]


# ---- what a callee answers ----

CONTACT = "Contact: <sip:[service]@[local_ip]:[local_port];transport=[transport]>"


def answer(status, reason, body=""):
    own = f"[last_Record-Route:]\n{CONTACT}" if status < 300 else ""
    return send(f"SIP/2.0 {status} {reason}\n[Back]\n{own}", body)


def answer_inside():
    """200 to a request whose To has the tag already, or that makes no dialog."""
    return send("SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n"
                "[last_CSeq:]")


RINGS = [receive("INVITE"), answer(180, "Ringing")]


def answers(after_ms=0):
    return [*RINGS, pause(after_ms), answer(200, "OK", SDP), receive("ACK"), receive("BYE"),
            answer_inside()]


def refuses(status, reason):
    return [receive("INVITE"), answer(status, reason), receive("ACK")]


def redirects(contact):
    """302 to that URI."""
    return [receive("INVITE"),
            send(f"SIP/2.0 302 Moved Temporarily\n[Back]\nContact: <{contact}>"), receive("ACK")]


# The 487 repeats the INVITE's Via values, not the CANCEL's; what stands between them does no harm.
_STORE = "".join(
    f'<ereg regexp="{regexp}" search_in="msg" assign_to="{name}"/>' for name, regexp in (
        ("via", "Via: .*Via: [^[:cntrl:]]*"), ("cseq", "CSeq: [0-9]+ INVITE")))
IS_CANCELLED = [
    receive("INVITE", actions=_STORE), answer(180, "Ringing"), receive("CANCEL"), answer_inside(),
    send("SIP/2.0 487 Request Terminated\n[$via]\n[last_From:]\n[To]\n[last_Call-ID:]\n[$cseq]"),
    receive("ACK")]


# ---- registrations ----

AGAIN = 'retrans="500"'  # as RFC 3261 wants it over UDP


def register(number=1, expires=300, user="[service]", params=""):
    return send(f"REGISTER sip:{DOMAIN} SIP/2.0\n[Via]\nFrom: <sip:{user}@{DOMAIN}>;tag=[pid]r\n"
                f"To: <sip:{user}@{DOMAIN}>\nCSeq: {number} REGISTER\n"
                f"Contact: <sip:{user}@[local_ip]:[local_port]>{params}\nExpires: {expires}",
                more=AGAIN)


REGISTERS = [register(), receive(200)]


def register_with(number, to=f"<sip:[service]@{DOMAIN}>", contact="<sip:[service]@[local_ip]:"
                  "[local_port]>", expires=300, more=""):
    """Header fields as they are said, be they well-formed or not."""
    return send(f"REGISTER sip:{DOMAIN} SIP/2.0\n[Via]\nFrom: <sip:[service]@{DOMAIN}>;tag=[pid]r\n"
                f"To: {to}\nCSeq: {number} REGISTER\nContact: {contact}\nExpires: {expires}\n{more}",
                more=AGAIN)


def challenged(status=401):
    """SIPp remembers the challenge for the next [authentication]."""
    return receive(status, more='auth="true"')


def credentials(user, password):
    return f"[authentication username={user} password={password}]"


def register_as(number, user, answer):
    """With the answer to a challenge: credentials(), or a field that has them."""
    return send(f"REGISTER sip:{DOMAIN} SIP/2.0\n[Via]\nFrom: <sip:{user}@{DOMAIN}>;tag=[pid]r\n"
                f"To: <sip:{user}@{DOMAIN}>\nCSeq: {number} REGISTER\n"
                f"Contact: <sip:{user}@[local_ip]:[local_port]>\nExpires: 300\n{answer}",
                more=AGAIN)


def until_registered(message, tries):
    """As a phone does it: 503 with Retry-After is tried again, ever later. No loop: each needs its
    own branch, which SIPp makes from the place in the scenario."""
    steps = []
    for i in range(1, tries + 1):
        steps += [label(i), message, receive(100, True)]
        if i < tries:
            steps.append(receive(503, True, more=f'next="{tries + i}"'))
        steps.append(receive(200, more=f'next="{2 * tries}"'))
        if i < tries:
            steps += [label(tries + i), pause(min(3000 * i, 20000)), go(i + 1)]
    return [*steps, label(2 * tries), pause(1)]


# ---- messages ----

def message(to, text, user="[service]", kind="text/plain", number=1):
    return send(f"MESSAGE sip:{to}@{DOMAIN} SIP/2.0\n[Via]\n"
                f"From: <sip:{user}@{DOMAIN}>;tag=[pid]m\nTo: <sip:{to}@{DOMAIN}>\nCSeq: {number} MESSAGE", text, AGAIN, kind)


def hears(status, reason):
    """A MESSAGE, and what the phone says to it."""
    return [receive("MESSAGE"), send(f"SIP/2.0 {status} {reason}\n[Back]")]


# ---- running ----

class Run:
    """One sipp process. strict: what the scenario does not expect ends the call; else it is passed
    over, as a 503 that a repeated request drew once more."""

    def __init__(self, place, name, peer, steps, user="bob", port=None, calls=1, rate=10,
                 transport="udp", auth_uri=None, fields=(), timeout_s=TIMEOUT_S,
                 strict=True):
        need("sipp", "sip-tester")
        self.place, self.name, self.peer, self.user = place, name, peer, user
        self.port, self.timeout_s = port or free_ports(2), timeout_s
        file = place.path(name + ".xml")
        with open(file, "w", encoding="ascii") as out:
            out.write('<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!DOCTYPE scenario SYSTEM '
                      f'"sipp.dtd">\n<scenario name="{name}">\n' + "\n".join(steps) +
                      "\n</scenario>\n")
        more = ["-auth_uri", auth_uri] if auth_uri else []
        if fields:  # a row for each call: [field0], [field1] ...
            more += ["-inf", place.path(name + ".csv")]
            with open(more[-1], "w", encoding="ascii") as out:
                out.write("SEQUENTIAL\n" + "".join(";".join(row) + "\n" for row in fields))
        self.process = place.start(name, [
            "sipp", peer.address, "-sf", file, "-i", "127.0.0.1", "-p", self.port, "-s", user, "-t",
            {"udp": "u1", "tcp": "t1"}[transport], "-m", calls, "-r", rate, "-l", calls, "-nostdin",
            "-timeout", f"{timeout_s}s",
            "-timeout_error", "-default_behaviors", "abortunexp" if strict else "none",
            "-trace_msg", "-message_file",
            place.path(name + ".messages"), "-trace_err", "-error_file",
            place.path(name + ".errors"), *more], cwd=place.folder)

    def wait_listening(self):
        """The port can be taken no more."""
        until(lambda: not is_free(self.port), f"{self.name} listens")

    def wait(self):
        """Every message came as the scenario says."""
        status = self.process.wait(self.timeout_s + 10)
        if status != 0:
            said = self.place.text(self.name + ".errors").split("\n\n")[-1]
            raise Failure(f"{self.name}: sipp ended with {status}: {' '.join(said.split())[:400]}")
        return self.place.text(self.name + ".messages")


def run(*args, **more):
    return Run(*args, **more).wait()


def callee(place, name, peer, steps, user="bob"):
    """Registers at this peer, then waits for the call at the same port."""
    port = free_ports(2)
    run(place, name + "-registers", peer, REGISTERS, user, port)
    return Run(place, name, peer, steps, user, port)
