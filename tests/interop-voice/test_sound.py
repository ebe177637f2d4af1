"""What is heard: by baresip, by a hundred callers at a time, and in recordings, also of a call that a crash cut off.

    OFFHOOK_BIN=…/debug/offhook pytest test_sound.py
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import sound
from scenario import Callee, Caller
from stage import PATIENCE, Offhook, Sipp, eventually, free_port, program

AT_ONCE = 100
LISTENS = """#JSGF V1.0;
grammar listens;
public <wish> = [you said] ( book a table | cancel my order | thank you goodbye );
"""


def recording(offhook: Offhook, call: str, folder) -> tuple[int, list]:
    """The rate; the agent's side, which is the left one, and the caller's."""
    eventually(lambda: True if offhook.get(f"/v1/calls/{call}")["recordingAvailable"] else None, f"the recording of {call}")
    answer = offhook.api.get(f"/v1/calls/{call}/recording")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav"), answer.text[:500]
    file = folder / f"{call}.wav"
    file.write_bytes(answer.content)
    return sound.read(file)


@pytest.fixture(scope="module")
def grammar(tmp_path_factory):
    file = tmp_path_factory.mktemp("grammar") / "listens.jsgf"
    file.write_text(LISTENS)
    return file


@pytest.fixture
def offhook(tmp_path, grammar):
    """It understands by pocketsphinx, speaks with flite, and its agent says again what it is told."""
    speech = f"""[voice.speech]
stt = "pocketsphinx"
pocketsphinx_grammar = "{grammar}"
tts = "flite"
"""

    def echo(words: str, _: str) -> list[dict]:
        return [{"text": f"You said {words}.", "hangup": "goodbye" in words}]

    home = tmp_path / "offhook"
    home.mkdir()
    offhook = Offhook(home, {"line": 'networks = ["192.0.2.1/32"]'}, echo, voice=speech)
    yield offhook
    offhook.stop()


def test_baresip_talks_with_the_agent(offhook, grammar, tmp_path):
    """In G.722, logged in as a customer's trunk."""
    trunk = offhook.post("/v1/sip-trunks", {"name": "Office"})["credentials"][0]
    says = sound.silence(1.5)
    for text, pause in [("Book a table.", 6), ("Cancel my order.", 6), ("Thank you, goodbye.", 10)]:
        says += sound.spoken(tmp_path, text) + sound.silence(pause)
    home = tmp_path / "baresip"
    home.mkdir()
    source = sound.write(home / "says.wav", says)
    (home / "config").write_text(
        f"""
net_interface 127.0.0.1
sip_listen 127.0.0.1:{free_port(2)}
module_path /usr/lib/baresip/modules
module g722.so
module aufile.so
module sndfile.so
module_tmp account.so
module_app menu.so
audio_source aufile,{source}
audio_player aufile,{home}/player.wav
audio_alert aufile,{home}/alert.wav
snd_path {home}
call_max_calls 1
rtp_timeout 60
"""
    )
    login = f"auth_user={trunk['username']};auth_pass={trunk['password']}"
    (home / "accounts").write_text(f"<sip:+14155550111@127.0.0.1>;regint=0;{login}\n")
    to = f"sip:{offhook.number()}@127.0.0.1:{offhook.sip_port}"
    with (home / "log").open("wb") as log:
        command = [program("baresip"), "-f", str(home), "-e", f"/dial {to}", "-t", "60"]
        baresip = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        call = eventually(lambda: next((one["id"] for one in offhook.calls()), None), f"a call: {(home / 'log').read_text()}")
        over = eventually(lambda: found if (found := offhook.get(f"/v1/calls/{call}"))["status"] == "completed" else None, "its end", 60)
    finally:
        baresip.terminate()
        baresip.wait()
    assert offhook.agent.asked(call) == ["book a table", "cancel my order", "thank you goodbye"]
    assert over["endReason"] == "agent_hangup"
    answers = ["you said book a table", "you said cancel my order", "you said thank you goodbye"]
    (heard,) = home.glob("*-dec.wav")
    rate, channels = sound.read(heard)
    assert rate == sound.RATE
    assert sound.understood(tmp_path, channels[0], grammar) == answers
    rate, (agent, caller) = recording(offhook, call, tmp_path)
    assert rate == sound.RATE
    assert sound.understood(tmp_path, caller, grammar) == ["book a table", "cancel my order", "thank you goodbye"]
    assert sound.understood(tmp_path, agent, grammar) == answers


def test_a_handset_of_the_command_line_talks_with_the_agent(tmp_path, grammar):
    # First of all, what is behind the keys of [voice.media]: the recording is to be at 16 kHz.
    speech = f'codecs = ["g722"]\n[voice.speech]\nstt = "pocketsphinx"\npocketsphinx_grammar = "{grammar}"\ntts = "flite"\n'
    home = tmp_path / "offhook"
    home.mkdir()
    echo = lambda words, _: [{"text": f"You said {words}.", "hangup": "goodbye" in words}]  # noqa: E731
    offhook = Offhook(home, {"line": 'networks = ["127.0.0.1/32"]'}, echo, voice=speech)
    says = sound.silence(1)
    for text, pause in [("Book a table.", 6), ("Thank you, goodbye.", 10)]:
        says += sound.spoken(tmp_path, text) + sound.silence(pause)
    says, keeps = sound.write(tmp_path / "says.wav", says), tmp_path / "both.wav"
    try:
        command = [os.environ["OFFHOOK_BIN"], "phone", "call", offhook.number(), "--say", says, "--keep", keeps]
        done = subprocess.run([*command, "--sip", f"127.0.0.1:{offhook.sip_port}"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "they hang up" in done.stdout, done
        assert offhook.agent.asked(offhook.newest()) == ["book a table", "thank you goodbye"]
        _, (said, heard) = sound.read(keeps)
        assert sound.understood(tmp_path, said, grammar) == ["book a table", "thank you goodbye"]
        assert sound.understood(tmp_path, heard, grammar) == ["you said book a table", "you said thank you goodbye"]
        offhook.stop()
    finally:
        offhook.process.kill()


class Speaker:
    """A server with OpenAI's /audio/speech that can't say some texts, and keeps what it was asked for."""

    def __init__(self, fails: str) -> None:
        self.asked: list[str] = []
        speaker = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = json.loads(self.rfile.read(int(self.headers["content-length"])))["input"]
                speaker.asked.append(text)
                body = b"" if fails in text else b"\x00\x10\x00\xf0" * 2_400
                self.send_response(200 if body else 503)
                self.send_header("content-type", "audio/pcm")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_what_can_not_be_spoken_is_apologised_for(tmp_path):
    speaker = Speaker(fails="secret")
    home = tmp_path / "offhook"
    home.mkdir()
    says = {"5": [{"text": "The secret is out."}], "9": [{"text": "Goodbye.", "hangup": True}]}
    voice = f'[voice.speech]\ntts = "openai"\ntts_base_url = "{speaker.url}"\ntts_model = "mouth"\n'
    offhook = Offhook(home, {"line": 'networks = ["127.0.0.1/32"]'}, lambda words, _: says.get(words, []), voice=voice)
    sipp = Sipp(tmp_path, Caller(offhook.number()).stands().press("5#").pause(3_000).press("9#").is_ended(), to=offhook.sip_port)
    try:
        sipp.ends_well()
        call = offhook.over(offhook.newest())
        ended = offhook.agent.told("agent.call_ended", call["id"])
        assert speaker.asked[:2] == ["The secret is out."] * 2
        assert "".join(speaker.asked[2:-1]).startswith("I'm sorry"), speaker.asked
        assert speaker.asked[-1] == "Goodbye."
        said = [turn["content"] for turn in ended["transcript"] if turn["role"] == "agent"]
        assert said[-1] == "Goodbye." and not any("secret" in text for text in said), said
        assert "speech_failed" in [mark["name"] for mark in offhook.get(f"/v1/calls/{call['id']}/trace")["data"]]
        offhook.stop()
    finally:
        sipp.stop()
        speaker.stop()
        offhook.process.kill()


NUMBERS = "zero one two three four five six seven eight nine".split()


def test_a_hundred_calls_at_once_each_hear_their_own(tmp_path):
    """sipp sends back what it hears: each agent speaks and presses keys of its call's own, and hears the same of its caller."""
    keys: dict[str, str] = {}

    def answer(words: str, call: str) -> list[dict]:
        if words != "1":
            return []
        keys[call] = f"{len(keys):03}{secrets.randbelow(1000):03}"
        return [{"text": "One moment, please.", "digits": f"{keys[call]}#"}]

    port = free_port()
    home = tmp_path / "offhook"
    home.mkdir()
    offhook = Offhook(home, {"line": f'targets = ["sip:127.0.0.1:{port}"]'}, answer, voice='[voice.speech]\ntts = "flite"\n')
    assert offhook.api.patch(f"/v1/agents/{offhook.agent_id}", json={"interruptionSensitivity": 0}).status_code == 200
    # They ask for something one after the other, and stay until all have.
    scenario = Callee(offhook.sip).takes().pause(4_000).add('<pause distribution="uniform" min="0" max="8000"/>').press("1#").is_ended()
    sipp = Sipp(tmp_path, scenario, "-rtp_echo", "-l", str(2 * AT_ONCE), port=port, calls=AT_ONCE)
    try:
        with ThreadPoolExecutor(8) as crowd:
            calls = list(crowd.map(lambda _: offhook.call(), range(AT_ONCE)))
        stand = lambda: sum(call["status"] == "in-progress" for call in offhook.calls())  # noqa: E731
        eventually(lambda: True if stand() == AT_ONCE else None, "a hundred calls at a time")
        heard = lambda call: "".join(offhook.agent.asked(call)[1:])  # noqa: E731
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not (len(keys) == AT_ONCE and all(heard(call) == keys[call] for call in calls)):
            time.sleep(0.2)
        assert stand() == AT_ONCE, "one of them did not last"
        for call in calls:
            offhook.post(f"/v1/calls/{call}/end", {})
        sipp.ends_well(60)
        whole = both = 0
        for call in calls:
            key = iter(keys[call])
            assert all(digit in key for digit in heard(call)), f"{call} hears {heard(call)}, and its own is {keys[call]}"
            whole += heard(call) == keys[call]
            assert offhook.over(call)["endReason"] == "agent_hangup"
            _, sides = recording(offhook, call, tmp_path)
            both += all(max(map(abs, side)) > 1000 for side in sides)
        # What comes too late, on a machine that does other things as well, is not heard. Else it is all of them.
        assert whole > AT_ONCE * 0.9, f"only {whole} heard all of their own"
        assert both > AT_ONCE * 0.8, f"only {both} recordings have both sides"
        offhook.stop()
    finally:
        sipp.stop()
        offhook.process.kill()


def test_what_a_crash_cut_off_is_closed_and_its_recording_kept(tmp_path):
    home = tmp_path / "offhook"
    home.mkdir()
    offhook = Offhook(home, {"line": 'networks = ["127.0.0.1/32"]'}, voice='[voice.speech]\ntts = "flite"\n')
    text = " ".join(f"This is sentence {number}, and it is long enough." for number in NUMBERS)
    assert offhook.api.patch(f"/v1/agents/{offhook.agent_id}", json={"beginMessage": text}).status_code == 200
    sipp = Sipp(tmp_path, Caller(offhook.number()).stands().pause(60_000).bye(), to=offhook.sip_port)
    try:
        call = offhook.newest()
        offhook.stands(call)
        answered = time.monotonic()
        time.sleep(6)  # It is talked meanwhile: that is what has to be kept.
        offhook.kill()
        talked = time.monotonic() - answered
        restarted = time.monotonic()
        offhook.start()
        told = offhook.agent.told("agent.call_ended", call)
        assert time.monotonic() - restarted < 15
        assert told["status"] == "failed", told
        assert offhook.over(call)["status"] == "failed"
        rate, (said, _) = recording(offhook, call, tmp_path)
        assert talked - 1.2 < len(said) / rate < talked + 0.5, f"{len(said) / rate:.2f} s of {talked:.2f} s"
        # To the last second there is speech in it, as the pauses between sentences are shorter.
        assert max(map(abs, said[-rate:])) > 1000
        offhook.stop()
    finally:
        sipp.stop()
        offhook.process.kill()
