"""Phone calls over the sandbox's network: the customer's server is what the agent says."""

import asyncio
import inspect
import json

import pytest
from agentphone import AgentPhoneError

from harness.waiting import eventually


def says(text: str, **more) -> str:
    return json.dumps({"text": text, **more})


async def until_over(client, call_id: str):
    async def over():
        call = await client.calls.get(call_id)
        return call if call.status in ("completed", "failed") else None

    return await eventually(over)


async def all_of(stream) -> list:
    """What a stream yields, from a generator of either kind."""
    stream = await stream if inspect.isawaitable(stream) else stream
    if hasattr(stream, "__aiter__"):
        return [event async for event in stream]
    return await asyncio.to_thread(list, stream)


async def test_an_agent_calls_a_person_and_its_webhook_answers(client, agent, number, receiver, account_webhook):
    for _ in range(4):
        receiver.will_answer(200, says("I see."))
    call = await client.calls.make(agent.id, "+14155550142", initial_greeting="Hello {{who}}.", variables={"who": "Ada"})
    assert (call.direction, call.to_number, call.agent_id) == ("outbound", "+14155550142", agent.id)
    assert (call.from_number, call.phone_number_id, call.transcripts) == (number.phone_number, number.id, [])

    over = await until_over(client, call.id)
    assert over.status == "completed"
    assert over.duration_seconds > 0
    assert over.agent_name == agent.name
    assert over.transcripts[0].response == "Hello Ada."
    assert (over.transcripts[1].transcript, over.transcripts[1].response) == ("Yes, that is me.", "I see.")

    transcript = await client.calls.get_transcript(call.id)
    assert [turn["id"] for turn in transcript["data"]] == [turn.id for turn in over.transcripts]
    listed = await client.calls.list(direction="outbound", search="0142")
    assert call.id in [one.id for one in listed.data]


async def test_a_transcript_is_streamed_from_its_beginning_to_the_end(client, agent, number, receiver, account_webhook):
    receiver.will_answer(200, says("Goodbye.", hangup=True))
    call = await client.calls.make(agent.id, "+14155550143", initial_greeting="Hello.")
    events = await all_of(client.calls.stream_transcript(call.id))

    assert [event["event"] for event in events] == ["connected", "turn", "turn", "turn", "ended"]
    turns = [(event["data"]["role"], event["data"]["content"]) for event in events if event["event"] == "turn"]
    assert turns == [("agent", "Hello."), ("user", "Yes, that is me."), ("agent", "Goodbye.")]
    assert events[-1]["data"]["status"] == "completed"


async def test_the_end_of_a_call_is_told_with_all_that_was_said(client, agent, number, receiver, account_webhook):
    receiver.will_answer(200, says("Goodbye.", hangup=True))
    call = await client.calls.make(agent.id, "+14155550144")
    found = await receiver.wait_for(lambda one: one.envelope["event"] == "agent.call_ended", 1, 30.0)
    event = found[0].opened_with(account_webhook.secret)
    assert event.raw["data"]["callId"] == call.id
    assert event.raw["data"]["disconnectionReason"] == "agent_hangup"
    said = [turn["role"] for turn in event.raw["data"]["transcript"]]
    assert said == ["user", "agent"]


@pytest.mark.parametrize(("digits", "reason"), [("0101", "busy"), ("0104", "invalid_number")])
async def test_a_call_that_comes_to_nothing_says_why(client, agent, number, account_webhook, digits, reason):
    call = await client.calls.make(agent.id, f"+1500555{digits}")
    over = await until_over(client, call.id)
    assert (over.status, over.duration_seconds) == ("failed", 0)
    listed = await client.calls.list(status=reason)
    assert call.id in [one.id for one in listed.data]


async def test_a_call_is_ended(client, agent, number, account_webhook):
    call = await client.calls.make(agent.id, "+15005550111")

    async def stands():
        return (await client.calls.get(call.id)).status == "in-progress"

    await eventually(stands)
    await client.calls.end(call.id)
    assert (await until_over(client, call.id)).status == "completed"
    with pytest.raises(AgentPhoneError) as missing:
        await client.calls.get_recording(call.id)
    assert missing.value.status == 404


async def test_help_in_need_is_not_called(client, agent, number, account_webhook):
    with pytest.raises(AgentPhoneError) as refused:
        await client.calls.make(agent.id, "+19115550100")
    assert refused.value.status == 403


async def test_calls_of_an_agent_and_of_a_number_are_listed(client, agent, number, account_webhook):
    call = await client.calls.make(agent.id, "+15005550101")
    await until_over(client, call.id)
    assert [one.id for one in (await client.agents.list_calls(agent.id)).data] == [call.id]
    assert [one.id for one in (await client.numbers.list_calls(number.id)).data] == [call.id]
