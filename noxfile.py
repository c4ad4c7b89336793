"""Sessions of the workspace: `nox --list` shows them, `nox` runs the ones a change has to pass.

The packages are found, not listed: whatever stands under `packages/` with a `pyproject.toml` is
built, linted, typed and tested. Environments take our packages as freshly built wheels, everything
else from the tested versions of `constraints.txt`.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import nox
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

nox.needs_version = ">=2026.10"  # sessions that require other sessions
nox.options.default_venv_backend = "virtualenv"  # with pip, which knows the user's own sources
nox.options.error_on_external_run = True
# The longest before the many: where two run side by side, neither is left alone at the end.
nox.options.sessions = ["lint", "integration", "client", "tests", "bare", "types", "docs"]

ROOT = Path(__file__).parent.resolve()
WHEELS = ROOT / "dist"
CONSTRAINTS = ROOT / "constraints.txt"
LOCK = ROOT / "requirements.lock"  # the same versions, with the hashes of their files
NOTEBOOKS = ROOT / "docs" / "gallery"
CLIENT = ROOT / "tests" / "client"  # ptychodus, as its users have it, and our packages
PROGRAMS = ROOT / "tests" / "programs"  # other programs, which write files for our reader
FRAMEWORKS = {"lightning", "tensorflow", "tensorflow-cpu", "torch"}
ARCHIVES = ("*.whl", "*.tar.gz")
ARRAY_LIBRARIES = {"array-api-strict", "jax", "numpy", "tensorflow", "tensorflow-cpu", "torch"}
TEST_TOOLS = ["hypothesis", "pyte", "pytest", "pytest-xdist"]
WORKSPACE_TOOLS = [*TEST_TOOLS, "hatchling", "import-linter", "nox"]  # for the tests at the top
STUBS = ["scipy-stubs", "types-PyYAML"]
#: A framework has some ten thousand modules. Python compiles those that the tests import.
QUICKLY = ["--no-compile"]
#: Daily tests run in two processes, each of which computes with one thread; in one where sessions
#: run side by side.
PROCESSES = ("-n", os.environ.get("TEST_PROCESSES", "2"), "--dist", "worksteal")
THREADS = [
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
]

PACKAGES: dict[str, dict[str, Any]] = {
    path.parent.name: nox.project.load_toml(path)
    for path in sorted(ROOT.glob("packages/*/pyproject.toml"))
}

#: Versions of Python that every package says it supports, the one of the default sessions first.
PYTHONS = nox.project.python_versions(PACKAGES["ptycho-config"])


def requirements(name: str, extras: set[str]) -> list[Requirement]:
    """Return what a workspace package with these extras asks for on this machine."""
    project = PACKAGES[name]["project"]
    optional = project.get("optional-dependencies", {})
    lines = [
        *project.get("dependencies", ()),
        *(line for e in sorted(extras) for line in optional[e]),
    ]
    wanted = [Requirement(line) for line in lines]
    return [r for r in wanted if r.marker is None or r.marker.evaluate()]


def closure(*wanted: str) -> tuple[dict[str, set[str]], list[Requirement]]:
    """Split requirements, followed through the workspace, into (siblings, outside requirements).

    `siblings` maps each workspace package to the extras it is needed with.
    """
    siblings: dict[str, set[str]] = {}
    outside: dict[str, Requirement] = {}
    queue = [Requirement(line) for line in wanted]
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name not in PACKAGES:
            outside[str(requirement)] = requirement
        elif name not in siblings or not requirement.extras <= siblings[name]:
            siblings.setdefault(name, set()).update(requirement.extras)
            queue.extend(requirements(name, siblings[name]))
    return dict(sorted(siblings.items())), [outside[line] for line in sorted(outside)]


def test_group(name: str) -> list[str]:
    """Return what the tests of a package need besides its own requirements."""
    groups: dict[str, list[str]] = PACKAGES[name].get("dependency-groups", {})
    return groups.get("test", [])


def needs_framework(name: str) -> bool:
    """Tell whether a package cannot be tested without a deep-learning framework."""
    outside = closure(name, *test_group(name))[1]
    return any(canonicalize_name(r.name) in FRAMEWORKS for r in outside)


def array_libraries(*wanted: str) -> str:
    """Name the array libraries that these requirements bring: the tests may not do without one."""
    found = ARRAY_LIBRARIES & {canonicalize_name(r.name) for r in closure(*wanted)[1]}
    return ",".join(sorted({name.removesuffix("-cpu").replace("-", "_") for name in found}))


def everything(*extras: str) -> list[str]:
    """Return every package, each with those of the extras that it has."""
    wanted = []
    for name, data in PACKAGES.items():
        own = [e for e in extras if e in data["project"].get("optional-dependencies", {})]
        wanted.append(f"{name}[{','.join(own)}]" if own else name)
    return wanted


def oldest(*wanted: str) -> list[str]:
    """Return pins of the outside requirements to the oldest versions that satisfy all of them."""
    bounds: dict[str, Version] = {}
    for requirement in closure(*wanted)[1]:
        for bound in requirement.specifier:
            if bound.operator == ">=":
                version = Version(bound.version)
                bounds[requirement.name] = max(version, bounds.get(requirement.name, version))
    return [f"{name}=={version}" for name, version in bounds.items()]


def wheel(name: str, extras: set[str]) -> str:
    """Return the requirement that installs a package, with extras, from its built wheel."""
    (path,) = WHEELS.glob(f"{name.replace('-', '_')}-*.whl")
    return f"{path}[{','.join(sorted(extras))}]" if extras else str(path)


def install(
    session: nox.Session, *wanted: str, tools: list[str], constraints: Path = CONSTRAINTS
) -> None:
    """Install workspace packages, with only what they ask for, and the tools of the session."""
    siblings, outside = closure(*wanted)
    # pip takes a wheel of the version it has for installed already: an environment that is used
    # a second time would keep the old code.
    session.run_install(
        "python", "-m", "pip", "uninstall", "--quiet", "--yes", *PACKAGES, silent=True
    )
    wheels = [wheel(name, extras) for name, extras in siblings.items()]
    extra = [str(r) for r in outside if str(r) in wanted]
    session.install(*QUICKLY, "-c", str(constraints), *wheels, *extra, *tools)
    session.run_install("python", "-m", "pip", "check", silent=True)


def pytest(
    session: nox.Session,
    *paths: str,
    marks: str,
    options: tuple[str, ...] = PROCESSES,
    last: bool = True,
) -> None:
    """Run pytest on the installed packages; arguments after `--` go to pytest.

    With DISCARD_ENVIRONMENTS in the environment, one in which the last tests passed is deleted:
    together they take 10 GB, one at a time 3.
    """
    env = {"MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": None, "PYTHONPATH": None}
    env |= dict.fromkeys(THREADS, "1")
    # A selection of the user's own may be empty in one package of many (pytest's code 5).
    codes = [0, 5] if session.posargs else [0]
    command = ["python", "-m", "pytest", "-m", marks, *options, *paths, *session.posargs]
    session.run(*command, env=env, success_codes=codes)
    if last and os.environ.get("DISCARD_ENVIRONMENTS"):
        shutil.rmtree(session.virtualenv.location)


@nox.session(tags=["cpu"])
def lint(session: nox.Session) -> None:
    """Check style, formatting and the layers of the packages."""
    session.install("-c", str(CONSTRAINTS), "ruff", "import-linter")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = ":".join(f"packages/{name}/src" for name in PACKAGES)
    session.run("lint-imports", "--no-logo", env={"PYTHONPATH": sources})


@nox.session(tags=["cpu"])
def types(session: nox.Session) -> None:
    """Check types: strictly, and leniently in the packages that stand on a framework."""
    outside = [
        r for r in closure(*everything("serve"))[1] if canonicalize_name(r.name) not in FRAMEWORKS
    ]
    tools = ["mypy", "pyte", "pytest", *STUBS]
    session.install(*QUICKLY, "-c", str(CONSTRAINTS), *tools, *map(str, outside))
    sources = [f"packages/{name}/src" for name in PACKAGES]
    session.run("mypy", *sources, env={"MYPYPATH": ":".join(sources)})


@nox.session(tags=["cpu"])
def docs(session: nox.Session) -> None:
    """Build the site of the documentation in dist/site; a warning is an error."""
    session.install("-c", str(CONSTRAINTS), "mkdocs-material", "mkdocstrings[python]")
    # Its authors advertise their next tool at every start.
    env = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--quiet", "--config-file", "site/mkdocs.yml", env=env)


@nox.session(requires=["build"], default=False, tags=["cpu"])
def gallery(session: nox.Session) -> None:
    """Execute the notebooks of docs/gallery/, all or those of some names; `docs` shows them."""
    install(session, "ptycho-cli[torch]", tools=["ipykernel", "jupytext", "nbconvert"])
    names = session.posargs or [path.stem for path in sorted(NOTEBOOKS.glob("*.py"))]
    executed = WHEELS / NOTEBOOKS.name
    shutil.rmtree(executed, ignore_errors=True)
    executed.mkdir()
    for name in names:  # beside the pages, as a record of what was executed
        shutil.copy2(NOTEBOOKS / f"{name}.py", executed)
    # A notebook chooses its own backend of matplotlib.
    env = {"MPLBACKEND": None, "PYTHONPATH": None, **dict.fromkeys(THREADS, "1")}
    notebooks = [f"{name}.ipynb" for name in names]
    with session.chdir(executed):
        session.run("jupytext", "--quiet", "--to", "ipynb", *(f"{name}.py" for name in names))
        execute = ["--execute", "--to", "notebook", "--inplace"]
        session.run("jupyter", "nbconvert", *execute, *notebooks, env=env)
        whole = ["--CoalesceStreamsPreprocessor.enabled=True"]  # not a block for each line
        session.run("jupyter", "nbconvert", *whole, "--to", "markdown", *notebooks)


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Build the wheel and the source archive of every package into dist/."""
    session.install("-c", str(CONSTRAINTS), "hatchling")
    for old in (path for kind in ARCHIVES for path in WHEELS.glob(kind)):
        old.unlink()
    for name in PACKAGES:
        with session.chdir(ROOT / "packages" / name):
            session.run("python", "-m", "hatchling", "build", "-d", str(WHEELS), silent=True)


@nox.session(requires=["build"], default=False, tags=["cpu"])
def release(session: nox.Session) -> None:
    """Check the archives of dist/, install from them alone, and run every README's examples.

    Requirements from elsewhere come in the versions and with the hashes of requirements.lock.
    """
    wanted = everything("torch", "tf")
    siblings, _ = closure(*wanted)
    session.install("-c", str(CONSTRAINTS), "twine", "check-wheel-contents")
    archives = sorted(str(path) for kind in ARCHIVES for path in WHEELS.glob(kind))
    session.run("twine", "check", "--strict", *archives)
    session.run("check-wheel-contents", *(path for path in archives if path.endswith(".whl")))

    session.install(*QUICKLY, "--require-hashes", "--no-deps", "-r", str(locked(session)))
    install(session, *wanted, tools=TEST_TOOLS)
    examples = [f"packages/{name}/tests/test_readme.py" for name in siblings]
    pytest(session, *examples, marks="not gpu and not slow")


def locked(session: nox.Session) -> Path:
    """Return the lines of requirements.lock for all but the frameworks and two tools.

    Builds of the frameworks for a CPU and for GPUs are other files, and one may be on this machine.
    The list does not have all that the tools require.
    """
    entries = re.split(r"^(?=[A-Za-z])", LOCK.read_text("utf-8"), flags=re.MULTILINE)
    others = re.compile(rf"({'|'.join(sorted(FRAMEWORKS | {'mlflow', 'nox'}))})==")
    path = Path(session.create_tmp()) / "locked.txt"
    path.write_text("".join(e for e in entries if not others.match(e.replace("_", "-"))), "utf-8")
    return path


@nox.session(requires=["build"], default=False)
def conda(session: nox.Session) -> None:
    """Write a recipe for conda-forge for each package, to dist/conda/."""
    session.install("-c", str(CONSTRAINTS), "packaging", "PyYAML")
    session.run("python", "conda/recipes.py", str(WHEELS), str(WHEELS / "conda"))


@nox.session(default=False, venv_backend="none")
def tagged(session: nox.Session) -> None:
    """Copy the archives of the version that a tag, PACKAGE-vVERSION, names to dist/tagged/."""
    (tag,) = session.posargs
    name, _, version = tag.rpartition("-v")
    stem = f"{name.replace('-', '_')}-{version}"
    archives = [path for kind in ARCHIVES for path in WHEELS.glob(kind)]
    archives = [p for p in archives if p.name.startswith((f"{stem}-", f"{stem}.tar"))]
    if name not in PACKAGES or len(archives) != len(ARCHIVES):
        session.error(f"dist/ must hold wheel and source archive of {tag}, got {archives}")
    target = WHEELS / "tagged"
    target.mkdir(exist_ok=True)
    for path in archives:
        shutil.copy2(path, target)
        session.log(f"{tag}: {path.name}")


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Renew requirements.lock from the versions of constraints.txt."""
    session.install("-c", str(CONSTRAINTS), "uv")
    # The tools for the documentation refuse the first releases of Python 3.11.
    options = ["--universal", "--python-version", "3.11.5", "--no-deps", "--no-annotate"]
    options += ["--generate-hashes", "--quiet"]
    origin = ["--custom-compile-command", "nox -s lock"]
    session.run("uv", "pip", "compile", *options, *origin, CONSTRAINTS.name, "-o", LOCK.name)


@nox.session(default=False, venv_backend="none")
def url(session: nox.Session) -> None:
    """Put the home of the project, the first argument, where now is that of pyproject.toml."""
    (new,) = session.posargs
    old = nox.project.load_toml(ROOT / "pyproject.toml")["tool"]["workspace"]["url"]
    listing = session.run("git", "grep", "-lF", old, external=True, silent=True)
    for name in str(listing).splitlines():
        path = ROOT / name
        path.write_text(path.read_text("utf-8").replace(old, new.rstrip("/")), "utf-8")
        session.log(f"changed {name}")


@nox.parametrize("package", list(PACKAGES))
def test_alone(session: nox.Session, package: str) -> None:
    """Test a package alone: its own requirements, its `test` group and the test tools."""
    wanted = [package, *test_group(package)]
    install(session, *wanted, tools=TEST_TOOLS)
    session.env["PTYCHO_REQUIRE_BACKENDS"] = array_libraries(*wanted)
    pytest(session, f"packages/{package}/tests", marks="not gpu and not slow")


nox.session(test_alone, name="tests", requires=["build"], tags=["cpu"])
# The other versions of Python by name, `tests-3.13(package='ptycho-data')`, where one is found.
for version in PYTHONS[1:]:
    nox.session(
        test_alone,
        name=f"tests-{version}",
        python=version,
        requires=["build"],
        default=False,
        tags=["cpu"],
    )


@nox.session(requires=["build"], tags=["cpu"])
def bare(session: nox.Session) -> None:
    """Test that without PyTorch and TensorFlow every entry says what to install."""
    siblings, outside = closure(*everything())
    light = [str(r) for r in outside if canonicalize_name(r.name) not in FRAMEWORKS]
    # without what they require, and again in an environment that is used a second time
    session.install("--no-deps", "--force-reinstall", *(wheel(name, set()) for name in siblings))
    session.install(*QUICKLY, "-c", str(CONSTRAINTS), *light, *TEST_TOOLS)
    pytest(session, "tests/test_without_frameworks.py", marks="not gpu and not slow")


@nox.session(requires=["build"], tags=["cpu"])
def integration(session: nox.Session) -> None:
    """Test all packages together, with PyTorch.

    Those tests of the packages that mean more here (`together`) run again: the physics on PyTorch's
    arrays, and that nothing of what is installed is loaded in vain.
    """
    wanted = everything("torch", "cluster", "serve", "stream", "unwrap")
    install(session, *wanted, tools=WORKSPACE_TOOLS)
    session.env["PTYCHO_REQUIRE_BACKENDS"] = array_libraries(*wanted)
    again = [
        f"packages/{name}/tests"
        for name in PACKAGES
        if "ptycho-physics" in closure(name)[0] and not needs_framework(name)
    ]
    pytest(session, *again, marks="together and not gpu and not slow", last=False)
    pytest(session, "tests", marks="not gpu and not slow")


@nox.session(requires=["build"], tags=["cpu"])
def client(session: nox.Session) -> None:
    """Compare PyTorch and TensorFlow, and let ptychodus drive both: all in one environment."""
    constraints = Path(session.create_tmp()) / "constraints.txt"
    lists = [CONSTRAINTS, CLIENT / "constraints.txt"]
    constraints.write_text("\n".join(path.read_text("utf-8") for path in lists), "utf-8")
    tools = [*TEST_TOOLS, "ptychodus"]
    wanted = everything("torch", "tf")
    install(session, *wanted, tools=tools, constraints=constraints)
    session.env["PTYCHO_REQUIRE_BACKENDS"] = array_libraries(*wanted)
    pytest(session, "tests/client", "tests/backends", marks="not gpu and not slow")


@nox.session(requires=["build"], default=False, tags=["cpu"])
def programs(session: nox.Session) -> None:
    """Read files that py4DSTEM, abTEM, cdtools, RosettaSciIO and fabio write themselves.

    RosettaSciIO, py4DSTEM and abTEM have the licence GPL-3.0: they are installed here, and required
    nowhere. py4DSTEM needs an older NumPy; it and abTEM have environments of their own.
    """
    written = Path(session.create_tmp()) / "written"
    for name, wanted in (("py4dstem", "py4DSTEM==0.14.18"), ("abtem", "abtem==1.0.11")):
        writer = Path(session.create_tmp()) / name
        session.run("python", "-m", "venv", str(writer), external=True)
        python = str(writer / "bin" / "python")
        session.run(python, "-m", "pip", "install", "-q", wanted, external=True)
        session.run(python, str(PROGRAMS / f"write_{name}.py"), str(written), external=True)
    tools = [*TEST_TOOLS, "cdtools-py==0.3.2", "rosettasciio==0.15.0", "torch"]
    install(session, "ptycho-core", "ptycho-data[frames,pictures]", tools=tools)
    session.env["PTYCHO_WRITTEN"] = str(written)
    pytest(session, "tests/programs", marks="not gpu", options=("-W", "default"))


@nox.session(requires=["build"], default=False, tags=["cpu"])
def browser(session: nox.Session) -> None:
    """Open pages in Chromium, which has to be there: apt-get install chromium."""
    install(session, "ptycho-core[serve]", tools=[*TEST_TOOLS, "playwright"])
    pytest(session, "tests/browser", marks="not gpu", options=())


@nox.session(requires=["build"], default=False, tags=["cpu"])
def nightly(session: nox.Session) -> None:
    """Run the tests marked slow, in all packages, with both backends."""
    groups = [*test_group("ptycho-physics"), *test_group("ptycho-torch")]
    wanted = [*everything("torch", "tf", "frames"), *groups]
    install(session, *wanted, tools=[*WORKSPACE_TOOLS, "mlflow", "tensorboard"])
    session.env["PTYCHO_REQUIRE_BACKENDS"] = array_libraries(*wanted)
    pytest(session, "packages", "tests", "tests/backends", marks="slow and not gpu", options=())


@nox.session(requires=["build"], default=False, tags=["cpu"])
@nox.parametrize("package", [name for name in PACKAGES if not needs_framework(name)])
def lowest(session: nox.Session, package: str) -> None:
    """Test a light package with the oldest versions that it says it supports."""
    group = test_group(package)
    tools = re.compile(rf"^({'|'.join(TEST_TOOLS)})==", re.MULTILINE)
    tested = [line for line in CONSTRAINTS.read_text("utf-8").splitlines() if tools.match(line)]
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("\n".join([*oldest(package, *group), *tested]), "utf-8")
    install(session, package, *group, tools=TEST_TOOLS, constraints=constraints)
    # Old versions warn about their neighbours: not for us to mend.
    options = (*PROCESSES, "-W", "default")
    pytest(session, f"packages/{package}/tests", marks="not gpu and not slow", options=options)


@nox.session(requires=["build"], default=False, tags=["cpu"])
def demo(session: nox.Session) -> None:
    """Simulate, train and reconstruct a small scan; the pictures stand in demo/."""
    install(session, "ptycho-cli[torch]", tools=[])
    session.run("ptycho", "demo", *(session.posargs or ["-o", "demo"]))


@nox.session(requires=["build"], default=False, tags=["cpu"])
def bench(session: nox.Session) -> None:
    """Run the benchmark programs; the figures go to benchmarks/results/."""
    install(session, *everything("torch", "tf"), tools=[])
    run_benchmarks(session)


def run_benchmarks(session: nox.Session) -> None:
    """Run every program benchmarks/bench_*.py, each with its own file of figures."""
    for program in sorted(ROOT.glob("benchmarks/bench_*.py")):
        output = ROOT / "benchmarks" / "results" / f"{program.stem.removeprefix('bench_')}.json"
        session.run("python", str(program), "--output", str(output), *session.posargs)


@nox.session(requires=["build"], default=False, tags=["gpu"])
@nox.parametrize("job", ["tests", "bench", "demo"])
def gpu(session: nox.Session, job: str) -> None:
    """Do on a GPU what the sessions of the same names do on a CPU, with PyTorch."""
    install(session, *everything("torch", "frames", "stream"), tools=WORKSPACE_TOOLS)
    check = "import sys, torch; torch.cuda.is_available() or sys.exit('PyTorch sees no GPU here')"
    session.run("python", "-c", check)
    if job == "tests":
        session.env["PTYCHO_REQUIRE_BACKENDS"] = "numpy,torch"
        pytest(session, "packages", "tests", marks="gpu", options=())
    elif job == "bench":
        run_benchmarks(session)
    else:
        session.run("ptycho", "demo", *(session.posargs or ["-o", "demo", "--accelerator", "cuda"]))


@nox.session(name="gpu-tensorflow", requires=["build"], default=False, tags=["gpu"])
@nox.parametrize("job", ["tests", "demo"])
def gpu_tensorflow(session: nox.Session, job: str) -> None:
    """Do the same with TensorFlow, in its build for NVIDIA GPUs."""
    install(session, "ptycho-cli[tf-gpu]", tools=TEST_TOOLS)
    check = (
        "import sys, tensorflow as tf; "
        "tf.config.list_physical_devices('GPU') or sys.exit('TensorFlow sees no GPU here')"
    )
    session.run("python", "-c", check)
    if job == "tests":
        session.env["PTYCHO_REQUIRE_BACKENDS"] = "numpy,tensorflow"
        pytest(session, "packages/ptycho-tf/tests", marks="gpu", options=())
    else:
        where = ["-o", "demo", "--backend", "tensorflow", "--accelerator", "cuda"]
        session.run("ptycho", "demo", *(session.posargs or where))
