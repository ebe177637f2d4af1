"""An agent with a webhook of its own: its events go there, and nowhere else."""

import pytest
from agentphone import NotFoundError

from harness.errors import refused
from harness.waiting import eventually


async def test_an_agents_webhook_is_set_replaced_and_deleted(client, agent, receiver):
    assert await client.agents.get_webhook(agent.id) is None

    webhook = await client.agents.set_webhook(agent.id, receiver.url, context_limit=3, timeout=10)
    assert webhook.id.startswith("wh_")
    assert webhook.secret.startswith("whsec_")
    assert (webhook.url, webhook.status) == (receiver.url, "active")
    assert (webhook.context_limit, webhook.timeout) == (3, 10)
    assert await client.agents.get_webhook(agent.id) == webhook

    replaced = await client.agents.set_webhook(agent.id, f"{receiver.url}/v2")
    assert replaced.url == f"{receiver.url}/v2"
    assert replaced.secret != webhook.secret
    assert await client.agents.get_webhook(agent.id) == replaced

    assert (await client.agents.delete_webhook(agent.id))["success"] is True
    assert await client.agents.get_webhook(agent.id) is None


async def test_events_go_to_the_agents_webhook_and_not_to_the_accounts(
    client, create_agent, buy_number, handset, new_receiver, no_account_webhook
):
    accounts, own = new_receiver(), new_receiver()
    account_webhook = await client.webhooks.set(url=accounts.url)
    with_own, without = await create_agent(name="Own server"), await create_agent(name="No server")
    own_webhook = await client.agents.set_webhook(with_own.id, own.url)
    number_with_own = await buy_number(agent_id=with_own.id)
    number_without = await buy_number(agent_id=without.id)

    await handset.texts(number_with_own.phone_number, "To the one with its own")
    special = (await own.delivers("To the one with its own")).opened_with(own_webhook.secret)
    await handset.texts(number_without.phone_number, "To the one without")
    general = (await accounts.delivers("To the one without")).opened_with(account_webhook.secret)

    assert (special.agent_id, general.agent_id) == (with_own.id, without.id)
    assert [delivery.envelope["data"]["message"] for delivery in own.all()] == ["To the one with its own"]
    assert [delivery.envelope["data"]["message"] for delivery in accounts.all()] == ["To the one without"]


async def test_events_fall_back_to_the_account_when_the_agents_webhook_is_gone(
    client, agent, number, handset, new_receiver, no_account_webhook
):
    accounts, own = new_receiver(), new_receiver()
    account_webhook = await client.webhooks.set(url=accounts.url)
    await client.agents.set_webhook(agent.id, own.url)
    await client.agents.delete_webhook(agent.id)

    await handset.texts(number.phone_number, "Who is there?")

    event = (await accounts.delivers("Who is there?")).opened_with(account_webhook.secret)
    assert event.agent_id == agent.id
    assert own.all() == []


async def test_an_agents_webhook_is_tested(client, agent, receiver):
    webhook = await client.agents.set_webhook(agent.id, receiver.url)

    result = await client.agents.test_webhook(agent.id)

    assert (result["success"], result["httpStatus"]) == (True, 200)
    [delivery] = receiver.all()
    assert delivery.is_signed_with(webhook.secret)
    event = delivery.opened_with(webhook.secret)
    assert (event.event, event.agent_id, event.test) == ("agent.message", agent.id, True)


async def test_an_agents_deliveries_are_on_record(client, create_agent, agent, number, handset, receiver):
    other = await create_agent(name="Nothing ever happens here")
    await client.agents.set_webhook(agent.id, receiver.url)
    await handset.texts(number.phone_number, "For this agent's record")
    delivery = await receiver.delivers("For this agent's record")

    [record] = await eventually(
        lambda: client.agents.list_webhook_deliveries(agent.id, limit=10),
        until=lambda records: records and records[0].status == "success",
    )

    assert record.id == delivery.headers["X-Webhook-ID"]
    assert record.message_id == delivery.envelope["data"]["messageId"]
    assert (record.event_type, record.http_status, record.attempt_count) == ("agent.message", 200, 1)
    assert await client.agents.list_webhook_deliveries(other.id) == []


async def test_an_unknown_agent_has_no_webhook_to_speak_of(client, receiver):
    with pytest.raises(NotFoundError):
        await client.agents.get_webhook("agt_nobody")
    with pytest.raises(NotFoundError):
        await client.agents.set_webhook("agt_nobody", receiver.url)
    with pytest.raises(NotFoundError):
        await client.agents.list_webhook_deliveries("agt_nobody")


async def test_an_agent_without_a_webhook_cannot_test_it(client, agent):
    with refused(400, 404):
        await client.agents.test_webhook(agent.id)
