"""Kannel, which nobody here wrote: with the testkit's message centre, and with Offhook over one of npm's.

    OFFHOOK_BIN=…/debug/offhook OFFHOOK_SMSC=…/debug/examples/smsc OFFHOOK_INTEROP_PEERS=…/peers pytest test_kannel.py

Kannel is an ESME only: Debian has no box of its that is a message centre over SMPP.
"""

from __future__ import annotations

import os

import pytest

from stage import Kannel, Offhook, Peer

OURS, THEIRS = "+14155550100", "+14155550111"
TEN_PARTS = "☎ grüße " * 82
TEXTS = ["Hello there", "Grüße {€} [ÄÖ] @£$", "☎ 😀", "plain, and long. " * 30, TEN_PARTS]


@pytest.fixture(scope="module")
def testkit(tmp_path_factory):
    """The testkit's message centre, and Kannel bound to it."""
    smsc = Peer(os.environ["OFFHOOK_SMSC"], "200")
    kannel = Kannel(tmp_path_factory.mktemp("kannel"), smsc.port)
    yield smsc, kannel
    kannel.stop()
    smsc.stop()


@pytest.mark.parametrize("text", TEXTS)
def test_kannel_sends_to_the_testkits_message_centre(testkit, text):
    smsc, kannel = testkit
    ours = kannel.send(OURS, THEIRS, text)
    parts = {}
    total = 1
    while len(parts) < total:
        said = smsc.hear("submitted")
        assert (said["from"], said["to"]) == (OURS[1:], THEIRS[1:])
        number, total = said["part"] or (1, 1)
        parts[number] = said["submitted"]
    assert "".join(parts[number] for number in sorted(parts)) == text
    assert total == 10 or text != TEN_PARTS
    # Kannel tells of the last part only.
    kannel.delivered(ours)


@pytest.mark.parametrize("text", TEXTS)
def test_the_testkits_message_centre_brings_to_kannel(testkit, text):
    smsc, kannel = testkit
    smsc.tell({"from": THEIRS[1:], "to": OURS[1:], "text": text})
    assert kannel.brought() == (THEIRS, OURS, text)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Offhook and Kannel, each an ESME of npm's message centre."""
    relay = Peer("node", str(os.path.join(os.path.dirname(__file__), "relay.js")))
    offhook = Offhook(tmp_path_factory.mktemp("offhook"), relay.port, OURS)
    kannel = Kannel(tmp_path_factory.mktemp("kannel"), relay.port)
    assert {relay.hear("bound")["bound"] for _ in range(2)} == {"offhook", "kannel"}
    yield offhook, kannel
    kannel.stop()
    offhook.stop()
    relay.stop()


@pytest.mark.parametrize("text", TEXTS)
def test_offhook_sends_to_kannel(both, text):
    offhook, kannel = both
    message = offhook.send(OURS, THEIRS, text)
    assert kannel.brought() == (OURS, THEIRS, text)
    offhook.told("message.status", lambda data: (data["messageId"], data["status"]) == (message, "delivered"))


@pytest.mark.parametrize("text", TEXTS)
def test_kannel_sends_to_offhook(both, text):
    offhook, kannel = both
    ours = kannel.send(THEIRS, OURS, text)
    told = offhook.told("agent.message", lambda data: True)
    assert (told["from"], told["to"], told["message"]) == (THEIRS, OURS, text)
    kannel.delivered(ours)
