"""What was refused for want of holdings, asked for again: a ladder on an empty account asks at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tickerml.risk.line import Account, Reason, Terms
from tickerml.schema import LIVE, Intent, Order, Refused, View


class Again(NamedTuple):
    """Intents that were all refused as short sales, and what this rested on: the same of each is the same answer.

    No price, mark or limit is in it; where a book is not Live or is old another rule comes first.
    """

    intents: Sequence[Intent]
    orders: Sequence[Order]
    version: int
    books: Sequence[tuple[int, int]]
    """Each instrument and the age in ns beyond which its book is not traded on."""
    refused: Sequence[Refused]

    @staticmethod
    def of(
        intents: Sequence[Intent], refused: Sequence[Refused], view: View, portfolio: Account, terms: Sequence[Terms]
    ) -> Again | None:
        """None where anything else was refused."""
        if any(one[1] is not Reason.SHORT_SPOT for one in refused):
            return None
        books = [(i, terms[i].age_ns_max) for i in {intent[1] for intent in intents}]
        return Again(list(intents), view.orders, portfolio.version, books, refused)

    def holds(self, intents: Sequence[Intent], view: View, portfolio: Account) -> bool:
        """Whether this is the answer now."""
        if view.orders is not self.orders or portfolio.version != self.version or intents != self.intents:
            return False
        state, age_ns = view.state.item, view.age_ns.item
        return all(state(i) == LIVE and age_ns(i) <= limit for i, limit in self.books)
