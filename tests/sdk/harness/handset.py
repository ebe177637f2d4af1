"""A virtual handset of the sandbox world: somebody out there who texts our numbers and is texted by them."""

from __future__ import annotations

import random
from urllib.parse import quote

import httpx
import phonenumbers

from .waiting import eventually

_taken: set[str] = set()


class Handset:
    def __init__(self, base_url: str) -> None:
        self.number = _somebodys_number()
        self._base_url = base_url

    @property
    def national(self) -> str:
        """The number as its owner would write it down: (415) 201-1234."""
        parsed = phonenumbers.parse(self.number)
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)

    async def texts(self, to: str, body: str = "", media_urls: list[str] | None = None) -> None:
        message = {"from": self.number, "to": to, "body": body, "media_urls": media_urls or []}
        async with httpx.AsyncClient(base_url=self._base_url) as world:
            answer = await world.post("/sandbox/messages", json=message)
        assert answer.is_success, f"{answer.status_code} {answer.text}"

    async def inbox(self) -> list[dict]:
        """What this handset has received so far, oldest first."""
        path = f"/sandbox/handsets/{quote(self.number, safe='')}/messages"
        async with httpx.AsyncClient(base_url=self._base_url) as world:
            answer = await world.get(path)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        received = [message for message in answer.json()["data"] if message["to"] == self.number]
        return sorted(received, key=lambda message: message["at"])

    async def receives(self, count: int) -> list[dict]:
        """Waits until so many messages have arrived."""
        return await eventually(self.inbox, until=lambda inbox: len(inbox) >= count)


def _somebodys_number() -> str:
    """A valid number that is not in the sandbox's inventory (NPA-555-01xx), and not used twice in a run."""
    while True:
        number = (
            f"+1{random.choice(('415', '212', '312', '617'))}{random.randint(201, 499)}{random.randint(0, 9999):04}"
        )
        if number not in _taken and phonenumbers.is_valid_number(phonenumbers.parse(number)):
            _taken.add(number)
            return number
