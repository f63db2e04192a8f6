# SPDX-License-Identifier: BSD-2-Clause
"""SIPp at both ends: what phones do that two friendly ones never do."""
import re
import time

from lib import sipp
from lib.place import Failure, free_ports, until
from lib.ring import Ring
from lib.user import grant

BOB = "sip:bob@example.net"
FLOOD = 200
DIGEST_FLOOD = 1000


def _contacts(ring, uri=BOB):
    """What each peer finds."""
    found = []
    for peer in ring.living():
        try:
            found.append(sorted(row["contact"] for row in peer.call("get", uri=uri)))
        except Failure:
            found.append([])
    return found


def _meet(place, callee_steps, caller_steps):
    ring = Ring(place, 3)
    callee = sipp.callee(place, "callee", ring.peers[2], callee_steps)
    sipp.run(place, "caller", ring.peers[1], caller_steps)
    callee.wait()
    ring.check_alive()


def sipp_call(place):
    """SIPp calls SIPp through two peers"""
    _meet(place, sipp.answers(), sipp.CALL)


def sipp_cancel(place):
    """the caller gives up while it rings: CANCEL, 487"""
    _meet(place, sipp.IS_CANCELLED,
          [sipp.invite(), sipp.receive(100, True), sipp.receive(180), sipp.pause(100),
           sipp.cancel(), sipp.receive(200), sipp.receive(487), sipp.ack_refused()])


def sipp_busy(place):
    """the callee is busy: 486"""
    _meet(place, sipp.refuses(486, "Busy Here"), sipp.refused(486))


def sipp_nobody(place):
    """an address that nobody owns: 404 from every peer; a user who has not registered yet: 480"""
    ring = Ring(place, 3)
    for peer in ring.peers:
        sipp.run(place, f"caller-{peer.name}", peer, sipp.refused(404), "nobody")
    ring.peers[1].add_users("bob@example.net")
    sipp.run(place, "caller", ring.peers[1], sipp.refused(480))
    ring.check_alive()


def sipp_fork(place):
    """two contacts at two peers, to which the user is granted, ring: one answers, the other is
    cancelled"""
    ring = Ring(place, 3)
    port = free_ports(2)
    sipp.run(place, "cancelled-registers", ring.peers[0], sipp.REGISTERS, port=port)
    until(lambda: all(len(found) == 1 for found in _contacts(ring)), "the first is found")
    grant(place, *ring.peers[:2], BOB)  # which takes long on a busy machine, and SIPp would not wait
    slow = sipp.Run(place, "cancelled", ring.peers[0], sipp.IS_CANCELLED, port=port)
    quick = sipp.callee(place, "answers", ring.peers[1], sipp.answers(400))
    until(lambda: all(len(found) == 2 for found in _contacts(ring)), "both contacts are found")
    sipp.run(place, "caller", ring.peers[2], sipp.CALL)
    quick.wait()
    slow.wait()
    ring.check_alive()


def sipp_refresh(place):
    """a second REGISTER refreshes: one contact, found from every peer"""
    ring = Ring(place, 3)
    answer = sipp.receive(200)
    messages = sipp.run(place, "phone", ring.peers[1],
                        [sipp.register(1), answer, sipp.pause(200), sipp.register(2, 600), answer])
    if "expires=600" not in messages.rpartition("SIP/2.0 200")[2]:
        raise Failure("the second 200 does not grant 600 s")
    found = _contacts(ring)
    if any(len(contacts) != 1 for contacts in found):
        raise Failure(f"not one contact from each peer: {found}")
    ring.check_alive()


def sipp_unregister(place):
    """REGISTER with Expires 0, then 480 from every peer"""
    ring = Ring(place, 3)
    port = free_ports(2)
    sipp.run(place, "phone", ring.peers[1],
             [sipp.register(1), sipp.receive(200), sipp.pause(200), sipp.register(2, 0),
              sipp.receive(200)], port=port)
    until(lambda: not any(_contacts(ring)), "nobody finds the contact any more")
    for peer in ring.peers:
        sipp.run(place, f"caller-{peer.name}", peer, sipp.refused(480))
    ring.check_alive()


def sipp_unregister_all(place):
    """two contacts; REGISTER with Contact: * and Expires 0 removes both, then 480 from every peer"""
    ring = Ring(place, 3)
    ports = free_ports(2), free_ports(2)
    for number, port in enumerate(ports):
        sipp.run(place, f"phone{number}", ring.peers[1], sipp.REGISTERS, port=port)
    until(lambda: all(len(found) == 2 for found in _contacts(ring)), "both contacts are found")
    sipp.run(place, "phone", ring.peers[1],
             [sipp.register_with(1, contact="*"), sipp.receive(400),
              sipp.register_with(2, contact="*", expires=0), sipp.receive(200)], port=ports[0])
    until(lambda: not any(_contacts(ring)), "nobody finds a contact any more")
    for peer in ring.peers:
        sipp.run(place, f"caller-{peer.name}", peer, sipp.refused(480))
    ring.check_alive()


def check_lapse(place, ring, user):
    """A registration for the shortest time is found for so long, then 480 from every peer."""
    uri = f"sip:{user}@example.net"
    began = time.monotonic()
    sipp.run(place, user, ring.peers[1], [sipp.register(expires=60), sipp.receive(200)], user)
    until(lambda: all(_contacts(ring, uri)), f"{user} is found")
    until(lambda: not any(_contacts(ring, uri)), f"nobody finds {user} any more", 90, 0.5)
    lived_s = time.monotonic() - began
    if lived_s < 59:
        raise Failure(f"the contact was gone after {lived_s:.0f} s of 60")
    for peer in ring.peers:
        sipp.run(place, f"caller-{peer.name}", peer, sipp.refused(480), user)


_HERE = "<sip:[service]@[local_ip]:[local_port]>"
MALFORMED = [  # what a REGISTER says, and what it is told
    ({"contact": "<sip:[service]@[local_ip]:[local_port]"}, "400 Bad Contact"),
    ({"contact": "<sip:[service]@[local_ip]:99999>"}, "400 Bad Contact"),
    ({"contact": "<mailto:bob@example.net>"}, "400 Contact Is Not A SIP URI"),
    ({"contact": f"<sip:{'b' * 3000}@[local_ip]>"}, "400 Contact Too Long"),
    ({"contact": "*"}, "400 Contact * Without Expires 0"),
    ({"contact": f"*, {_HERE}", "expires": 0}, "400 Contact * Beside Another"),
    ({"contact": f'{_HERE};reg-id=0;+sip.instance="&lt;urn:x&gt;"'}, "400 Bad reg-id"),
    ({"contact": f'{_HERE};+sip.instance="{"x" * 600}"'}, "400 Bad +sip.instance"),
    ({"expires": 5}, "423 Interval Too Brief"),
    ({"to": "<sip:example.net>"}, "404 To Names No User"),
    ({"to": "<mailto:bob@example.net>"}, "400 To Is Not A SIP Address"),
    ({"to": "<sip:carol@example.net>"}, "403 From And To Of REGISTER Differ"),
    ({"more": "Path: <sip:p@\nSupported: path"}, "400 Bad Path"),
    ({"more": "Path: <tel:+15551234>\nSupported: path"}, "400 Bad Path"),
    ({"more": f"Path: <sip:{'p' * 3000}@[remote_ip];lr>\nSupported: path"}, "403 Path Too Long"),
    ({"more": "Path: <sip:[remote_ip]:5070;lr>"}, "421 Extension Required"),
    ({"more": "Route: <sip:@>"}, "400 Bad Route"),
    ({"more": "Route: <tel:+15551234>"}, "400 Bad Route"),
    ({"more": "\n".join(["Route: <sip:[remote_ip]:5070;lr>"] * 40)}, "400 Bad Route"),
    ({"more": f"Route: <sip:f-{'0' * 45}@[remote_ip]:[remote_port];lr>"},
     "403 Route Was Not Made By This Peer"),
]


def sipp_malformed(place):
    """malformed REGISTERs, Path and Route values: each draws a 4xx that says what is wrong"""
    ring = Ring(place, 1)
    steps = []
    for number, (said, told) in enumerate(MALFORMED, 1):
        steps += [sipp.register_with(number, **said), sipp.receive(int(told[:3]))]
    messages = sipp.run(place, "phone", ring.peers[0], steps)
    answers = re.findall(r"^SIP/2.0 (.*?)\r?$", messages, re.M)
    for (said, told), answer in zip(MALFORMED, answers, strict=True):
        if answer != told:
            raise Failure(f"{said} was told {answer!r}")
    if any(_contacts(ring)):
        raise Failure(f"somebody is registered: {_contacts(ring)}")
    sipp.run(place, "good", ring.peers[0], sipp.REGISTERS)
    ring.check_alive()


def sipp_flood(place):
    """200 addresses register at one peer at once: each is answered 200 in the end, and found"""
    ring = Ring(place, 3)
    sipp.run(place, "phones", ring.peers[1],
             sipp.until_registered(sipp.register("[cseq]", user="user[call_number]"), 5),
             calls=FLOOD, rate=FLOOD, timeout_s=90, strict=False)
    for i in range(1, FLOOD + 1):
        uri = f"sip:user{i}@example.net"
        if len(ring.peers[i % 3].call("get", uri=uri)) != 1:
            raise Failure(f"{uri} is not found")
    ring.check_alive()


# ---- passwords ----

def sipp_digest(place):
    """REGISTER and INVITE with passwords, in MD5, which is all that Debian's SIPp knows"""
    ring = Ring(place, 3, "--digest", "md5")
    ring.peers[2].add_users("bob@example.net")
    ring.peers[1].add_users("caller@example.net", password="c4ller")
    port = free_ports(2)
    sipp.run(place, "callee-registers", ring.peers[2],
             [sipp.register(1), sipp.challenged(),
              sipp.register_as(2, "bob", sipp.credentials("bob", "secret")), sipp.receive(200)],
             port=port, auth_uri="example.net")
    callee = sipp.Run(place, "callee", ring.peers[2], sipp.answers(), port=port)
    sipp.run(place, "caller", ring.peers[1],
             [sipp.invite(), sipp.receive(100, True), sipp.challenged(407), sipp.ack_refused(),
              sipp.invite_again("c4ller"), *sipp.PROVISIONAL,
              sipp.receive(200, more='rrs="true"'), sipp.inside("ACK", 2), sipp.pause(100),
              sipp.inside("BYE", 3), sipp.receive(200)], auth_uri="bob@example.net")
    if "Proxy-Authorization" in callee.wait():
        raise Failure("the callee was shown the caller's credentials")
    ring.check_alive()


def sipp_wrong_password(place):
    """a wrong password is challenged again, and nobody is registered"""
    ring = Ring(place, 3, "--digest", "md5")
    ring.peers[1].add_users("bob@example.net")
    wrong = sipp.credentials("bob", "guess")
    sipp.run(place, "phone", ring.peers[1],
             [sipp.register(1), sipp.challenged(), sipp.register_as(2, "bob", wrong), sipp.challenged(),
              sipp.register_as(3, "bob", wrong), sipp.receive(401)], auth_uri="example.net")
    if any(_contacts(ring)):
        raise Failure(f"somebody is registered: {_contacts(ring)}")
    ring.check_alive()


def sipp_stale(place):
    """a nonce that is not good any more: stale=true, and a second try succeeds"""
    ring = Ring(place, 3, "--digest", "md5")
    ring.peers[1].add_users("bob@example.net")
    old = ('Authorization: Digest username="bob", realm="example.net", nonce="' + "0" * 64 +
           '", uri="sip:example.net", response="' + "0" * 32 + '", algorithm=MD5, qop=auth, '
           'nc=00000001, cnonce="x"')
    messages = sipp.run(place, "phone", ring.peers[1],
                        [sipp.register(1).replace("Expires: 300", "Expires: 300\n" + old),
                         sipp.challenged(), sipp.register_as(2, "bob", sipp.credentials("bob", "secret")), sipp.receive(200)],
                        auth_uri="example.net")
    if "stale=true" not in messages:
        raise Failure("no stale=true")
    ring.check_alive()


def sipp_flood_digest(place):
    """1000 addresses register with passwords at one peer at once: each is answered, and found in
    the end"""
    ring = Ring(place, 3, "--digest", "md5")
    users = [f"user{i}" for i in range(DIGEST_FLOOD)]
    ring.peers[1].add_users(*(f"{user}@example.net" for user in users))
    sipp.run(place, "phones", ring.peers[1],
             [sipp.register("[cseq]", user="[field0]"), sipp.challenged(),
              *sipp.until_registered(sipp.register_as("[cseq]", "[field0]", "[field1]"), 12)],
             calls=DIGEST_FLOOD, rate=DIGEST_FLOOD, auth_uri="example.net", timeout_s=240,
             strict=False,
             fields=[(user, sipp.credentials(user, "secret")) for user in users])
    for i, user in enumerate(users):
        if len(ring.peers[i % 3].call("get", uri=f"sip:{user}@example.net")) != 1:
            raise Failure(f"{user} is not found")
    ring.check_alive()


def sipp_redirected(place):
    """the callee answers 302 to another address of the overlay, which answers the call"""
    ring = Ring(place, 3)
    moved = sipp.callee(place, "moved", ring.peers[2],
                        sipp.redirects(f"sip:carol@{sipp.DOMAIN}"))
    carol = sipp.callee(place, "carol", ring.peers[0], sipp.answers(), "carol")
    messages = sipp.run(place, "caller", ring.peers[1], sipp.CALL)
    moved.wait()
    carol.wait()
    if "SIP/2.0 302" in messages:
        raise Failure("the caller saw the 302")
    ring.check_alive()


def sipp_redirect_mode(place):
    """a peer with --redirect tells the contacts: 302, best q first"""
    ring = Ring(place, 2, "--redirect")
    port = free_ports(4)
    for number, q in (port, 0.3), (port + 2, 0.8):
        sipp.run(place, f"phone{number}", ring.peers[0],
                 [sipp.register(params=f";q={q}"), sipp.receive(200)], port=number)
    until(lambda: len(_contacts(ring)[1]) == 2, "both contacts are found")
    messages = sipp.run(place, "caller", ring.peers[1], sipp.refused(302))
    found = re.findall(r"^Contact: <sip:bob@127.0.0.1:(\d+)>;q=0\.(\d+)", messages.split("302")[1],
                       re.MULTILINE)
    if found != [(str(port + 2), "800"), (str(port), "300")]:
        raise Failure(f"the 302 has the contacts {found}")
    ring.check_alive()


def sipp_q_order(place):
    """two contacts of different q: the better one is busy, then the other answers"""
    ring = Ring(place, 3)
    ports = free_ports(2), free_ports(2)
    for name, number, q in ("better", ports[0], 0.8), ("other", ports[1], 0.3):
        sipp.run(place, name + "-registers", ring.peers[0],
                 [sipp.register(params=f";q={q}"), sipp.receive(200)], port=number)
    until(lambda: all(len(found) == 2 for found in _contacts(ring)), "both contacts are found")
    better = sipp.Run(place, "better", ring.peers[0], sipp.refuses(486, "Busy Here"), port=ports[0])
    other = sipp.Run(place, "other", ring.peers[0], sipp.answers(), port=ports[1])
    sipp.run(place, "caller", ring.peers[2], sipp.CALL)
    better.wait()
    other.wait()
    ring.check_alive()


CASES = [sipp_digest, sipp_wrong_password, sipp_stale, sipp_flood_digest, sipp_call, sipp_cancel,
         sipp_busy, sipp_nobody, sipp_fork, sipp_q_order, sipp_redirected, sipp_redirect_mode,
         sipp_refresh, sipp_unregister, sipp_unregister_all, sipp_malformed, sipp_flood]
