"""The text of a drafted contract: TOML, with the evidence in comments and every doubt marked `# unsure: `.

Here belongs writing. What is written belongs to `inference`.
"""

import json
import re

from mlops_assets.datasets.drafting.drafted import Draft
from mlops_assets.datasets.drafting.feature_inference import DraftFeature
from mlops_assets.datasets.drafting.roles import Choice

NO_FEATURE = "... feature"
LINE_LENGTH = 110


def contract_text(draft: Draft, data: str, *, known_cases: str | None = None) -> str:
    """The contract's file.

    Args:
        draft: What was guessed.
        data: Where the data is, as the user wrote it.
        known_cases: Name of the file of known cases beside it.
    """
    lines = [
        _comment(f"Drafted by `mlops init {data}` from {draft.rows} rows in {', '.join(draft.windows)}."),
        _comment('Lines marked "unsure:" are guesses: correct them, then delete the mark.'),
        *(_comment(f"unsure: {remark}") for remark in draft.remarks),
        f"name = {toml_text(draft.name)}",
        'description = ""',
        *_text("target", draft.target),
    ]
    if draft.target_values:
        lines += _assigned("target_values", toml_list(draft.target_values), draft.target_values_choice)
    lines += [*_text("row_id", draft.row_id), *_text("split_by", draft.split_by)]
    lines += [*_text("entity_key", draft.entity_key), *_text("event_time", draft.event_time)]
    if known_cases:
        lines.append(f"known_cases = {toml_text(known_cases)}")
    if draft.tables:
        lines += ["", "[source]", *_assigned("tables", toml_list(draft.tables), draft.first)]
        lines += [*_text("key", draft.key), *_text("labels", draft.labels)]
    half = f"half of the smallest window, which has {draft.smallest} rows"
    lines += ["", "[limits]", f"min_rows = {draft.min_rows}{_doubt(half)}"]
    for drafted in draft.features:
        lines += ["", *_feature(drafted)]
    if not draft.features:
        lines += ["", f"[features.{toml_text(NO_FEATURE)}]", f'type = "float"{_doubt("no feature found; name one")}']
    if draft.left_out:
        lines += ["", "# Columns that are no features:"]
        lines += [_comment(f"{'unsure: ' * one.unsure}{one.name or '(no name)'}: {one.why}") for one in draft.left_out]
    return "\n".join(lines) + "\n"


def toml_text(text: str) -> str:
    """A text as TOML takes it. JSON's escapes are TOML's; U+007F, which JSON leaves, is escaped too."""
    whole = text.encode("utf-8", "backslashreplace").decode()  # a path may hold bytes that are no text
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_list(texts: tuple[str, ...]) -> str:
    """A list of texts, in several lines where one is too long."""
    quoted = [toml_text(text) for text in texts]
    if len(line := f"[{', '.join(quoted)}]") <= LINE_LENGTH:
        return line
    lines = [""]
    for text in quoted:
        if len(lines[-1]) + len(text) > LINE_LENGTH:
            lines.append("")
        lines[-1] += f"{text}, "
    return "[" + "".join(f"\n    {line.rstrip()}" for line in lines if line) + "\n]"


def toml_number(number: float) -> str:
    """A number, without a fraction where it has none."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def toml_key(name: str) -> str:
    """A name as TOML takes it for a key."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_text(name)


def printable(text: str) -> str:
    """A text in one line, with escapes for what cannot be shown."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _comment(text: str) -> str:
    return f"# {printable(text)}"


def _doubt(unsure: str | None) -> str:
    return f"  # unsure: {printable(unsure)}" if unsure else ""


def _assigned(key: str, value: str, choice: Choice) -> list[str]:
    evidence = [_comment(choice.because)] if choice.because else []
    return [*evidence, f"{key} = {value}{_doubt(choice.unsure)}"]


def _text(key: str, choice: Choice) -> list[str]:
    if choice.value is not None:
        return _assigned(key, toml_text(choice.value), choice)
    return [_comment(f"unsure: {key}: {choice.unsure}")] if choice.unsure else []


def _feature(drafted: DraftFeature) -> list[str]:
    feature = drafted.feature
    lines = [_comment(drafted.because), f"[features.{toml_key(drafted.name)}]"]
    values = {"type": toml_text(feature.type), "nullable": "true" if feature.nullable else None}
    if feature.range is not None:
        values["range"] = f"[{', '.join(map(toml_number, feature.range))}]"
    if feature.categories:
        values["categories"] = toml_list(feature.categories)
    return lines + [f"{key} = {value}{_doubt(drafted.doubts.get(key))}" for key, value in values.items() if value]
