"""The only place that waits: ask again until it holds, or fail at the deadline and say what was last seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

PAUSE = 0.05


async def eventually(
    probe: Callable[[], Awaitable[Any]],
    until: Callable[[Any], bool] = bool,
    within: float = 20.0,
) -> Any:
    """Awaits `probe()` again and again until `until(answer)` holds, and returns that answer."""
    deadline = time.monotonic() + within
    while True:
        answer = await probe()
        if until(answer):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s; last seen: {answer!r}")
        await asyncio.sleep(PAUSE)


def eventually_now(probe: Callable[[], Any], within: float, otherwise: Callable[[], str]) -> Any:
    """The same for code outside an event loop. `otherwise()` says what went wrong."""
    deadline = time.monotonic() + within
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s\n{otherwise()}")
        time.sleep(PAUSE)
