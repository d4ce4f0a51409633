"""Options of the long tests, `pytest -m soak --kills 200 --seed 7`, and what several modules of tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from parity_rows import Feeds

# Helpers whose assertions are to show what they compared.
pytest.register_assert_rewrite("parity_rows")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often to kill, and the seed of every moment drawn by chance."""
    parser.addoption("--kills", type=int, default=None, help="kills of one run [10; 200 where soak]")
    parser.addoption("--seed", type=int, default=20240808, help="seed of the moments of the kills [20240808]")


@pytest.fixture(scope="module")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> Feeds:
    """What both we and hftbacktest read, for tests that have it installed."""
    from parity_rows import Feeds

    return Feeds(lambda: tmp_path_factory.mktemp("parity"))
