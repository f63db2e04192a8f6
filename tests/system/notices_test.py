#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-13.20 to R-13.27: what is told about messages that wait, and of their delivery. Real peers, keys
and seals; phones are UDP sockets."""
from grant_test import ring
from messages_test import LIMIT_S, Talker, can_receive, go_away, header
from peer import BRANCH, main, until

BOB, ALICE = "bob@example.net", "alice@example.net"
CPIM = (f"From: <sip:{ALICE}>\r\nTo: <sip:{BOB}>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
        "imdn.Message-ID: 34jk324j\r\nDateTime: 2026-05-01T12:00:00Z\r\n"
        "imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n\r\n"
        "Content-Type: text/plain\r\n\r\nHello")


class Lamp(Talker):
    """A phone that shows how many messages wait."""

    def subscribe(self):
        branch = f"z9hG4bKlamp{next(BRANCH)}"
        self.socket.sendto(
            (f"SUBSCRIBE sip:{self.user} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.port};"
             f"branch={branch};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{self.user}>;tag=l\r\n"
             f"To: <sip:{self.user}>\r\nCall-ID: {branch}\r\nCSeq: 1 SUBSCRIBE\r\n"
             f"Event: message-summary\r\nContact: <{self.contact}>\r\nExpires: 600\r\n"
             "Content-Length: 0\r\n\r\n").encode(), self.peer.at)

    def shows(self, limit_s=LIMIT_S):
        """What the next NOTIFY says, as a dict."""
        heard = self.hear(limit_s=limit_s, method="NOTIFY")
        assert heard is not None, "no NOTIFY"
        head, body = heard
        assert header(head, "Content-Type") == "application/simple-message-summary"
        return dict(line.split(": ") for line in body.splitlines())


def test_a_lamp():
    """Lit by what the phone does not take, and off when it has taken it."""
    with ring(3) as (home, other, _):
        bob, alice, lamp = Talker(home), Talker(other, ALICE), Lamp(home)
        assert bob.registers()[0] == 200 and alice.registers()[0] == 200
        can_receive(home)
        go_away(bob)
        for i in range(2):
            assert alice.message(BOB, f"word {i}")[0] == 202
        lamp.subscribe()
        shown = lamp.shows()
        if shown["Messages-Waiting"] == "no":  # at once, and before the mailbox was read
            assert shown == {"Messages-Waiting": "no", "Message-Account": f"sip:{BOB}",
                             "Text-Message": "0/0"}, shown
            shown = lamp.shows(60)
        assert shown == {"Messages-Waiting": "yes", "Message-Account": f"sip:{BOB}",
                         "Text-Message": "2/0"}, shown
        assert bob.registers()[0] == 200
        assert [bob.hear()[1] for _ in range(2)] == ["word 0", "word 1"]
        assert lamp.shows(60)["Messages-Waiting"] == "no"
        for phone in (bob, alice, lamp):
            phone.close()


def test_a_notice_though_never_there_together():
    with ring(4) as (home, other, *_):
        bob, alice = Talker(home), Talker(other, ALICE)
        assert bob.registers()[0] == 200 and alice.registers()[0] == 200
        can_receive(home)
        can_receive(other, ALICE)
        go_away(bob)
        assert alice.message(BOB, CPIM, kind="message/cpim")[0] == 202
        go_away(alice)
        assert bob.registers()[0] == 200
        head, body = bob.hear()
        assert body == CPIM and header(head, "Content-Type") == "message/cpim"
        until(lambda: any(row["text"] == f"offline:{ALICE}" and row["state"] == "live"
                          for row in other.ask("records") + home.ask("records")),
              "the notice is kept", 60)
        go_away(bob)
        assert alice.registers()[0] == 200
        head, body = alice.hear()
        assert BOB in header(head, "From"), head
        assert header(head, "Content-Type") == "message/cpim"
        assert "<message-id>34jk324j</message-id>" in body, body
        assert "<datetime>2026-05-01T12:00:00Z</datetime>" in body
        assert "<delivery-notification><status><delivered/>" in body
        assert alice.hear(limit_s=1) is None
        # bob hears nothing of the delivery of that
        assert bob.registers()[0] == 200
        assert bob.hear(limit_s=3) is None
        bob.close()
        alice.close()


def test_a_notice_at_once():
    """To a sender who is there; `failed`, as the phone refuses it for good."""
    with ring(3) as (home, other, _):
        bob, alice = Talker(home), Talker(other, ALICE)
        assert bob.registers()[0] == 200 and alice.registers()[0] == 200
        can_receive(home)
        go_away(bob)
        assert alice.message(BOB, CPIM, kind="message/cpim")[0] == 202
        assert bob.registers()[0] == 200
        assert bob.hear(status=415) is not None
        assert "<delivery-notification><status><failed/>" in alice.hear()[1]
        bob.close()
        alice.close()


if __name__ == "__main__":
    main(globals())
