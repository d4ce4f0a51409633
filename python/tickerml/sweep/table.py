"""A sweep's result as Parquet: one row a setting, its keys as columns, then the keys of a backtest's summary.

How many settings were tried stands in the file's metadata and in every row: whoever picks the best row of a search has
to know how long the search was (deflated Sharpe ratio).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tickerml.errors import TickerError
from tickerml.sweep.plan import Setting
from tickerml.writing import draft_of, replacing, writing

__all__ = ["FORMAT_VERSION", "METADATA", "check_place", "write_result"]

FORMAT_VERSION: Final = 1

METADATA: Final = "tickerml.sweep"
"""Key of the file's metadata: one JSON object."""

AS_JSON: Final = ("costs", "funding_next", "overrides", "stats")
"""Keys of a summary that are mappings: JSON text in a column."""

INT64: Final = (-(2**63), 2**63 - 1)


def check_place(path: Path) -> None:
    """Refuses a place that takes no result; asked before the work begins, which may be hours.

    Raises
    ------
    TickerError, NotFoundError
    """
    if path.suffix != ".parquet":
        raise TickerError(f"{path}: a sweep's result is written as .parquet; give the file this ending")
    draft = draft_of(path)
    with writing(path):
        draft.touch()
        draft.unlink()


def write_result(
    path: Path, settings: Sequence[Setting], results: Mapping[int, Mapping[str, Any]], head: Mapping[str, Any]
) -> int:
    """Writes the rows of `results` by their setting's number, whole or not at all; the file's bytes.

    Parameters
    ----------
    head : what the metadata says besides the format and the count.

    Raises
    ------
    TickerError, NotFoundError
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = sorted(results)
    columns = _columns(settings, [results[n] for n in numbers], numbers)
    meta = {"format_version": FORMAT_VERSION, "settings_tried": len(numbers), **head}
    table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(meta, ensure_ascii=False)})
    with replacing(path) as draft:
        pq.write_table(table, draft, compression="zstd")
    return path.stat().st_size


def _columns(settings: Sequence[Setting], rows: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> dict[str, Any]:
    import pyarrow as pa

    chosen = [settings[n] for n in numbers]
    columns: dict[str, Any] = {
        "setting": pa.array(numbers, pa.int64()),
        "settings_tried": pa.array([len(numbers)] * len(numbers), pa.int64()),
    }
    summary = list(rows[0])
    for key in dict.fromkeys(key for setting in settings for key in setting.values):
        name = f"set.{key}" if key in summary or key in columns else key
        columns[name] = _array([setting.values.get(key) for setting in chosen])
    columns["settings"] = pa.array([json.dumps(setting.texts, ensure_ascii=False) for setting in chosen])
    for key in summary:
        values = [row[key] for row in rows]
        kind = pa.float64() if key == "max_drawdown_frac" else None  # a built-in grid's is not known
        columns[key] = pa.array([json.dumps(value) for value in values] if key in AS_JSON else values, kind)
    return columns


def _array(values: Sequence[Any]) -> Any:
    """A setting's values: whole numbers, numbers, truths, or text; the column `settings` has each exactly."""
    import pyarrow as pa

    given = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in given):
        return pa.array(values, pa.bool_())
    if any(isinstance(value, (bool, str)) for value in given):
        return pa.array([None if value is None else _text(value) for value in values], pa.string())
    if all(isinstance(value, int) and INT64[0] <= value <= INT64[1] for value in given):
        return pa.array(values, pa.int64())
    assert all(isinstance(value, (int, Decimal)) for value in given), "YAML here knows no other scalar"
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _text(value: Any) -> str:
    from tickerml.config.values import as_text

    return as_text(value)
