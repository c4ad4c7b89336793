"""What is handed on, the wheel and the source archive of each package, stands on its own."""

import re
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder


@pytest.fixture(scope="module")
def wheels(root, projects, tmp_path_factory):
    """The content of each package's wheel: texts by the names of the members."""
    return build(WheelBuilder, root, projects, tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def sdists(root, projects, tmp_path_factory):
    """The content of each package's source archive."""
    return build(SdistBuilder, root, projects, tmp_path_factory.mktemp("sdists"))


def build(builder, root, projects, folder):
    versions = ["standard"]
    return {
        name: content(
            next(
                builder(str(root / "packages" / name)).build(
                    directory=str(folder), versions=versions
                )
            )
        )
        for name in projects
    }


def content(path):
    if Path(path).suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read() for name, file in files.items() if file}


def only(archive, pattern):
    (name,) = [name for name in archive if re.fullmatch(pattern, name)]
    return archive[name]


def test_the_licence_is_that_of_the_workspace(root, wheels, sdists, package):
    licence = (root / "LICENSE").read_bytes()
    assert (root / "packages" / package / "LICENSE").read_bytes() == licence
    assert only(wheels[package], r"[^/]+\.dist-info/licenses/LICENSE") == licence
    assert only(sdists[package], r"[^/]+/LICENSE") == licence


@pytest.fixture
def metadata(wheels, package):
    text = only(wheels[package], r"[^/]+\.dist-info/METADATA").decode()
    return message_from_string(text)


def test_metadata_say_what_the_licence_is(metadata):
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert not any(c.startswith("License ::") for c in metadata.get_all("Classifier"))


@pytest.mark.usefixtures("package")
def test_the_description_links_to_nothing_that_stays_behind(metadata):
    links = re.findall(r"\]\(\s*([^)\s]+)\s*\)", metadata.get_payload())
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_pages_and_examples_that_a_readme_names_exist(root, package):
    text = (root / "packages" / package / "README.md").read_text("utf-8")
    named = re.findall(r"`(docs/[\w./-]+|examples/[\w./-]+)`", text)
    folders = {"docs": root, "examples": root / "packages" / package}
    missing = [name for name in named if not (folders[name.split("/")[0]] / name).is_file()]
    assert missing == []


def test_wheels_hold_the_package_alone(wheels, import_names, package):
    tops = {name.split("/")[0] for name in wheels[package]}
    assert {top for top in tops if not top.endswith(".dist-info")} == {import_names[package]}
    assert f"{import_names[package]}/py.typed" in wheels[package]


def test_source_archives_hold_the_tests(sdists, package):
    assert any(re.match(r"[^/]+/tests/.*test_\w+\.py", name) for name in sdists[package])
