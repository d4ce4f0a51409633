"""Options of the long tests: `pytest -m soak --kills 200 --seed 7`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often to kill, and the seed of every moment drawn by chance."""
    parser.addoption("--kills", type=int, default=None, help="kills of one run [10; 200 where soak]")
    parser.addoption("--seed", type=int, default=20240808, help="seed of the moments of the kills [20240808]")
