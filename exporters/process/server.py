"""The exporter's pages over HTTP: /metrics, /healthz and the like."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from mlvitals.exporters.listener import Limits, Listener, Page, Report, Request

Pages = Mapping[str, Callable[[], Page]]
"""The pages by path. A page is made for every request, in a thread of the server."""


class PageServer(Listener):
    """Serves pages from threads of its own until it is closed; what fails meanwhile is reported from those.

    Raises:
        ListenError: the address is taken, not this machine's, or not HOST:PORT.
    """

    def __init__(self, listen: str, pages: Pages, report: Report, limits: Limits = Limits()) -> None:  # noqa: B008
        self._pages = pages
        super().__init__(listen, self._page, "http", report, limits)

    def _page(self, request: Request) -> Page:
        if request.method not in ("GET", "HEAD"):
            return Page(b"only GET and HEAD are answered here\n", HTTPStatus.NOT_IMPLEMENTED)
        make = self._pages.get(request.path)
        if make is None:
            return Page(f"not found; here are {', '.join(self._pages)}\n".encode(), HTTPStatus.NOT_FOUND)
        return make()
