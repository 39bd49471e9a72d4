"""How much more memory this process may allocate; known on Linux only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_UNLIMITED = 2**60


def memory_left(root: Path = Path("/")) -> tuple[int, str] | None:
    """Return the bytes that this process may still allocate, and what sets that limit (the tightest one).

    ``root`` contains ``proc`` and ``sys``. None if no limit is known.
    """
    known = [(left, said) for left, said in _limits(root) if left < _UNLIMITED]
    return min(known) if known else None


def _limits(root: Path) -> Iterator[tuple[int, str]]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024, "the machine's memory"
    yield from _address_space(root)
    yield from _groups(root)


def _address_space(root: Path) -> Iterator[tuple[int, str]]:
    for line in _lines(root / "proc/self/limits"):
        words = line.split()
        if words[:3] == ["Max", "address", "space"] and words[3].isdigit():
            taken = next((int(each.split()[1]) * 1024 for each in _status(root, "VmSize")), 0)
            yield max(0, int(words[3]) - taken), "the limit of this process (ulimit -v)"


def _groups(root: Path) -> Iterator[tuple[int, str]]:
    """Yield the memory left in each control group (v1 or v2) of this process."""
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0":
            base, limit, used, cache = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base, cache = root / "sys/fs/cgroup/memory", "total_inactive_file"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        here = base / path.lstrip("/")
        for folder in (here, *here.parents):
            most, now = _number(folder / limit), _number(folder / used)
            if most is not None and now is not None:
                stat = dict(each.split()[:2] for each in _lines(folder / "memory.stat") if " " in each)
                yield max(0, most - now + int(stat.get(cache, 0))), "the limit of this container"
            if folder == base:
                break


def _status(root: Path, name: str) -> Iterator[str]:
    return (line for line in _lines(root / "proc/self/status") if line.startswith(f"{name}:"))


def _number(path: Path) -> int | None:
    word = next(iter(_lines(path)), "")
    return int(word) if word.isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []
