"""The customer's server: records every webhook exactly as it came in, and answers as it is told to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from agentphone import WebhookEvent, construct_event


@dataclass(frozen=True)
class Delivery:
    path: str
    headers: Message  # names in any case
    body: bytes

    @property
    def envelope(self) -> dict:
        return json.loads(self.body)

    def opened_with(self, secret: str) -> WebhookEvent:
        """What a customer does: the SDK's helper verifies the signature and the age, and parses."""
        return construct_event(
            self.body,
            signature=self.headers["X-Webhook-Signature"],
            secret=secret,
            timestamp=self.headers["X-Webhook-Timestamp"],
        )

    def is_signed_with(self, secret: str) -> bool:
        """The same check without the SDK: HMAC-SHA256 over `{timestamp}.{raw body}`, in hex."""
        signed = self.headers["X-Webhook-Timestamp"].encode() + b"." + self.body
        expected = "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, self.headers["X-Webhook-Signature"])

    def is_standard_signed_with(self, secret: str) -> bool:
        """The Standard Webhooks scheme: base64 over `{id}.{timestamp}.{raw body}`, the key is base64 after `whsec_`."""
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        head = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}."
        digest = hmac.new(key, head.encode() + self.body, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(digest).decode()
        return expected in self.headers["webhook-signature"].split(" ")


class Receiver:
    """Answers 200 unless told otherwise. Listens on loopback, on a port of its own."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._deliveries: list[Delivery] = []
        self._answers: deque[tuple[int, bytes]] = deque()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/hook"

    def will_answer(self, status: int, body: str) -> None:
        """For the next delivery only; further calls queue up behind it."""
        self._answers.append((status, body.encode()))

    def all(self) -> list[Delivery]:
        with self._arrived:
            return list(self._deliveries)

    async def delivers(self, message: str, count: int = 1, within: float = 30.0) -> Delivery:
        """Waits for the count-th delivery whose `data.message` is that text."""
        found = await self.wait_for(lambda d: d.envelope["data"].get("message") == message, count, within)
        return found[count - 1]

    async def wait_for(self, wanted: Callable[[Delivery], bool], count: int, within: float) -> list[Delivery]:
        return await asyncio.to_thread(self._wait_for, wanted, count, within)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _wait_for(self, wanted: Callable[[Delivery], bool], count: int, within: float) -> list[Delivery]:
        deadline = time.monotonic() + within
        with self._arrived:
            while True:
                found = [delivery for delivery in self._deliveries if wanted(delivery)]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = [delivery.body.decode(errors="replace") for delivery in self._deliveries]
                    raise AssertionError(f"{len(found)} of {count} within {within:g} s; arrived so far: {seen}")
                self._arrived.wait(left)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver._arrived:
                    status, answer = receiver._answers.popleft() if receiver._answers else (200, b'{"ok": true}')
                    receiver._deliveries.append(Delivery(self.path, self.headers, body))
                    receiver._arrived.notify_all()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
