"""Every package keeps the same form: files, version, requirements on its siblings."""

import importlib
import re
import tomllib
from importlib.metadata import files, version

from packaging.requirements import Requirement
from packaging.version import Version
from ptycho_core.record import installed_versions

PYTHONS = ["3.11", "3.12", "3.13"]


def siblings(projects, package):
    """Return the requirements of a package, extras included, on other packages of ours."""
    project = projects[package]["project"]
    optional = project.get("optional-dependencies", {}).values()
    lines = [*project["dependencies"], *(line for lines in optional for line in lines)]
    return [r for r in map(Requirement, lines) if r.name in projects]


def test_folder_has_the_name_of_the_project(projects, package):
    assert projects[package]["project"]["name"] == package


def test_required_files(root, import_names, package):
    folder = root / "packages" / package
    source = folder / "src" / import_names[package]
    wanted = [folder / "README.md", folder / "CHANGELOG.md", folder / "tests"]
    wanted += [source / "__about__.py", source / "py.typed"]
    assert [str(path) for path in wanted if not path.exists()] == []
    assert list((folder / "src").iterdir()) == [source]
    assert list((folder / "tests").rglob("test_*.py"))


def test_records_of_runs_name_the_version(package):
    assert installed_versions()[package] == version(package)


def test_metadata(projects, package):
    project = projects[package]["project"]
    assert project["license"] == "BSD-3-Clause"
    assert project["license-files"] == ["LICENSE"]
    assert project["requires-python"] == ">=3.11"
    versions = [f"Programming Language :: Python :: {v}" for v in PYTHONS]
    assert [c for c in project["classifiers"] if c.startswith("Programming")] == versions
    assert project["classifiers"] == sorted(project["classifiers"])
    assert {"Typing :: Typed", "Intended Audience :: Science/Research"} < {*project["classifiers"]}
    assert project["authors"] == [{"name": "PtychoPINN anew developers"}]
    assert "ptychography" in project["keywords"]
    assert project["readme"] == "README.md"
    assert project["description"]
    assert projects[package]["build-system"]["build-backend"] == "hatchling.build"


def test_links_of_a_package_start_at_the_home_of_the_project(root, projects, package):
    home = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["workspace"]["url"]
    links = projects[package]["project"]["urls"]
    assert list(links) == ["Homepage", "Documentation", "Source", "Issues", "Changelog"]
    assert all(link.startswith(home) for link in links.values())
    assert links["Changelog"].endswith(f"/packages/{package}/CHANGELOG.md")


def test_version_is_a_literal_in_about(root, projects, import_names, package):
    about = root / "packages" / package / "src" / import_names[package] / "__about__.py"
    (literal,) = re.findall(r'^__version__ = "([^"]+)"$', about.read_text("utf-8"), re.MULTILINE)
    assert projects[package]["project"]["dynamic"] == ["version"]
    assert str(Version(literal)) == literal == version(package)
    assert importlib.import_module(import_names[package]).__version__ == literal


def test_changelog_speaks_of_the_version(root, package):
    changelog = (root / "packages" / package / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## {re.escape(version(package))}\b", changelog, re.MULTILINE)


def test_installed_package_is_typed(import_names, package):
    installed = {str(path) for path in files(package)}
    # A wheel lists the marker; an editable install points at the source, tested above.
    assert f"{import_names[package]}/py.typed" in installed or any(
        path.endswith(".pth") for path in installed
    )


def test_public_names_are_there(import_names, package):
    module = importlib.import_module(import_names[package])
    assert "__version__" in module.__all__
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_siblings_are_asked_for_in_ranges(projects, package):
    for requirement in siblings(projects, package):
        operators = {bound.operator for bound in requirement.specifier}
        assert operators == {">=", "<"}, f"{package}: {requirement} is not a range"
        assert requirement.specifier.contains(version(requirement.name)), str(requirement)


def test_hatch_installs_the_package_and_its_siblings_from_their_folders(noxfile, projects, package):
    envs = projects[package]["tool"]["hatch"]["envs"]
    needed, _ = noxfile.closure(package, *noxfile.test_group(package))
    members = [f"../{name}*" if name == package else f"../{name}" for name in needed]
    assert envs["default"]["workspace"]["members"] == members
    assert envs["hatch-test"]["template"] == "default"
    group = ["test"] if noxfile.test_group(package) else []
    assert envs["hatch-test"].get("dependency-groups", []) == group
    assert envs["hatch-test"]["matrix"] == [{"python": PYTHONS}]


def test_readme_has_an_example(root, package):
    assert "```python" in (root / "packages" / package / "README.md").read_text("utf-8")
