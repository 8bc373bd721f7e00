"""The house rules that hold the parts apart: read from the imports themselves, and checked by import-linter.

import-linter (its contracts are in pyproject.toml) follows imports through other modules; what is read here with ast
also sees imports inside functions and under TYPE_CHECKING, and knows plugins that nobody entered in a list.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KERNEL = ROOT / "dpb_framework"
PACKAGES = {path.name: path for path in sorted(ROOT.glob("plugins/*/dpb_*"))}

PYTEST_AND_FRIENDS = {"pytest", "hypothesis", "_pytest"}
NOT_IN_THE_KERNEL = {"falcon", "networkx", "requests", "sqlalchemy", "alembic", "uvicorn", "asyncssh", "rich"}


def imports_of(path: Path) -> Iterator[str]:
    """Yield the full names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute in this house"
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(path)}


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def shipped_kernel() -> list[Path]:
    return [path for path in modules(KERNEL) if not path.is_relative_to(KERNEL / "testing")]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_contracts_of_import_linter_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]


def test_import_linter_knows_every_plugin() -> None:
    linted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    by_id = {contract["id"]: contract for contract in linted["contracts"]}
    assert set(linted["root_packages"]) == {"dpb_framework", "dpb_slicer", *PACKAGES}
    assert set(by_id["plugins"]["modules"]) == set(PACKAGES)
    assert set(PACKAGES) <= set(by_id["kernel"]["forbidden_modules"])


def test_only_one_module_uses_stevedore() -> None:
    everything = [path for folder in (KERNEL, *PACKAGES.values()) for path in modules(folder)]
    users = {named(path) for path in everything if "stevedore" in tops(path)}
    assert users == {"dpb_framework/plugins.py"}


def test_only_the_hooks_and_their_caller_use_pluggy() -> None:
    everything = [path for folder in (KERNEL, *PACKAGES.values()) for path in modules(folder)]
    users = {named(path) for path in everything if "pluggy" in tops(path)}
    assert users <= {"dpb_framework/plugins.py", "dpb_framework/hookspecs.py"}


def test_the_kernel_knows_no_http_no_database_and_no_graph_library() -> None:
    for path in modules(KERNEL):
        assert not tops(path) & (NOT_IN_THE_KERNEL | set(PACKAGES)), named(path)


def test_what_is_shipped_does_without_test_libraries() -> None:
    for path in shipped_kernel():
        assert not tops(path) & PYTEST_AND_FRIENDS, named(path)
        assert not any(name.startswith("dpb_framework.testing") for name in imports_of(path)), named(path)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_plugin_imports_the_kernel_and_no_other_plugin(package: str) -> None:
    others = (set(PACKAGES) - {package}) | {"ryu_apps"}
    for path in modules(PACKAGES[package]):
        assert not tops(path) & others, named(path)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_plugin_keeps_to_public_names_of_the_kernel(package: str) -> None:
    for path in modules(PACKAGES[package]):
        private = [
            name
            for name in imports_of(path)
            if name.startswith("dpb_framework.") and any(part.startswith("_") for part in name.split("."))
        ]
        assert not private, named(path)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_plugin_declares_what_it_imports(package: str) -> None:
    project = tomllib.loads((PACKAGES[package].parent / "pyproject.toml").read_text("utf-8"))["project"]
    optional = [line for extra in project.get("optional-dependencies", {}).values() for line in extra]
    declared = {_distribution(line) for line in [*project["dependencies"], *optional]}
    known = {"dpb_framework": "dpb-framework", "attr": "attrs", "psycopg": "psycopg", "yaml": "pyyaml"}
    ours = {"dpb_framework", package}
    kernels = {"attrs", "cattrs", "click"}  # what the kernel depends on comes with it
    for path in modules(PACKAGES[package]):
        foreign = tops(path) - set(sys.stdlib_module_names) - ours - PYTEST_AND_FRIENDS - {"__future__"}
        missing = {name for name in foreign if known.get(name, name.replace("_", "-")) not in declared | kernels}
        assert not missing, f"{named(path)} imports {sorted(missing)}, which pyproject.toml does not name"


def _distribution(requirement: str) -> str:
    for index, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:index].lower().replace("_", "-")
    return requirement.lower().replace("_", "-")


@pytest.mark.parametrize("package", ["dpb_framework", *PACKAGES])
def test_every_package_says_that_it_is_typed(package: str) -> None:
    assert ((PACKAGES.get(package) or KERNEL) / "py.typed").is_file()


def test_every_package_lists_its_public_names() -> None:
    for path in (KERNEL / "model", KERNEL / "contracts", KERNEL / "networks"):
        assert "__all__" in (path / "__init__.py").read_text("utf-8"), named(path)


def test_the_controller_applications_import_nothing_of_ours() -> None:
    for path in modules(ROOT / "ryu_apps" / "dpb_slicer"):
        assert not tops(path) & {"dpb_framework", *PACKAGES}, named(path)


def test_the_workspace_lists_every_distribution() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    editable = {line.removeprefix("-e ").partition("[")[0] for line in lines if line.startswith("-e ")}
    assert editable >= {".", *(named(path.parent) for path in PACKAGES.values())}
