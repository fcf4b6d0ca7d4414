"""What has been made for readers: shared while it is fresh, and gone as soon as it is not."""

from __future__ import annotations

import asyncio
import weakref
from typing import cast

from exporters.runtime import Runtime
from sflow_gmetrics import pages
from sflow_gmetrics.config import Config
from sflow_gmetrics.pages import Pages
from sflow_gmetrics.snapshot import Snapshot


class Large:
    """A snapshot that can be watched."""


def test_what_has_been_made_goes_when_it_is_fresh_no_longer() -> None:
    async def read() -> None:
        made = Pages(Config(), lambda: cast("Snapshot", Large()), Runtime())
        kept = weakref.ref(await made.snapshot())
        assert await made.snapshot() is kept()
        assert not made.forget()
        await asyncio.sleep(2 * pages.FRESH)
        assert kept() is None
        assert made.forget()

    asyncio.run(read())
