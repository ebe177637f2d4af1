"""How a story says that the platform refuses something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from agentphone import AgentPhoneError


@contextmanager
def refused(*statuses: int) -> Iterator[pytest.ExceptionInfo[AgentPhoneError]]:
    """The SDK raises its error with one of these statuses and a message that a person or a program can read."""
    with pytest.raises(AgentPhoneError) as caught:
        yield caught
    error = caught.value
    assert error.status in statuses, f"expected {statuses}, got {error}"
    if error.status == 422:
        assert error.message and all({"loc", "msg", "type"} <= item.keys() for item in error.message), error.message
    else:
        assert isinstance(error.message, str) and error.message, error.message
        assert not error.message.lstrip().startswith("{"), f"a sentence, not raw JSON: {error.message}"


def bad_fields(caught: pytest.ExceptionInfo[AgentPhoneError]) -> set[str]:
    """The names of the fields that a 422 complains about."""
    return {str(item["loc"][-1]) for item in caught.value.message}
