"""Hooks against a real `offhook serve`, signed and checked by the carriers' own libraries (PyPI `twilio`, `telnyx`).

    python -m venv venv && venv/bin/pip install -r requirements.txt
    OFFHOOK_BIN=/path/to/offhook venv/bin/pytest

What Offhook asks of Twilio is answered by a stand-in below: it sells one number. Set DATABASE_URL for PostgreSQL.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
import telnyx
from nacl.signing import SigningKey
from twilio.request_validator import RequestValidator

ACCOUNT, TOKEN = "AC" + "0123456789abcdef" * 2, secrets.token_hex(16)
OURS, ADA = "+14155550100", "+14152011234"
TELNYX = SigningKey.generate()
PUBLIC_KEY = base64.b64encode(bytes(TELNYX.verify_key)).decode()


class Twilio(BaseHTTPRequestHandler):
    """Sells OURS, and takes every text."""

    texts: list[dict[str, str]] = []
    sms_url = ""

    def do_GET(self) -> None:
        key = "incoming_phone_numbers" if "Incoming" in self.path else "available_phone_numbers"
        self.answer(200, {key: [{"phone_number": OURS, "region": "CA"}] if "Available" in self.path else []})

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
        if urlsplit(self.path).path.endswith("/Messages.json"):
            Twilio.texts.append(form)
            self.answer(201, {"sid": f"SM{len(Twilio.texts):032x}", "status": "queued"})
        else:
            Twilio.sms_url = form["SmsUrl"]
            self.answer(201, {"sid": "PN" + "0" * 32, "phone_number": OURS})

    def answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Offhook:
    def __init__(self, home, api: str) -> None:
        self.key = f"sk_live_{secrets.token_hex(16)}"
        self.url = f"http://127.0.0.1:{free_port()}"
        # As the world writes it: a proxy in front takes the folder away.
        self.public = "https://phone.example.com/phone"
        (home / "token").write_text(TOKEN + "\n")
        (home / "offhook.toml").write_text(
            f"""
server.public_url = "{self.public}"
prices.number_month_micros = 1_000_000
registration.required = false
[carriers.main]
kind = "twilio"
countries = ["US"]
account_sid = "{ACCOUNT}"
auth_token = "file:{home}/token"
base_url = "{api}"
[carriers.backup]
kind = "telnyx"
countries = ["US"]
priority = 200
api_key = "env:TELNYX_KEY"
public_key = "{PUBLIC_KEY}"
messaging_profile_id = "16fd2706-8baf-433b-82eb-8c7fada847da"
[carriers.smsc]
kind = "smpp"
priority = 300
countries = ["GB"]
address = "127.0.0.1:{free_port()}"
system_id = "offhook"
password = "env:TELNYX_KEY"
"""
        )
        passed = {name: os.environ[name] for name in ("PATH", "DATABASE_URL") if name in os.environ}
        environment = passed | {
            "HOME": str(home),
            "OFFHOOK_CONFIG": str(home / "offhook.toml"),
            "OFFHOOK_LISTEN": self.url.removeprefix("http://"),
            "OFFHOOK_DATA": str(home / "data"),
            "OFFHOOK_BOOTSTRAP_KEY": self.key,
            "TELNYX_KEY": "KEY1",
        }
        self.environment = environment
        self.log = home / "offhook.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [os.environ["OFFHOOK_BIN"], "serve"], cwd=home, env=environment, stdout=log, stderr=log
            )
        self.api = httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=30)
        for _ in range(300):
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.api.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def texts(self) -> list[dict]:
        return self.api.get(f"/v1/numbers/{self.number}/messages").json()["data"]


@pytest.fixture(scope="module")
def offhook(tmp_path_factory):
    stand_in = ThreadingHTTPServer(("127.0.0.1", 0), Twilio)
    threading.Thread(target=stand_in.serve_forever, daemon=True).start()
    server = Offhook(tmp_path_factory.mktemp("offhook"), f"http://127.0.0.1:{stand_in.server_port}")
    bought = server.api.post("/v1/numbers", json={})
    assert bought.status_code == 200, bought.text
    server.number = bought.json()["id"]
    try:
        yield server
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0, server.log.read_text()
        shown = server.log.read_text()
        assert TOKEN not in shown and "KEY1" not in shown, "a secret is in the log"
    finally:
        server.process.kill()
        stand_in.shutdown()


def post_twilio(offhook, url: str, form, token: str = TOKEN) -> httpx.Response:
    """Signed as Twilio does it: by the address it was told, without what stands behind #."""
    url = url.split("#")[0]
    signature = RequestValidator(token).compute_signature(url, dict(form))
    headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
    return httpx.post(offhook.url + url.removeprefix(offhook.public), content=urlencode(form), headers=headers)


@pytest.mark.parametrize(
    "body",
    ["Hi", "", "Grüße 👋 & = + % 100", "zwei\nZeilen\r\n", "日本語" * 100, "a" * 1600, "<Response/>"],
)
def test_a_text_that_twilios_library_signed_is_kept(offhook, body):
    sid = "SM" + secrets.token_hex(16)
    form = {"MessageSid": sid, "From": ADA, "To": OURS, "Body": body, "NumMedia": "0", "FromCity": "", "AccountSid": ACCOUNT}
    assert Twilio.sms_url.startswith(offhook.public + "/hooks/twilio/main/")
    before = len(offhook.texts())
    for _ in range(2):
        answer = post_twilio(offhook, Twilio.sms_url, form)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/xml")
    assert len(offhook.texts()) == before + 1
    assert offhook.texts()[0]["body"] == body


def test_what_another_token_signed_has_no_effect(offhook):
    before = len(offhook.texts())
    form = {"MessageSid": "SM" + secrets.token_hex(16), "From": ADA, "To": OURS, "Body": "forged"}
    assert post_twilio(offhook, Twilio.sms_url, form, token="0" * 32).status_code == 403
    assert len(offhook.texts()) == before


def test_a_text_out_and_its_receipt(offhook):
    wish = {"from_number": OURS, "to_number": ADA, "body": "Hello"}
    sent = offhook.api.post("/v1/messages", json=wish).json()
    for _ in range(200):
        if Twilio.texts and offhook.texts()[0]["status"] == "sent":
            break
        time.sleep(0.05)
    form = {"MessageSid": f"SM{len(Twilio.texts):032x}", "MessageStatus": "delivered", "To": ADA, "From": OURS}
    assert post_twilio(offhook, Twilio.texts[-1]["StatusCallback"], form).status_code == 200
    told = next(text for text in offhook.texts() if text["id"] == sent["id"])
    assert told["status"] == "delivered", told


def post_telnyx(offhook, payload: dict, at: int, key: SigningKey = TELNYX, checked: bool = True) -> httpx.Response:
    event = {"event_type": "message.received", "id": secrets.token_hex(8), "record_type": "event", "payload": payload}
    body = json.dumps({"data": event, "meta": {"attempt": 1}}, ensure_ascii=False)
    signature = base64.b64encode(key.sign(f"{at}|{body}".encode()).signature).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": str(at)}
    client = telnyx.Telnyx(api_key="KEY1", public_key=PUBLIC_KEY)
    if checked:
        client.webhooks.unwrap(body, headers=headers)
    else:
        with pytest.raises(ValueError):
            client.webhooks.unwrap(body, headers=headers)
    return httpx.post(offhook.url + "/hooks/telnyx/backup", content=body.encode(), headers=headers)


def inbound(text: str) -> dict:
    return {
        "id": secrets.token_hex(8),
        "direction": "inbound",
        "text": text,
        "from": {"phone_number": ADA},
        "to": [{"phone_number": OURS, "status": "webhook_delivered"}],
        "media": [],
    }


@pytest.mark.parametrize("text", ["Hi", "Grüße 👋", "日本語" * 100])
def test_a_text_that_telnyxs_library_takes_is_kept(offhook, text):
    answer = post_telnyx(offhook, inbound(text), int(time.time()))
    assert answer.status_code == 200, answer.text
    assert offhook.texts()[0]["body"] == text


@pytest.mark.parametrize("age, key", [(320, TELNYX), (-320, TELNYX), (0, SigningKey.generate())])
def test_what_telnyxs_library_refuses_has_no_effect(offhook, age, key):
    before = len(offhook.texts())
    answer = post_telnyx(offhook, inbound("refused"), int(time.time()) - age, key, checked=False)
    assert answer.status_code == 403, answer.text
    assert len(offhook.texts()) == before


def run(offhook, *words: str) -> subprocess.CompletedProcess:
    command = [os.environ["OFFHOOK_BIN"], *words]
    return subprocess.run(command, env=offhook.environment, capture_output=True, text=True, timeout=60)


def test_the_operators_own_numbers_are_imported_and_bought(offhook, tmp_path):
    file = tmp_path / "numbers.csv"
    rows = [f"+4420794600{n:02},London,LONDON" for n in range(100)]
    file.write_text("\n".join(["number,city,rate_center", *rows, "nonsense,London,", ""]))
    refused = run(offhook, "numbers", "import", str(file), "--carrier", "smsc")
    assert refused.returncode == 1 and "line 102: the number" in refused.stderr, refused.stderr
    file.write_text(file.read_text().replace("nonsense,London,\n", ""))
    for _ in range(2):
        done = run(offhook, "numbers", "import", str(file), "--carrier", "smsc")
        assert done.returncode == 0 and "100 numbers are in the stock of smsc" in done.stdout, done.stderr
    bought = offhook.api.post("/v1/numbers", json={"country": "GB"})
    assert bought.status_code == 200 and bought.json()["phoneNumber"].startswith("+442079460"), bought.text
    assert "100 own numbers, 1 sold" in run(offhook, "carriers", "list").stdout
    checked = run(offhook, "carriers", "check", "smsc")
    assert checked.returncode == 1 and "no connection: Connection refused" in checked.stdout, checked.stdout
    assert "100 numbers of your own, 1 of them sold" in checked.stdout
    assert offhook.api.delete(f"/v1/numbers/{bought.json()['id']}").status_code == 200


def test_the_command_line_shows_the_carriers_and_drains_one(offhook):
    def carriers(*words: str) -> subprocess.CompletedProcess:
        return run(offhook, "carriers", *words)

    listed = carriers("list")
    assert listed.returncode == 0, listed.stderr
    assert [line.split("  ")[:2] for line in listed.stdout.splitlines()] == [
        ["main", "twilio"],
        ["backup", "telnyx"],
        ["smsc", "smpp"],
    ]
    assert carriers("drain", "main").returncode == 0
    assert "drained" in carriers("list").stdout
    assert carriers("drain", "main", "--undo").returncode == 0
    assert "drained" not in carriers("list").stdout
    assert "no carrier is called nobody" in carriers("drain", "nobody").stderr
    assert TOKEN not in listed.stdout + listed.stderr
