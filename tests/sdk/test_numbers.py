"""A number's life: bought, found, used, released. What it said stays."""

import pytest
from agentphone import NotFoundError

from harness.errors import bad_fields, refused
from harness.pages import message_once, walk_back, walk_offsets
from harness.waiting import eventually


async def test_a_number_is_bought_in_an_area_code_for_an_agent(client, agent, buy_number):
    number = await buy_number(area_code="415", agent_id=agent.id)

    assert number.id.startswith("num_")
    assert number.phone_number.startswith("+1415")
    assert (number.country, number.status, number.type) == ("US", "active", "sms")
    assert number.agent_id == agent.id
    assert number.created_at.endswith("Z")
    assert number.outbound_sms in ("enabled", "activating", "registration_required")
    assert await client.numbers.get(number.id) == number
    assert [attached.id for attached in (await client.agents.get(agent.id)).numbers] == [number.id]


async def test_a_number_is_tagged_with_the_customers_own_id(client, buy_number):
    number = await buy_number(external_id="table-7")
    assert number.external_id == "table-7"

    retagged = await client.numbers.update(number.id, external_id="table-8", expires_at="2099-01-01T00:00:00Z")

    assert retagged.external_id == "table-8"
    assert retagged.expires_at.startswith("2099-01-01T00:00:00")
    assert await client.numbers.get(number.id) == retagged


async def test_every_number_is_found_by_paging_through_the_list(client, buy_number):
    bought = {(await buy_number()).id for _ in range(3)}

    listed = [number.id for number in await walk_offsets(client.numbers.list, limit=2)]

    assert len(listed) == len(set(listed))
    assert bought <= set(listed)


async def test_a_released_number_is_out_of_the_list_but_can_be_looked_up(client, buy_number):
    number = await buy_number()

    released = await client.numbers.release(number.id)

    assert released["success"] is True
    assert (released["id"], released["phoneNumber"], released["status"]) == (
        number.id,
        number.phone_number,
        "released",
    )
    assert number.id not in [active.id for active in await walk_offsets(client.numbers.list)]
    assert (await client.numbers.get(number.id)).status == "released"


async def test_releasing_twice_is_refused(client, buy_number):
    number = await buy_number()
    await client.numbers.release(number.id)

    with refused(400):
        await client.numbers.release(number.id)


async def test_a_released_number_keeps_its_messages_and_sends_no_more(client, agent, number, handset):
    await handset.texts(number.phone_number, "Is this line still open?")
    await eventually(lambda: client.numbers.get_messages(number.id), until=lambda page: page.data)

    await client.numbers.release(number.id)

    [kept] = (await client.numbers.get_messages(number.id)).data
    assert kept.body == "Is this line still open?"
    with refused(400):
        await client.messages.send(number_id=number.id, to_number=handset.number, body="No.")
    with refused(400):
        await client.messages.send(agent_id=agent.id, to_number=handset.number, body="No.")


async def test_a_number_shows_what_it_received_and_sent_newest_first(client, agent, number, handset):
    await handset.texts(number.phone_number, "A table for two?")
    await eventually(lambda: client.numbers.get_messages(number.id), until=lambda page: page.data)
    sent = await client.messages.send(agent_id=agent.id, to_number=handset.number, body="At eight.")
    await message_once(client, sent, status="delivered")

    page = await client.numbers.get_messages(number.id)

    answer, question = page.data
    assert page.has_more is False
    assert (question.body, question.direction, question.channel) == ("A table for two?", "inbound", "sms")
    assert (question.from_number, question.to_number) == (handset.number, number.phone_number)
    assert (answer.id, answer.body, answer.direction) == (sent["id"], "At eight.", "outbound")
    assert (answer.from_number, answer.to_number) == (number.phone_number, handset.number)
    assert (answer.status, answer.failure_reason) == ("delivered", None)
    assert answer.conversation_id == question.conversation_id == sent["conversation_id"]
    assert question.received_at.endswith("Z") and answer.received_at.endswith("Z")


async def test_a_numbers_messages_are_paged_without_gaps_or_repeats(client, number, new_handset):
    handsets = [new_handset(), new_handset(), new_handset()]
    for n in range(6):
        await handsets[n % 3].texts(number.phone_number, f"Message {n}")
    everything = await eventually(
        lambda: client.numbers.get_messages(number.id), until=lambda page: len(page.data) == 6
    )

    paged = await walk_back(client.numbers.get_messages, number.id, limit=2)

    assert paged == [message.id for message in everything.data]


@pytest.mark.parametrize(
    "wishes, field",
    [
        (dict(area_code="41"), "areaCode"),
        (dict(area_code="4155"), "areaCode"),
        (dict(area_code="abc"), "areaCode"),
        (dict(area_code="415", country="GB"), "areaCode"),
        (dict(country="USA"), "country"),
    ],
)
async def test_a_malformed_wish_names_the_field(buy_number, wishes, field):
    with refused(422) as refusal:
        await buy_number(**wishes)
    assert field in bad_fields(refusal)


async def test_nothing_is_bought_for_an_unknown_agent(client, buy_number):
    before = (await client.numbers.list()).total

    with pytest.raises(NotFoundError):
        await buy_number(agent_id="agt_nobody")

    assert (await client.numbers.list()).total == before
