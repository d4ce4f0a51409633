"""Who may import whom (design.md section 4). Nothing runs back along the straight line."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / "python" / "tickerml"
CORE = ROOT / "crates" / "tickerml-core" / "src"
SIDE_BY_SIDE = {"policy", "risk", "portfolio", "sinks", "dash", "learn"}
PROTOCOLS = {"tickerml.schema", "tickerml.errors", "tickerml.policy.base", "tickerml.sinks.base"}
ORDER = ("error", "rng", "units", "event", "instrument", "wire", "sequence", "tape", "order_merge", "book", "feature",
         "market", "event_set", "sim", "l3", "session", "grid", "parquet")  # fmt: skip
FORBIDDEN_IN_CORE = re.compile(r"std::(net|thread|fs|env)\b|SystemTime|Instant::now|HashMap|HashSet|pyo3|tokio")


def imports(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, wherever in the file; `from tickerml import x` counts as tickerml.x."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("tickerml"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tickerml"):
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "tickerml" else (module,)


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def python_files() -> list[tuple[str, Path]]:
    found = [(path.relative_to(PYTHON).parts[0].removesuffix(".py"), path) for path in PYTHON.rglob("*.py")]
    assert len(found) > 20
    return found


def test_python_parts_that_stand_side_by_side_do_not_import_each_other() -> None:
    wrong = [(str(path), module) for mine, path in python_files() for module in imports(path)
             if mine in SIDE_BY_SIDE and part(module) in SIDE_BY_SIDE - {mine}]  # fmt: skip
    assert wrong == []


def test_nothing_imports_the_command_line() -> None:
    wrong = [(str(p), m) for mine, p in python_files() for m in imports(p) if part(m) == "cli" and mine != "cli"]
    assert wrong == []


def test_the_engine_knows_protocols_only() -> None:
    assert set(imports(PYTHON / "engine.py")) <= PROTOCOLS


def test_core_modules_use_earlier_ones_only() -> None:
    wrong = []
    for path in CORE.rglob("*.rs"):
        mine = path.relative_to(CORE).parts[0].removesuffix(".rs")
        used = set(re.findall(r"crate::([a-z_]+)", path.read_text(encoding="utf-8"))) - {mine}
        if mine != "lib":
            wrong += [(str(path), name) for name in used if name not in ORDER[: ORDER.index(mine)]]
    assert wrong == []


def test_core_touches_nothing_outside() -> None:
    """No sockets, clock, threads, files, environment, Python, and no map whose order is chance (design.md 3)."""
    wrong = [f"{path}:{n}: {line.strip()}" for path in CORE.rglob("*.rs")
             for n, line in enumerate(_code(path), 1) if FORBIDDEN_IN_CORE.search(line)]  # fmt: skip
    assert wrong == []


def _code(path: Path) -> list[str]:
    """The lines before a file's own tests, without comments."""
    text = path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests {")[0]
    return [line.split("//")[0] for line in text.splitlines()]


def test_crates_depend_in_one_direction() -> None:
    allowed = {"core": set(), "feed": {"core"}, "venue": {"core"}, "py": {"core", "feed", "venue"}}
    for crate, others in allowed.items():
        manifest = tomllib.loads((ROOT / "crates" / f"tickerml-{crate}" / "Cargo.toml").read_text(encoding="utf-8"))
        ours = {name.removeprefix("tickerml-") for name in manifest["dependencies"] if name.startswith("tickerml-")}
        assert ours <= others, crate
