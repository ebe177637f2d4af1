"""The SDK's two clients behind one face, so that every story runs on both.

The async client is used as it is. The sync client's methods are made awaitable (each call runs in a thread); nothing
else about either is changed.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from agentphone import AgentPhone, AsyncAgentPhone

# The sync client's library lets the environment interfere: a proxy, or a netrc entry that replaces the API key.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
os.environ["NETRC"] = os.devnull


def connect(kind: str, api_key: str, base_url: str) -> Any:
    if kind == "async":
        return AsyncAgentPhone(api_key=api_key, base_url=base_url)
    return _Awaitable(AgentPhone(api_key=api_key, base_url=base_url))


class _Awaitable:
    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return _Awaitable(found)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.to_thread(found, *args, **kwargs)

        return call
