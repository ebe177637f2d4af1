"""Where a number is, which no carrier here can tell."""

from harness.errors import refused


async def test_a_carrier_that_cannot_tell_says_so(client, number):
    told = await client.location.get(number.phone_number)
    assert (told.phone_number, told.status) == (number.phone_number, "unsupported")
    assert isinstance(told.last_updated, int)
    assert (told.latitude, told.longitude) == (None, None)

    refreshed = await client.location.refresh()
    assert (refreshed.success, refreshed.poll_after_seconds) == (False, None)


async def test_another_number_is_not_found(client, handset):
    with refused(404):
        await client.location.get(handset.number)
