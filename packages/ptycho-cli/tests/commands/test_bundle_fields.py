"""Every field of the tables of a bundle with hostile values: used, or one clean line."""

import copy
import hashlib
import json
import zipfile

import pytest

HUGE, MISSING = 10**400, object()
DEEP = json.loads("[" * 60 + "]" * 60)
VALUES = (None, True, -1, HUGE, 1e308, 1e-320, "", "a\nno violation\x1b[31m", [], {}, [None],
          {"a": []}, DEEP, MISSING, "x" * 5000, 0, 1.5)  # fmt: skip
SCALING = {
    "photons": 1e6,
    "input_scale": 0.03,
    "intensity_scale": 31.3,
    "nphotons": 1e9,
    "domain": "counts",
    "probe_given": True,
    "scans": [{"name": "a.npz", "patterns": 60, "photons": 1e6, "domain": "counts"}],
}
TABLES = ("config.json", "scaling.json", "history.json", "manifest.json")


def paths(table, prefix=()):
    """The path of every value of a table, the tables and lists themselves included."""
    entries = enumerate(table) if isinstance(table, list) else table.items()
    for key, value in entries:
        yield (*prefix, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*prefix, key))


def altered(members, name, path, value):
    """The members of a bundle with one value replaced, and its hashes made right again."""
    tables = {key: json.loads(members[key]) for key in (name, "manifest.json")}
    place = tables[name]
    for key in path[:-1]:
        place = place[key]
    if value is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = copy.deepcopy(value)
    new = dict(members)
    if name != "manifest.json":
        new[name] = json.dumps(tables[name]).encode()
        entry = {"sha256": hashlib.sha256(new[name]).hexdigest(), "size": len(new[name])}
        tables["manifest.json"]["members"][name] = entry
    new["manifest.json"] = json.dumps(tables["manifest.json"]).encode()
    return new


@pytest.fixture
def members(ptycho, scan_file, stand_in, tmp_path):
    """The members of a model that was trained here."""
    assert stand_in is not None
    assert ptycho("train", scan_file, "-o", tmp_path / "model", "--nepochs", "1").code == 0
    with zipfile.ZipFile(tmp_path / "model" / "wts.h5.zip") as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    for key, value in SCALING.items():
        found = altered(found, "scaling.json", (key,), value)
    return found


def is_clean(done):
    lines = [line for line in done.err.split("\n") if line]
    shown = (done.out + done.err).split("\n")
    if not all(line.isprintable() for line in shown) or max(map(len, shown)) > 1200:
        return False
    return done.fails_with() if done.code else not any("error: " in line for line in lines)


def sweep(ptycho, members, folder, name, *, every):
    """Alter each value of a table; returns the calls that did not end as they may."""
    bad, path = [], folder / "altered.zip"
    for number, place in enumerate(paths(json.loads(members[name]))):
        values = VALUES if every else (VALUES[number % len(VALUES)], None)
        for value in values:
            with zipfile.ZipFile(path, "w") as archive:
                for member, data in altered(members, name, place, value).items():
                    archive.writestr(member, data)
            calls = [("bundle", "show", path), ("config", "show", "--bundle", path)]
            if every or name == "scaling.json":
                calls.append(
                    ("infer", path, folder / "scan.npz", "-o", folder / "r", "--overwrite")
                )
            for words in calls:
                done = ptycho(*words)
                if not is_clean(done):
                    bad.append((words[0], place, repr(value)[:30], done.code, done.err[-400:]))
    return bad


@pytest.mark.parametrize("name", TABLES)
def test_hostile_fields_end_in_one_clean_line(ptycho, members, tmp_path, name):
    assert sweep(ptycho, members, tmp_path, name, every=False) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_field_with_every_hostile_value(ptycho, members, tmp_path, name):
    assert sweep(ptycho, members, tmp_path, name, every=True) == []
