"""One YAML file into plain values, with the line of every key, and every problem instead of the first.

The dialect is smaller than YAML 1.1 on purpose: ``010`` is ten, ``no`` is text, ``1:30`` is text, numbers with a point
become exact decimals, and anchors, tags and duplicate keys are refused.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

__all__ = ["YamlFile", "parse_scalar", "parse_text", "read_yaml"]

BYTES_MAX = 1 << 20
"""A configuration file is a page or two; a larger one is a mistake."""

DEPTH_MAX = 32
"""Nesting that no configuration needs; keeps hostile input from the recursion limit."""

DIGITS_MAX = 40
"""Digits of a whole number that still mean something: none of ours leaves 64 bits."""

Path_ = tuple[str, ...]
_LOADERS = (getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader)
"""That of libyaml, in a tenth of the time, and that in Python for what the first refuses: its words are better."""

_APART = re.compile("[\t\ufeff!]|[|>][-+0-9]*#")
"""Where the two may not agree: tabs between words, tags, and a comment right behind the mark of a text block."""

_INT = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass
class YamlFile:
    """What one file says: `data`, the line of each key path in `lines`, and `problems` as finished sentences.

    A file that is a list, where that is allowed, has `items` instead of `data`; its paths begin with an item's index.
    """

    path: Path
    data: dict[str, Any] = field(default_factory=dict)
    items: list[Any] | None = None
    lines: dict[Path_, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def blame(self, line: int, what: str) -> None:
        """Records one problem at a line (1-based; 0 is the whole file)."""
        self.problems.append(f"{self.path}:{line} {what}" if line else f"{self.path}: {what}")


def read_yaml(path: Path, *, list_ok: bool = False) -> YamlFile:
    """Reads a file; a file that cannot be used leaves `data` empty and says why in `problems`.

    Parameters
    ----------
    list_ok : the file may be a list, too.
    """
    out = YamlFile(path)
    text = _text(path, out)
    if text is None:
        return out
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        out.blame(mark.line + 1 if mark else 0, _syntax(e))
        return out
    except (yaml.YAMLError, RecursionError):
        out.blame(0, "is not YAML: it holds a character or a nesting that YAML does not allow; write it anew")
        return out
    if isinstance(node, yaml.MappingNode):
        out.data = _mapping(node, (), out, set())
    elif isinstance(node, yaml.SequenceNode) and list_ok:
        out.items = _value(node, (), out, set())
    elif node is not None:
        out.blame(1, "the file must be a mapping of `key: value` lines" + (", or a list of such" if list_ok else ""))
    return out


def parse_scalar(text: str) -> Any:
    """The value of one plain word: true, false, null, an integer, an exact decimal, else the text itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INT.fullmatch(text) and len(text) <= DIGITS_MAX:
        return int(text)
    return Decimal(text) if _NUMBER.fullmatch(text) and len(text) <= DIGITS_MAX else text


def parse_text(text: str) -> Any:
    """The value of an environment variable or a flag: a scalar, or a list or mapping in YAML's brackets."""
    if not text.startswith(("[", "{")):
        return parse_scalar(text)
    try:
        node = _compose(text)
    except (yaml.YAMLError, RecursionError):
        return text
    out = YamlFile(Path())
    value = _value(node, (), out, set()) if node else text
    return text if out.problems else value


def _compose(text: str) -> yaml.Node | None:
    quick, strict = _LOADERS
    if not _APART.search(text):
        with suppress(yaml.YAMLError, UnicodeEncodeError):
            return yaml.compose(text, Loader=quick)
    return yaml.compose(text, Loader=strict)


def _text(path: Path, out: YamlFile) -> str | None:
    try:
        raw = path.read_bytes()
    except OSError as e:
        out.blame(0, f"cannot be read ({e.strerror}); mend the file or its permissions")
        return None
    if len(raw) > BYTES_MAX:
        out.blame(0, f"has {len(raw)} bytes, at most {BYTES_MAX} are read; is it a configuration file?")
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as e:
        out.blame(raw[: e.start].count(b"\n") + 1, "is not UTF-8 text; save it as UTF-8")
        return None


def _syntax(e: yaml.MarkedYAMLError) -> str:
    if "'\\t'" in str(e.problem):
        return "a tab cannot indent YAML; use spaces"
    return f"is not YAML: {e.problem or e.context}; check the indentation, colons and quotes"


def _mapping(node: yaml.MappingNode, at: Path_, out: YamlFile, seen: set[int]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, key_node, value_node in _entries(node, out):
        here = (*at, key)
        line = key_node.start_mark.line + 1
        if key in data:
            out.blame(line, f"{'.'.join(here)}: stands here and on line {out.lines[here]}; keep one")
            continue
        out.lines[here] = line
        data[key] = _value(value_node, here, out, seen)
    return data


def _entries(node: yaml.MappingNode, out: YamlFile) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    for key_node, value_node in node.value:
        if isinstance(key_node, yaml.ScalarNode):
            yield key_node.value, key_node, value_node
        else:
            out.blame(key_node.start_mark.line + 1, "a key must be one word")


def _value(node: yaml.Node, at: Path_, out: YamlFile, seen: set[int]) -> Any:
    line = node.start_mark.line + 1
    if id(node) in seen or len(at) > DEPTH_MAX:
        out.blame(line, f"{'.'.join(at)}: anchors, aliases and deep nesting are not taken; write the value out")
        return None
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, out, seen)
    if isinstance(node, yaml.SequenceNode):
        out.lines.update({(*at, str(n)): item.start_mark.line + 1 for n, item in enumerate(node.value)})
        return [_value(item, (*at, str(n)), out, seen) for n, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode), "YAML knows three kinds of nodes"
    return node.value if node.style else parse_scalar(node.value)
