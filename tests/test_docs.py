"""The pages of docs/ and the READMEs: examples run, links lead somewhere, names exist."""

import pkgutil
import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest
from ptycho_cli.main import cli
from ptycho_config import MissingPackageError
from ptycho_core.backends import backend_names
from ptycho_data import Reconstruction, load_scan, save_reconstruction
from ptycho_physics import defocused_probe, normalise_probe, simulate_counts, solve
from ptycho_physics.objects import random_cells
from ptycho_physics.scans import fermat_scan

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {page.name: page.read_text("utf-8") for page in sorted(DOCS.glob("*.md"))}
READMES = [*ROOT.glob("*.md"), *ROOT.glob("packages/*/README.md"), ROOT / "benchmarks/README.md"]
NOTEBOOKS = sorted(DOCS.glob("gallery/*.py"))  # nox -s gallery executes them
EVERY = {
    str(page.relative_to(ROOT)): page for page in sorted([*READMES, *DOCS.glob("*.md"), *NOTEBOOKS])
}


def blocks(name, kind="python"):
    return re.findall(rf"```{kind}\n(.*?)```", PAGES[name], re.DOTALL)


def execute(code, name):
    exec(compile(code, name, "exec"), {})  # noqa: S102 - our own page


@pytest.mark.parametrize("number", range(len(blocks("conventions.md"))))
def test_conventions_hold(number):
    execute(blocks("conventions.md")[number], f"conventions.md block {number}")


@pytest.fixture
def star_file(tmp_path, monkeypatch):
    """A small file in the layout of the public scan, in the folder where the page's code runs."""
    monkeypatch.chdir(tmp_path)
    shape, N = (96, 112), 32
    positions = fermat_scan(shape, N, number=120)
    probe = defocused_probe(N)
    counts = simulate_counts(random_cells(shape), probe, positions, 1e5, seed=0)
    np.savez(
        "siemens_top.npz",
        counts=np.fft.ifftshift(counts, axes=(-2, -1)).astype(np.uint16),
        scan_rowcol_px=(positions - [56, 48])[:, ::-1].astype(np.float32),
        probe=probe[0],
    )
    return positions - [56, 48], counts


def test_conversion_is_right(star_file):
    positions, counts = star_file
    execute(blocks("real-data.md")[0], "real-data.md")
    scan = load_scan("siemens.npz")
    assert np.array_equal(scan.counts(), counts)
    assert np.allclose(scan.positions, positions, atol=1e-4)
    solution = solve(scan.counts(), scan.positions, scan.probe, epochs=5)
    assert solution.r_factors[-1] < 0.2  # swapped or mirrored positions stay far above


@pytest.mark.usefixtures("star_file")
def test_refined_probe_replaces_the_first():
    execute(blocks("real-data.md")[0], "real-data.md")
    refined = normalise_probe(defocused_probe(32, 12))
    flat = np.ones((40, 40))
    rec = Reconstruction(
        object=flat.astype(np.complex64),
        coverage=flat.astype(np.float32),
        xcoords=[16.0],
        ycoords=[16.0],
        indices=[0],
        probe=refined,
        origin=[0, 0],
    )
    save_reconstruction("refined/reconstruction.npz", rec)
    execute(blocks("real-data.md")[1], "real-data.md")
    assert np.array_equal(load_scan("siemens_refined.npz").probe, refined)


@pytest.mark.usefixtures("star_file")
def test_the_turned_scan_is_explained_as_well():
    execute(blocks("real-data.md")[0], "real-data.md")
    command = ["reconstruct", "siemens.npz", "-o", "refined", "--epochs", "8", "-q"]
    cli(command, standalone_mode=False)
    execute(blocks("real-data.md")[2], "real-data.md")
    turned, scan = load_scan("turned.npz"), load_scan("siemens.npz")
    right, twin, flipped = (
        solve(scan.counts(), positions, probe, epochs=8).r_factors[-1]
        for positions, probe in (
            (scan.positions, scan.probe),
            (turned.positions, turned.probe),
            (turned.positions, scan.probe),
        )
    )
    # this small probe reaches the edge of the patch, which is lost when it is turned
    assert twin < 1.25 * right < 1.8 * right < flipped


@pytest.mark.usefixtures("star_file")
def test_large_scans_are_read_in_parts():
    execute(blocks("real-data.md")[0], "real-data.md")
    Path("siemens.npz").rename("scan.npz")
    execute(blocks("large-scans.md")[0], "large-scans.md")


def commands():
    prose = {
        page.name: re.sub("^# ?", "", page.read_text("utf-8"), flags=re.M) for page in NOTEBOOKS
    }
    for name, text in (PAGES | prose).items():
        for block in re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            yield from ((name, line) for line in lines if line.startswith("ptycho "))


def options_of(command):
    return {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)}


def options_of_group(group):
    context = click.Context(group)
    every = [group.get_command(context, name) for name in group.list_commands(context)]
    of = [options_of_group(c) if isinstance(c, click.Group) else options_of(c) for c in every]
    return set().union(*of)


def test_every_caution_is_on_its_page():
    sources = (ROOT / "packages/ptycho-core/src/ptycho_core").rglob("*.py")
    codes = {c for s in sources for c in re.findall(r'code="([a-z-]+)"', s.read_text("utf-8"))}
    assert len(codes) > 20
    assert {code for code in codes if f"`{code}`" not in PAGES["cautions.md"]} == set()


def test_every_command_and_option_exists():
    found = list(commands())
    assert len(found) > 15
    for name, line in found:
        context, command = click.Context(cli), cli
        words = shlex.split(line)[1:]
        if "--" in words:  # a command that is submitted
            found.append((name, shlex.join(["ptycho", *words[words.index("--") + 1 :]])))
            words = words[: words.index("--")]
        while isinstance(command, click.Group):
            word = words.pop(0)
            command = command.get_command(context, word)
            assert command is not None, f"{name}: {line}"
        given = {word for word in words if word.startswith("-")}
        assert given <= options_of(command), f"{name}: {line}"


def test_options_in_the_text_exist():
    known = options_of_group(cli)
    # old flags, which test_historical_surface.py checks; the others: other programs
    old = {"docs/migration.md", "docs/torch-surface.md"}
    for name in EVERY.keys() - old - {"CONTRIBUTING.md", "benchmarks/README.md"}:
        others = "pip install.*|`(tensorboard|mlflow server) .*"
        others += "|python benchmarks/.*|`trtexec .*?`"
        others += "|#SBATCH .*|(srun|torchrun) .*?ptycho|`--ntasks-per-node`"
        text = re.sub(others, "", EVERY[name].read_text("utf-8"))
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--help"}
        assert named <= known, name


def anchors(text):
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", EVERY)
def test_links_lead_somewhere(name):
    page = EVERY[name]
    links = re.findall(r"\]\(\s*([^)\s]+)\s*\)", page.read_text("utf-8"))
    assert links or page.parent != DOCS
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page  # "#title": of this page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link


def exists(name):
    """Tell whether a dotted name can be imported; without its framework, whether it has a file."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    except MissingPackageError:
        package, *parts = name.split(".")
        path = Path(import_module(package).__file__).parent.joinpath(*parts)
        return path.is_dir() or path.with_suffix(".py").exists()
    return True


@pytest.mark.parametrize("name", EVERY)
def test_names_exist(name):
    text = EVERY[name].read_text("utf-8")
    if name == "docs/migration.md":  # names of then, which test_historical_surface.py checks
        text = re.sub(r"(?s)## Names that are (?:renamed|gone)\n.*?(?=\n## )", "", text)
    named = set(re.findall(r"\bptycho(?:_[a-z]+)?(?:\.[A-Za-z_]\w*)+", text))
    networks = {f"ptycho.networks.{backend}" for backend in backend_names()}
    kinds = ("backends", "formats", "models", "sources")
    groups = {*(f"ptycho.{kind}" for kind in kinds), *networks}  # of entry points
    assert [name for name in sorted(named - groups) if not exists(name)] == []


def test_index_names_every_page():
    assert [name for name in PAGES if f"({name})" not in PAGES["README.md"]] == ["README.md"]


def test_the_gallery_names_every_notebook():
    named = re.findall(r"\(gallery/(\w+\.py)\)", PAGES["gallery.md"])
    assert sorted(named) == [page.name for page in NOTEBOOKS]


@pytest.fixture
def scan_folder(tmp_path, monkeypatch):
    """A folder with ``scan.npz``, in which the code of a page runs."""
    monkeypatch.chdir(tmp_path)
    command = ["simulate", "-o", "scan.npz", "--size", "110", "--n-patterns", "40", "-q"]
    cli(command, standalone_mode=False)


@pytest.mark.usefixtures("scan_folder")
def test_two_calls_of_the_readme():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert "nepochs=20" in code
    execute(code.replace("nepochs=20", "nepochs=1, n_filters_scale=1"), "README.md")
    assert Path("run/wts.h5.zip").exists()
    assert Path("picture/reconstruction.npz").exists()


@pytest.fixture
def trained_folder(scan_folder):  # noqa: ARG001 - runs first
    """Train a network on ``scan.npz`` in its folder, for as short as can be."""
    settings = "--nepochs 1 --n-filters-scale 1 --n-groups 16 --logger-backend none -q"
    command = ["train", "scan.npz", "-o", "model", *settings.split()]
    cli(command, standalone_mode=False)


@pytest.mark.usefixtures("trained_folder")
def test_watching_the_object_grow(capsys):
    for code in blocks("live.md"):
        execute(code, "live.md")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("40 patterns")
