"""Conversations: found, read page by page, and given a memory."""

import pytest
from agentphone import NotFoundError

from harness.errors import refused
from harness.pages import conversation_with, message_once, walk_back, walk_offsets


async def test_a_text_opens_a_conversation_and_the_answer_joins_it(client, agent, number, handset):
    await handset.texts(number.phone_number, "A table for two?")
    opened = await conversation_with(client, agent.id, handset.number)
    sent = await client.messages.send(agent_id=agent.id, to_number=handset.number, body="At eight.")
    await message_once(client, sent, status="delivered")

    conversation = await client.conversations.get(opened.id)

    assert conversation.id.startswith("conv_")
    assert sent["conversation_id"] == conversation.id
    assert (conversation.agent_id, conversation.phone_number_id) == (agent.id, number.id)
    assert (conversation.phone_number, conversation.participant) == (number.phone_number, handset.number)
    assert (conversation.message_count, conversation.last_message_preview) == (2, "At eight.")
    assert (conversation.channel, conversation.is_group) == ("sms", False)
    assert conversation.metadata is None
    assert conversation.capabilities.can_send_messages is True
    assert conversation.last_message_at.endswith("Z") and conversation.created_at.endswith("Z")
    said = {message.body: message for message in conversation.messages}
    assert said.keys() == {"A table for two?", "At eight."}
    assert said["A table for two?"].direction == "inbound"
    assert said["A table for two?"].from_number == handset.number
    assert said["At eight."].direction == "outbound"
    assert said["At eight."].from_number == number.phone_number


async def test_the_conversation_spoken_in_last_is_listed_first(client, agent, number, new_handset):
    anna, ben = new_handset(), new_handset()
    await anna.texts(number.phone_number, "Anna here")
    await conversation_with(client, agent.id, anna.number)
    await ben.texts(number.phone_number, "Ben here")
    await conversation_with(client, agent.id, ben.number)
    await anna.texts(number.phone_number, "Anna again")
    await conversation_with(client, agent.id, anna.number, messages=2)

    of_agent = await client.agents.list_conversations(agent.id)
    of_account = await walk_offsets(client.conversations.list, limit=3)

    assert [conversation.participant for conversation in of_agent.data] == [anna.number, ben.number]
    assert (of_agent.total, of_agent.has_more) == (2, False)
    assert [conversation.id for conversation in of_account][:2] == [conversation.id for conversation in of_agent.data]
    times = [conversation.last_message_at for conversation in of_account]
    assert times == sorted(times, reverse=True)


async def test_metadata_is_replaced_and_otherwise_left_alone(client, agent, number, handset):
    await handset.texts(number.phone_number, "Hi")
    conversation = await conversation_with(client, agent.id, handset.number)

    noted = await client.conversations.update(conversation.id, metadata={"step": "booking", "guests": {"adults": 2}})
    assert noted.metadata == {"step": "booking", "guests": {"adults": 2}}
    assert [message.body for message in noted.messages] == ["Hi"]

    untouched = await client.conversations.update(conversation.id)
    assert untouched.metadata == {"step": "booking", "guests": {"adults": 2}}

    replaced = await client.conversations.update(conversation.id, metadata={"step": "done"})
    assert replaced.metadata == {"step": "done"}

    await client.conversations.update(conversation.id, metadata={})
    assert (await client.conversations.get(conversation.id)).metadata == {}


async def test_a_long_conversation_is_read_back_page_by_page(client, agent, number, handset):
    conversation_id = await _chat(client, agent, number, handset, rounds=4)
    everything = await client.conversations.get_messages(conversation_id)
    assert [message.body for message in everything.data] == _spoken(rounds=4)[::-1]
    assert everything.has_more is False

    by_time = await walk_back(client.conversations.get_messages, conversation_id, limit=3)
    by_id = await walk_back(client.conversations.get_messages, conversation_id, limit=3, cursor=lambda last: last.id)
    one_by_one = await walk_back(client.conversations.get_messages, conversation_id, limit=1)

    assert by_time == by_id == one_by_one == [message.id for message in everything.data]


async def test_texts_that_come_at_once_are_paged_without_gaps_or_repeats(client, agent, number, handset):
    for n in range(10):
        sent = await client.messages.send(agent_id=agent.id, to_number=handset.number, body=f"Line {n}")
    everything = await client.conversations.get_messages(sent["conversation_id"])

    paged = await walk_back(client.conversations.get_messages, sent["conversation_id"], limit=1)

    assert paged == [message.id for message in everything.data]
    assert [message.body for message in everything.data] == [f"Line {n}" for n in reversed(range(10))]


async def test_only_what_came_after_a_message_is_asked_for(client, agent, number, handset):
    conversation_id = await _chat(client, agent, number, handset, rounds=2)
    newest, second, third, oldest = (await client.conversations.get_messages(conversation_id)).data

    by_time = await client.conversations.get_messages(conversation_id, after=third.received_at)
    by_id = await client.conversations.get_messages(conversation_id, after=third.id)
    between = await client.conversations.get_messages(conversation_id, after=oldest.id, before=newest.id)

    assert [message.id for message in by_time.data] == [newest.id, second.id]
    assert [message.id for message in by_id.data] == [newest.id, second.id]
    assert [message.id for message in between.data] == [second.id, third.id]


async def test_a_conversation_comes_with_its_latest_messages(client, agent, number, handset):
    conversation_id = await _chat(client, agent, number, handset, rounds=2)

    conversation = await client.conversations.get(conversation_id, message_limit=2)

    assert conversation.message_count == 4
    assert {message.body for message in conversation.messages} == set(_spoken(rounds=2)[-2:])


async def test_imessage_gestures_are_refused_on_sms(client, agent, number, handset):
    await handset.texts(number.phone_number, "Hi")
    conversation = await conversation_with(client, agent.id, handset.number)

    with refused(400):
        await client.conversations.send_typing(conversation.id)
    with refused(400):
        await client.conversations.set_background(conversation.id, "https://media.example/beach.jpg")
    with refused(400):
        await client.conversations.delete_background(conversation.id)


async def test_limits_and_cursors_must_make_sense(client, agent, number, handset):
    await handset.texts(number.phone_number, "Hi")
    conversation = await conversation_with(client, agent.id, handset.number)

    with refused(422):
        await client.conversations.get(conversation.id, message_limit=101)
    with refused(422):
        await client.conversations.get_messages(conversation.id, limit=0)
    with refused(422):
        await client.conversations.get_messages(conversation.id, limit=201)
    with refused(422):
        await client.conversations.get_messages(conversation.id, before="yesterday")
    with pytest.raises(NotFoundError):
        await client.conversations.get_messages("conv_nowhere")
    with pytest.raises(NotFoundError):
        await client.conversations.update("conv_nowhere", metadata={"step": "lost"})


def _spoken(rounds: int) -> list[str]:
    return [line for n in range(rounds) for line in (f"Question {n}", f"Answer {n}")]


async def _chat(client, agent, number, handset, rounds: int) -> str:
    """The handset asks, the agent answers, so many times. Returns the conversation's id."""
    for n in range(rounds):
        await handset.texts(number.phone_number, f"Question {n}")
        conversation = await conversation_with(client, agent.id, handset.number, messages=2 * n + 1)
        await client.messages.send(agent_id=agent.id, to_number=handset.number, body=f"Answer {n}")
    return conversation.id
