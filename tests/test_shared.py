"""Reads that many Cloud PCs make alike are made once, and never believed by an attempt that follows another."""

import asyncio
from dataclasses import replace

import pytest
from temporalio.testing import ActivityEnvironment

from cloud.execution.shared import Shared


class Source:
    """Something that is read, and how often it was."""

    def __init__(self) -> None:
        self.reads = 0
        self.fails = False
        self.shared = Shared(self.read, seconds=60)

    async def read(self, name: str) -> str:
        self.reads += 1
        number = self.reads
        await asyncio.sleep(0.01)
        if self.fails:
            raise LookupError(name)
        return f"{name} {number}"


def attempt(number: int) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=number)
    return environment


async def test_who_asks_at_the_same_time_or_later_gets_one_answer() -> None:
    source = Source()

    async def ask() -> list[str]:
        together = await asyncio.gather(*(source.shared("a") for _ in range(50)))
        return [*together, await source.shared("a"), await source.shared("b")]

    assert await attempt(1).run(ask) == ["a 1"] * 51 + ["b 2"]


async def test_what_is_asked_afresh_is_read_anew_and_remembered() -> None:
    source = Source()

    async def ask() -> list[str]:
        return [await source.shared("a"), await source.shared("a", fresh=True), await source.shared("a")]

    assert await attempt(1).run(ask) == ["a 1", "a 2", "a 2"]


async def test_an_attempt_that_follows_another_reads_anew() -> None:
    source = Source()
    assert await attempt(1).run(source.shared, "a") == "a 1"
    assert await attempt(2).run(source.shared, "a") == "a 2"


async def test_a_failure_is_not_remembered() -> None:
    source = Source()
    source.fails = True
    with pytest.raises(LookupError):
        await attempt(1).run(source.shared, "a")
    source.fails = False
    assert await attempt(1).run(source.shared, "a") == "a 2"
