"""The documentation as a site: what mkdocs.yml calls while `make docs` builds it.

Pages that stand elsewhere in the repository (README, CHANGELOG, notebooks, …) join those of docs/,
and links between all of them, which are written as the repository has them, lead to the site's.
Nothing of the site may be loaded from elsewhere; one that would is refused.
"""

import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
#: What joins docs/, by the path in the repository; and where it stands on the site.
JOINING = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "notebooks/train.ipynb": "notebooks/train.md",
    "notebooks/evaluate.ipynb": "notebooks/evaluate.md",
    "SECURITY.md": "security-policy.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "LICENSE": "license.md",
}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_LOADED = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*\ssrc="(?:https?:)?//[^"]*"'
    r'|<link\b[^>]*rel="(?:stylesheet|preconnect|icon)"[^>]*href="(?:https?:)?//[^"]*"'
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what joins docs/."""
    for source, place in JOINING.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith(".ipynb"):
            text = notebook_page(json.loads(text))
        elif not source.endswith(".md"):
            text = f"# {source.capitalize()}\n\n```text\n{text}```\n"
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where the site has what they name in the repository.

    What the repository has and the site has not, as a file of code, is named without a link; what
    neither has is left, for mkdocs to complain of.
    """
    here = page.file.src_uri
    origin = {place: source for source, place in JOINING.items()}
    folder = PurePosixPath(origin.get(here, f"docs/{here}")).parent

    def led(link: re.Match[str]) -> str:
        text, target, heading = link.groups(default="")
        if re.match(r"\w+:", target):
            return link[0]
        named = os.path.normpath(folder / target)
        if named not in JOINING and not named.startswith("docs/") and (ROOT / named).exists():
            return text
        place = os.path.relpath(
            JOINING.get(named, named.removeprefix("docs/")), PurePosixPath(here).parent
        )
        return f"[{text}]({place}{heading})"

    return _LINK.sub(led, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that loads something from elsewhere."""
    for path in sorted(Path(config.site_dir).rglob("*.html")):
        found = _LOADED.search(path.read_text(encoding="utf-8"))
        if found:
            raise PluginError(f"{path}: would load from elsewhere: {found[0]}")


def notebook_page(notebook: dict[str, Any]) -> str:
    """A notebook as it is stored, as a page: cells in Python, and what they show below."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:  # an empty line would end the block of HTML
                shown = re.sub(r"\n\s*\n", "\n", "".join(data["text/html"]).strip())
                parts.append(f'<div class="shown">\n{shown}\n</div>')
            else:
                parts.append(f"```text\n{''.join(data['text/plain'])}\n```")
    return "\n\n".join(parts) + "\n"
