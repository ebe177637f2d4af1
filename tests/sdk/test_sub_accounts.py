"""An operator's customers: accounts below the account."""

import pytest

from harness.errors import refused


@pytest.fixture
async def create_sub_account(client):
    created = []

    async def create(name):
        made = await client.sub_accounts.create(name)
        created.append(made["id"])
        return made

    yield create
    for sub_account in created:
        try:
            await client.sub_accounts.delete(sub_account)
        except Exception:  # noqa: BLE001  it may be gone, and then the story has shown so
            pass


async def test_a_sub_account_is_made_renamed_and_closed(client, create_sub_account):
    made = await create_sub_account("Bakery")
    assert made["id"].startswith("acct_") and made["name"] == "Bakery" and made["createdAt"].endswith("Z")
    assert made["id"] in [one["id"] for one in await client.sub_accounts.list(limit=100)]

    renamed = await client.sub_accounts.update(made["id"], "Bakery & Sons")
    assert (renamed["id"], renamed["name"]) == (made["id"], "Bakery & Sons")

    await client.sub_accounts.delete(made["id"])
    assert made["id"] not in [one["id"] for one in await client.sub_accounts.list(limit=100)]


async def test_what_is_no_sub_account_is_not_found(client):
    nobody = "acct_06ck3v0w2e8zg1m8t4q7x5n9ra"
    with refused(404):
        await client.sub_accounts.update(nobody, "Mine")
    with refused(404):
        await client.sub_accounts.delete(nobody)


async def test_a_name_is_needed(client):
    with refused(422):
        await client.sub_accounts.create("")
