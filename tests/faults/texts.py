"""Mutations of text: JSON in bundles and results, settings as TOML, YAML and JSON, hash lists."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from judge import HOSTILE

Random = np.random.Generator

#: As they stand in JSON, and mostly in YAML and TOML.
LITERALS = [
    "null", "true", "-1", "0", "1e308", "1e999", "-1e-320", "NaN", "Infinity", "-Infinity",
    str(2**31), str(2**63), str(10**30), "9" * 400, "9" * 5000, '""', '"x"', "[]", "{}", "[[]]",
    json.dumps(HOSTILE), json.dumps("x" * 100_000), '"\\ud800"', '"\\u0000"', '[1, 2, 3]',
    '{"a": {"b": 1}}', "[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000, "0.1",
    '"nan"', '"../../etc/passwd"', '"/dev/zero"', json.dumps("é" * 50), "1.5", "-0", "1e-400",
]  # fmt: skip


def chosen(options: list[Any], rng: Random) -> Any:
    """Choose one."""
    return options[int(rng.integers(len(options)))]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = (
        value.items() if isinstance(value, dict) else enumerate(value)
        if isinstance(value, list) else ()
    )  # fmt: skip
    for key, item in items:
        found += _places(item, (*path, key))
    return found


def mutate_json(text: str, rng: Random) -> str:
    """Change one value, key or the form of a JSON document, which mostly remains one."""
    data = json.loads(text)
    places = _places(data)
    way = int(rng.integers(10))
    if not places or way == 0:
        return chosen(LITERALS, rng)
    place = chosen(places, rng)
    owner = data
    for key in place[:-1]:
        owner = owner[key]
    mark = "@@here@@"
    if way == 1:
        del owner[place[-1]]
    elif way == 2 and isinstance(owner, dict):
        owner[chosen(["", "x", HOSTILE, "__proto__", "N" * 300, "é"], rng)] = owner.pop(place[-1])
    elif way == 3:
        return json.dumps(data)[: int(rng.integers(len(text)))]
    elif way == 4 and isinstance(owner, dict):
        whole = json.dumps(data)
        return (
            f'{{"{place[-1]}": {chosen(LITERALS, rng)}, {whole[1:]}' if len(place) == 1 else whole
        )
    else:
        owner[place[-1]] = mark
        return json.dumps(data).replace(json.dumps(mark), chosen(LITERALS, rng))
    return json.dumps(data)


def mutate_bytes(data: bytes, rng: Random) -> bytes:
    """Flip, cut out, repeat, insert, truncate, or encode otherwise."""
    out = bytearray(data)
    way = int(rng.integers(8))
    if not out or way == 0:
        return bytes(rng.bytes(int(rng.integers(0, 400))))
    place = int(rng.integers(len(out)))
    if way == 1:
        out[place] ^= 1 << int(rng.integers(8))
    elif way == 2:
        del out[place : place + int(rng.integers(1, 40))]
    elif way == 3:
        out[place:place] = out[: int(rng.integers(len(out)))]
    elif way == 4:
        odd = [b"\x00", b"\xff\xfe", b"\x1b[2J", b"\r", b"\xe2\x80\xae", b"\t", b"'", b'"', b"{"]
        out[place:place] = chosen(odd, rng)
    elif way == 5:
        del out[place:]
    elif way == 6:
        return chosen([b"\xef\xbb\xbf", b"\xff\xfe", b"\x00"], rng) + bytes(out)
    else:
        kind = chosen(["utf-16", "utf-32", "utf-16-le"], rng)
        return data.decode("utf-8", "replace").encode(kind)
    return bytes(out)


def _bomb(depth: int, width: int) -> str:
    lines = ['a0: &a0 ["x", "x"]']
    for k in range(depth):
        lines.append(f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * width)}]")
    return "\n".join(lines) + f"\nnepochs: *a{depth}\n"


def _merges(depth: int) -> str:
    lines = ["m0: &m0 {nepochs: 1}"]
    lines += [f"m{k + 1}: &m{k + 1} {{<<: [*m{k}, *m{k}, *m{k}]}}" for k in range(depth)]
    return "\n".join(lines) + f"\n<<: *m{depth}\n"


YAML_NUMBERS = ["010", "1:20", "0o10", "0x10", "0b11", "1_0", "+5", "1e1"]
YAML_WORDS = ["yes", "~", ".inf", ".nan", "2001-01-01", "=", "!!binary x"]
TOML_NUMBERS = ["0x10", "0o10", "1_0", "nan", "inf", "1979-05-27", "+5"]

YAMLS: list[Callable[[Random], str]] = [
    lambda rng: _bomb(int(rng.integers(3, 20)), int(rng.integers(2, 9))),
    lambda rng: _merges(int(rng.integers(2, 25))),
    lambda _: "nepochs: &n 1\nbatch_size: *n\n",
    lambda _: "a: &a [*a]\n",
    lambda _: "nepochs: !!python/object/apply:os.system ['touch trap']\n",
    lambda _: "nepochs: !!python/name:os.system\n",
    lambda rng: f"nepochs: {chosen(YAML_NUMBERS, rng)}\n",
    lambda rng: f"batch_size: {chosen(YAML_WORDS, rng)}\n",
    lambda _: "nepochs: 1\n---\nnepochs: 2\n",
    lambda _: "nepochs: 1\nnepochs: 2\n",
    lambda _: "? [1, 2]\n: 3\n",
    lambda _: "nepochs:\t1\n",
    lambda rng: "[" * int(rng.integers(100, 20_000)),
    lambda rng: "- " * int(rng.integers(100, 20_000)) + "x\n",
    lambda rng: "nepochs: " + "9" * int(rng.integers(300, 10_000)) + "\n",
    lambda _: f"{json.dumps(HOSTILE)}: 1\n",
    lambda _: f"architecture: {json.dumps(HOSTILE)}\n",
    lambda _: "x: |\n" + "  y\n" * 200_000,
    lambda _: "%YAML 9.9\n---\nnepochs: 1\n",
]  # fmt: skip

TOMLS: list[Callable[[Random], str]] = [
    lambda _: "nepochs = 1\nnepochs = 2\n",
    lambda _: "model.N = 64\n[model]\nN = 64\n",
    lambda rng: "nepochs = " + "9" * int(rng.integers(300, 10_000)) + "\n",
    lambda rng: f"batch_size = {chosen(TOML_NUMBERS, rng)}\n",
    lambda rng: "nepochs = " + "[" * int(rng.integers(100, 20_000)) + "\n",
    lambda rng: ".".join(["a"] * int(rng.integers(100, 5000))) + " = 1\n",
    lambda rng: "[" + ".".join(["a"] * int(rng.integers(100, 5000))) + "]\n",
    lambda _: f"{json.dumps(HOSTILE)} = 1\n",
    lambda _: f"architecture = {json.dumps(HOSTILE)}\n",
    lambda _: "[[model]]\nN = 64\n",
    lambda _: 'x = """\n' + "y\n" * 200_000 + '"""\n',
    lambda rng: "a = " + "{b = " * int(rng.integers(50, 3000)) + "\n",
]  # fmt: skip

JSONS: list[Callable[[Random], str]] = [
    lambda rng: chosen(LITERALS, rng),
    lambda rng: f'{{"nepochs": {chosen(LITERALS, rng)}}}',
    lambda rng: f'{{"batch_size": {chosen(LITERALS, rng)}, "batch_size": 4}}',
    lambda _: '{"nepochs": 1}{"nepochs": 2}',
    lambda _: '{"nepochs": 1,}',
    lambda _: "// comment\n{}",
    lambda rng: "[" * int(rng.integers(100, 200_000)),
    lambda _: json.dumps({HOSTILE: 1}),
    lambda _: json.dumps({"architecture": HOSTILE, "backend": HOSTILE}),
    lambda _: json.dumps({"model": {HOSTILE: HOSTILE}}),
]
SPECIAL = {"yaml": YAMLS, "toml": TOMLS, "json": JSONS}


def mutate_settings(text: str, kind: str, rng: Random) -> bytes:
    """Damage settings of a kind: a value, a line, the bytes, or the whole for something hostile."""
    way = int(rng.integers(4))
    if way == 0:
        return chosen(SPECIAL[kind], rng)(rng).encode("utf-8", "surrogatepass")
    if way == 1:
        return mutate_bytes(text.encode(), rng)
    if kind == "json":
        return mutate_json(text, rng).encode("utf-8", "surrogatepass")
    lines = text.splitlines()
    number = int(rng.integers(len(lines)))
    sign = " = " if kind == "toml" else ": "
    if sign in lines[number]:
        name = lines[number].split(sign)[0]
        lines[number] = f"{name}{sign}{chosen(LITERALS, rng)}"
    elif way == 2:
        lines.insert(number, lines[number])
    else:
        del lines[number]
    return "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")
