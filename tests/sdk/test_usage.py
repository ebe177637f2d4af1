"""What was used: in sum, by day, by month, by number, by agent."""

from datetime import date, datetime, timedelta, timezone

from harness.pages import message_once
from harness.waiting import eventually


async def test_the_summary_counts_numbers_and_messages(client, agent, buy_number, handset):
    before = await client.usage.get()
    number = await buy_number(agent_id=agent.id)
    await _exchange(client, agent, number, handset)

    after = await eventually(
        client.usage.get, until=lambda usage: usage.stats.total_messages >= before.stats.total_messages + 2
    )

    assert after.numbers.used == before.numbers.used + 1
    assert after.numbers.limit == before.numbers.limit
    assert after.numbers.remaining == after.numbers.limit - after.numbers.used
    assert after.stats.total_messages == before.stats.total_messages + 2
    assert after.stats.messages_last_24h == before.stats.messages_last_24h + 2
    assert after.stats.messages_last_7d == before.stats.messages_last_7d + 2
    assert after.stats.messages_last_30d == before.stats.messages_last_30d + 2
    assert after.stats.sms_segments_last_30d == before.stats.sms_segments_last_30d + 2
    assert after.stats.total_calls == before.stats.total_calls
    assert _moment(after.period_start) <= datetime.now(timezone.utc) <= _moment(after.period_end)
    assert after.report_generated_at.endswith("Z")


async def test_delivered_webhooks_are_counted(client, agent, number, handset, receiver, account_webhook):
    before = await client.usage.get()

    await handset.texts(number.phone_number, "One more")
    await receiver.delivers("One more")

    after = await eventually(
        client.usage.get,
        until=lambda usage: usage.stats.successful_webhook_deliveries > before.stats.successful_webhook_deliveries,
    )
    assert after.stats.total_webhook_deliveries > before.stats.total_webhook_deliveries
    assert after.stats.failed_webhook_deliveries == before.stats.failed_webhook_deliveries


async def test_every_day_has_its_line_also_a_quiet_one(client, agent, number, handset):
    await _exchange(client, agent, number, handset)

    first_day = datetime.now(timezone.utc).date()
    week = await client.usage.get_daily(days=7)
    last_day = datetime.now(timezone.utc).date()

    assert (week.days, len(week.data)) == (7, 7)
    by_day = {date.fromisoformat(point.date): point for point in week.data}
    newest = max(by_day)
    assert first_day <= newest <= last_day
    assert sorted(by_day) == [newest - timedelta(days=n) for n in reversed(range(7))]
    assert sum(point.messages for point in week.data) >= 2
    assert all(point.calls >= 0 and point.webhooks >= 0 for point in week.data)


async def test_every_month_has_its_line(client, agent, number, handset):
    await _exchange(client, agent, number, handset)

    quarter = await client.usage.get_monthly(months=3)

    assert (quarter.months, len(quarter.data)) == (3, 3)
    assert len({point.month for point in quarter.data}) == 3
    newest = max(quarter.data, key=lambda point: point.month)
    assert newest.month.startswith(f"{datetime.now(timezone.utc):%Y-%m}")
    assert newest.messages >= 2


async def test_each_number_has_its_share(client, agent, number, handset):
    await _exchange(client, agent, number, handset)

    [share] = [share for share in await client.usage.get_by_number() if share["numberId"] == number.id]

    assert (share["phoneNumber"], share["country"], share["status"]) == (number.phone_number, "US", "active")
    assert (share["agentId"], share["agentName"]) == (agent.id, agent.name)
    assert (share["messages"], share["calls"]) == (2, 0)


async def test_each_agent_has_its_share(client, agent, number, handset):
    await _exchange(client, agent, number, handset)

    for period in ("week", "month", "year"):
        report = await client.usage.get_by_agent(period=period)
        assert report["period"] == period
        assert _moment(report["periodStart"]) < _moment(report["periodEnd"])
        [share] = [share for share in report["data"] if share["agentId"] == agent.id]
        assert (share["agentName"], share["messages"], share["calls"]) == (agent.name, 2, 0)
        assert share["totalSeconds"] == 0
        assert share["isOrphan"] is False

    assert agent.id in [share["agentId"] for share in (await client.usage.get_by_agent())["data"]]


async def _exchange(client, agent, number, handset) -> None:
    """One text in, one text out."""
    await handset.texts(number.phone_number, "A table?")
    await eventually(lambda: client.numbers.get_messages(number.id), until=lambda page: page.data)
    sent = await client.messages.send(agent_id=agent.id, to_number=handset.number, body="Yes.")
    await message_once(client, sent, status="delivered")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
