"""Write the generated parts of docs/ again, or say with --check that they are current.

docs/contracts.md and docs/hooks.md are generated whole, from the docstrings that are the contracts. In other pages
what stands between `<!-- generated: NAME -->` and `<!-- end -->` is: the states' diagram, the commands, the decisions,
the fixtures of the suites.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CONTRACTS = ("network", "fabric", "algorithm", "store", "nbi", "kind")
SUITES = {
    "FabricContract": "fabric_fixtures",
    "AlgorithmContract": "algorithm",
    "StoreContract": "store",
    "NbiContract": "nbi",
    "NetworkContract": "network",
}
CLAUSE = re.compile(r"(?<![\w-])([A-Z]\d+)\. ")

_CONTRACTS_INTRO = """\
# Contracts

*Generated from the docstrings of `dpb_framework/contracts/`, `reply.py` and `errors.py` by `make docs`.*

A contract is an abstract base class. Its clauses are numbered: conformance tests and error reports cite them. The
suites that test them are in `dpb_framework.testing`; the [author's guide](authors-guide.md) tells how to run them
on a plugin. Rates are int kbit/s, delays int microseconds, everywhere.
"""

_HOOKS_INTRO = """\
# Hooks

*Generated from `dpb_framework/hookspecs.py` by `make docs`.*

A hook is how a listener takes part without being chosen: every listener that the configuration names is called.
There are two verbs. **ask** comes before a change, under the admission lock, and may refuse it; it must not block.
**tell** comes after the change is stored, and cannot refuse.

A listener is a class whose methods carry these names under `dpb_framework.hookspecs.hookimpl`, offered in the entry
point group `dpb.listeners` and named in the configuration as `[[listener]]`. A method may leave out arguments that
it does not need; a method whose name is no hook's stops the broker from starting, with the nearest hook's name.
[The third-party example](../examples/third_party/README.md) has one with both verbs.
"""


def clauses_of(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield the numbered clauses of a docstring: number and sentences, on one line. A clause ends its paragraph."""
    for paragraph in re.split(r"\n\s*\n", docstring):
        marks = list(CLAUSE.finditer(paragraph))
        ends = [*(mark.start() for mark in marks[1:]), len(paragraph)]
        for mark, end in zip(marks, ends, strict=False):
            yield mark[1], " ".join(paragraph[mark.end() : end].split())


def _prose(docstring: str) -> str:
    """Return a docstring as Markdown: its text, its clauses as a list."""
    out: list[str] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        first = CLAUSE.search(paragraph)
        text = " ".join(paragraph[: first.start() if first else None].split())
        out += [text] if text else []
        listing = [f"* **{number}.** {sentence}" for number, sentence in clauses_of(paragraph)]
        out += ["\n".join(listing)] if listing else []
    return "\n\n".join(out)


def _signature(function: ast.FunctionDef) -> str:
    arguments = ast.unparse(function.args)
    arguments = re.sub(r"^(self|cls)(, )?", "", arguments)
    answer = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    if any(isinstance(d, ast.Name) and d.id == "property" for d in function.decorator_list):
        return f"{function.name}: {answer[4:]}"
    return f"{function.name}({arguments}){answer}"


def _field(item: ast.AnnAssign) -> str:
    """Return an attribute as it is declared, with its default and without what else attrs is told of it."""
    declared = f"{ast.unparse(item.target)}: {ast.unparse(item.annotation)}"
    default = item.value
    made = ""
    if isinstance(default, ast.Call) and ast.unparse(default.func) in {"field", "Factory"}:
        told = {keyword.arg: keyword.value for keyword in default.keywords}
        factory = told.get("factory", default.args[0] if default.args else None)
        default, made = (factory, "()") if factory else (told.get("default"), "")
    return f"{declared} = {ast.unparse(default)}{made}".replace("'", '"') if default else declared


def _is_abstract(item: ast.stmt) -> bool:
    return isinstance(item, ast.FunctionDef) and any(
        isinstance(d, ast.Name) and d.id == "abstractmethod" for d in item.decorator_list
    )


def _members(found: ast.ClassDef) -> Iterator[str]:
    fields: list[str] = []
    is_contract = any(map(_is_abstract, found.body))
    for item in found.body:
        if isinstance(item, ast.AnnAssign):
            fields.append(_field(item))
        elif isinstance(item, ast.Assign) and not ast.unparse(item).startswith("_"):
            fields.append(ast.unparse(item).replace("'", '"'))
        elif (
            fields and isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and item is not found.body[0]
        ):
            # Above and not behind, so that no line is too long for the formatter.
            above = textwrap.wrap(" ".join(str(item.value.value).split()), 110)
            fields[-1:] = [*(f"# {line}" for line in above), fields[-1]]
    if fields:
        yield "```python\n" + "\n".join(fields) + "\n```"
    for item in found.body:
        if not isinstance(item, ast.FunctionDef) or item.name.startswith("_"):
            continue
        yield f"#### `{_signature(item)}`"
        if is_contract and not _is_abstract(item):
            yield "*Has a default.*"
        if text := ast.get_docstring(item):
            yield _prose(text)


def _described(tree: ast.Module) -> Iterator[str]:
    """Yield what a module says of its classes and of its functions."""
    for item in tree.body:
        if isinstance(item, ast.ClassDef) and not item.name.startswith("_"):
            yield f"### `{item.name}`"
            yield _prose(ast.get_docstring(item) or "")
            yield from _members(item)
        elif isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
            yield f"### `{_signature(item)}`"
            yield _prose(ast.get_docstring(item) or "")


def _errors(tree: ast.Module) -> str:
    rows = ["| `dpb_framework.errors` | `code` | what it says |", "|---|---|---|"]
    for item in tree.body:
        if isinstance(item, ast.ClassDef) and item.name != "DpbError":
            fields = ", ".join(_field(entry) for entry in item.body if isinstance(entry, ast.AnnAssign))
            codes = [ast.literal_eval(entry.value) for entry in item.body if isinstance(entry, ast.Assign)]
            text = " ".join((ast.get_docstring(item) or "").split())
            cells = (f"`{item.name}({fields})`", "".join(f"`{code}`" for code in codes), text)
            rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def _parsed(module: str) -> ast.Module:
    return ast.parse((ROOT / "dpb_framework" / f"{module}.py").read_text("utf-8"))


def contracts_page() -> str:
    """Return docs/contracts.md."""
    parts = [_CONTRACTS_INTRO.rstrip()]
    for name in CONTRACTS:
        tree = _parsed(f"contracts/{name}")
        heading, _, about = (ast.get_docstring(tree) or "").partition("\n\n")
        title = re.sub(r"^The contract ", "", " ".join(heading.split()))
        parts += [f"## {title}", _prose(about), *_described(tree)]
    replies, errors = _parsed("reply"), _parsed("errors")
    parts += ["## Replies", _prose(ast.get_docstring(replies) or ""), *_described(replies)]
    parts += ["## Errors", _prose(ast.get_docstring(errors) or ""), _errors(errors)]
    return "\n\n".join(part for part in parts if part) + "\n"


def hooks_page() -> str:
    """Return docs/hooks.md."""
    tree = ast.parse((ROOT / "dpb_framework" / "hookspecs.py").read_text("utf-8"))
    parts = [_HOOKS_INTRO.rstrip()]
    for item in tree.body:
        if not isinstance(item, ast.FunctionDef):
            continue
        arguments = [argument.arg for argument in item.args.args]
        parts.append(f"## {item.name}({', '.join(arguments)})")
        parts.append(_prose(ast.get_docstring(item) or ""))
        parts.append(
            "\n".join(f"* `{a.arg}`: `{ast.unparse(a.annotation)}`" for a in item.args.args if a.annotation is not None)
        )
    return "\n\n".join(parts) + "\n"


def commands() -> Iterator[tuple[str, str]]:
    """Yield every command that `dpb` has, with the first sentence of its help, in the order of their names."""

    def walk(group: click.Group, path: str) -> Iterator[tuple[str, str]]:
        context = click.Context(group, info_name=path)
        for name in sorted(group.list_commands(context)):
            command = group.get_command(context, name)
            if command is None:
                raise SystemExit(f"command {path} {name} is listed and cannot be had; see `dpb plugins`")
            if isinstance(command, click.Group):
                yield from walk(command, f"{path} {name}")
                continue
            arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
            yield " ".join([path, name, *arguments]), (command.help or "").strip().split("\n\n")[0].replace("\n", " ")

    yield from walk(import_module("dpb_framework.cli").main, "dpb")


def _commands_table() -> str:
    rows = [f"| `{usage.replace('|', '/')}` | {text} |" for usage, text in commands()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def _diagram() -> str:
    return f"```mermaid\n{import_module('dpb_framework.model').diagram()}\n```"


def _decisions() -> str:
    titles = {page: page.read_text("utf-8").splitlines()[0].removeprefix("# ") for page in (DOCS / "adr").glob("*.md")}
    return "\n".join(f"* [{title}](adr/{page.name})" for page, title in sorted(titles.items()))


def _fixtures() -> str:
    """Return what a subclass gives to each suite: the fixtures that are made of no others."""
    rows = ["| suite | fixture | | what it gives |", "|---|---|---|---|"]
    for suite, module in SUITES.items():
        for item in ast.walk(_parsed(f"testing/{module}")):
            if not isinstance(item, ast.FunctionDef) or len(item.args.args) > 1:
                continue
            if "pytest.fixture" not in map(ast.unparse, item.decorator_list):
                continue
            is_needed = any(isinstance(line, ast.Raise) for line in item.body)
            text = re.sub(r"^Optional[:,] ", "", " ".join((ast.get_docstring(item) or "").split()))
            usage = f"{item.name}: {ast.unparse(item.returns)}" if item.returns else item.name
            rows.append(
                f"| `{suite}` | `{usage.replace('|', chr(92) + '|')}` | {'needed' if is_needed else 'optional'}"
                f" | {text[:1].upper()}{text[1:]} |"
            )
    return "\n".join(rows)


GENERATED = {"fixtures": _fixtures, "states": _diagram, "commands": _commands_table, "decisions": _decisions}


def _filled(text: str) -> str:
    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n{GENERATED[match[2]]()}\n{match[3]}"

    return re.sub(r"(<!-- generated: (\w+) -->)\n.*?(<!-- end -->)", fill, text, flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """Return every page that is generated in whole or in part, as it should be."""
    found = {DOCS / "contracts.md": contracts_page(), DOCS / "hooks.md": hooks_page()}
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text("utf-8")
        if "<!-- generated:" in text:
            found[page] = _filled(text)
    return found


def main() -> int:
    """Write or check; 1 when a check finds a page that is not current."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when something would change")
    asked = parser.parse_args()
    stale = 0
    for page, text in pages().items():
        before = page.read_text("utf-8") if page.exists() else ""
        if before == text:
            continue
        stale += 1
        name = str(page.relative_to(ROOT))
        if asked.check:
            diff = difflib.unified_diff(
                before.splitlines(), text.splitlines(), name, f"{name} (generated)", lineterm=""
            )
            print("\n".join([*list(diff)[:20], f"{name} is not current: make docs"]), file=sys.stderr)
        else:
            page.write_text(text, "utf-8")
            print(name)
    return 1 if asked.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
