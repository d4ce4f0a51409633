"""Every key of the configuration, with its type and range. Units stand in the names and in the YAML comments.

Imported only when a command needs configuration: pydantic costs 150 ms.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tickerml.config.queue_file import read_curve
from tickerml.config.values import (
    VENUES,
    AnySymbol,
    BookAges,
    Brokers,
    Channel,
    Clock,
    Currency,
    Date,
    Exact,
    FeeBps,
    Frac,
    InstrumentId,
    Latency,
    LatencyMs,
    Money,
    Off,
    Parameters,
    Queue,
    RestUrl,
    Symbol,
    Tier,
    WsUrl,
    as_text,
)

__all__ = ["Config", "Exchanges", "Execution", "Model", "Risk", "Venue"]

SEGMENT_BYTES_MIN = 1 << 20


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, nothing is converted in silence, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class PerVenue(Section):
    """One number a venue; a single number stands for all of them."""

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else dict.fromkeys(VENUES, value)


class VenueMs(PerVenue):
    """Milliseconds a venue."""

    binance_spot: LatencyMs
    binance_us: LatencyMs
    binance_usdm: LatencyMs
    binance_coinm: LatencyMs


class VenueBps(PerVenue):
    """A user's own basis points a venue; None leaves them to the dated table."""

    binance_spot: FeeBps | None = None
    binance_us: FeeBps | None = None
    binance_usdm: FeeBps | None = None
    binance_coinm: FeeBps | None = None


class Venue(Section):
    """One exchange: where it is, what to subscribe to, and what it allows."""

    enabled: bool
    instruments: Annotated[list[Symbol], Field(min_length=1, max_length=200)]
    fee_tier: Tier
    ws_url: Annotated[WsUrl, Field(min_length=1)]
    market_ws_url: WsUrl
    rest_url: Annotated[RestUrl, Field(min_length=1)]
    channels: Annotated[list[Channel], Field(min_length=1, max_length=10)]
    market_channels: Annotated[list[Channel], Field(max_length=10)]
    snapshot_limit: Annotated[int, Field(ge=5, le=5000)]
    snapshot_weight: Annotated[int, Field(ge=1, le=1000)]
    weight_per_min: Annotated[int, Field(ge=1, le=100_000)]

    @model_validator(mode="after")
    def _market(self) -> "Venue":
        if self.market_channels and not self.market_ws_url:
            raise ValueError("market_channels need a market_ws_url; give one or empty the list")
        return self


class Venues(Section):
    """The exchanges of this version."""

    binance_spot: Venue
    binance_us: Venue
    binance_usdm: Venue
    binance_coinm: Venue


class Demo(Section):
    """What `run --demo` trades."""

    instruments: Annotated[list[InstrumentId], Field(min_length=1, max_length=20)]


class Recording(Section):
    """How the tape is written."""

    profile: Literal["ssd", "sd"]
    segment_bytes: Annotated[int, Field(ge=SEGMENT_BYTES_MIN, le=1 << 34)]
    retention_bytes: Annotated[int, Field(ge=0, lt=1 << 63)]

    @model_validator(mode="after")
    def _room(self) -> "Recording":
        if 0 < self.retention_bytes < 2 * self.segment_bytes:
            raise ValueError("retention_bytes is less than two segments; raise it, or write 0 to keep everything")
        return self


class Exchanges(Section):
    """exchanges_config.yaml."""

    venues: Venues
    demo: Demo
    recording: Recording


class Execution(Section):
    """execution_config.yaml: the settings of contract.md by their names."""

    step_ms: Annotated[int, Field(ge=1, le=60_000)]
    depth: Literal[20]
    queue: Queue
    queue_share: list[Exact] = []
    queue_fit_end_ns: int = 0
    queue_file: str
    exchange: Literal["shared", "no_partial", "partial"]
    report_rule: Literal["causal", "venue"]
    reorder_ms: Annotated[int, Field(ge=0, le=60_000)]
    clock: Clock
    base_latency_ms: LatencyMs
    decision_ms: LatencyMs
    latency: Latency
    entry_ms: VenueMs
    response_ms: VenueMs
    maker_bps: VenueBps
    taker_bps: VenueBps
    toxic_ahead_ratio: Annotated[Exact, Field(ge=0, le=1_000_000)]
    impact_bps: Annotated[Exact, Field(ge=0, le=1000, decimal_places=4)]
    participation_frac_max: Frac
    balance: dict[Currency, Money]
    short_spot: bool
    seed: Annotated[int, Field(ge=0, lt=1 << 63)]

    @field_validator("queue_file")
    @classmethod
    def _has_curve(cls, value: str, info: ValidationInfo) -> str:
        """`fitted` needs its curve: from the file, or from the tape that the configuration is of."""
        if info.data.get("queue") != "fitted":
            return value
        if value:
            read_curve(Path(value))
        elif not info.data.get("queue_share"):
            raise ValueError(
                "queue: fitted needs a curve; --set queue_file=PATH, as `tickerml execution fit` writes it"
            )
        return value


class FeeRow(Section):
    """What a venue takes of a tier's fills from a date on."""

    venue: Literal["binance_spot", "binance_us", "binance_usdm", "binance_coinm"]
    tier: Tier
    since: Annotated[Date, Field(alias="from")]
    maker_bps: FeeBps
    taker_bps: FeeBps


class MarginRow(Section):
    """One tier of the maintenance margin from a date on, up to a worth in the currency that the contract settles in."""

    venue: Literal["binance_usdm", "binance_coinm"]
    symbol: AnySymbol
    since: Annotated[Date, Field(alias="from")]
    worth_max: Annotated[Money, Field(gt=0)]
    maintenance_frac: Frac
    leverage_max: Annotated[Exact, Field(ge=1, le=200)]


class LiquidationBps(PerVenue):
    """Basis points that a liquidation costs beside the taker's fee."""

    binance_spot: FeeBps
    binance_us: FeeBps
    binance_usdm: FeeBps
    binance_coinm: FeeBps


def _once(*names: str) -> AfterValidator:
    """Refuses two rows of one date that are the same in all of these."""

    def check(rows: list[Any]) -> list[Any]:
        seen = set()
        for row in rows:
            key = (row.since, *(getattr(row, name) for name in names))
            if key in seen:
                raise ValueError(f"has two rows of {' '.join(map(as_text, key[1:]))} from {row.since}; keep one")
            seen.add(key)
        return rows

    return AfterValidator(check)


class Terms(Section):
    """terms_config.yaml: what the venues charge and ask for, by date."""

    fees: Annotated[list[FeeRow], Field(max_length=10_000), _once("venue", "tier")]
    liquidation_bps: LiquidationBps
    margin: Annotated[list[MarginRow], Field(max_length=10_000), _once("venue", "symbol", "worth_max")]


class Risk(Section):
    """risk_limits.yaml."""

    position_frac_max: Frac
    drawdown_frac_max: Frac
    order_quote_min: Money
    leverage_max: Annotated[Exact, Field(gt=0, le=125)]
    book_age_ms_max: BookAges


class Model(Section):
    """model_config.yaml: which policy, with what. `check.policy_problems` reads the parameters."""

    policy: Literal["hold", "imbalance", "grid"]
    hold: Parameters
    imbalance: Parameters
    grid: Parameters

    def params(self, policy: str) -> dict[str, str]:
        """The parameters of one policy as text, as its register reads them."""
        return {key: as_text(value) for key, value in getattr(self, policy).items()}


class Monitoring(Section):
    """monitoring_config.yaml."""

    status_interval_s: Annotated[int, Field(ge=1, le=3600)]
    screen_refresh_hz: Annotated[int, Field(ge=1, le=30)]
    disk_free_mib_min: Annotated[int, Field(ge=0)]
    fsync_ms_max: Annotated[int, Field(ge=1, le=60_000)]
    reach_timeout_s: Annotated[int, Field(ge=1, le=60)]


class Kafka(Section):
    """kafka_config.yaml."""

    enabled: Off
    brokers: Brokers


class Timescale(Section):
    """timescale_config.yaml."""

    enabled: Off
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65_535)]
    database: Annotated[str, Field(min_length=1)]
    user: Annotated[str, Field(min_length=1)]


class Secrets(Section):
    """Only from the environment, never in a file, never printed. Paper trading needs none."""

    binance_api_key: SecretStr | None = None
    binance_api_secret: SecretStr | None = None
    timescale_password: SecretStr | None = None


class Config(Section):
    """The whole configuration, one section a file."""

    exchanges: Exchanges
    execution: Execution
    terms: Terms
    risk: Risk
    model: Model
    monitoring: Monitoring
    kafka: Kafka
    timescale: Timescale
    secrets: Secrets
