"""What the documents say that a reader can type: it is there, and what the story does not run is run elsewhere."""

import importlib.util
import re
import shlex

import pytest
import yaml

from docs.reference import commands, contract, settings
from tests.documents import ROOT, Block, blocks, commands_of, mentions, pages
from tests.documents_elsewhere import ELSEWHERE, Elsewhere, elsewhere, module_of

PROGRAMS = ("make ", "mlops ", ".venv/bin/", "python ", "curl ", "docker ", "pip ", "kubectl ", "helm ")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
EVERY_BLOCK = [block for page in pages() for block in blocks(page)]
EVERY_MENTION = [code for page in pages() for _, code in mentions(page)]


def test_commands_are_told_apart_as_a_shell_does() -> None:
    script = "a 'b\n# c' d\n# no command\n\ncat > e <<'END'\nf 'g\nEND\nh \\\n  i   # j"
    assert commands_of(script) == ["a 'b\n# c' d", "cat > e <<'END'\nf 'g\nEND", "h \\\n  i   # j"]
    with pytest.raises(ValueError, match="has no end"):
        commands_of("a 'b")


def test_what_a_command_prints_is_the_text_after_it() -> None:
    page = "- in a list\n\n  ```sh\n  a\n  ```\n\n  so:\n\n  ```text\n  b\n  ```\n\n```text\nc\n```\n"
    assert blocks("p", page) == [Block("p", 4, "sh", "a", "b"), Block("p", 14, "text", "c")]


@pytest.mark.parametrize("page", pages())
def test_no_command_stands_where_it_is_not_run(page: str) -> None:
    other = [block for block in blocks(page) if block.language != "sh"]
    assert not [block for block in other if any(line.strip().startswith(PROGRAMS) for line in block.text.splitlines())]
    text = re.sub(r"^ *```.*?^ *```", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    assert not [line for line in re.findall(r"(?<=\n\n) {4,}(\S.*)", text) if line.startswith(PROGRAMS)]


@pytest.mark.parametrize("one", ELSEWHERE, ids=lambda one: one.command)
def test_what_is_run_elsewhere_is_run_there(one: Elsewhere) -> None:
    assert one.fault is None
    asked = [command for block in EVERY_BLOCK for command in block.commands]
    assert any(re.fullmatch(one.command, command.split("  #")[0].strip()) for command in asked), "no page asks for it"


def test_what_runs_elsewhere_is_looked_up() -> None:
    """The guard of the test above."""
    assert Elsewhere("a", "tests/documents.py::no_such_test").fault == "tests/documents.py holds no 'def no_such_test('"
    assert Elsewhere("a", "no-such-file").fault == "there is no no-such-file"
    assert elsewhere("make test  # all") is not None
    assert elsewhere("mlops status") is None


def test_make_is_run_elsewhere_always() -> None:
    """It would install, or run for minutes; the story has the environment already."""
    asked = [command for block in EVERY_BLOCK for command in block.commands if command.startswith("make ")]
    assert [command for command in asked if elsewhere(command) is None] == []
    targets = {command.split()[1] for command in asked if not command.startswith("make bench-")}
    assert targets <= set(commands.make_targets())


def test_a_benchmark_has_its_module() -> None:
    named = [command for block in EVERY_BLOCK for command in block.commands] + EVERY_MENTION
    asked = [found for command in named if (found := re.match(r"make bench-([a-z_]+)(?: ARGS=\"?([^\"]*))?", command))]
    assert len(asked) > 10
    for found in asked:
        module = module_of(found[1])
        assert module.exists(), found[0]
        for option in re.findall(r"--[\w-]+", found[2] or ""):
            assert f'"{option}"' in module.read_text(), found[0]


@pytest.mark.parametrize("page", pages())
def test_a_command_that_is_named_exists(page: str) -> None:
    for line, mention in mentions(page):
        code = re.sub(r"^(\w+=\S+ )*(\.venv/bin/)?", "", mention)
        if found := re.match(r"make ([a-z][\w-]*)", code):
            assert re.sub(r"bench-.+", "bench-%", found[1]) in commands.make_targets(), f"{page}:{line}"
        elif code.startswith("mlops "):
            demand_command(code)
        elif found := re.match(r"docker compose (?:restart|logs|exec|run)(?: -\S+)* ([a-z]+)", code):
            assert found[1] in COMPOSE["services"], f"{page}:{line}"
        elif found := re.match(r"python -m ([\w.]+)", code):
            assert importlib.util.find_spec(found[1]) is not None, f"{page}:{line}"


def demand_command(code: str) -> None:
    """Demands that a command of `mlops` is there, with its options."""
    words = shlex.split(code.replace("...", "x"))
    known = commands.walk()
    name = next((" ".join(words[:length]) for length in (3, 2) if " ".join(words[:length]) in known), None)
    groups = {" ".join(command.split()[:2]) for command in known}
    if name is None:
        assert " ".join(words[:2]) in groups, f"{code}: there is no such command"
        return
    options = {option for param in known[name].params for option in param.opts}
    assert {word for word in words if word.startswith("-")} <= options | {"--help"}


@pytest.mark.parametrize("page", pages())
def test_a_setting_or_key_that_is_named_exists(page: str) -> None:
    known, keys = settings.page() + (ROOT / "docker-compose.yml").read_text(), contract.page()
    for line, mention in mentions(page):
        for name in re.findall(r"\b(?:MLOPS|SERVING)_[A-Z_]*[A-Z]\b", mention):
            assert re.search(rf"\b{name}\b", known), f"{page}:{line}: {name}"
        if found := re.fullmatch(r"\[([a-z_]{3,})\](?: (\w+).*)?", mention):
            section = keys.partition(f"## `[{found[1]}]`")[2].partition("## ")[0]
            assert f"`{found[2]}`" in section if found[2] else section, f"{page}:{line}: {mention}"


@pytest.mark.parametrize("page", pages())
def test_a_test_that_is_named_exists(page: str) -> None:
    """A page that says what a test shows must say it of one that is there."""
    file = ""
    for named in re.findall(r"`([\w/]*(?:\.py)?::\w+)`", (ROOT / page).read_text()):
        path, _, test = named.partition("::")
        file = path or file
        assert f"def {test}(" in (ROOT / "tests" / file.removeprefix("tests/")).read_text(), named


@pytest.mark.parametrize("page", [page for page in pages() if not page.startswith("docs/")])
def test_a_link_of_a_page_outside_the_site_leads_somewhere(page: str) -> None:
    """The site's own links are held by its build."""
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), target
