"""Pages of the site that are made from the code: every key of the JSON, every figure by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec

from dpprof.analysis.metrics import METRICS, Metric
from dpprof.reporters.schemas import DOCUMENTS, TYPES
from dpprof.tables.kinds import COMMUNICATION_KINDS, KINDS, STATES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

_WAYS = {-1: "less", 0: "", 1: "more"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; MkDocs calls this while it builds."""
    from mkdocs.structure.files import File

    for name, content in (("json.md", json_page()), ("figures.md", figures_page())):
        files.append(File.generated(config, name, content=content))
    return files


def json_page() -> str:
    """Every key of what the verbs write as JSON, by document and struct."""
    lines = [
        "# JSON",
        "",
        "Made from the code. Times are integer nanoseconds, shares lie in 0 to 1, and `null` is "
        '"not known" or "there is none". `schema_version` grows where a key changes its meaning.',
    ]
    said: set[type] = set()
    for name, where in DOCUMENTS.items():
        lines += [
            "",
            f"## {name}",
            "",
            f"{where[:1].upper()}{where[1:]}: [schema](schemas/{name}.json).",
        ]
        for struct in _reachable(TYPES[name]):
            if struct in said:
                continue
            said.add(struct)
            lines += ["", f"### {struct.__name__}", "", inspect.cleandoc(struct.__doc__ or ""), ""]
            lines += ["| key | type | default |", "|---|---|---|", *_rows(struct)]
    return "\n".join(lines) + "\n"


def _rows(struct: type[msgspec.Struct]) -> Iterator[str]:
    texts: dict[str, str] = {}
    for one in reversed(struct.__mro__):
        texts |= inspect.get_annotations(one)
    for field in msgspec.structs.fields(struct):
        default = "" if field.default is msgspec.NODEFAULT else f"`{field.default!r}`"
        if field.default_factory is not msgspec.NODEFAULT:
            default = "empty"
        default = "left out" if field.default is msgspec.UNSET else default
        text = str(texts[field.name]).removesuffix(" | UnsetType").replace("|", "\\|")
        yield f"| `{field.encode_name}` | `{text}` | {default} |"


def _reachable(document: Any) -> list[type[msgspec.Struct]]:
    """The structs of a document and all that their fields hold, in order of first mention."""
    found = list(_structs(document))
    for struct in found:
        for hint in get_type_hints(struct).values():
            found += [one for one in dict.fromkeys(_structs(hint)) if one not in found]
    return found


def _structs(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for inner in get_args(hint):
        yield from _structs(inner)


def figures_page() -> str:
    """Every figure that a gate, a comparison or a tile may show."""
    lines = [
        "# Figures by name",
        "",
        "Made from the registry (`dpprof.analysis.metrics`). Rules of a [gate](gate.md) name them; "
        "before those of ranks may stand `any.`, `rank3.` or `stage1.`. `<kind>` is one of "
        f"{', '.join(f'`{kind}`' for kind in COMMUNICATION_KINDS)}; `<state>` one of "
        f"{', '.join(f'`{state}`' for state in STATES)}.",
        "",
        "| name | unit | of | better | what it is |",
        "|---|---|---|---|---|",
    ]
    families: dict[str, list[Metric]] = {}
    for one in METRICS.values():
        families.setdefault(_family(one.name), []).append(one)
    return "\n".join([*lines, *(_row(name, many) for name, many in families.items())]) + "\n"


def _row(name: str, many: list[Metric]) -> str:
    """A figure, or one for each kind or state, of which some are better large and some are not."""
    first, ways = many[0], {_WAYS[one.better] for one in many}
    way = ways.pop() if len(ways) == 1 else "by state"
    about = first.about or _family(first.label)
    return f"| `{name}` | {first.unit} | {first.scope} | {way} | {about} |"


def _family(text: str) -> str:
    """The name with its kind or state left open."""
    for prefix in (*(f"{state}_" for state in STATES), *(f"{state} " for state in STATES)):
        if text.startswith(prefix):
            return f"<state>{text[len(prefix) - 1 :]}"
    for kind in COMMUNICATION_KINDS:
        if text.startswith((f"{kind}.", f"{kind} ")):
            return f"<kind>{text[len(kind) :]}"
    for kind in KINDS:
        if text in (f"critical_path.{kind}_ns", f"critical path {kind}"):
            return text.replace(kind, "<kind>")
    short = {state.partition(".")[2] for state in STATES if "." in state}
    return "<state>" if text in {*short, *STATES} else text
