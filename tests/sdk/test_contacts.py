"""The address book."""

import uuid

import pytest
from agentphone import NotFoundError

from harness.errors import bad_fields, refused
from harness.pages import walk_offsets


@pytest.fixture
async def add_contact(client):
    added = []

    async def add(**wishes):
        contact = await client.contacts.create(**wishes)
        added.append(contact.id)
        return contact

    yield add
    for contact_id in added:
        try:
            await client.contacts.delete(contact_id)
        except NotFoundError:
            pass


async def test_a_contact_is_added_changed_and_removed(client, add_contact, handset):
    contact = await add_contact(
        phone_number=handset.number, name="Ada Lovelace", email="ada@example.com", notes="Window seat"
    )
    assert contact.id.startswith("contact_")
    assert (contact.phone_number, contact.name) == (handset.number, "Ada Lovelace")
    assert (contact.email, contact.notes) == ("ada@example.com", "Window seat")
    assert contact.created_at.endswith("Z") and contact.updated_at.endswith("Z")
    assert await client.contacts.get(contact.id) == contact

    changed = await client.contacts.update(contact.id, name="Ada King", notes="Quiet corner")
    assert (changed.name, changed.notes) == ("Ada King", "Quiet corner")
    assert (changed.phone_number, changed.email) == (handset.number, "ada@example.com")
    assert changed.created_at == contact.created_at
    assert changed.updated_at >= contact.updated_at
    assert await client.contacts.get(contact.id) == changed

    assert await client.contacts.delete(contact.id) == {}
    with pytest.raises(NotFoundError):
        await client.contacts.get(contact.id)
    with pytest.raises(NotFoundError):
        await client.contacts.delete(contact.id)


async def test_a_number_is_kept_in_international_form_and_only_once(add_contact, handset):
    contact = await add_contact(phone_number=handset.national, name="Ada")
    assert contact.phone_number == handset.number
    assert (contact.email, contact.notes) == (None, None)

    for spelling in (handset.number, handset.national):
        with refused(409):
            await add_contact(phone_number=spelling, name="Ada again")


async def test_a_contact_cannot_take_anothers_number(client, add_contact, new_handset):
    ada = await add_contact(phone_number=new_handset().number, name="Ada")
    ben = await add_contact(phone_number=new_handset().number, name="Ben")

    with refused(409):
        await client.contacts.update(ben.id, phone_number=ada.phone_number)


async def test_contacts_are_found_by_name_or_number(client, add_contact, new_handset):
    token = uuid.uuid4().hex
    ada = await add_contact(phone_number=new_handset().number, name=f"Ada {token}")
    ben = await add_contact(phone_number=new_handset().number, name=f"Ben {token}")

    by_name = await client.contacts.list(search=token.upper())
    by_number = await client.contacts.list(search=ada.phone_number[2:])
    nobody = await client.contacts.list(search=f"nobody {token}")

    assert {contact.id for contact in by_name.data} == {ada.id, ben.id}
    assert (by_name.total, by_name.has_more) == (2, False)
    assert ada.id in [contact.id for contact in by_number.data]
    assert ben.id not in [contact.id for contact in by_number.data]
    assert (nobody.data, nobody.total, nobody.has_more) == ([], 0, False)


async def test_every_contact_is_found_by_paging_through_the_list(client, add_contact, new_handset):
    added = {(await add_contact(phone_number=new_handset().number, name=f"Guest {n}")).id for n in range(5)}

    listed = [contact.id for contact in await walk_offsets(client.contacts.list, limit=2)]

    assert len(listed) == len(set(listed))
    assert added <= set(listed)


async def test_a_contact_needs_a_real_number(add_contact):
    with refused(422) as refusal:
        await add_contact(phone_number="not a number", name="Nobody")
    assert "phoneNumber" in bad_fields(refusal)


async def test_what_a_number_can_receive_is_told(client, handset):
    told = await client.contacts.get_capabilities(handset.number)

    assert told["phoneNumber"] == handset.number
    assert told["capabilities"]["imessage"] is False
    assert told["capabilities"]["sms"] is True
    assert told["checkedAt"].endswith("Z")


async def test_the_list_takes_at_most_200(client):
    assert await client.contacts.list(limit=200)
    with refused(422):
        await client.contacts.list(limit=201)
