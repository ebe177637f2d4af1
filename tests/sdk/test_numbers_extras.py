"""Around numbers: what can be bought, what a number is, and the card it shows."""

from harness.errors import refused


async def test_available_numbers_can_be_searched(client):
    offered = await client.numbers.available(area_code="415", limit=5)

    assert 1 <= len(offered) <= 5
    assert all(number.phone_number.startswith("+1415") for number in offered)
    assert all(number.area_code == "415" for number in offered)


async def test_numbers_are_looked_up_together(client, new_handset):
    first, second = new_handset(), new_handset()

    found = await client.numbers.lookup([first.number, second.number])

    assert [entry.phone_number for entry in found] == [first.number, second.number]
    assert [entry.country for entry in found] == ["US", "US"]


async def test_more_than_25_numbers_are_not_looked_up(client):
    with refused(400, 422):
        await client.numbers.lookup([f"+1415201{n:04}" for n in range(26)])


async def test_a_contact_card_is_set_read_and_deleted(client, number):
    card = await client.numbers.set_contact_card(number.id, first_name="Ada", last_name="Desk", display_name="Ada D.")

    assert (card["firstName"], card["lastName"], card["displayName"]) == ("Ada", "Desk", "Ada D.")
    assert card["hasAvatar"] is False
    assert await client.numbers.get_contact_card(number.id) == card
    assert await client.numbers.delete_contact_card(number.id) == {}
