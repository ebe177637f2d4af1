"""Offhook's agent calls over carriers of the kind `sip`, each of which is a sipp.

    OFFHOOK_BIN=…/debug/offhook pytest test_calls_out.py
"""

from __future__ import annotations

import socket
import ssl
import threading

import pytest

from scenario import Callee, sdp
from stage import THEIRS, Offhook, Sipp, free_port


def answer(pressed: str, _: str) -> list[dict]:
    return [{"text": "Goodbye.", "hangup": True}] if pressed == "9" else [{"text": f"You pressed {pressed}."}]


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: free_port() for name in ("plain", "broken", "whole", "tcp", "tls", "closed")}


@pytest.fixture(scope="module")
def offhook(tmp_path_factory, ports):
    at = {name: f"sip:127.0.0.1:{port}" for name, port in ports.items()}
    carriers = {
        "plain": f'targets = ["{at["plain"]}"]\nusername = "offhook"\npassword = "env:SIP_PASSWORD"',
        "two": f'targets = ["{at["whole"]} 20 10", "{at["broken"]} 10 10"]',
        "half": f'targets = ["{at["closed"]};transport=tcp 10 10", "{at["whole"]} 20 10"]',
        "tcp": f'targets = ["{at["tcp"]};transport=tcp"]',
        "tls": f'targets = ["{at["tls"]};transport=tls"]',
    }
    offhook = Offhook(tmp_path_factory.mktemp("offhook"), carriers, answer, tls=True)
    yield offhook
    offhook.stop()


@pytest.fixture
def callee(offhook, ports, tmp_path):
    """Somebody who does as the scenario says."""
    started = []

    def there(scenario, at: str = "plain", **more):
        started.append(Sipp(tmp_path, scenario, port=ports[at], **more))
        return started[-1]

    yield there
    for sipp in started:
        sipp.stop()


def ended(offhook, call: str) -> tuple[str, str]:
    """How it ended, as it is told and as it is kept."""
    over = offhook.over(call)
    told = offhook.agent.told("agent.call_ended", call)
    assert (told["disconnectionReason"], told["status"]) == (over["endReason"], over["status"])
    return over["status"], over["endReason"]


def test_the_agent_calls_and_hangs_up(offhook, callee):
    scenario = Callee(offhook.sip).says("100 Trying").says("180 Ringing").pause(100).takes().press("12#").pause(500).press("9#").is_ended()
    sipp = callee(scenario)
    call = offhook.call("plain", initialGreeting="Hello.")
    sipp.ends_well()
    assert ended(offhook, call) == ("completed", "agent_hangup")
    over = offhook.over(call)
    assert (over["direction"], over["fromNumber"], over["toNumber"]) == ("outbound", offhook.number("plain"), THEIRS)
    assert offhook.agent.asked(call) == ["12", "9"]


def test_who_is_called_hangs_up(offhook, callee):
    sipp = callee(Callee(offhook.sip).takes().pause(300).bye())
    call = offhook.call("plain")
    sipp.ends_well()
    assert ended(offhook, call) == ("completed", "user_hangup")


def test_the_customer_ends_the_call(offhook, callee):
    sipp = callee(Callee(offhook.sip).takes().is_ended())
    call = offhook.call("plain")
    offhook.stands(call)
    offhook.post(f"/v1/calls/{call}/end", {})
    sipp.ends_well()
    assert ended(offhook, call) == ("completed", "agent_hangup")


def test_the_invite_says_who_calls_and_whom(offhook, callee):
    scenario = Callee(offhook.sip)
    ours, theirs = offhook.number("plain").replace("+", "\\+"), THEIRS.replace("+", "\\+")
    scenario.steps[0] = scenario.steps[0].replace("</action>", scenario.checks({"From": f"sip:{ours}@", "To": f"sip:{theirs}@", "P_Asserted_Identity": f"sip:{ours}@"})[8:])
    sipp = callee(scenario.refuses("486 Busy Here"))
    call = offhook.call("plain")
    sipp.ends_well()
    assert ended(offhook, call)[1] == "busy"


@pytest.mark.parametrize(
    ("status", "reason"),
    [("486 Busy Here", "busy"), ("480 Temporarily Unavailable", "no-answer"), ("603 Decline", "rejected"), ("404 Not Found", "invalid_number")],
)
def test_the_call_is_refused(offhook, callee, status, reason):
    sipp = callee(Callee(offhook.sip).refuses(status))
    call = offhook.call("plain")
    sipp.ends_well()
    assert ended(offhook, call)[1] == reason


def test_nobody_answers(offhook, callee):
    """It rings for `ring_seconds`, and is taken back."""
    scenario = Callee(offhook.sip).says("180 Ringing").comes("CANCEL").reply("200 OK")
    refusal = ["SIP/2.0 487 Request Terminated", "[last_Via:]", "[last_From:]", "[last_To:];tag=[pid]SIPpUas[call_number]", "[last_Call-ID:]"]
    text = "\n".join([*refusal, "CSeq: 1 INVITE", "Content-Length: 0", "", ""])
    sipp = callee(scenario.add(f'<send retrans="500"><![CDATA[\n{text}]]></send>').comes("ACK"))
    call = offhook.call("plain")
    sipp.ends_well()
    assert ended(offhook, call)[1] == "no-answer"


def test_the_carrier_asks_who_we_are(offhook, callee):
    challenge = 'Proxy-Authenticate: Digest realm="carrier", nonce="4f2a", algorithm=MD5, qop="auth"'
    scenario = Callee(offhook.sip).says("407 Proxy Authentication Required", challenge).comes("ACK")
    check = '<ereg regexp="username=.offhook." search_in="hdr" header="Proxy-Authorization:" check_it="true" assign_to="seen"/>'
    scenario.variables |= {"seen"}
    scenario.add(f'<recv request="INVITE"><action>{check}</action></recv>')
    sipp = callee(scenario.takes().is_ended())
    call = offhook.call("plain")
    offhook.stands(call)
    offhook.post(f"/v1/calls/{call}/end", {})
    sipp.ends_well()
    assert ended(offhook, call)[1] == "agent_hangup"


def test_a_target_that_is_broken_is_passed_by(offhook, callee):
    broken = callee(Callee(offhook.sip).refuses("503 Service Unavailable"), at="broken")
    whole = callee(Callee(offhook.sip).takes().press("9#").is_ended(), at="whole")
    call = offhook.call("two")
    broken.ends_well()
    whole.ends_well()
    assert ended(offhook, call) == ("completed", "agent_hangup")


def test_a_target_where_nobody_listens_is_passed_by(offhook, callee):
    whole = callee(Callee(offhook.sip).takes().press("9#").is_ended(), at="whole")
    call = offhook.call("half")
    whole.ends_well()
    assert ended(offhook, call) == ("completed", "agent_hangup")


def test_without_any_target_left_the_call_fails(offhook, callee):
    callee(Callee(offhook.sip).refuses("503 Service Unavailable"), at="whole")
    assert ended(offhook, offhook.call("half")) == ("failed", "failed")


def test_a_call_over_tcp(offhook, callee):
    sipp = callee(Callee(offhook.sip + ";transport=tcp").takes().press("9#").is_ended(), at="tcp", tcp=True)
    call = offhook.call("tcp")
    sipp.ends_well()
    assert ended(offhook, call) == ("completed", "agent_hangup")


def test_a_call_over_tls(offhook, callee, ports, tmp_path):
    inner = free_port()
    front = TlsFront(ports["tls"], inner, offhook.certificate)
    scenario = Callee(f"sip:127.0.0.1:{offhook.tls_port};transport=tls", f"<sip:callee@127.0.0.1:{ports['tls']};transport=tls>")
    scenario.via = f"TLS 127.0.0.1:{ports['tls']}"
    sipp = Sipp(tmp_path, scenario.takes().press("9#").is_ended(), port=inner, tcp=True)
    call = offhook.call("tls")
    sipp.ends_well()
    assert ended(offhook, call) == ("completed", "agent_hangup")
    front.stop()


def test_a_callee_puts_us_on_hold(offhook, callee):
    scenario = Callee(offhook.sip).takes()
    for version, (direction, ours) in enumerate([("sendonly", "(recvonly|inactive)"), ("sendrecv", "sendrecv")]):
        scenario.request("INVITE", body=sdp(direction, version + 2)).answered(100, optional=True).answered(body=f"a={ours}").ack()
    sipp = callee(scenario.press("9#").is_ended())
    call = offhook.call("plain")
    sipp.ends_well()
    assert ended(offhook, call) == ("completed", "agent_hangup")


class TlsFront:
    """TLS for sipp, which Debian builds without: what comes is handed on in the clear, and the other way round."""

    def __init__(self, port: int, inner: int, certificate) -> None:
        self.inner = inner
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            outer = self.context.wrap_socket(plain, server_side=True)
            inner = socket.create_connection(("127.0.0.1", self.inner))
            for way in [(outer, inner), (inner, outer)]:
                threading.Thread(target=hand_on, args=way, daemon=True).start()

    def stop(self) -> None:
        self.listener.close()


def hand_on(source: socket.socket, sink: socket.socket) -> None:
    try:
        while octets := source.recv(65_536):
            sink.sendall(octets)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
