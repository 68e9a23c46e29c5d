"""The documents as the tests read them: every Markdown file of the project, its code blocks and their commands.

Here belongs reading. Running the commands belongs to `end_to_end.test_documents`, what is run elsewhere to
`documents_elsewhere`.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"(?P<indent> *)```(?P<language>\w*)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    """The page's path in the project."""
    line: int
    """Where its text begins, from 1."""
    language: str
    """`sh` are commands, `text` is what the block of commands before it printed."""
    text: str
    shown: str | None = None
    """Of commands: what the page shows that they printed."""

    @property
    def commands(self) -> list[str]:
        """The commands of a block in `sh`, each with the lines that it goes on over; comments are left out."""
        return commands_of(self.text) if self.language == "sh" else []

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Every document, in the order in which they are read: README, the site by its navigation, the others."""
    site = re.findall(r"^ +- .*?([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    named = ["README.md", *(f"docs/{page}" for page in site if (ROOT / "docs" / page).exists())]
    folders = (ROOT, ROOT / "docs", ROOT / "examples")
    found = [path for folder in folders for path in folder.glob("*.md" if folder == ROOT else "**/*.md")]
    others = sorted(str(path.relative_to(ROOT)) for path in found)
    return [*named, *(page for page in others if page not in named)]


def blocks(page: str, text: str | None = None) -> list[Block]:
    """The fenced blocks of a page, with what they show of the output of commands laid to these."""
    found: list[Block] = []
    begun: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate((ROOT / page).read_text().splitlines() if text is None else text.splitlines(), 1):
        fence = FENCE.match(line)
        if begun is None and fence:
            begun, lines = (number + 1, fence["language"], fence["indent"]), []
        elif begun is not None and fence and not fence["language"]:
            found.append(Block(page, begun[0], begun[1], "\n".join(lines)))
            begun = None
        elif begun is not None:
            lines.append(line.removeprefix(begun[2]))
    shown: list[Block] = []
    for block in found:
        if block.language == "text" and shown and shown[-1].language == "sh" and shown[-1].shown is None:
            before = shown[-1]
            shown[-1] = Block(before.page, before.line, before.language, before.text, block.text)
        else:
            shown.append(block)
    return shown


def commands_of(text: str) -> list[str]:
    """The commands of a shell script: a line each, or as many as a quote, a backslash or a here-document takes."""
    commands: list[str] = []
    begun: list[str] = []
    for line in text.splitlines():
        if not begun and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begun.append(line)
        if _is_whole(begun):
            commands.append("\n".join(begun))
            begun = []
    if begun:
        raise ValueError(f"a command has no end: {begun}")
    return commands


def _is_whole(lines: list[str]) -> bool:
    if here := re.search(r"<<-?\s*['\"]?(\w+)", lines[0]):
        return len(lines) > 1 and lines[-1].strip() == here[1]
    if lines[-1].endswith("\\"):
        return False
    try:
        shlex.split("\n".join(lines), comments=True)
    except ValueError:
        return False
    return True


def mentions(page: str) -> list[tuple[int, str]]:
    """The pieces of code that stand in a page's sentences, by line; one may go on over a line's end."""
    text = (ROOT / page).read_text()
    sentences = re.sub(
        r"^ *```.*?^ *```$", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE
    )
    found = re.finditer(r"(?<!`)`((?:[^`\n]|\n(?!\n))+)`(?!`)", sentences)
    return [(sentences.count("\n", 0, code.start()) + 1, " ".join(code[1].split())) for code in found]
