"""What is in a page of ours: its elements and its visible text, without the plot library's script."""

from __future__ import annotations

from html.parser import HTMLParser


class PageOutline(HTMLParser):
    """Elements of a page with their attributes, and its visible text.

    Args:
        page: The page's markup.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the element."""
        self.elements.append((tag, dict(attrs)))
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        """What follows is shown again."""
        self._hidden = False

    def handle_data(self, data: str) -> None:
        """Keep the text that a reader sees."""
        if not self._hidden:
            self.text += data


def without_plotly(page: str) -> str:
    """Return the page without the library's own script, which holds markup in strings."""
    head, rest = page.split("<script>", 1)
    return head + rest[rest.index("</script>") + len("</script>") :]
