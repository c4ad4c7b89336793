"""Paths as people type and sort them."""

import os
from pathlib import Path

import pytest
from ptycho_config.paths import expanded, natural


def test_numbers_in_names_are_sorted_by_their_value():
    names = ["s_10", "s_9", "s_9b", "t_1_20", "t_1_3", "s", "7", "07"]
    assert sorted(names, key=natural) == ["7", "07", "s", "s_9", "s_9b", "s_10", "t_1_3", "t_1_20"]


def test_files_are_sorted_like_their_names():
    files = [Path("run_2/s_10.npz"), Path("run_10/s_1.npz"), Path("run_2/s_9.npz")]
    assert sorted(files, key=natural) == [files[2], files[0], files[1]]


@pytest.mark.parametrize("name", ["~/scan.npz", "~"])
def test_the_home_folder_is_inserted(name):
    assert expanded(name) == Path(os.environ["HOME"], *Path(name).parts[1:])


def test_a_name_with_a_tilde_stays():
    assert expanded("~scan.npz") == Path("~scan.npz")
