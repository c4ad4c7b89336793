"""The judge finds every fault: a campaign without findings would otherwise mean nothing."""

import h5py
import judge
import numpy as np
import pytest
from calls import Answer

FINE = {"code": 0, "out": "", "err": "", "wall_s": 1.0, "cpu_s": 1.0, "megabytes": 400.0,
        "changes": 0, "killed": ""}  # fmt: skip


def verdict(command="convert", **seen):
    return judge.judge(Answer(**FINE | seen), command)[0]


def test_what_is_right():
    assert verdict() == judge.RIGHT
    assert verdict(err="scan.npz: read\nwarning: little overlap\n") == judge.RIGHT


def test_what_is_refused():
    assert verdict(code=1, err="error: N must be 64, got 16\n") == judge.REFUSED
    assert verdict(code=3, err="error: r must be free, got results\n") == judge.REFUSED
    assert verdict(code=2, err="error: no such option\n  see `ptycho --help`\n") == judge.REFUSED
    assert verdict("inspect", code=1, out="1 violation\n") == judge.REFUSED


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ("crash", {"code": -11}),
        ("hang", {"code": -9, "killed": "hang"}),
        ("hang", {"cpu_s": 11.0}),
        ("memory", {"megabytes": 2500.0}),
        ("memory", {"code": 1, "err": "error: out of memory; use fewer patterns\n"}),
        ("traceback", {"code": 1, "err": "Traceback (most recent call last):\n"}),
        ("traceback", {"code": 1, "err": "error: internal error: KeyError: 'x'\n"}),
        ("raw characters", {"out": "\x1b[2J"}),
        ("raw characters", {"out": "a\rb"}),
        ("raw characters", {"out": "\u202egnp"}),
        ("forged line", {"out": f"key\n  {judge.FORGED}\n"}),
        ("no clear error", {"code": 1}),
        ("no clear error", {"code": 1, "err": "error: a is wrong\nerror: b is wrong\n"}),
        ("no clear error", {"code": 1, "err": "error: a is wrong\nand so on\n"}),
        ("no clear error", {"code": 1, "err": "error: \n"}),
        ("no clear error", {"code": 5, "err": "error: a is wrong\n"}),
        ("no clear error", {"code": 0, "err": "error: a is wrong\n"}),
    ],
)
def test_what_is_a_fault(expected, seen):
    assert verdict(**seen) == expected
    assert expected in judge.FAULTS


def test_a_changed_bit_is_a_difference():
    one = {"object": np.zeros(3), "x": np.zeros(2)}
    assert judge.difference(one, one) is None
    assert judge.difference(one, one | {"x": np.array([0.0, -0.0])}) == "x"
    assert judge.difference(one, {"object": np.zeros(3)}) == "x is missing"
    assert judge.difference(one, one | {"x": np.zeros(2, np.float32)}) == "x"


def test_garbage_is_not_finite_or_of_another_file():
    assert judge.garbage({"a": np.array([1.0, np.nan])})
    assert judge.garbage({"a": np.full(9, judge.DECOY)})
    assert judge.garbage({"a": np.arange(9), "b": np.array("text")}) is None


def test_a_snapshot_sees_links_and_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    before = judge.snapshot(tmp_path)
    (tmp_path / "a").write_bytes(b"2")
    assert judge.snapshot(tmp_path) != before
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").symlink_to("nowhere")
    after = judge.snapshot(tmp_path)
    assert after.keys() - before.keys() == {"b"}
    assert judge.snapshot(tmp_path, without=["b"]).keys() == {"a"}


def test_content_of_a_folder_holds_every_array(tmp_path):
    np.savez(tmp_path / "scan.npz", a=np.arange(3), _metadata=np.array("of the input"))
    with h5py.File(tmp_path / "product.h5", "w") as file:
        file["b"] = 1.0
        file["b"].attrs["unit"] = "m"
    names = set(judge.content_of(tmp_path))
    assert names == {"scan.npz:a", "product.h5:b", "product.h5:b@unit"}
