"""sipp calls Offhook, whose agent a webhook answers for.

    OFFHOOK_BIN=…/debug/offhook pytest test_calls_in.py
"""

from __future__ import annotations

import re
import secrets
import socket
import time

import pytest

from scenario import Callee, Caller, sdp
from stage import Offhook, Sipp, eventually


def answer(pressed: str, _: str) -> list[dict]:
    """What the agent says to the keys of a caller."""
    match pressed:
        case "9":
            return [{"text": "Goodbye.", "hangup": True}]
        case "7":
            return [{"text": "One moment.", "action": "transfer"}]
        case keys:
            return [{"text": f"You pressed {keys}."}]


@pytest.fixture(scope="module")
def offhook(tmp_path_factory):
    home = tmp_path_factory.mktemp("offhook")
    offhook = Offhook(home, {"line": 'networks = ["127.0.0.1/32"]'}, answer)
    yield offhook
    offhook.stop()


@pytest.fixture
def play(offhook, tmp_path):
    """Plays a scenario, and gives the call as it is in the end."""
    started = []

    def played(scenario, *options, **more):
        before = {call["id"] for call in offhook.calls()}
        sipp = Sipp(tmp_path, scenario, *options, to=offhook.sip_port, **more)
        started.append(sipp)
        sipp.ends_well()
        new = [call["id"] for call in offhook.calls() if call["id"] not in before]
        assert len(new) == 1, new
        return offhook.over(new[0])

    yield played
    for sipp in started:
        sipp.stop()


def ends(offhook, call, reason: str) -> dict:
    """The call ended so, and the customer was told."""
    assert (call["status"], call["endReason"]) == ("completed", reason), call
    told = offhook.agent.told("agent.call_ended", call["id"])
    assert told["disconnectionReason"] == reason, told
    return told


def turns(call) -> list[tuple[str, str]]:
    return [(turn["transcript"], turn["response"]) for turn in call["transcripts"]]


@pytest.fixture(scope="module", autouse=True)
def refreshed(offhook, tmp_path_factory):
    """Beside all others, a call of a minute: its refresher is we, and half of 90 s is when."""
    scenario = Caller(offhook.number()).invite("Supported: timer", "Session-Expires: 90;refresher=uas", "Allow: INVITE, ACK, BYE, UPDATE")
    scenario.answered(Session_Expires="90;refresher=uas").ack()
    # Within their request they are the client.
    scenario.comes("UPDATE", Session_Expires="90;refresher=uac").reply("200 OK", "Supported: timer", "Session-Expires: 90;refresher=uac").bye()
    sipp = Sipp(tmp_path_factory.mktemp("refreshed"), scenario, to=offhook.sip_port)
    next_new(offhook, set())
    yield sipp
    sipp.stop()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_webhook_answers_and_the_caller_hangs_up(offhook, play, tcp):
    call = play(Caller(offhook.number()).stands().press("12#").pause(1000).bye(), tcp=tcp)
    assert (call["direction"], call["fromNumber"], call["toNumber"]) == ("inbound", "+14155550111", offhook.number())
    assert offhook.agent.asked(call["id"]) == ["12"]
    told = ends(offhook, call, "user_hangup")
    assert {"role": "user", "content": "12"} in told["transcript"]


def test_a_webhook_answers_and_hangs_up(offhook, play):
    call = play(Caller(offhook.number()).stands().press("9#").is_ended())
    assert offhook.agent.asked(call["id"]) == ["9"]
    ends(offhook, call, "agent_hangup")


def test_a_call_is_ended_over_the_api(offhook, tmp_path):
    before = {call["id"] for call in offhook.calls()}
    sipp = Sipp(tmp_path, Caller(offhook.number()).stands().is_ended(), to=offhook.sip_port)
    call = next_new(offhook, before)
    offhook.stands(call)
    offhook.post(f"/v1/calls/{call}/end", {})
    sipp.ends_well()
    ends(offhook, offhook.over(call), "agent_hangup")


def test_a_call_without_an_offer_takes_ours(offhook, play):
    scenario = Caller(offhook.number()).invite(body="").answered(body="m=audio [0-9]+ RTP/AVP[ 0-9]* 0")
    scenario.request("ACK", body=sdp(), number=1)
    ends(offhook, play(scenario.press("9#").is_ended()), "agent_hangup")


def test_hold_and_resume(offhook, play):
    scenario = Caller(offhook.number()).stands()
    scenario.request("INVITE", body=sdp("sendonly", 2)).answered(100, optional=True).answered(body="a=(recvonly|inactive)").ack()
    scenario.request("INVITE", body=sdp("inactive", 3)).answered(100, optional=True).answered(body="a=inactive").ack()
    scenario.request("INVITE", body=sdp("sendrecv", 4)).answered(100, optional=True).answered(body="m=audio [1-9]").ack()
    # Without an offer: ours is asked for.
    scenario.request("INVITE").answered(100, optional=True).answered(body="m=audio [1-9]")
    scenario.request("ACK", body=sdp("sendrecv", 5), number=scenario.number)
    call = play(scenario.press("12#").pause(500).press("9#").is_ended())
    assert offhook.agent.asked(call["id"]) == ["12", "9"]
    ends(offhook, call, "agent_hangup")


def test_the_callers_side_refreshes_the_session(offhook, play):
    scenario = Caller(offhook.number()).invite("Supported: timer", "Session-Expires: 90;refresher=uac")
    scenario.answered(Session_Expires="90;refresher=uac").ack()
    scenario.request("UPDATE", "Supported: timer", "Session-Expires: 90;refresher=uac").answered(Session_Expires="90;refresher=uac")
    ends(offhook, play(scenario.bye()), "user_hangup")


def test_too_short_a_session_is_refused(offhook, tmp_path):
    scenario = Caller(offhook.number()).invite("Supported: timer", "Session-Expires: 30").answered(422, Min_SE="90").ack_refusal()
    Sipp(tmp_path, scenario, to=offhook.sip_port).ends_well()


def test_an_agent_transfers_the_caller(offhook, play):
    scenario = Caller(offhook.number()).stands().press("7#")
    scenario.comes("REFER", Refer_To="sip:\\+14155550199@").reply("202 Accepted")
    for state, status in [("active;expires=60", "100 Trying"), ("terminated;reason=noresource", "200 OK")]:
        headers = ("Event: refer", f"Subscription-State: {state}")
        scenario.request("NOTIFY", *headers, body=f"SIP/2.0 {status}", kind="message/sipfrag").answered()
    call = play(scenario.is_ended())
    ends(offhook, call, "transferred")


def test_a_transfer_that_fails_leaves_the_caller_with_the_agent(offhook, play):
    scenario = Caller(offhook.number()).stands().press("7#").comes("REFER").reply("202 Accepted")
    headers = ("Event: refer", "Subscription-State: terminated;reason=noresource")
    scenario.request("NOTIFY", *headers, body="SIP/2.0 503 Service Unavailable", kind="message/sipfrag").answered()
    call = play(scenario.press("9#").is_ended())
    assert offhook.agent.asked(call["id"]) == ["7", "9"]
    ends(offhook, call, "agent_hangup")


def test_a_refused_transfer_leaves_the_caller_with_the_agent(offhook, play):
    scenario = Caller(offhook.number()).stands().press("7#").comes("REFER").reply("603 Decline")
    ends(offhook, play(scenario.press("9#").is_ended()), "agent_hangup")


def test_who_calls_transfers_nobody(offhook, play):
    """Over a carrier's trunk nobody is handed over by who calls; the call goes on."""
    scenario = Caller(offhook.number()).stands()
    scenario.request("REFER", "Refer-To: <sip:+14155550188@127.0.0.1>").answered(603)
    ends(offhook, play(scenario.press("9#").is_ended()), "agent_hangup")


def test_a_number_that_is_nobodys(offhook, tmp_path):
    scenario = Caller("+14155559999").invite().answered(404).ack_refusal()
    Sipp(tmp_path, scenario, to=offhook.sip_port).ends_well()


def test_a_call_that_is_taken_back_while_it_is_answered(offhook):
    """CANCEL at every moment of the first answer: either it comes in time, or the call stands and is hung up."""
    before = {call["id"] for call in offhook.calls()}
    ended = [cancelled(offhook, pause_ms / 1000) for pause_ms in range(0, 60, 3)]
    assert set(ended) <= {200, 487} and 487 in ended, ended
    new = [call["id"] for call in offhook.calls() if call["id"] not in before]
    for call in new:
        assert offhook.over(call)["endReason"] == "user_hangup"


def cancelled(offhook, pause: float) -> int:
    """Calls, and takes it back so much later; the final answer."""
    with socket.socket(type=socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))
        ours.connect(("127.0.0.1", offhook.sip_port))
        ours.settimeout(10)
        port, call, branch = ours.getsockname()[1], secrets.token_hex(8), f"z9hG4bK{secrets.token_hex(8)}"
        uri = f"sip:{offhook.number()}@127.0.0.1:{offhook.sip_port}"
        body = sdp().replace("[local_ip]", "127.0.0.1").replace("[media_ip]", "127.0.0.1").replace("[media_port]", "40000")

        def send(method: str, number: int, to: str = f"<{uri}>", body: str = "", branch: str = branch) -> None:
            kind = "Content-Type: application/sdp\n" if body else ""
            text = f"""{method} {uri} SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch={branch}
From: <sip:+14155550111@127.0.0.1>;tag=a
To: {to}
Call-ID: {call}
CSeq: {number} {method}
Contact: <sip:a@127.0.0.1:{port}>
Max-Forwards: 70
{kind}Content-Length: {len(body.replace(chr(10), chr(13) + chr(10)))}

{body}"""
            ours.send(text.replace("\n", "\r\n").encode())

        send("INVITE", 1, body=body)
        time.sleep(pause)
        send("CANCEL", 1)
        while True:
            came = ours.recv(65_536).decode()
            status = int(re.match(r"SIP/2.0 (\d+)", came)[1]) if came.startswith("SIP/2.0") else 0
            if "1 INVITE" not in came or status < 200:
                continue
            to = re.search(r"^To: (.*?)\r$", came, re.M)[1]
            fresh = f"z9hG4bK{secrets.token_hex(8)}"
            send("ACK", 1, to=to, branch=branch if status > 299 else fresh)
            if status == 200:
                send("BYE", 2, to=to, branch=f"z9hG4bK{secrets.token_hex(8)}")
                while "2 BYE" not in ours.recv(65_536).decode():
                    pass
            return status


def next_new(offhook, before) -> str:
    return eventually(lambda: next((one["id"] for one in offhook.calls() if one["id"] not in before), None), "a call")


@pytest.fixture(scope="module")
def trunk(offhook):
    """A customer's own telephone system, known by its login only."""
    made = offhook.post("/v1/sip-trunks", {"name": "Office"})
    login = made["credentials"][0]
    return login["username"], login["password"]


# From where no carrier calls.
ELSEWHERE = "127.0.0.2"


def with_login(number: str) -> Caller:
    scenario = Caller(number).invite().answered(401, auth=True).ack_refusal()
    return scenario.invite("[authentication]")


def test_a_customers_trunk_calls_with_its_login(offhook, play, trunk):
    user, password = trunk
    call = play(with_login(offhook.number()).answered().ack().press("9#").is_ended(), "-au", user, "-ap", password, ip=ELSEWHERE)
    ends(offhook, call, "agent_hangup")


def test_a_wrong_password_is_not_let_in(offhook, trunk, tmp_path):
    before = offhook.calls()
    scenario = with_login(offhook.number()).answered(403).ack_refusal()
    Sipp(tmp_path, scenario, "-au", trunk[0], "-ap", "wrong", to=offhook.sip_port, ip=ELSEWHERE).ends_well()
    assert len(offhook.calls()) == len(before)


@pytest.fixture
def office(offhook, tmp_path):
    """A customer's system that may hand calls on to its own extensions, and who answers there: `office(story)` gives the login."""
    answering = []

    def opened(colleague: Callee) -> tuple[Sipp, list[str]]:
        sipp = Sipp(tmp_path, colleague)
        answering.append(sipp)
        uris = [{"sip_uri": f"sip:127.0.0.1:{sipp.port}"}]
        made = offhook.post("/v1/sip-trunks", {"name": "Office", "transfers": "sip", "origination": {"uris": uris}})
        login = made["credentials"][0]
        return sipp, ["-au", login["username"], "-ap", login["password"]]

    yield opened
    for sipp in answering:
        sipp.stop()


def handed_on(offhook, to: str) -> Caller:
    scenario = with_login(offhook.number()).answered().ack()
    scenario.request("REFER", f"Refer-To: <sip:{to}@office.example>").answered(202)
    return scenario.comes("NOTIFY", body="SIP/2.0 100").reply("200 OK")


def test_a_customers_system_hands_the_agent_on_to_an_extension(offhook, play, office):
    colleague, login = office(Callee(offhook.sip).takes().press("9#").is_ended())
    scenario = handed_on(offhook, "200").comes("NOTIFY", body="SIP/2.0 200", Subscription_State="terminated").reply("200 OK")
    call = play(scenario.is_ended(), *login, ip=ELSEWHERE)
    colleague.ends_well()
    assert offhook.agent.asked(call["id"]) == ["9"]
    ends(offhook, call, "agent_hangup")


def test_who_hands_the_agent_on_may_leave_at_once(offhook, play, office):
    colleague, login = office(Callee(offhook.sip).pause(300).takes().press("9#").is_ended())
    call = play(handed_on(offhook, "200").bye(), *login, ip=ELSEWHERE)
    colleague.ends_well()
    ends(offhook, call, "agent_hangup")


def test_nobody_is_there_to_hand_the_agent_on_to(offhook, play, office):
    colleague, login = office(Callee(offhook.sip).refuses("486 Busy Here"))
    scenario = handed_on(offhook, "200").comes("NOTIFY", body="SIP/2.0 486", Subscription_State="terminated").reply("200 OK")
    call = play(scenario.press("9#").is_ended(), *login, ip=ELSEWHERE)
    colleague.ends_well()
    assert offhook.agent.asked(call["id"]) == ["9"]
    ends(offhook, call, "agent_hangup")


def test_a_system_that_may_hand_on_to_extensions_hands_on_to_no_number(offhook, play, office):
    _, login = office(Callee(offhook.sip))
    scenario = handed_on(offhook, "+14155550188").comes("NOTIFY", body="SIP/2.0 403").reply("200 OK")
    ends(offhook, play(scenario.press("9#").is_ended(), *login, ip=ELSEWHERE), "agent_hangup")


def test_we_refresh_the_session(offhook, refreshed):
    """Last, for it takes the longest."""
    refreshed.ends_well(60)
