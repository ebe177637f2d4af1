"""What the stories about calls are played with: processes that are started here and end with the test."""

from __future__ import annotations

import json
import random
import secrets
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from running import PATIENCE, Running, certificate, eventually
from scenario import Scenario

THEIRS = "+14155550111"


def free_port(places: int = 1) -> int:
    """An even port, free for UDP and for TCP, with those behind it. Below those that the kernel gives to whoever asks for any:
    one of these might be anybody's by the time it is used."""
    while True:
        port = random.randrange(10_000, 30_000, 2)
        if all(is_free(port + n, kind) for n in range(places) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)):
            return port


def is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(type=kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Agent:
    """The customer's webhook: answers what callers press or say, and keeps every event."""

    def __init__(self, certificate: tuple[Path, Path], answer: Callable[[str, str], list[dict]]) -> None:
        self.answer, self.events = answer, []
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
                agent.events.append(event)
                chunks = []
                if event["event"] == "agent.message" and event["channel"] == "voice":
                    chunks = agent.answer(event["data"]["transcript"], event["data"]["callId"])
                body = "".join(json.dumps(chunk) + "\n" for chunk in chunks).encode()
                self.send_response(200)
                self.send_header("content-type", "application/x-ndjson")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self, event: str, call: str, patience: float = PATIENCE) -> dict:
        """The data of a call's first event of this kind."""

        def look():
            named = (one["data"] for one in list(self.events) if one["event"] == event)
            return next((data for data in named if data.get("callId") == call), None)

        return eventually(look, f"{event} of {call}", patience)

    def asked(self, call: str) -> list[str]:
        """What callers said, as it was told in the course of the call."""
        events = [one for one in list(self.events) if one["event"] == "agent.message" and one["data"]["callId"] == call]
        return [one["data"]["transcript"] for one in events]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Offhook(Running):
    """`offhook serve` that listens for SIP, with an agent, its webhook, and a number of each carrier.

    `carriers` has the TOML of each by its name; `answer` is what the webhook says to some words in a call.
    """

    def __init__(
        self, home: Path, carriers: dict[str, str], answer: Callable[[str, str], list[dict]] = lambda *_: [], voice: str = "", tls: bool = False
    ) -> None:
        self.certificate = certificate(home)
        self.agent = Agent(self.certificate, answer)
        self.sip_port = free_port()
        self.sip = f"sip:127.0.0.1:{self.sip_port}"
        listen = [f"udp:127.0.0.1:{self.sip_port}", f"tcp:127.0.0.1:{self.sip_port}"]
        with_tls = ""
        if tls:
            self.tls_port = free_port()
            listen.append(f"tls:127.0.0.1:{self.tls_port}")
            with_tls = f'tls_certificate = "{self.certificate[0]}"\ntls_key = "{self.certificate[1]}"'
        sections = "".join(f'[carriers.{name}]\nkind = "sip"\n{toml}\n' for name, toml in carriers.items())
        configuration = f"""
webhooks.allowed_networks = ["127.0.0.0/8"]
registration.required = false
rate_limits.calls_per_minute = 0
limits.concurrent_calls = 500
prices.number_month_micros = 0
prices.webhook_minute_micros = 0
prices.call_least_micros = 0
[voice]
record = true
ring_seconds = 5
[voice.sip]
listen = {json.dumps(listen)}
{with_tls}
[voice.media]
listen = "127.0.0.1"
first_port = 0
last_port = 0
timeout_seconds = 120
{voice}
{sections}"""
        super().__init__(home, free_port(), configuration, SIP_PASSWORD="secret")
        try:
            self.start()
            self.settle(list(carriers))
        except BaseException:
            self.process.kill()
            raise

    def settle(self, carriers: list[str]) -> None:
        """An agent, and a number of each carrier that leads to it."""
        self.agent_id = self.post("/v1/agents", {"name": "Desk", "transferNumber": "+14155550199"})["id"]
        self.post("/v1/webhooks", {"url": self.agent.url, "timeout": 10})
        self.numbers: dict[str, tuple[str, str]] = {}
        for n, carrier in enumerate(carriers):
            number = f"+1415555{n + 120:04}"
            self.import_number(number, carrier)
            bought = self.post("/v1/numbers", {"phoneNumber": number, "agentId": self.agent_id})
            assert bought["phoneNumber"] == number, bought
            self.numbers[carrier] = (bought["id"], number)

    def number(self, carrier: str = "line") -> str:
        return self.numbers[carrier][1]

    def post(self, path: str, body: dict) -> dict:
        answer = self.api.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def get(self, path: str) -> dict:
        answer = self.api.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(self, carrier: str = "line", **more: object) -> str:
        """The agent calls."""
        order = {"agentId": self.agent_id, "toNumber": THEIRS, "fromNumberId": self.numbers[carrier][0]} | more
        return self.post("/v1/calls", order)["id"]

    def calls(self) -> list[dict]:
        """The newest first."""
        return self.get("/v1/calls?limit=100")["data"]

    def newest(self) -> str:
        return eventually(lambda: next((call["id"] for call in self.calls()), None), "a call")

    def over(self, call: str) -> dict:
        """The call when it has ended."""
        found = self.get(f"/v1/calls/{call}?wait=true&timeout=25")
        assert found["status"] in ("completed", "failed"), found
        return found

    def stands(self, call: str) -> dict:
        def look():
            found = self.get(f"/v1/calls/{call}")
            return found if found["status"] == "in-progress" else None

        return eventually(look, f"{call} to be answered")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        try:
            self.end()
        finally:
            self.agent.stop()


class Sipp:
    """sipp with a scenario: `calls` of them, each of which must go as it is written."""

    def __init__(self, home: Path, scenario: Scenario | None, *options: str, to: int | None = None, port: int | None = None,
                 ip: str = "127.0.0.1", tcp: bool = False, calls: int = 1) -> None:  # fmt: skip
        self.home = home / f"sipp{secrets.token_hex(4)}"
        self.home.mkdir()
        self.port, self.media = port or free_port(), free_port(4)
        command = ["sipp"]
        if scenario is not None:
            command += ["-sf", str(scenario.write(self.home / "scenario.xml"))]
        if to:
            command.append(f"127.0.0.1:{to}")
        command += ["-i", ip, "-p", str(self.port), "-mp", str(self.media), "-t", "t1" if tcp else "u1", "-m", str(calls), "-nostdin",
                    "-trace_err", "-error_file", str(self.home / "errors"), "-trace_msg", "-message_file", str(self.home / "messages"),
                    *options]  # fmt: skip
        self.out = (self.home / "out").open("wb")
        self.process = subprocess.Popen(command, cwd=self.home, stdout=self.out, stderr=self.out)
        if not to:
            eventually(lambda: True if self.listens(ip, tcp) else None, "sipp")

    def listens(self, ip: str, tcp: bool) -> bool:
        """As the kernel says: a probe would be a message to sipp."""
        assert self.process.poll() is None, self.story()
        table = Path("/proc/net/tcp" if tcp else "/proc/net/udp").read_text()
        address = "".join(f"{int(part):02X}" for part in reversed(ip.split(".")))
        return f"{address}:{self.port:04X}" in table

    def story(self) -> str:
        """What it complains of, and what was said."""
        texts = [self.home / name for name in ("errors", "messages", "out")]
        return "\n".join(f"--- {text.name}\n{text.read_text(errors='replace')[-6000:]}" for text in texts if text.exists())

    def ends_well(self, patience: float = PATIENCE) -> None:
        try:
            code = self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self.stop()
            raise AssertionError(f"sipp does not end\n{self.story()}") from None
        finally:
            self.out.close()
        assert code == 0, self.story()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed: ./test interop-voice does it"
    return found
