"""The account's webhook, and the record of what was delivered to it."""

import pytest

from harness.errors import bad_fields, refused
from harness.waiting import eventually


async def test_a_webhook_is_set_replaced_and_deleted(client, receiver, no_account_webhook):
    assert await client.webhooks.get() is None

    webhook = await client.webhooks.set(url=receiver.url)
    assert webhook.id.startswith("wh_")
    assert webhook.secret.startswith("whsec_")
    assert (webhook.url, webhook.status) == (receiver.url, "active")
    assert (webhook.context_limit, webhook.timeout) == (10, 30)
    assert webhook.created_at.endswith("Z")
    assert await client.webhooks.get() == webhook

    replaced = await client.webhooks.set(url=f"{receiver.url}/v2", context_limit=0, timeout=5)
    assert (replaced.url, replaced.context_limit, replaced.timeout) == (f"{receiver.url}/v2", 0, 5)
    assert replaced.secret.startswith("whsec_") and replaced.secret != webhook.secret
    assert await client.webhooks.get() == replaced

    assert (await client.webhooks.delete())["success"] is True
    assert await client.webhooks.get() is None


@pytest.mark.parametrize(
    "wishes, field",
    [
        (dict(context_limit=51), "contextLimit"),
        (dict(context_limit=-1), "contextLimit"),
        (dict(timeout=4), "timeout"),
        (dict(timeout=121), "timeout"),
    ],
)
async def test_limits_out_of_range_name_the_field(client, receiver, no_account_webhook, wishes, field):
    with refused(422) as refusal:
        await client.webhooks.set(url=receiver.url, **wishes)
    assert field in bad_fields(refusal)
    assert await client.webhooks.get() is None


@pytest.mark.parametrize(
    "url", ["http://hooks.example/in", "ftp://hooks.example/in", "not a url", "https://169.254.169.254/"]
)
async def test_only_https_to_public_places_or_loopback_is_taken(client, no_account_webhook, url):
    with refused(400, 422):
        await client.webhooks.set(url=url)
    assert await client.webhooks.get() is None


async def test_a_test_event_is_signed_and_marked(client, receiver, account_webhook):
    result = await client.webhooks.test()

    assert (result["success"], result["httpStatus"], result["statusCode"]) == (True, 200, 200)
    assert result["responseMs"] >= 0
    assert result["errorMessage"] is None and result["error"] is None
    [delivery] = receiver.all()
    assert delivery.is_signed_with(account_webhook.secret)
    event = delivery.opened_with(account_webhook.secret)
    assert (event.event, event.test) == ("agent.message", True)


async def test_a_test_event_says_what_it_is_told_to(client, receiver, account_webhook):
    await client.webhooks.test(from_="+14152011234", to="+14152015678", message="Ping", channel="whatsapp")

    event = (await receiver.delivers("Ping")).opened_with(account_webhook.secret)

    assert (event.channel, event.test) == ("whatsapp", True)
    assert (event.data.from_number, event.data.to_number) == ("+14152011234", "+14152015678")


async def test_a_test_reports_a_failing_endpoint(client, receiver, account_webhook):
    receiver.will_answer(500, "kitchen on fire")

    result = await client.webhooks.test()

    assert (result["success"], result["httpStatus"], result["statusCode"]) == (False, 500, 500)
    assert result["errorMessage"] and result["error"]


async def test_a_test_needs_a_webhook(client):
    assert await client.webhooks.get() is None
    with refused(400, 404):
        await client.webhooks.test()


async def test_a_delivery_is_on_record(client, agent, number, handset, receiver, account_webhook):
    receiver.will_answer(202, "noted")
    await handset.texts(number.phone_number, "For the record")
    delivery = await receiver.delivers("For the record")

    record = await _record(client, delivery.headers["X-Webhook-ID"], status="success")

    assert record.message_id == delivery.envelope["data"]["messageId"]
    assert (record.event_type, record.channel) == ("agent.message", "sms")
    assert (record.http_status, record.attempt_count) == (202, 1)
    assert (record.error_message, record.next_retry_at) == (None, None)
    assert record.response_body == "noted"
    assert record.created_at.endswith("Z") and record.last_attempt_at.endswith("Z")


async def test_a_failed_delivery_is_repeated_until_it_succeeds(
    client, agent, number, handset, receiver, account_webhook
):
    receiver.will_answer(503, "closed for lunch")
    await handset.texts(number.phone_number, "Knock, knock")
    first = await receiver.delivers("Knock, knock")
    delivery_id = first.headers["X-Webhook-ID"]

    waiting = await _record(client, delivery_id, status="pending", attempts=1)
    assert (waiting.http_status, waiting.response_body) == (503, "closed for lunch")
    assert waiting.next_retry_at.endswith("Z")

    second = await receiver.delivers("Knock, knock", count=2)
    assert second.headers["X-Webhook-ID"] == delivery_id
    assert second.body == first.body
    assert int(second.headers["X-Webhook-Timestamp"]) > int(first.headers["X-Webhook-Timestamp"])
    assert second.is_signed_with(account_webhook.secret)

    done = await _record(client, delivery_id, status="success")
    assert (done.http_status, done.attempt_count, done.next_retry_at) == (200, 2, None)


async def test_deliveries_are_listed_page_by_page(client, agent, number, handset, receiver, account_webhook):
    for line in ("one", "two", "three"):
        await handset.texts(number.phone_number, line)
    arrived = await receiver.wait_for(lambda d: d.envelope["data"]["from"] == handset.number, count=3, within=30)
    ids = {delivery.headers["X-Webhook-ID"] for delivery in arrived}

    everything = [record.id for record in await client.webhooks.list_deliveries(limit=100, hours=1)]
    first = await client.webhooks.list_deliveries(limit=2)
    second = await client.webhooks.list_deliveries(limit=2, offset=2)

    assert ids <= set(everything)
    assert [record.id for record in first + second] == everything[:4]


async def test_statistics_count_what_was_delivered(client, agent, number, handset, receiver, account_webhook):
    before = await eventually(
        lambda: client.webhooks.get_delivery_stats(hours=1), until=lambda stats: stats.pending == 0
    )
    ever_before = await client.webhooks.get_all_time_stats()
    await handset.texts(number.phone_number, "Count me in")
    delivery = await receiver.delivers("Count me in")
    await _record(client, delivery.headers["X-Webhook-ID"], status="success")

    after = await client.webhooks.get_delivery_stats(hours=1)
    ever = await client.webhooks.get_all_time_stats()

    assert after.success == before.success + 1
    assert after.total == after.success + after.failed + after.pending
    assert after.success_rate > 0
    assert "agent.message" in after.by_event_type
    assert after.by_hour and all("hour" in hour for hour in after.by_hour)
    assert ever["success"] == ever_before["success"] + 1
    assert ever["total"] >= ever["success"] + ever["failed"]
    assert ever["successRate"] > 0


async def _record(client, delivery_id: str, status: str, attempts: int = 1):
    """Waits until the log shows that delivery with that status."""

    async def look():
        records = await client.webhooks.list_deliveries(limit=100)
        return next((record for record in records if record.id == delivery_id), None)

    return await eventually(
        look, until=lambda record: record and record.status == status and record.attempt_count >= attempts
    )
