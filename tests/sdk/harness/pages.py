"""Walking through lists the way a user does."""

from __future__ import annotations

from typing import Any, Awaitable, Callable

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
