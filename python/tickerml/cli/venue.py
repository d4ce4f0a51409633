"""`tickerml venue`: an exchange on loopback."""

from pathlib import Path

import click

from tickerml.cli.options import DURATION, I64_MAX, INSTRUMENT, FiniteRange, check_output, common, globals_of
from tickerml.cli.output import emit

__all__ = ["venue"]

SPEED_MAX = 1000
"""As the venue takes it (`tickerml_venue::config`)."""


@click.group()
@common
def venue() -> None:
    """Serve an exchange on this machine."""


@venue.command()
@click.option("--market", type=click.Path(path_type=Path), help="YAML with the market to generate.")
@click.option(
    "--recording",
    "recordings",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Serve these recordings instead; several are one.",
)
@click.option("--instrument", type=INSTRUMENT, help="The recording's instrument.")
@click.option(
    "--speed",
    type=FiniteRange(0, SPEED_MAX, min_open=True),
    help="Times faster than recorded, or than the clock [the file's, else 1].",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one [the file's, else 0].")
@click.option("--seed", type=click.IntRange(0, I64_MAX), help="Seed of the order flow [the file's, else 1].")
@common
def serve(
    *,
    market: Path | None,
    recordings: tuple[Path, ...],
    instrument: str | None,
    speed: float | None,
    port: int | None,
    seed: int | None,
) -> None:
    """Serve until stopped: real sockets, Binance's dialects, faults on request through control_url."""
    from tickerml.sources.venue import market_config
    from tickerml.sources.venue import serve as serve_venue

    if recordings and not instrument:
        raise click.UsageError("--recording needs --instrument: a recording does not say what it is of")
    if market and recordings:
        raise click.UsageError("--market and --recording are two different venues; give one")
    config = market_config(market, recordings, instrument, speed=speed, port=port, seed=seed)
    serve_venue(config, market, as_json=globals_of().json)


@venue.command()
@click.option("--market", type=click.Path(path_type=Path), help="YAML with the market to generate [the demo's].")
@click.option("--instrument", type=INSTRUMENT, help="Which of its instruments, where there are several.")
@click.option("--duration", type=DURATION, required=True, help="Virtual time to record, e.g. 1h.")
@click.option("--seed", type=click.IntRange(0, I64_MAX), help="Seed of the order flow [the file's, else 1].")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="FILE.gz to write.")
@common
def record(*, market: Path | None, instrument: str | None, duration: float, seed: int | None, out: Path) -> None:
    """Write a generated market as a recording (hftbacktest-raw): no sockets, virtual time, same seed same bytes."""
    from tickerml.sources.venue import market_config
    from tickerml.sources.venue import record as record_market

    check_output("-o", out, *([market] if market else []))
    config = market_config(market, (), None, speed=None, seed=seed)
    done = record_market(config, market, instrument, duration_s=duration, out=out)
    emit(done, lambda: f"{done['frames']} frames, {done['bytes']} bytes in {out}")
