"""Each hint on how to install one of our packages has the one form that works in a clone."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ptycho_config.install import install_command
from ptycho_core.backends import backend_names, find_backend

COMMAND = re.compile(r"[^\n`]*\bpip install\b[^\n`]*")
CALL = re.compile(r"install_command\(f?[\"']([^\"']+)[\"']\)")


def sources(root):
    """Yield the text of every page and module that may tell how to install something."""
    pages = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("packages/*/README.md")]
    for path in sorted([*pages, *root.glob("packages/*/src/**/*.py")]):
        yield str(path.relative_to(root)), path.read_text("utf-8")


def written(root, projects):
    """Yield (file, command) for each written command that installs a package of ours."""
    ours = re.compile(rf"\b(?:{'|'.join(projects)})\b")
    for name, text in sources(root):
        for command in COMMAND.findall(text.replace("\\\n", " ")):
            editable = "-e " in command  # the environment of a developer
            if ours.search(command) and not editable:
                yield name, command.strip()


def required(root):
    """Yield (file, requirement) for each command that a message makes up."""
    for name, text in sources(root):
        for requirement in CALL.findall(text):
            wanted = requirement.replace("{self.extra}", "torch").replace("{extra}", "stream")
            yield name, Requirement(wanted)


def test_written_commands_have_the_one_form(root, projects):
    found = list(written(root, projects))
    assert len({name for name, _ in found}) >= 6
    for name, command in found:
        requirement = command.rpartition(" ")[2].strip('"')
        assert command == install_command(requirement), name
        exists(projects, Requirement(requirement))


def test_messages_name_packages_and_extras_that_exist(root, projects):
    found = list(required(root))
    assert len({name for name, _ in found}) >= 3
    for _, requirement in found:
        exists(projects, requirement)


@pytest.mark.parametrize("name", ["pytorch", "tensorflow"])
def test_backends_of_ours_are_installed_from_a_clone(projects, name):
    backend = find_backend(name)
    assert backend.pip_command == install_command(f"ptycho-cli[{backend.extra}]")
    exists(projects, Requirement(f"ptycho-cli[{backend.extra}]"))
    assert name in backend_names()


def exists(projects, requirement):
    project = projects[canonicalize_name(requirement.name)]["project"]
    assert requirement.extras <= set(project.get("optional-dependencies", {})), requirement


def test_the_command_is_one_of_the_makefile_and_takes_wheels_from_where_they_are(root, noxfile):
    make, _, pip = install_command("ptycho-cli[torch]").partition(" && ")
    target = make.removeprefix("make ")
    makefile = (root / "Makefile").read_text("utf-8")
    assert re.search(rf"^{target}: .*\n\t\$\(NOX\) -s build$", makefile, re.MULTILINE)
    options = pip.split()
    assert root / options[options.index("--find-links") + 1] == noxfile.WHEELS
    assert root / options[options.index("-c") + 1] == noxfile.CONSTRAINTS
