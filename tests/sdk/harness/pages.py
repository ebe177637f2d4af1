"""Walking through lists the way a user does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .waiting import eventually


async def walk_offsets(list_page: Callable[..., Awaitable[Any]], limit: int = 100, **filters: Any) -> list:
    """Every item of an offset list, page by page. `total` and `has_more` must agree with what comes."""
    items: list = []
    while True:
        page = await list_page(limit=limit, offset=len(items), **filters)
        assert len(page.data) <= limit
        items += page.data
        assert page.has_more == (len(items) < page.total)
        if not page.has_more:
            return items
        assert page.data, "more is promised, but the page is empty"


async def walk_back(
    get_messages: Callable[..., Awaitable[Any]],
    of: str,
    limit: int,
    cursor: Callable[[Any], str] = lambda last: last.received_at,
) -> list[str]:
    """The ids of every message of a cursor list, newest first: `before=` is the cursor of the last one seen."""
    ids: list[str] = []
    before = None
    while True:
        page = await get_messages(of, limit=limit, before=before)
        fresh = [found.id for found in page.data]
        assert len(fresh) <= limit
        assert not set(fresh) & set(ids), f"repeated: {set(fresh) & set(ids)}"
        ids += fresh
        if not page.has_more:
            return ids
        assert fresh, "more is promised, but the page is empty"
        before = cursor(page.data[-1])


async def message(client: Any, conversation_id: str, message_id: str) -> Any:
    """One message of a conversation, as `conversations.get` shows it."""
    conversation = await client.conversations.get(conversation_id, message_limit=100)
    return next(found for found in conversation.messages if found.id == message_id)


async def message_once(client: Any, sent: dict, status: str) -> Any:
    """Waits until a message that was sent has that status, and returns it."""
    return await eventually(
        lambda: message(client, sent["conversation_id"], sent["id"]), until=lambda found: found.status == status
    )


async def conversation_with(client: Any, agent_id: str, participant: str, messages: int = 1) -> Any:
    """Waits for the agent's conversation with somebody to hold so many messages, and returns it."""

    async def look() -> Any:
        found = await client.agents.list_conversations(agent_id, limit=100)
        return next((c for c in found.data if c.participant == participant), None)

    return await eventually(look, until=lambda found: found is not None and found.message_count >= messages)
