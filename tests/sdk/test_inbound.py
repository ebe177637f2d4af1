"""Somebody texts us: a signed event reaches the customer's server, with all it needs to answer."""

import pytest
from agentphone import WebhookVerificationError, construct_event

from harness.pages import conversation_with, message_once
from harness.waiting import eventually

ENVELOPE = {"event", "channel", "timestamp", "agentId", "data", "conversationState", "recentHistory"}
MESSAGE = {
    "messageId", "externalMessageId", "conversationId", "numberId", "from", "to", "contact", "message", "mediaUrl",
    "mediaUrls", "direction", "receivedAt", "externalId",
}  # fmt: skip


async def test_an_inbound_text_arrives_as_a_signed_event(client, agent, number, handset, receiver, account_webhook):
    await handset.texts(number.phone_number, "Do you have a table for two?")

    delivery = await receiver.delivers("Do you have a table for two?")
    event = delivery.opened_with(account_webhook.secret)

    assert (event.event, event.channel, event.agent_id) == ("agent.message", "sms", agent.id)
    assert event.timestamp.endswith("Z")
    assert (event.data.from_number, event.data.to_number) == (handset.number, number.phone_number)
    assert (event.data.message, event.data.direction) == ("Do you have a table for two?", "inbound")
    assert event.data.number_id == number.id
    assert event.data.received_at.endswith("Z")
    assert (event.data.media_url, event.data.media_urls) == (None, [])
    assert event.data.contact is None
    assert (event.recent_history, event.conversation_state) == ([], None)
    assert not event.test
    assert ENVELOPE <= event.raw.keys()
    assert MESSAGE <= event.data.raw.keys()

    conversation = await client.conversations.get(event.data.conversation_id)
    assert [message.id for message in conversation.messages] == [event.data.message_id]


async def test_the_signature_is_the_documented_one(agent, number, handset, receiver, account_webhook):
    await handset.texts(number.phone_number, "Signed, sealed")
    delivery = await receiver.delivers("Signed, sealed")

    assert delivery.is_signed_with(account_webhook.secret)
    assert delivery.is_standard_signed_with(account_webhook.secret)
    assert delivery.headers["X-Webhook-Event"] == "agent.message"
    assert delivery.headers["X-Webhook-ID"].startswith("del_")
    assert delivery.headers["webhook-id"] == delivery.headers["X-Webhook-ID"]
    assert delivery.headers["webhook-timestamp"] == delivery.headers["X-Webhook-Timestamp"]
    assert delivery.headers["Content-Type"].startswith("application/json")


async def test_a_changed_body_or_another_secret_does_not_verify(agent, number, handset, receiver, account_webhook):
    await handset.texts(number.phone_number, "Pay 10 dollars")
    delivery = await receiver.delivers("Pay 10 dollars")
    signature, timestamp = delivery.headers["X-Webhook-Signature"], delivery.headers["X-Webhook-Timestamp"]

    with pytest.raises(WebhookVerificationError):
        construct_event(delivery.body.replace(b"10", b"99"), signature, account_webhook.secret, timestamp)
    with pytest.raises(WebhookVerificationError):
        construct_event(delivery.body, signature, "whsec_somebody_elses", timestamp)


async def test_the_event_carries_the_conversations_memory_and_history(
    client, agent, number, handset, receiver, account_webhook
):
    await handset.texts(number.phone_number, "A table?")
    first = (await receiver.delivers("A table?")).opened_with(account_webhook.secret)
    sent = await client.messages.send(agent_id=agent.id, to_number=handset.number, body="For how many?")
    await message_once(client, sent, status="delivered")
    await client.conversations.update(first.data.conversation_id, metadata={"step": "party size"})

    await handset.texts(number.phone_number, "Two")
    event = (await receiver.delivers("Two")).opened_with(account_webhook.secret)

    assert event.conversation_state == {"step": "party size"}
    assert [(item.content, item.direction, item.channel) for item in event.recent_history] == [
        ("A table?", "inbound", "sms"),
        ("For how many?", "outbound", "sms"),
    ]
    assert [item["messageId"] for item in event.raw["recentHistory"]] == [first.data.message_id, sent["id"]]


async def test_the_history_is_as_long_as_the_webhook_asked_for(
    client, agent, number, handset, receiver, no_account_webhook
):
    webhook = await client.webhooks.set(url=receiver.url, context_limit=2)
    for line in ("one", "two", "three", "four"):
        await handset.texts(number.phone_number, line)
        delivery = await receiver.delivers(line)

    event = delivery.opened_with(webhook.secret)

    assert [item.content for item in event.recent_history] == ["two", "three"]


async def test_a_known_sender_comes_with_name(client, agent, number, handset, receiver, account_webhook):
    contact = await client.contacts.create(handset.number, "Ada Lovelace", email="ada@example.com")

    await handset.texts(number.phone_number, "It is me")
    event = (await receiver.delivers("It is me")).opened_with(account_webhook.secret)

    assert event.data.contact == {
        "id": contact.id,
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "phoneNumber": handset.number,
    }


async def test_a_picture_without_words_arrives(client, agent, number, handset, receiver, account_webhook, pictures):
    await handset.texts(number.phone_number, media_urls=[pictures.url("receipt.png")])

    event = (await receiver.delivers("")).opened_with(account_webhook.secret)

    assert event.channel == "mms"
    assert event.data.message == ""
    [link] = event.data.media_urls
    assert "/media/med_" in link
    assert event.data.media_url == link


async def test_the_numbers_external_id_comes_along(agent, buy_number, handset, receiver, account_webhook):
    number = await buy_number(agent_id=agent.id, external_id="table-7")

    await handset.texts(number.phone_number, "To table seven")
    event = (await receiver.delivers("To table seven")).opened_with(account_webhook.secret)

    assert event.data.external_id == "table-7"


async def test_texts_of_one_conversation_arrive_in_order(agent, number, handset, receiver, account_webhook):
    lines = [f"Line {n}" for n in range(8)]
    for line in lines:
        await handset.texts(number.phone_number, line)
    await receiver.wait_for(lambda d: d.envelope["data"]["from"] == handset.number, count=len(lines), within=30)

    assert [delivery.envelope["data"]["message"] for delivery in receiver.all()] == lines


async def test_a_text_is_kept_although_nobody_listens(client, agent, number, handset):
    assert await client.webhooks.get() is None

    await handset.texts(number.phone_number, "Anybody?")

    conversation = await conversation_with(client, agent.id, handset.number)
    page = await client.conversations.get_messages(conversation.id)
    assert [message.body for message in page.data] == ["Anybody?"]


async def test_the_answer_reaches_whoever_asked(client, agent, number, handset, receiver, account_webhook):
    await handset.texts(number.phone_number, "Are you open?")
    event = (await receiver.delivers("Are you open?")).opened_with(account_webhook.secret)

    await client.messages.send(agent_id=event.agent_id, to_number=event.data.from_number, body="Until ten.")

    inbox = await eventually(handset.inbox)
    assert [message["body"] for message in inbox] == ["Until ten."]
