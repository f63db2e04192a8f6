# SPDX-License-Identifier: BSD-2-Clause
"""Calls to a domain outside the overlay, which SIPp is, found through a DNS server of our own."""
from lib import dns, sipp
from lib.place import Failure, free_ports
from lib.ring import Ring

DOMAIN = "foreign.example"
ONE = "one.foreign.example"
TWO = "two.foreign.example"


def _ring(place, records):
    server = dns.Server(place, records)
    return Ring(place, 2, "--domain", sipp.DOMAIN, "--dns", server.address), server


def _meet(place, ring, port, transport="udp"):
    callee = sipp.Run(place, "foreign", ring.peers[0], sipp.answers(), port=port,
                      transport=transport)
    callee.wait_listening()
    messages = sipp.run(place, "caller", ring.peers[1], sipp.call_of(DOMAIN))
    callee.wait()
    ring.check_alive()
    return messages


def domain_call(place):
    """a call to another domain: NAPTR, SRV and A records lead there"""
    port = free_ports(2)
    ring, server = _ring(place, {
        DOMAIN: [dns.naptr(20, 10, "SIP+D2T", "_sip._tcp." + DOMAIN),
                 dns.naptr(10, 10, "SIP+D2U", "_sip._udp." + DOMAIN)],
        "_sip._udp." + DOMAIN: [dns.srv(10, 0, port, ONE)],
        ONE: [dns.a("127.0.0.1"), dns.aaaa("2001:db8::1")]})
    _meet(place, ring, port)
    if (dns.NAPTR, DOMAIN) not in server.asked or (dns.AAAA, ONE) not in server.asked:
        raise Failure(f"the DNS was asked for {server.asked}")


def domain_tcp(place):
    """a domain with SRV records for TCP alone"""
    port = free_ports(2)
    ring, _ = _ring(place, {"_sip._tcp." + DOMAIN: [dns.srv(10, 0, port, ONE)],
                            ONE: [dns.a("127.0.0.1")]})
    _meet(place, ring, port, "tcp")


def domain_failover(place):
    """the first server of the domain is dead: the call goes to the second; the next call at once"""
    #
    dead, port = free_ports(2), free_ports(2)
    ring, _ = _ring(place, {
        "_sip._udp." + DOMAIN: [dns.srv(10, 0, dead, ONE), dns.srv(20, 0, port, TWO)],
        ONE: [dns.a("127.0.0.1")], TWO: [dns.a("127.0.0.1")]})
    _meet(place, ring, port)
    _meet(place, ring, port)


def domain_unknown(place):
    """a domain that does not exist: 404"""
    ring, _ = _ring(place, {})
    messages = sipp.run(place, "caller", ring.peers[1], sipp.refused(404, DOMAIN))
    if "Domain Does Not Exist" not in messages:
        raise Failure("the 404 does not say why")
    ring.check_alive()


CASES = [domain_call, domain_tcp, domain_failover, domain_unknown]
