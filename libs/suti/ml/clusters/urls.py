"""URLs of pages and pictures, spelled one way: what an <img> says and what a crawler stored must meet."""

from urllib.parse import quote, urljoin, urlsplit

from suti.core.ids import canonical_url

_MAX_URL_CHARS = 8_192
_RESERVED = "%/:=&?~#+!$,;'@()*[]"  # kept by quoting: they mean something, or are quoted already


class UrlInvalid(ValueError):
    """No URL of a page or picture on the web. Never leaves the readers."""


def canonical(url: str) -> str:
    """The canonical spelling of an http(s) URL, with blanks and non-ASCII letters percent-encoded.

    Raises:
        UrlInvalid: another scheme, no host, a port out of range, or absurdly long.
    """
    if len(url) > _MAX_URL_CHARS:
        raise UrlInvalid(f"{len(url)} characters")
    try:
        parts = urlsplit(url.strip())
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            raise UrlInvalid(url[:200])
        return quote(canonical_url(url), safe=_RESERVED)
    except ValueError as error:
        raise UrlInvalid(url[:200]) from error


def resolve(base: str, reference: str) -> str:
    """The canonical URL of a reference on a page. Raises UrlInvalid."""
    if len(reference) > _MAX_URL_CHARS:
        raise UrlInvalid(f"{len(reference)} characters")
    try:
        return canonical(urljoin(base, reference.strip()))
    except ValueError as error:
        raise UrlInvalid(reference[:200]) from error
