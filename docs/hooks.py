"""What MkDocs calls while it builds: the pages that are generated from the code are added to the files of the site."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.reference import commands, contract, http, settings


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds `reference/*.md`, and the OpenAPI document."""
    generated = {
        "reference/settings.md": settings.page(),
        "reference/contract.md": contract.page(),
        "reference/commands.md": commands.page(),
        "reference/http.md": http.page(),
        "reference/openapi.json": http.text(),
    }
    for path, text in generated.items():
        files.append(File.generated(config, path, content=text))
    return files
