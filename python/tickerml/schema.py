"""The words that every part of the Python side shares: numbers of events, names, intents, and what a view holds.

The tables equal core's (`crates/tickerml-core/src/event.rs`); a test compares them with `tickerml._native`. Numbers are
part of the event files and are never reused. Nothing here imports pyarrow or NumPy: the collector must stay small, and
loading them takes longer than many a command does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

EVENT_FORMAT_VERSION: Final = 1

METADATA_HASH: Final = "metadata_sha256"
"""Key of an event file's metadata that proves the others: see `metadata_hash`."""

LAYOUT_HASH: Final = "layout_sha256"
"""Key that proves the footer's own numbers: where each page lies, and how many rows there are."""

UNDEF_I64: Final = -(2**63)
"""An absent price or time stamp."""

MARK_PRECISION: Final = 8
"""Decimals of a mark price: `mark_e8`."""

RATE_PRECISION: Final = 12
"""Decimals of a funding rate: `rate_e12`."""

DAY_NS: Final = 86_400 * 1_000_000_000
"""A UTC day."""

MONEY_PRECISION: Final = 18
MONEY_ONE: Final = 10**MONEY_PRECISION
"""One unit of a currency: money is integers of 10^-18."""

POW10: Final[tuple[int, ...]] = tuple(10**n for n in range(37))
"""10^n: scales of prices, quantities and their products."""

KINDS: Final[dict[str, int]] = {
    "bid": 1,
    "ask": 2,
    "buy_trade": 3,
    "sell_trade": 4,
    "state": 5,
    "clear": 6,
    "touch": 7,
    "funding": 8,
    "mark": 9,
}
"""What an event row says (column `kind`)."""

FLAGS: Final[dict[str, int]] = {"last": 1, "snapshot": 2, "derived": 4, "ask_side": 8, "settled": 16}
"""Bits of the column `flags`."""

STATES: Final[tuple[str, ...]] = ("Connecting", "Buffering", "Syncing", "Live", "Stale", "Gap")
"""States of a book, by number (`px` of kind 5)."""

LIVE: Final = 3
"""The only state that feeds decisions."""

CAUSES: Final[tuple[str, ...]] = (
    "start",
    "connect",
    "disconnect",
    "first_diff",
    "snapshot",
    "sequence_gap",
    "snapshot_too_old",
    "crossed",
    "silence",
    "resumed",
    "epoch",
    "overflow",
    "bad_number",
    "metadata",
    "bad_frame",
    "damage",
)
"""Why a book changed state, by number (`qty` of kind 5)."""

FEATURE_NAMES: Final[tuple[str, ...]] = (
    "mid",
    "spread",
    "microprice",
    "imbalance_1",
    "imbalance_5",
    "imbalance_10",
    "imbalance_20",
    "trade_flow",
)
"""Columns of a view's feature row."""

COLUMNS: Final[dict[str, str]] = {
    "pos": "int64",
    "ts_recv_ns": "int64",
    "ts_event_ns": "int64",
    "kind": "uint8",
    "px": "int64",
    "qty": "int64",
    "flags": "uint8",
}
"""Columns of an event file and their types; `ts_event_ns` is null (here `UNDEF_I64`) where the venue gave no time."""

EVENT_FILE: Final = re.compile(r"(\d+)-(\d+)-(\d{8}T\d{6}Z-[0-9a-z]{4})-(\d{10})\.parquet")
"""Name of an event file: first and last `ts_recv_ns`, run, epoch and segment."""

Columns: TypeAlias = "dict[str, npt.NDArray[Any]]"
"""One chunk of events: the columns of `COLUMNS`, all of one length."""

LIMIT: Final = 1
POST_ONLY: Final = 2
MARKET: Final = 3
IOC: Final = 4
CANCEL: Final = 5
FOK: Final = 6
AMEND: Final = 7
CANCEL_ALL: Final = 8
LIQUIDATE: Final = 9
"""Not a policy's: the venue closes a position that its margin does not carry."""

INTENT_KINDS: Final[dict[int, str]] = {
    LIMIT: "limit",
    POST_ONLY: "post_only",
    MARKET: "market",
    IOC: "ioc",
    CANCEL: "cancel",
    FOK: "fok",
    AMEND: "amend",
    CANCEL_ALL: "cancel_all",
    LIQUIDATE: "liquidation",
}
BUY: Final = 1
SELL: Final = -1


def metadata_hash(meta: Mapping[str, str]) -> str:
    """SHA-256 of an event file's metadata but the hash itself: of the JSON object with sorted keys, in hexadecimal."""
    from tickerml._native import sha256_hex

    return sha256_hex(json.dumps(meta, sort_keys=True).encode())


def decimal_text(value: int, precision: int) -> str:
    """A scaled integer as exact decimal text without trailing zeros."""
    if precision == 0:
        return str(value)
    digits = str(abs(value)).rjust(precision + 1, "0")
    text = f"{digits[:-precision]}.{digits[-precision:]}".rstrip("0").rstrip(".")
    return "-" + text if value < 0 else text


class Intent(NamedTuple):
    """What a policy wants. Risk approves it whole or refuses it whole; it is never resized.

    `px` and `qty` are scaled integers of the instrument (index in the session); `px` is 0 for MARKET and cancels.
    `order_id` names the order to CANCEL or AMEND and is 0 otherwise; an AMEND has the order's instrument and side, and
    its `qty` is the whole quantity, what was filled included. CANCEL_ALL is for one instrument. `tag` is the policy's
    own and comes back with its reports. A `reduce_only` order (contracts only) never takes a position beyond zero.
    """

    kind: int
    instrument: int
    side: int
    px: int
    qty: int
    tag: int = 0
    order_id: int = 0
    reduce_only: bool = False


class Sent(list[Intent]):
    """Approved intents after they were submitted.

    Attributes
    ----------
    ids : the order that each of them makes or names.
    """

    def __init__(self, intents: Sequence[Intent], ids: Sequence[int]) -> None:
        super().__init__(intents)
        self.ids = ids


def order_ids(approved: Sequence[Intent]) -> Sequence[int]:
    """The order of each approved intent; of what was never submitted, the order that it names."""
    return approved.ids if isinstance(approved, Sent) else [intent.order_id for intent in approved]


class Refused(NamedTuple):
    """An intent that risk did not let through: a reason to branch on and the numbers behind it."""

    intent: Intent
    reason: str
    detail: str


class InstrumentInfo(Protocol):
    """What a session says about an instrument. Money is integers of 10^-18."""

    @property
    def id(self) -> str: ...
    @property
    def venue(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def base(self) -> str: ...
    @property
    def quote(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def price_precision(self) -> int: ...
    @property
    def qty_precision(self) -> int: ...
    @property
    def tick(self) -> int: ...
    @property
    def lot(self) -> int: ...
    @property
    def min_notional_e18(self) -> int: ...
    @property
    def contract_size_e18(self) -> int: ...
    @property
    def maker_bps(self) -> float: ...
    @property
    def taker_bps(self) -> float: ...


class Order(Protocol):
    """An own order that is open or on its way: state is pending, resting, amending or cancelling.

    `ahead_qty` is the queue model's estimate of what stands ahead; `ahead_late_qty` and `ahead_early_qty` are the same
    if no cancel was ahead, and if every cancel was. All three are -1 where nobody knows.
    """

    @property
    def order_id(self) -> int: ...
    @property
    def tag(self) -> int: ...
    @property
    def instrument(self) -> int: ...
    @property
    def side(self) -> int: ...
    @property
    def px(self) -> int: ...
    @property
    def qty(self) -> int: ...
    @property
    def leaves(self) -> int: ...
    @property
    def reduce_only(self) -> bool: ...
    @property
    def state(self) -> str: ...
    @property
    def ahead_qty(self) -> int: ...
    @property
    def ahead_late_qty(self) -> int: ...
    @property
    def ahead_early_qty(self) -> int: ...


class Fill(Protocol):
    """Our execution. `fee_e18` is the amount of the asset in which the venue takes the fee (the base with
    `fee_in_base`, else the quote), above 0 when paid: a spot buy receives its quantity less that.

    What it is measured against (simulation.md 3, "Cost of a fill"; `UNDEF_I64` where the book was not true):
    `decision_mid2` twice the mid of our book at the view that decided the order, `arrival_mid2` twice the venue's mid
    when the order arrived, `bid_px ask_px bid_qty ask_qty` the venue's best at the fill. `age_ns` is venue time since
    the arrival, `order_qty` the whole order, `placed_ahead_qty` what was ahead when it began to rest (-1: it never did,
    or nobody knew), `print_median_qty` the median print of the five minutes before (0: none), `volume_qty` what was
    printed in the five minutes before it arrived.
    """

    @property
    def order_id(self) -> int: ...
    @property
    def tag(self) -> int: ...
    @property
    def instrument(self) -> int: ...
    @property
    def side(self) -> int: ...
    @property
    def px(self) -> int: ...
    @property
    def qty(self) -> int: ...
    @property
    def maker(self) -> bool: ...
    @property
    def fee_e18(self) -> int: ...
    @property
    def fee_in_base(self) -> bool: ...
    @property
    def ts_event_ns(self) -> int: ...
    @property
    def ts_recv_ns(self) -> int: ...
    @property
    def ahead_qty(self) -> int: ...
    @property
    def cause_pos(self) -> int: ...
    @property
    def n(self) -> int: ...
    @property
    def decision_mid2(self) -> int: ...
    @property
    def arrival_mid2(self) -> int: ...
    @property
    def bid_px(self) -> int: ...
    @property
    def ask_px(self) -> int: ...
    @property
    def bid_qty(self) -> int: ...
    @property
    def ask_qty(self) -> int: ...
    @property
    def age_ns(self) -> int: ...
    @property
    def order_qty(self) -> int: ...
    @property
    def placed_ahead_qty(self) -> int: ...
    @property
    def print_median_qty(self) -> int: ...
    @property
    def volume_qty(self) -> int: ...


class Report(Protocol):
    """What the venue said about an own order."""

    @property
    def order_id(self) -> int: ...
    @property
    def tag(self) -> int: ...
    @property
    def instrument(self) -> int: ...
    @property
    def side(self) -> int: ...
    @property
    def px(self) -> int: ...
    @property
    def qty(self) -> int: ...
    @property
    def leaves(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def ts_ns(self) -> int: ...
    @property
    def cause_pos(self) -> int: ...


class Gap(Protocol):
    """A span without a true book; `to_ts_ns` is 0 while it is open."""

    @property
    def instrument(self) -> int: ...
    @property
    def from_ts_ns(self) -> int: ...
    @property
    def to_ts_ns(self) -> int: ...
    @property
    def cause(self) -> str: ...


class Funding(Protocol):
    """A settlement of a contract at `ts_ns`: the position `qty` that was held at the venue then, the mark price x 10^8
    and the rate x 10^12, None where nobody knows it. A `correction` has the difference to the rate that was booked; one
    that `resolves` tells the rate of a settlement that was unknown.
    """

    @property
    def instrument(self) -> int: ...
    @property
    def ts_ns(self) -> int: ...
    @property
    def qty(self) -> int: ...
    @property
    def mark_e8(self) -> int: ...
    @property
    def rate_e12(self) -> int | None: ...
    @property
    def correction(self) -> bool: ...
    @property
    def resolves(self) -> bool: ...


class View(Protocol):
    """What is known at one decision point. Arrays are read-only and stay as they are for as long as they are kept.

    Attributes
    ----------
    book_px, book_qty : int64 array of shape (instruments, 2, depth)
        Scaled integers, side 0 bids and 1 asks, best first; a missing level has `UNDEF_I64` and 0.
    features : float64 array of shape (instruments, len(FEATURE_NAMES)), NaN where the book is not Live.
    state : uint8 array of shape (instruments,), numbers of `STATES`.
    age_ns : int64 array of shape (instruments,), time since the last frame of the connection.
    """

    @property
    def index(self) -> int: ...
    @property
    def ts_ns(self) -> int: ...
    @property
    def cause(self) -> str: ...
    @property
    def pos(self) -> int: ...
    @property
    def restarted(self) -> bool: ...
    @property
    def book_px(self) -> npt.NDArray[np.int64]: ...
    @property
    def book_qty(self) -> npt.NDArray[np.int64]: ...
    @property
    def features(self) -> npt.NDArray[np.float64]: ...
    @property
    def state(self) -> npt.NDArray[np.uint8]: ...
    @property
    def age_ns(self) -> npt.NDArray[np.int64]: ...
    @property
    def mark_e8(self) -> npt.NDArray[np.int64]: ...
    @property
    def orders(self) -> tuple[Order, ...]: ...
    @property
    def fills(self) -> Sequence[Fill]: ...
    @property
    def reports(self) -> Sequence[Report]: ...
    @property
    def gaps(self) -> Sequence[Gap]: ...
    @property
    def funding(self) -> Sequence[Funding]: ...
