"""The documentation says what the code does: generated pages are current, every name and every link is there."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pluggy
import pytest

from dpb_framework import config, contracts, errors, hookspecs, model, plugins
from dpb_framework.errors import ConfigInvalid

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
OPERATORS_GUIDE = (DOCS / "operators-guide.md").read_text("utf-8")


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dpb_tools_docs", ROOT / "tools" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = tool()


def pages() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = [ROOT / name for name in listed.stdout.splitlines()] if listed.returncode == 0 else [*ROOT.rglob("*.md")]
    return sorted(page for page in found if page.exists() and not {".venv", ".run"} & set(page.parts))


# -- generated pages ----------------------------------------------------------------------------


def test_generated_pages_are_current() -> None:
    stale = [page.name for page, text in TOOL.pages().items() if page.read_text("utf-8") != text]
    assert not stale, "run: make docs"


def test_the_picture_of_the_states_is_the_table() -> None:
    assert f"```mermaid\n{model.diagram()}\n```" in (DOCS / "lifecycle.md").read_text("utf-8")


# -- contracts ----------------------------------------------------------------------------------


def docstrings(module: str) -> Iterator[str]:
    tree = ast.parse((ROOT / "dpb_framework" / "contracts" / f"{module}.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield text


@pytest.mark.parametrize("module", TOOL.CONTRACTS)
def test_the_clauses_of_a_contract_are_numbered_without_gaps_and_documented(module: str) -> None:
    tree = ast.parse((ROOT / "dpb_framework" / "contracts" / f"{module}.py").read_text("utf-8"))
    announced = re.search(r"Clauses ([A-Z])1 to \1(\d+)", " ".join((ast.get_docstring(tree) or "").split()))
    assert announced, f"the docstring of {module} says which clauses it has"
    letter, last = announced[1], int(announced[2])
    clauses = [clause for text in docstrings(module) for clause in TOOL.clauses_of(text)]
    numbers = sorted(int(number[1:]) for number, _ in clauses if number[0] == letter)
    assert numbers == list(range(1, last + 1))
    page = (DOCS / "contracts.md").read_text("utf-8")
    for number, sentence in clauses:
        assert f"* **{number}.** {sentence}" in page


def test_every_contract_is_on_the_page() -> None:
    documented = {path.stem for path in (ROOT / "dpb_framework" / "contracts").glob("[a-z]*.py")}
    assert documented == set(TOOL.CONTRACTS)
    page = (DOCS / "contracts.md").read_text("utf-8")
    for name in contracts.__all__:
        if inspect.isclass(getattr(contracts, name)):
            assert f"### `{name}`" in page


# -- what authors are told ----------------------------------------------------------------------


def test_what_authors_are_told_to_use_is_public() -> None:
    guide = (DOCS / "authors-guide.md").read_text("utf-8")
    advice, _, versions = guide.partition("\n## Versions\n")
    template = [path.read_text("utf-8") for path in (ROOT / "examples" / "third_party").rglob("*.py")]
    used = set(re.findall(r"\bdpb_framework(?:\.[a-z_]+)+", "\n".join([advice, *template])))
    public = set(re.findall(r"`(dpb_framework(?:\.[a-z_]+)+)`", versions))
    assert used
    assert not {name for name in used if not any(f"{name}.".startswith(f"{known}.") for known in public)}


def test_every_suite_has_its_fixtures_in_the_authors_guide() -> None:
    guide = (DOCS / "authors-guide.md").read_text("utf-8")
    suites = set(re.findall(r"`dpb_framework\.testing\.\w+\.(\w+)`", guide))
    assert suites
    assert {suite for suite in suites if not re.search(rf"\| `{suite}` \| .* \| needed \|", guide)} == set()


def test_a_method_with_a_default_is_told_from_one_without() -> None:
    page = (DOCS / "contracts.md").read_text("utf-8")
    sections = re.findall(r"^#### `(\w+).*?\n\n(.*)", page, re.MULTILINE)
    marked = {name for name, first in sections if first == "*Has a default.*"}
    assert {"labels", "domain", "port", "ensure_all", "warm_up", "flush"} <= marked
    assert not marked & {"ensure", "submit", "plan", "planner", "start"}


def test_a_store_can_be_written_from_the_contracts_page() -> None:
    page = (DOCS / "contracts.md").read_text("utf-8")
    for method in ("of", "failed", "resolve", "fail", "then", "result"):
        assert f"\n#### `{method}(" in page
    for error in vars(errors).values():
        if inspect.isclass(error) and issubclass(error, errors.DpbError) and error is not errors.DpbError:
            assert f"\n| `{error.__name__}(" in page


# -- hooks --------------------------------------------------------------------------------------


def hooks() -> dict[str, list[str]]:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return {name: list(caller.spec.argnames) for name, caller in vars(manager.hook).items() if caller.spec}


def test_every_hook_is_documented_with_its_arguments() -> None:
    assert hooks()
    page = (DOCS / "hooks.md").read_text("utf-8")
    for name, arguments in hooks().items():
        assert f"\n## {name}({', '.join(arguments)})\n" in page


def test_hooks_have_two_verbs() -> None:
    assert all(name.startswith(("ask_", "tell_")) for name in hooks())


# -- commands -----------------------------------------------------------------------------------


def test_every_command_is_documented() -> None:
    usages = list(TOOL.commands())
    assert any(usage.startswith("dpb serve") for usage, _ in usages)
    for usage, text in usages:
        assert f"`{usage}" in OPERATORS_GUIDE
        assert text, f"{usage} has no help"


# -- configuration ------------------------------------------------------------------------------


def known_keys(document: dict[str, object]) -> list[str]:
    """The keys that a configuration may have where this one has `0000`, as the fault tells that this brings about."""
    with pytest.raises(ConfigInvalid) as caught:
        config.parse(document, ROOT)
    assert "0000" in caught.value.path
    return caught.value.problem.rpartition("known: ")[2].split(", ")


def keys_of_the_kernel() -> Iterator[str]:
    sections = known_keys({"0000": 0})
    assert {"broker", "network"} <= set(sections)
    for section in sections:
        yield f"[{section}]" if section in {"broker", "store"} else f"[[{section}]]"
    yield from known_keys({"broker": {"0000": 0}})
    for kind in ({"kind": "switch"}, {"kind": "aggregator", "inferiors": []}):
        yield from known_keys({"network": [{"name": "one", **kind, "0000": 0}]})


@pytest.mark.parametrize("key", sorted(set(keys_of_the_kernel())))
def test_every_key_of_the_configuration_is_documented(key: str) -> None:
    assert f"`{key}`" in OPERATORS_GUIDE


def settings_of_plugins() -> list[tuple[str, str, str]]:
    found = []
    for path in [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]:
        groups = tomllib.loads(path.read_text("utf-8"))["project"].get("entry-points", {})
        for group in (plugins.FABRICS, plugins.ALGORITHMS, plugins.STORES, plugins.NBIS, plugins.LISTENERS):
            for name in groups.get(group, {}):
                parameters = inspect.signature(plugins.load_object(group, name)).parameters.values()
                named = [p.name for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
                found += [(group, name, setting.replace("_", "-")) for setting in named or [""]]
    return found


def test_every_setting_of_every_plugin_is_documented() -> None:
    for group, name, setting in settings_of_plugins():
        section = re.search(rf"\n#### `{re.escape(name)}`[^\n]*\n(.*?)(?=\n#|\Z)", OPERATORS_GUIDE, re.DOTALL)
        assert section, f"the operator's guide has no section on {name} of {group}"
        assert not setting or f"`{setting}`" in section[1], f"{setting} of {name} ({group}) is not documented"


# -- links --------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have, made as code forges make them."""
    headings = re.findall(r"^#+ +(.+)$", _without_code(page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def _without_code(text: str) -> str:
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", _without_code(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.relative_to(ROOT)} links to {link}"
        assert target.is_relative_to(ROOT), f"{page.relative_to(ROOT)} links out of the repository: {link}"
        assert not anchor or anchor in anchors(target), f"{page.relative_to(ROOT)}: no heading for {link}"


def test_every_page_of_the_documentation_is_linked_from_another() -> None:
    linked = set()
    for page in pages():
        for link in re.findall(r"\]\(([^)\s#]+)", page.read_text("utf-8")):
            linked.add((page.parent / unquote(link)).resolve())
    orphans = [str(page.relative_to(ROOT)) for page in pages() if DOCS in page.parents and page not in linked]
    assert not orphans
