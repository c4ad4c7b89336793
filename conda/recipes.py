"""Write a conda recipe for each package, as conda-forge wants them, from its pyproject.toml.

conda has no extras: what an extra of a required package brings is required outright. The names of
a few projects differ there.
"""

import argparse
import hashlib
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
NAMES = {"matplotlib": "matplotlib-base", "tensorflow-cpu": "tensorflow", "torch": "pytorch"}

WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["workspace"]
PACKAGES: dict[str, dict[str, Any]] = {
    path.parent.name: tomllib.loads(path.read_text("utf-8"))["project"]
    for path in sorted(ROOT.glob("packages/*/pyproject.toml"))
}


def requirements(name: str, extras: set[str]) -> list[str]:
    """Return what a package with these extras requires, in conda's words, sorted."""
    project = PACKAGES[name]
    lines = list(project["dependencies"])
    for extra in sorted(extras):
        lines += project["optional-dependencies"][extra]
    found: dict[str, str] = {}
    for requirement in map(Requirement, lines):
        # Markers tell builds on an index apart, of which conda has one.
        wanted = NAMES.get(requirement.name, canonicalize_name(requirement.name))
        found.setdefault(wanted, f"{wanted} {requirement.specifier}".strip())
        if requirement.extras:
            for line in requirements(requirement.name, set(requirement.extras)):
                found.setdefault(line.partition(" ")[0], line)
    return [found[key] for key in sorted(found)]


def recipe(name: str, archive: Path) -> dict[str, Any]:
    """Return the recipe of a package, built from its source archive."""
    project = PACKAGES[name]
    module = next((ROOT / "packages" / name / "src").iterdir()).name
    version = archive.name.removesuffix(".tar.gz").rpartition("-")[2]
    # TensorFlow is no dependency of ptycho-tf on an index, where there are builds to choose from.
    extras = {"cpu"} & set(project.get("optional-dependencies", {}))
    scripts = [f"{key} = {value}" for key, value in project.get("scripts", {}).items()]
    return {
        "schema_version": 1,
        "context": {"version": version},
        "package": {"name": name, "version": "${{ version }}"},
        "source": {
            "url": f"{project['urls']['Source']}/{archive.name}",
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        },
        "build": {
            "number": 0,
            "noarch": "python",
            "script": "${{ PYTHON }} -m pip install . -vv --no-deps --no-build-isolation",
            **({"python": {"entry_points": scripts}} if scripts else {}),
        },
        "requirements": {
            "host": ["python ${{ python_min }}.*", "pip", "hatchling"],
            "run": ["python >=${{ python_min }}", *requirements(name, extras)],
        },
        "tests": [{"python": {"imports": [module], "python_version": "${{ python_min }}.*"}}],
        "about": {
            "homepage": project["urls"]["Homepage"],
            "summary": project["description"],
            "license": project["license"],
            "license_file": "LICENSE",
        },
        "extra": {"recipe-maintainers": WORKSPACE["recipe-maintainers"]},
    }


def main() -> None:
    """Write FOLDER/NAME/recipe.yaml for each source archive of dist/."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archives", type=Path, help="folder with the source archives")
    parser.add_argument("folder", type=Path, help="folder to write to")
    args = parser.parse_args()
    for name in PACKAGES:
        (archive,) = args.archives.glob(f"{name.replace('-', '_')}-*.tar.gz")
        target = args.folder / name / "recipe.yaml"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(yaml.safe_dump(recipe(name, archive), sort_keys=False), "utf-8")
        sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
