"""An agent's life: made, found, changed, given numbers, deleted."""

import pytest
from agentphone import NotFoundError

from harness.errors import bad_fields, refused
from harness.pages import conversation_with, walk_offsets


async def test_an_agent_is_created_with_the_documented_defaults(create_agent):
    agent = await create_agent(name="Booking desk", description="Takes table reservations")

    assert agent.id.startswith("agt_")
    assert agent.name == "Booking desk"
    assert agent.description == "Takes table reservations"
    assert agent.created_at.endswith("Z")
    assert agent.numbers == []
    assert agent.voice_mode == "webhook"
    assert agent.model_tier == "balanced"
    assert agent.enable_messaging is True
    assert agent.enable_backchannel is True
    assert agent.max_silence_ms == 600_000
    assert agent.voice_speed == 1.0
    assert agent.interruption_sensitivity == 0.8
    assert agent.language == "en-US"


async def test_an_agent_keeps_everything_it_was_given(client, create_agent):
    wishes = dict(
        name="Concierge",
        description="Answers guests",
        voice_mode="hosted",
        model_tier="max",
        system_prompt="You are the concierge of a small hotel.",
        begin_message="Good evening, how may I help?",
        transfer_number="+14152011234",
        voicemail_message="Please call back after six.",
        stt_mode="accurate",
        ambient_sound="coffee-shop",
        denoising_mode="noise-and-background-speech-cancellation",
        max_silence_ms=20_000,
        enable_messaging=False,
        enable_backchannel=False,
        interruption_sensitivity=0.25,
        voice_speed=1.5,
        language="de-DE",
    )
    agent = await create_agent(**wishes)

    assert {name: getattr(agent, name) for name in wishes} == wishes
    assert await client.agents.get(agent.id) == agent


async def test_an_update_changes_only_what_was_sent(client, create_agent):
    agent = await create_agent(name="Booking desk", description="Takes table reservations", language="fr-FR")

    renamed = await client.agents.update(agent.id, name="Front desk", max_silence_ms=30_000)

    assert (renamed.name, renamed.max_silence_ms) == ("Front desk", 30_000)
    assert (renamed.description, renamed.language) == ("Takes table reservations", "fr-FR")
    assert await client.agents.get(agent.id) == renamed


async def test_an_empty_text_clears_transfer_number_and_voicemail(client, create_agent):
    agent = await create_agent(name="Desk", transfer_number="(415) 201-1234", voicemail_message="Later, please.")
    assert agent.transfer_number == "+14152011234"

    cleared = await client.agents.update(agent.id, transfer_number="", voicemail_message="")

    assert cleared.transfer_number is None
    assert cleared.voicemail_message is None


async def test_a_hosted_agent_needs_a_system_prompt(create_agent):
    with refused(422) as refusal:
        await create_agent(name="Silent host", voice_mode="hosted")
    assert "systemPrompt" in bad_fields(refusal)


async def test_every_agent_is_found_by_paging_through_the_list(client, create_agent):
    made = [(await create_agent(name=f"Desk {n}")).id for n in range(5)]

    listed = [agent.id for agent in await walk_offsets(client.agents.list, limit=2)]

    assert len(listed) == len(set(listed))
    assert set(made) <= set(listed)


async def test_a_number_is_attached_moved_and_detached(client, create_agent, buy_number):
    day, night = await create_agent(name="Day desk"), await create_agent(name="Night desk")
    number = await buy_number()
    assert number.agent_id is None

    attached = await client.agents.attach_number(day.id, number.id)
    assert attached["agentId"] == day.id
    assert attached["number"]["id"] == number.id
    assert attached["number"]["phoneNumber"] == number.phone_number
    assert attached["number"]["status"] == "active"
    assert (await client.numbers.get(number.id)).agent_id == day.id

    await client.agents.attach_number(night.id, number.id)
    assert (await client.agents.get(day.id)).numbers == []
    [moved] = (await client.agents.get(night.id)).numbers
    assert (moved.id, moved.phone_number, moved.status, moved.type) == (
        number.id,
        number.phone_number,
        "active",
        "sms",
    )

    detached = await client.agents.detach_number(night.id, number.id)
    assert detached["success"] is True
    assert (await client.agents.get(night.id)).numbers == []
    left = await client.numbers.get(number.id)
    assert (left.agent_id, left.status) == (None, "active")


async def test_a_released_number_cannot_be_attached(client, agent, buy_number):
    number = await buy_number()
    await client.numbers.release(number.id)

    with refused(400):
        await client.agents.attach_number(agent.id, number.id)


async def test_a_deleted_agent_leaves_its_number_and_conversations_behind(client, agent, number, handset):
    await handset.texts(number.phone_number, "Anybody there?")
    conversation = await conversation_with(client, agent.id, handset.number)

    gone = await client.agents.delete(agent.id)

    assert (gone["success"], gone["id"], gone["name"]) == (True, agent.id, "Booking desk")
    with pytest.raises(NotFoundError):
        await client.agents.get(agent.id)
    with pytest.raises(NotFoundError):
        await client.agents.delete(agent.id)
    orphan = await client.numbers.get(number.id)
    assert (orphan.agent_id, orphan.status) == (None, "active")
    kept = await client.conversations.get(conversation.id)
    assert kept.agent_id is None
    assert [message.body for message in kept.messages] == ["Anybody there?"]
