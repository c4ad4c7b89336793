"""The repository speaks of the project alone: no machine's paths, no registry's hosts."""

import re

SKIPPED = {"build", "demo", "dist", "results", "__pycache__"}
# Put together here, so that this file passes its own test.
FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.)\]}>~-])/(?:"
            + "|".join(["work", "tmp", "home", "root", "opt", "mnt"])
            + r")/",
            r"\b[A-Za-z]:\\\\?" + "Users",
            r"py" + r"pi\.(?:org|io)",
            r"python" + r"hosted\.org",
            r"download\." + r"pytorch\.org",
            r"conda\." + r"anaconda\.org",
        ]
    )
)


def texts(root):
    """Yield every text file of the workspace, made ones and hidden tool folders aside."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        if hidden or SKIPPED & set(parts) or not path.is_file():
            continue
        try:
            yield path, path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


def test_no_machine_paths_or_hosts(root):
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path, text in texts(root)
        for number, line in enumerate(text.splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def test_the_pattern_finds_what_it_should():
    for bad in ("see /" + "work/main", "'/" + "tmp/x'", "https://py" + "pi.org/simple"):
        assert FORBIDDEN.search(bad)
    for good in ("docs/work/plan", "tmp_path / 'x'", "a/home/b", "https://example.org/home/"):
        assert not FORBIDDEN.search(good)
