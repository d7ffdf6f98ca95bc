"""Mutations of bytes, texts and nested values; each is a function of its random numbers alone."""

from __future__ import annotations

import json
import math
import random
import zipfile
from io import BytesIO
from typing import Any

EXTREMES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff" * 8, b"\x00" * 64)

TEXTS = (
    "", " ", "\0", "\n", "\r\n", "\t", '"', "'", "\\", "=", ",", ";", "|", "#", "[", "]", "{", "(?P<a>", "(a+)+$", "%s",
    "../../x", "/", "é", "e\u0301", "\ufeff", "\u202e", "\U0001f3b5", "\ud7ff", "\x1b[31m", "NaN", "-inf", "1e999",
    "-0", "0x10", "1_000", "99999999999999999999", "9" * 5000, "x" * 100_000, "[" * 5000, "a." * 3000 + "b",
)  # fmt: skip

DEEP = "\0deep\0"  # stands for nesting that json.dumps refuses to write

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 255, 256, 65_536, 2**31, 2**63, 10**30, 10**400, 0.5, -0.5, 1e-300, 1e300, math.nan,
    math.inf, -math.inf, [], {}, [[]], [None], {"a": 1}, [0] * 1000, DEEP, *TEXTS[:20], "9" * 5000,
)  # fmt: skip


def mutated_bytes(choose: random.Random, data: bytes, most: int = 4) -> bytes:
    """Returns data with one to `most` places flipped, overwritten, inserted, repeated, removed or cut off."""
    for _ in range(choose.randint(1, most)):
        data = _mutated_once(choose, data)
    return data


def _mutated_once(choose: random.Random, data: bytes) -> bytes:
    # heads decide what a file is, so half of all mutations are there
    place = choose.randrange(min(len(data), 256) if choose.random() < 0.5 else len(data)) if data else 0
    length = choose.choice((1, 2, 4, 8, choose.randint(1, 64), choose.randint(1, max(1, len(data)))))
    end = place + length
    action = choose.choice(
        ("flip", "flip", "extreme", "extreme", "random", "insert", "repeat", "remove", "cut", "move")
    )
    if action == "flip" and data:
        return data[:place] + bytes([data[place] ^ 1 << choose.randrange(8)]) + data[place + 1 :]
    if action == "extreme":
        extreme = choose.choice(EXTREMES)
        return data[:place] + extreme + data[place + len(extreme) :]
    if action == "random":
        return data[:place] + choose.randbytes(min(length, 64)) + data[end:]
    if action == "insert":
        return data[:place] + choose.choice((choose.randbytes(min(length, 64)), choose.choice(EXTREMES))) + data[place:]
    if action == "repeat":
        return data[:end] + data[place:end] * choose.choice((1, 1, 2, 50)) + data[end:]
    if action == "cut":
        return data[:place]
    if action == "move":
        other = choose.randrange(len(data) + 1)
        return data[:other] + data[place:end] + data[other:]
    return data[:place] + data[end:]


def mutated_text(choose: random.Random, text: str, most: int = 3) -> bytes:
    """Returns a text with one to `most` places changed, in UTF-8 or, at times, in another encoding or cut short."""
    for _ in range(choose.randint(1, most)):
        place = choose.randrange(len(text) + 1)
        end = place + choose.choice((0, 0, 1, choose.randint(0, 20), choose.randint(0, len(text))))
        lines = text.splitlines(keepends=True)
        action = choose.choice(("insert", "insert", "repeat", "line", "number", "remove"))
        if action == "insert":
            text = text[:place] + choose.choice(TEXTS) + text[end:]
        elif action == "repeat":
            text = text[:end] + text[place:end] * choose.choice((1, 2, 200)) + text[end:]
        elif action == "line" and lines:
            lines.insert(choose.randrange(len(lines) + 1), choose.choice(lines))
            text = "".join(lines)
        elif action == "number":
            text = _other_number(choose, text)
        else:
            text = text[:place] + text[end:]
    encoding = choose.choice(("utf-8",) * 8 + ("utf-16", "utf-8-sig", "latin-1", "utf-32"))
    data = text.encode(encoding, "replace")
    return mutated_bytes(choose, data, 2) if choose.random() < 0.1 else data


def _other_number(choose: random.Random, text: str) -> str:
    digits = [place for place, letter in enumerate(text) if letter.isdigit()]
    if not digits:
        return text
    place = choose.choice(digits)
    number = choose.choice(("-1", "0", "256", "65536", "1e999", "nan", "99999999999999999999", "9" * 5000, "1.5", "²"))
    return text[:place] + number + text[place + 1 :]


def mutated_values(choose: random.Random, value: Any, most: int = 3) -> Any:
    """Returns nested lists and dicts with one to `most` places replaced, dropped, renamed, repeated or added."""
    for _ in range(choose.randint(1, most)):
        value = _mutated_value(choose, value)
    return value


def _mutated_value(choose: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and choose.random() < 0.93:
        name = choose.choice(list(value))
        action = choose.choice(("down",) * 8 + ("drop", "rename", "add"))
        if action == "down":
            return {**value, name: _mutated_value(choose, value[name])}
        if action == "add":
            return {**value, choose.choice(("new", *map(str, TEXTS[:12]))): choose.choice(VALUES)}
        rest = {key: one for key, one in value.items() if key != name}
        return rest if action == "drop" else {**rest, f"{name}{choose.choice(TEXTS[:12])}": value[name]}
    if isinstance(value, list) and value and choose.random() < 0.9:
        place = choose.randrange(len(value))
        action = choose.choice(("down",) * 6 + ("drop", "repeat"))
        if action == "down":
            return [*value[:place], _mutated_value(choose, value[place]), *value[place + 1 :]]
        return [
            *value[:place],
            *[value[place]] * choose.choice((2, 100) if action == "repeat" else (0,)),
            *value[place:],
        ]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 and choose.random() < 0.5:
        factor = choose.choice((-1, 0, 1.5, 2, 1000, 1e9, 1e300))
        return int(value * 10**9) if isinstance(value, int) and factor > 1000 else value * min(factor, 1e9)
    return choose.choice(VALUES)


def json_of(choose: random.Random, value: Any) -> bytes:
    """Returns JSON of what `mutated_values` made, with what stands for deep nesting replaced by it."""
    text = json.dumps(value, ensure_ascii=choose.random() < 0.5)
    deep = choose.choice(("[", '{"a":'))
    return text.replace(json.dumps(DEEP), deep * 3000).encode("utf-8", "surrogatepass")


def mutated_zip(choose: random.Random, data: bytes) -> bytes:
    """Returns a zip file with the bytes of one part mutated and its checksum made right again."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    # the pickle says what the others mean
    name = choose.choice([name for name in parts if name.endswith("data.pkl")] * 3 + list(parts))
    action = choose.choice(("mutate",) * 8 + ("drop", "rename", "compress"))
    content = parts.pop(name)
    if action != "drop":
        named = f"{name}x" if action == "rename" else name
        parts[named] = content if action == "rename" else mutated_bytes(choose, content)
    whole = BytesIO()
    method = zipfile.ZIP_DEFLATED if action == "compress" else zipfile.ZIP_STORED
    with zipfile.ZipFile(whole, "w", method) as archive:
        for part, numbers in parts.items():
            archive.writestr(part, numbers)
    return whole.getvalue()
