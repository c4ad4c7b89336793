"""What publishes the packages agrees with what they are: workflows, hashes, recipes, the home."""

import re
import shlex
import subprocess
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
ACTION = re.compile(r"\buses: (.*)")


def commands(workflow):
    """Yield what the steps of a workflow run, with the values of its matrix put in."""
    for job in workflow["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        for step in job["steps"]:
            lines = [step["run"]] if "run" in step else []
            for key, values in matrix.items():
                hole = f"${{{{ matrix.{key} }}}}"
                lines = [line.replace(hole, value) for line in lines for value in values]
            yield from dict.fromkeys(lines)


def workflows(root):
    found = sorted(root.glob(".github/workflows/*.yml"))
    assert found
    return {path.name: yaml.safe_load(path.read_text("utf-8")) for path in found}


def test_workflows_call_nox_and_nothing_else(root, noxfile):
    known = {*noxfile.nox.registry.get()} | {"tests-3.12", "tests-3.13"}
    named = set()
    for name, workflow in workflows(root).items():
        for command in commands(workflow):
            words = shlex.split(command)
            assert words[:3] in (["python", "-m", "pip"], ["python", "-m", "nox"]), name
            if words[2] == "pip":
                assert words[3:] == ["install", "-c", "constraints.txt", "nox"], name
            elif words[3] == "-s":
                assert words[4] in known, f"{name}: {words[4]}"
                named.add(words[4])
            else:
                assert words[3:] == ["-t", "gpu"], name
    nightly = {"browser", "lowest", "nightly", "programs"}
    assert named >= {*noxfile.nox.options.sessions, *nightly, "release"}


def test_workflows_may_write_nothing_but_what_they_publish(root):
    for name, workflow in workflows(root).items():
        assert workflow["permissions"] == {"contents": "read"}, name
        for job in workflow["jobs"].values():
            if "permissions" in job:  # and then it runs no code of ours
                assert job["permissions"].keys() <= {"id-token", "pages"}, name
                assert not [step for step in job["steps"] if "run" in step], name
        assert all("timeout-minutes" in j for j in workflow["jobs"].values() if "needs" not in j)


def test_actions_are_pinned_to_commits_beside_their_versions(root):
    pins = set()
    for path in root.glob(".github/workflows/*.yml"):
        pins |= set(ACTION.findall(path.read_text("utf-8")))
    assert pins
    for pin in pins:  # a tag can be moved to other code, a commit cannot
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", pin), pin
    assert len(pins) == len({pin.partition("@")[0] for pin in pins})


def test_locked_versions_are_the_tested_ones(noxfile):
    def pins(path):
        found = PIN.findall(path.read_text("utf-8"))
        return {canonicalize_name(name): version for name, version in found}

    assert pins(noxfile.LOCK) == pins(noxfile.CONSTRAINTS), "run `nox -s lock`"


def test_every_locked_version_has_hashes(noxfile):
    entries = re.split(r"^(?=[A-Za-z])", noxfile.LOCK.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert len(entries) > 50
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry


@pytest.fixture(scope="module")
def recipes(root, projects, tmp_path_factory):
    """The recipes that the program writes for empty archives of the right names."""
    archives, target = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("conda")
    for name in projects:
        (archives / f"{name.replace('-', '_')}-1.2.3.tar.gz").touch()
    program = [sys.executable, str(root / "conda" / "recipes.py"), str(archives), str(target)]
    subprocess.run(program, check=True, capture_output=True)  # noqa: S603  our own program
    return {p.parent.name: yaml.safe_load(p.read_text("utf-8")) for p in target.glob("*/*.yaml")}


def test_a_recipe_requires_what_the_package_does(recipes, projects, package):
    recipe = recipes[package]
    assert recipe["context"]["version"] == "1.2.3"
    assert re.fullmatch("[0-9a-f]{64}", recipe["source"]["sha256"])
    run = {line.partition(" ")[0]: line for line in recipe["requirements"]["run"]}
    for requirement in map(Requirement, projects[package]["project"]["dependencies"]):
        name = {"torch": "pytorch"}.get(requirement.name, canonicalize_name(requirement.name))
        assert str(requirement.specifier) in run[name]


def test_recipes_require_what_extras_bring(recipes):
    run = recipes["ptycho-core"]["requirements"]["run"]
    assert any(line.startswith("safetensors >=") for line in run)
    assert any(line.startswith("matplotlib-base >=") for line in run)
    assert any(
        line.startswith("tensorflow >=") for line in recipes["ptycho-tf"]["requirements"]["run"]
    )
    entry_points = recipes["ptycho-cli"]["build"]["python"]["entry_points"]
    assert entry_points == ["ptycho = ptycho_cli.main:main"]


def test_recipes_name_those_who_maintain_them(recipes, noxfile):
    workspace = noxfile.nox.project.load_toml(noxfile.ROOT / "pyproject.toml")["tool"]["workspace"]
    assert workspace["recipe-maintainers"]
    for recipe in recipes.values():
        assert recipe["extra"] == {"recipe-maintainers": workspace["recipe-maintainers"]}


def test_containers_take_the_tested_versions_and_the_wheels(root):
    for name in ("Dockerfile", "ptycho.def"):
        text = (root / "containers" / name).read_text("utf-8")
        assert re.search(
            r"-c \S*constraints\.txt --find-links \S+ \"ptychopinn\[torch\]\"", text
        ), name


def test_the_home_of_the_project_is_changed_in_every_file(root, noxfile, tmp_path):
    home = noxfile.nox.project.load_toml(root / "pyproject.toml")["tool"]["workspace"]["url"]
    packages = ("packages/ptycho-config/pyproject.toml", "packages/ptycho-data/pyproject.toml")
    names = ("noxfile.py", "pyproject.toml", "CITATION.cff", *packages)
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((root / name).read_text("utf-8"), "utf-8")
    new = "https://example.com/us"
    change = [sys.executable, "-m", "nox", "-s", "url", "--", f"{new}/"]
    for command in (["git", "init", "-q"], ["git", "add", "."], change):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)  # noqa: S603
    texts = {name: (tmp_path / name).read_text("utf-8") for name in names}
    assert not [name for name, text in texts.items() if home in text]
    assert [name for name, text in texts.items() if new in text] == list(names[1:])


def test_what_ptychodus_brings_is_pinned_once(noxfile):
    lists = (noxfile.CONSTRAINTS, noxfile.CLIENT / "constraints.txt")
    ours, theirs = (
        {canonicalize_name(name) for name, _ in PIN.findall(path.read_text("utf-8"))}
        for path in lists
    )
    assert not ours & theirs
