import zipfile

import numpy as np
import pytest
from ptycho_data._untrusted import data_start, entry_problem


def entry(**claims):
    info = zipfile.ZipInfo("a.npy")
    info.compress_type = zipfile.ZIP_DEFLATED
    info.file_size = info.compress_size = 1000
    for name, value in claims.items():
        setattr(info, name, value)
    return info


def test_what_writers_produce_may_be_read_from_its_first_byte(tmp_path):
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", first=np.arange(3), second=np.zeros(500))
        with (
            zipfile.ZipFile(tmp_path / "a.npz") as archive,
            (tmp_path / "a.npz").open("rb") as file,
        ):
            for info in archive.infolist():
                assert entry_problem(info) is None
                file.seek(data_start(file, info))
                stored = file.read(info.compress_size)
                if info.compress_type == zipfile.ZIP_STORED:
                    assert stored == archive.read(info)


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ({"flag_bits": 1}, "encrypted"),
        ({"compress_type": zipfile.ZIP_LZMA}, "compression method 14"),
        ({"compress_type": zipfile.ZIP_STORED, "compress_size": 999}, "declared as 1000"),
        ({"file_size": 3 << 20}, "declared to inflate"),
        ({"file_size": 100 << 20, "compress_size": 200_000}, "bomb"),
    ],
)
def test_claims_that_no_writer_makes_are_problems(claims, found):
    assert found in " ".join(entry_problem(entry(**claims)))
