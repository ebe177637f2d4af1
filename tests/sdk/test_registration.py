"""The 10DLC form, by which an account may text the United States."""

import pytest

from harness.errors import bad_fields, refused
from harness.waiting import eventually

FORM = {
    "registration_type": "sole_proprietor",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "ada@example.org",
    "phone_number": "+14152011234",
    "brand_name": "Ada's Bakery",
    "street_address": "1 Main Street",
    "city": "San Francisco",
    "state": "CA",
    "zip_code": "94105",
    "description": "Customers of the bakery are told when their order is ready to be picked up.",
    "use_cases": ["delivery_notification"],
    "message_samples": [
        "Ada's Bakery: your order is ready. Reply STOP to end.",
        "Ada's Bakery: we open at eight tomorrow. Reply STOP to end.",
    ],
    "consent_flow": "Customers tick a box for texts when they order at the counter or on our site.",
    "opt_in_image_url": "https://example.org/opt-in.png",
    "website_url": "https://example.org",
    "privacy_policy_url": "https://example.org/privacy",
    "terms_of_service_url": "https://example.org/terms",
}


@pytest.fixture
async def status(client):
    async def look():
        return (await client.registration.get_status())["campaign_status"]

    return look


async def test_every_bad_field_is_named(client):
    bad = FORM | {"email": "nobody", "description": "short", "use_cases": [], "message_samples": ["one"]}
    with refused(422) as refusal:
        await client.registration.register(**bad)
    assert {"email", "description", "use_cases", "message_samples"} <= bad_fields(refusal)


async def test_a_registration_is_decided(client, status):
    if await status() in ("none", "rejected"):
        answer = await client.registration.register(**FORM)
        assert answer["ok"] is True
        assert answer["campaign_status"] in ("pending", "approved")
        assert {"message", "sub_account_id", "fee_cents"} <= answer.keys()
    assert await eventually(status, until=lambda told: told in ("approved", "rejected")) == "approved"

    told = await client.registration.get_status()
    assert {"campaign_status", "message", "stage"} <= told.keys()
    assert await client.registration.get()
