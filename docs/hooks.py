"""What MkDocs calls while it builds the site.

The pages that are made from the code are added to its files, and links to files of the project that are no pages, which
the repository shows and the site does not hold, become the files' names.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.reference import commands, contract, http, metrics, settings

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>\.\./[^)#\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds `reference/*.md`, and the OpenAPI document."""
    generated = {
        "reference/settings.md": settings.page(),
        "reference/contract.md": contract.page(),
        "reference/commands.md": commands.page(),
        "reference/http.md": http.page(),
        "reference/metrics.md": metrics.page(),
        "reference/openapi.json": http.text(),
    }
    for path, text in generated.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 -- MkDocs' own
    """Names the files that a page links to outside of the site."""
    return LINK.sub(lambda link: named(link["text"], link["target"], page.file.src_uri), markdown)


def named(text: str, target: str, page: str) -> str:
    """A link, or where it leads out of the site the name of the file.

    Raises:
        PluginError: the project has no such file.
    """
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    if path.startswith("docs/"):
        return f"[{text}]({target})"
    if not (ROOT / path).exists():
        raise PluginError(f"docs/{page}: links to {target}, and there is no {path}")
    return f"`{path}`" if text in path else f"{text} (`{path}`)"
