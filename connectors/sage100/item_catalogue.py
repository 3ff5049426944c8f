"""Items in memory, by code and description, to suggest what an unknown SKU may mean (CI_Item has no such key).

In: a reader, and the pair's own names of items. Out: the catalogue, at most some minutes old, with general aliases
(IM_AliasItem, Type G) as further names. Filled by pages in key order, and only when somebody asks.
"""

import asyncio
import logging
from collections.abc import Mapping
from time import monotonic

from connectors.errors import ConnectorError
from connectors.sage100.odbc import SageReader
from mappings.item_candidates import Catalogue, CatalogueItem, FurtherName
from mappings.pair import ItemEntry

log = logging.getLogger(__name__)

PAGE = 1_000
FRESH_SECONDS = 600.0
WAIT_SECONDS = 10.0
"""How long an order waits for a sweep; a longer one goes on, and serves the next order."""
MOST_ITEMS = 200_000
"""About 120 MB; what comes after it in key order is not suggested. As many aliases, too."""
NO_NAMES: Mapping[str, ItemEntry] = {}


class ItemCatalogue:
    """One company's items. A suggestion is read again from Sage itself before a person sees it."""

    def __init__(self, reader: SageReader, names: Mapping[str, ItemEntry] = NO_NAMES) -> None:
        """`names` are the pair's `items`: a mistyped one of them is near, too."""
        self._reader = reader
        self._names = [FurtherName(name, entry.item) for name, entry in names.items()]
        self._catalogue: Catalogue | None = None
        self._began = 0.0
        self._sweep: asyncio.Task[None] | None = None

    async def catalogue(self, *, wait_seconds: float = WAIT_SECONDS) -> Catalogue | None:
        """The items as of the last minutes; None while there is no whole sweep yet, or Sage does not answer.

        Never raises for Sage: suggestions are a help, and an order is held without them too.
        """
        if self._catalogue is not None and monotonic() - self._began < FRESH_SECONDS:
            return self._catalogue
        if self._sweep is None or self._sweep.done():
            self._sweep = asyncio.create_task(self._read())
        await asyncio.wait([self._sweep], timeout=wait_seconds)
        return self._catalogue

    async def close(self) -> None:
        """End a sweep that is under way."""
        if self._sweep is not None and not self._sweep.done():
            self._sweep.cancel()
            await asyncio.wait([self._sweep])

    async def _read(self) -> None:
        began = monotonic()
        items: list[CatalogueItem] = []
        try:
            after = ""
            while len(items) < MOST_ITEMS and (page := await self._reader.items_page(after, PAGE)):
                items += page
                after = page[-1].ItemCode
            names = await self._aliases()
        except ConnectorError as error:
            log.warning("No suggestions for unknown items: %s", error)
            return
        if len(items) >= MOST_ITEMS:
            log.warning("Only the first %d items of CI_Item are suggested for unknown ones", len(items))
        self._catalogue = await asyncio.to_thread(Catalogue, items, [*names, *self._names])
        self._began = began

    async def _aliases(self) -> list[FurtherName]:
        """General aliases; a customer's own are nobody else's business, a vendor's none of a shop's."""
        names: list[FurtherName] = []
        read, after = 0, ""
        while read < MOST_ITEMS and (page := await self._reader.aliases_page(after, PAGE)):
            names += [FurtherName(one.AliasItemNo, one.ItemCode) for one in page if one.is_general]
            read, after = read + len(page), page[-1].AliasItemNo
        return names
