"""The exporter's pages over HTTP: /metrics, /healthz and the like."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType

from mlvitals.exporters.listener import Limits, Listener, Page, Report, Request

Pages = Mapping[str, Callable[[], Page]]
"""The pages by path. A page is made for every request, in a thread of the server."""
Folders = Mapping[str, Callable[[str], Page]]
"""Pages by the folder at the start of their path, up to its last slash; what follows names the page."""


class PageServer(Listener):
    """Serves pages from threads of its own until it is closed; what fails meanwhile is reported from those.

    Raises:
        ListenError: the address is taken, not this machine's, or not HOST:PORT.
    """

    def __init__(
        self,
        listen: str,
        pages: Pages,
        report: Report,
        limits: Limits = Limits(),  # noqa: B008
        folders: Folders = MappingProxyType({}),
    ) -> None:
        self._pages = pages
        self._folders = folders
        super().__init__(listen, self._page, "http", report, limits)

    def _page(self, request: Request) -> Page:
        if request.method not in ("GET", "HEAD"):
            return Page(b"only GET and HEAD are answered here\n", HTTPStatus.NOT_IMPLEMENTED)
        make = self._pages.get(request.path)
        folder, slash, name = request.path.rpartition("/")
        if make is None and (make_named := self._folders.get(folder + slash)):
            return make_named(name)
        if make is None:
            return Page(f"not found; here are {', '.join(self._pages)}\n".encode(), HTTPStatus.NOT_FOUND)
        return make()
