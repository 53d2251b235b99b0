"""Turns the README and the pages of this folder into a site; mkdocs.yml names this file."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: Any) -> Files:
    """Adds the README as the first page."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "index.md", content=text.replace("](docs/", "](")))
    return files


def on_page_markdown(markdown: str, **_context: Any) -> str:
    """Returns the text of a page, in which links to files outside of the site are plain text."""
    outside = r"\[([^\]]+)\]\((?:\.\./|CONTRIBUTING|vggish_assets/|experiments/)[^)]*\)"
    return re.sub(outside, r"\1", markdown)


def on_page_content(html: str, page: Page, **_context: Any) -> str:
    """Returns the content of a page; links of a notebook to other pages lead to those of the site.

    MkDocs itself changes the links of Markdown files alone.
    """
    if not page.file.src_uri.endswith(".ipynb"):
        return html
    return re.sub(r'href="(\w+)\.md"', r'href="../\1/"', html)
