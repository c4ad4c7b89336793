"""What the site has besides the pages of docs/: gallery, packages' READMEs, Python interface.

The notebooks of the gallery are shown as `nox -s gallery` executed them; one that it did not
execute, or that was changed since, is shown without its pictures.

A package's public names are those of ``__all__``, of the package itself and of the modules in
`MODULES`. They are read from the sources: nothing is imported, and no framework is needed.
"""

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

#: Public modules whose names are not also those of their package.
MODULES = {
    "ptycho_core": ["ptycho_core.backends", "ptycho_core.losses", "ptycho_core.results"],
    "ptycho_data": ["ptycho_data.figures", "ptycho_data.formats", "ptycho_data.units"],
    "ptycho_physics": [
        "ptycho_physics.metrics",
        "ptycho_physics.noise",
        "ptycho_physics.objects",
        "ptycho_physics.optics",
        "ptycho_physics.probes",
        "ptycho_physics.resampling",
    ],
    "ptycho_torch": ["ptycho_torch.networks.base", "ptycho_torch.reconstructor"],
    "ptycho_tf": ["ptycho_tf.networks.base"],
}

NOTEBOOKS = ROOT / "docs" / "gallery"
EXECUTED = ROOT / "dist" / "gallery"

PACKAGES = {
    folder.name: next((folder / "src").iterdir()).name
    for folder in sorted((ROOT / "packages").iterdir())
    if (folder / "pyproject.toml").exists()
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append the packages and their interfaces to the navigation."""
    packages = [{name: f"packages/{name}/README.md"} for name in PACKAGES]
    names = [name for name in PACKAGES.values() if public_modules(name)]
    reference = [{name: f"reference/{name}.md"} for name in names]
    config.nav = [*(config.nav or []), {"Packages": packages}, {"Python interface": reference}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the notebooks, the READMEs of the packages, and a page for the interface of each."""
    for source in sorted(NOTEBOOKS.glob("*.py")):
        page = notebook_page(source)
        files.append(File.generated(config, f"gallery/{source.stem}.md", content=page))
        for picture in sorted((EXECUTED / f"{source.stem}_files").glob("*.png")):
            uri = f"gallery/{source.stem}_files/{picture.name}"
            files.append(File.generated(config, uri, content=picture.read_bytes()))
    for name, module in PACKAGES.items():
        text = (ROOT / "packages" / name / "README.md").read_text("utf-8")
        files.append(File.generated(config, f"packages/{name}/README.md", content=text))
        modules = public_modules(module)
        if modules:
            page = interface_page(module, modules)
            files.append(File.generated(config, f"reference/{module}.md", content=page))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Turn links that leave docs/ into links to pages of the site, or to the sources.

    Links to notebooks lead to their pages.
    """
    if page.file.generated_by is not None:
        return markdown
    markdown = re.sub(r"\]\((gallery/\w+)\.py\)", r"](\1.md)", markdown)

    def target(match: re.Match[str]) -> str:
        path = match["path"]
        if files.get_file_from_path(path) is not None:
            return f"]({path}{match['anchor'] or ''})"
        return f"]({config.repo_url}/{path}{match['anchor'] or ''})"

    return re.sub(r"\]\(\.\./(?P<path>[^)#]+)(?P<anchor>#[^)]*)?\)", target, markdown)


def notebook_page(source: Path) -> str:
    """Return a notebook as a page: executed, if it was executed as it is now."""
    copy, page = EXECUTED / source.name, EXECUTED / f"{source.stem}.md"
    text = source.read_text("utf-8")
    if page.exists() and copy.exists() and copy.read_text("utf-8") == text:
        markdown = page.read_text("utf-8").replace("![png](", "![Output of the cell above](")
    else:
        markdown = "\n".join(f"{cell}\n" for cell in cells(text))
    markdown = re.sub(r"\]\((\w+)\.py\)", r"](\1.md)", markdown)
    return f"{markdown}\n\n[The source of this notebook]({source.name})\n"


def cells(text: str) -> list[str]:
    """Return the cells of a notebook in the percent format, as Markdown."""
    found = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)[1:]
    kinds, bodies = found[::2], (body.strip() for body in found[1::2])
    return [
        f"```python\n{body}\n```" if not kind else re.sub("^# ?", "", body, flags=re.MULTILINE)
        for kind, body in zip(kinds, bodies, strict=True)
    ]


def public_modules(package: str) -> list[str]:
    """Return the modules of a package that the reference describes, the package itself first."""
    return [name for name in [package, *MODULES.get(package, [])] if public_names(name)]


def public_names(module: str) -> list[str]:
    """Return the functions, classes and constants in ``__all__`` that a module has by itself.

    `train` and `reconstruct` of a backend are those of ptycho_core, and made when they are used.
    """
    package = module.partition(".")[0]
    folder = next(name for name, found in PACKAGES.items() if found == package)
    path = ROOT / "packages" / folder / "src" / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    named: list[str] = []
    defined: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        match node:
            case ast.Assign(targets=[ast.Name("__all__")], value=value):
                named = ast.literal_eval(value)
            case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)):
                defined.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                defined.add(name)
            case ast.ImportFrom(module=origin, names=names) if origin != f"{package}.__about__":
                defined |= {alias.asname or alias.name for alias in names}
    return [name for name in named if name in defined]


def interface_page(package: str, modules: list[str]) -> str:
    """Write the page of a package: each name with the documentation in its source."""
    parts = [f"# {package}\n"]
    for module in modules:
        parts += [f"## {module}\n"] if len(modules) > 1 else []
        parts += [f"::: {module}.{name}\n" for name in public_names(module)]
    return "\n".join(parts)
