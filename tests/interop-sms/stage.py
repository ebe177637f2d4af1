"""What the stories with Kannel are played with: processes that are started here and end with the test."""

from __future__ import annotations

import json
import os
import queue
import secrets
import signal
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import httpx

from running import PATIENCE, Running, certificate, eventually

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Receiver:
    """Takes whatever is posted or got, and answers 200; over TLS where there is a certificate."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.came: queue.Queue[tuple[str, bytes]] = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                receiver.came.put((self.path, body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        self.url = f"{self.scheme}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, wanted) -> object:
        """What `wanted` makes of the first request that it makes something of; those before it are gone."""
        until = time.monotonic() + PATIENCE
        passed = []
        while time.monotonic() < until:
            try:
                path, body = self.came.get(timeout=0.5)
            except queue.Empty:
                continue
            if (found := wanted(path, body)) is not None:
                return found
            passed.append((path, body))
        raise AssertionError(f"it did not come; what came: {passed}")

    def stop(self) -> None:
        self.server.shutdown()


class Peer:
    """A program that says JSON, a line at a time, and ends with its input."""

    def __init__(self, *command: str) -> None:
        environment = os.environ | {"NODE_PATH": f"{os.environ['OFFHOOK_INTEROP_PEERS']}/node_modules"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.said: queue.Queue[dict] = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()
        self.port: int = self.hear("port")["port"]

    def listen(self) -> None:
        for line in self.process.stdout:
            self.said.put(json.loads(line))

    def hear(self, key: str) -> dict:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                said = self.said.get(timeout=0.5)
            except queue.Empty:
                continue
            if key in said:
                return said
        raise AssertionError(f"the peer does not say {key}")

    def tell(self, what: object) -> None:
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Kannel:
    """Bearerbox and smsbox, bound to a message centre as an ESME."""

    def __init__(self, home: Path, smsc_port: int) -> None:
        self.receiver = Receiver()
        smsbox, sendsms = free_port(), free_port()
        self.url = f"http://127.0.0.1:{sendsms}/cgi-bin/sendsms"
        (home / "kannel.conf").write_text(
            f"""
group = core
admin-port = {free_port()}
admin-interface = 127.0.0.1
admin-password = {secrets.token_hex(8)}
smsbox-port = {smsbox}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
dlr-storage = internal
sms-combine-concatenated-mo = true
log-file = "{home}/bearerbox.log"
log-level = 0

group = smsc
smsc = smpp
smsc-id = main
host = 127.0.0.1
port = {smsc_port}
transceiver-mode = true
smsc-username = kannel
smsc-password = secret
system-type = ""
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
log-file = "{home}/smsbox.log"
log-level = 0

group = sendsms-user
username = us
password = secret
concatenation = true
max-messages = 10

group = sms-service
keyword = default
catch-all = true
omit-empty = true
max-messages = 0
get-url = "{self.receiver.url}/mo?%c&%p&%P&%b"
"""
        )
        self.home, self.boxes = home, []
        self.start("bearerbox", smsbox)
        self.start("smsbox", sendsms)

    def start(self, box: str, port: int) -> None:
        log = (self.home / f"{box}.out").open("wb")
        command = [f"/usr/sbin/{box}", str(self.home / "kannel.conf")]
        self.boxes.append(subprocess.Popen(command, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

        def listens():
            assert self.boxes[-1].poll() is None, (self.home / f"{box}.out").read_text()
            with socket.socket() as probe:
                return True if probe.connect_ex(("127.0.0.1", port)) == 0 else None

        eventually(listens, box)

    def send(self, sender: str, to: str, text: str) -> str:
        """Sends a text, and tells the path that its receipts come to."""
        ours = f"/dlr/{secrets.token_hex(8)}/"
        unicode = any(ord(c) > 0xFF for c in text)
        parameters = {
            "username": "us", "password": "secret", "from": sender, "to": to, "text": text, "charset": "UTF-8",
            "coding": "2" if unicode else "0", "dlr-mask": "31", "dlr-url": f"{self.receiver.url}{ours}%d",
        }  # fmt: skip
        answer = httpx.get(self.url, params=parameters, timeout=PATIENCE)
        assert answer.status_code == 202, answer.text
        return ours

    def delivered(self, ours: str) -> None:
        """Waits until the receipt says so: 1, of its codes."""
        self.receiver.next(lambda path, _: True if path == f"{ours}1" else None)

    def brought(self) -> tuple[str, str, str]:
        """The next text that comes: from, to and what it says."""

        def text(path: str, _: bytes):
            where = urlsplit(path)
            if where.path != "/mo":
                return None
            coding, sender, to, octets = where.query.split("&", 3)
            octets = unquote_to_bytes(octets.replace("+", " "))
            return (
                unquote_to_bytes(sender).decode(),
                unquote_to_bytes(to).decode(),
                octets.decode("utf-16-be" if coding == "2" else "utf-8"),
            )

        return self.receiver.next(text)

    def stop(self) -> None:
        for box in reversed(self.boxes):
            box.send_signal(signal.SIGTERM)
            try:
                box.wait(timeout=10)
            except subprocess.TimeoutExpired:
                box.kill()
                box.wait()
        self.receiver.stop()


class Offhook(Running):
    """`offhook serve` with one SMPP carrier, one number of the operator's own, and a webhook over https."""

    def __init__(self, home: Path, smsc_port: int, number: str) -> None:
        self.receiver = Receiver(certificate(home))
        configuration = f"""
webhooks.allowed_networks = ["127.0.0.0/8"]
prices.number_month_micros = 0
registration.required = false
[carriers.smsc]
kind = "smpp"
address = "127.0.0.1:{smsc_port}"
system_id = "offhook"
password = "env:SMSC_PASSWORD"
"""
        super().__init__(home, free_port(), configuration, SMSC_PASSWORD="secret")
        self.start()
        self.import_number(number, "smsc")
        bought = self.api.post("/v1/numbers", json={"country": "US"})
        assert bought.status_code == 200, bought.text
        hook = self.api.post("/v1/webhooks", json={"url": f"{self.receiver.url}/hook", "events": ["agent.message", "message.status"]})
        assert hook.status_code == 200, hook.text

    def send(self, sender: str, to: str, text: str) -> str:
        sent = self.api.post("/v1/messages", json={"from_number": sender, "to_number": to, "body": text})
        assert sent.status_code == 200, sent.text
        return sent.json()["id"]

    def told(self, event: str, wanted) -> dict:
        """The data of the next event of this kind that `wanted` takes."""

        def read(_: str, body: bytes):
            told = json.loads(body)
            return told["data"] if told["event"] == event and wanted(told["data"]) else None

        return self.receiver.next(read)

    def stop(self) -> None:
        try:
            self.end()
        finally:
            self.receiver.stop()
