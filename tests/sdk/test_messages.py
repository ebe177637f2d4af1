"""Sending: from the agent's number to somebody's handset, in order, with a status one can follow."""

import pytest
from agentphone import NotFoundError

from harness.errors import refused
from harness.pages import message_once


async def test_a_text_is_queued_and_then_delivered(client, agent, number, handset):
    sent = await client.messages.send(agent_id=agent.id, to_number=handset.number, body="Your table is ready.")

    assert sent["id"].startswith("msg_")
    assert sent["conversation_id"].startswith("conv_")
    assert (sent["status"], sent["channel"]) == ("queued", "sms")
    assert (sent["from_number"], sent["to_number"]) == (number.phone_number, handset.number)

    [received] = await handset.receives(1)
    assert (received["from"], received["body"]) == (number.phone_number, "Your table is ready.")

    delivered = await message_once(client, sent, status="delivered")
    assert (delivered.direction, delivered.channel) == ("outbound", "sms")
    assert (delivered.from_number, delivered.to_number) == (number.phone_number, handset.number)
    assert (delivered.failure_reason, delivered.error_code) == (None, None)
    assert delivered.delivered_at.endswith("Z")
    assert (delivered.reactions, delivered.reply_to) == ([], None)


async def test_texts_to_one_person_arrive_in_the_order_they_were_sent(client, agent, number, handset):
    lines = [f"Line {n}" for n in range(8)]
    for line in lines:
        sent = await client.messages.send(agent_id=agent.id, to_number=handset.number, body=line)

    received = await handset.receives(len(lines))
    conversation = await client.conversations.get_messages(sent["conversation_id"])

    assert [message["body"] for message in received] == lines
    assert [message.body for message in conversation.data] == lines[::-1]


async def test_text_in_any_script_arrives_as_written(client, agent, number, handset):
    body = "Grüße 你好 👋🏽\nzweite Zeile " + "lang " * 60

    sent = await client.messages.send(agent_id=agent.id, to_number=handset.number, body=body)

    [received] = await handset.receives(1)
    assert received["body"] == body
    assert (await message_once(client, sent, status="delivered")).body == body


async def test_a_number_may_be_written_the_national_way(client, agent, number, handset):
    sent = await client.messages.send(agent_id=agent.id, to_number=handset.national, body="Hello")

    assert sent["to_number"] == handset.number
    await handset.receives(1)


async def test_the_sender_is_the_agents_first_number_unless_one_is_named(client, agent, buy_number, handset):
    first = await buy_number(agent_id=agent.id)
    second = await buy_number(agent_id=agent.id)

    by_agent = await client.messages.send(agent_id=agent.id, to_number=handset.number, body="first")
    by_id = await client.messages.send(
        agent_id=agent.id, number_id=second.id, to_number=handset.number, body="second, by id"
    )
    by_number = await client.messages.send(
        agent_id=agent.id, from_number=second.phone_number, to_number=handset.number, body="second, by number"
    )

    assert by_agent["from_number"] == first.phone_number
    assert by_id["from_number"] == second.phone_number
    assert by_number["from_number"] == second.phone_number
    assert by_id["conversation_id"] == by_number["conversation_id"] != by_agent["conversation_id"]


async def test_a_number_sends_without_naming_its_agent(client, agent, number, handset):
    by_id = await client.messages.send(number_id=number.id, to_number=handset.number, body="by id")
    by_number = await client.messages.send(from_number=number.phone_number, to_number=handset.number, body="by number")

    assert by_id["from_number"] == by_number["from_number"] == number.phone_number
    assert [message["body"] for message in await handset.receives(2)] == ["by id", "by number"]


@pytest.mark.parametrize("old", [False, True])
async def test_a_picture_needs_no_words(client, agent, number, handset, pictures, old):
    menu = pictures.url("menu.png")
    media = dict(media_url=menu) if old else dict(media_urls=[menu])
    sent = await client.messages.send(agent_id=agent.id, to_number=handset.number, **media)

    assert sent["media_urls"] == [menu]
    [received] = await handset.receives(1)
    [link] = received["mediaUrls"]
    assert "/media/med_" in link
    delivered = await message_once(client, sent, status="delivered")
    assert (delivered.body, delivered.channel) == ("", "mms")
    assert delivered.media_urls == [menu]
    assert delivered.media_url == menu


async def test_features_of_another_channel_degrade_silently(client, agent, number, handset):
    sent = await client.messages.send(
        agent_id=agent.id, to_number=handset.number, body="Happy birthday!", send_style="confetti"
    )

    assert sent["channel"] == "sms"
    [received] = await handset.receives(1)
    assert received["body"] == "Happy birthday!"


async def test_a_reaction_is_refused_off_imessage(client, agent, number, handset):
    sent = await client.messages.send(agent_id=agent.id, to_number=handset.number, body="Nice?")

    with refused(400):
        await client.messages.react(sent["id"], "love")


async def test_an_agent_without_a_number_cannot_send(client, agent, handset):
    with refused(400):
        await client.messages.send(agent_id=agent.id, to_number=handset.number, body="Hello?")


async def test_an_unknown_agent_cannot_send(client, handset):
    with pytest.raises(NotFoundError):
        await client.messages.send(agent_id="agt_nobody", to_number=handset.number, body="Hello?")


async def test_a_message_needs_text_or_media(client, agent, number, handset):
    with refused(400, 422):
        await client.messages.send(agent_id=agent.id, to_number=handset.number)


async def test_a_message_needs_somebody_to_go_to(client, agent, number):
    with refused(400, 422):
        await client.messages.send(agent_id=agent.id, body="Hello?")
    with refused(400, 422):
        await client.messages.send(agent_id=agent.id, to_number="nobody in particular", body="Hello?")
