"""The human's mailbox: a real SMTP server on loopback that keeps what it is given."""

from __future__ import annotations

import re
import threading
from email import message_from_bytes
from email.message import Message

from aiosmtpd.controller import Controller

from .server import free_port
from .waiting import eventually


class Mailbox:
    """Refuses the first `refusals` mails for the moment, as a busy server does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mails: list[tuple[str, Message]] = []
        self.refusals = 0
        # It can't take port 0: it looks for itself where it was told to listen.
        self._port = free_port()
        self._server = Controller(self, hostname="127.0.0.1", port=self._port)
        self._server.start()

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802  aiosmtpd's name for it
        with self._lock:
            if self.refusals:
                self.refusals -= 1
                return "451 come back later"
            mail = message_from_bytes(envelope.content)
            self._mails += [(address, mail) for address in envelope.rcpt_tos]
        return "250 taken"

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._port}"

    async def mail_for(self, address: str) -> Message:
        """The last mail for an address, once there is one."""

        async def look() -> Message | None:
            with self._lock:
                return next((mail for to, mail in reversed(self._mails) if to == address), None)

        return await eventually(look, until=lambda mail: mail is not None)

    async def code_for(self, address: str) -> str:
        mail = await self.mail_for(address)
        return re.search(r"\b\d{6}\b", mail.get_payload(decode=True).decode()).group()

    def close(self) -> None:
        self._server.stop()
