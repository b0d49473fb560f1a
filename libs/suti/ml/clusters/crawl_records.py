"""What the readers of all crawl formats say: pages, pairs, pictures, and what they could not read."""

from dataclasses import dataclass
from enum import StrEnum

from suti.core.errors import BadConfiguration, RetryableError


class CrawlUnreadable(BadConfiguration):
    """A run's input is not there, may not be read, or is no crawl of its format at all."""

    reason = "CRAWL_UNREADABLE"


class CrawlAway(RetryableError):
    """The store that a crawl lies in stopped answering while it was read."""

    reason = "CRAWL_AWAY"


class RecordKind(StrEnum):
    """What a record tells of."""

    PAGE = "page"
    PAIR = "pair"
    PICTURE = "picture"
    RECORD = "record"  # a piece of a file that is neither, such as a damaged one
    AWAY = "away"  # nothing more of a file, since its store does not answer: engines lose what kind of error it was
    REFUSED = "refused"  # nothing of a file, since its store does not give it


@dataclass(frozen=True, slots=True)
class CrawlRecord:
    """One thing that a reader found. Fields that its kind has no use for keep their defaults.

    With a `reason` (of `reasons.Drop`) it is dropped where it stands; `detail` and `score` say more. URLs of good
    records are canonical (`urls.canonical`).
    """

    kind: RecordKind
    page_url: str = ""  # of pages and pairs
    picture_url: str = ""  # of pairs and pictures; for kind RECORD the place in the file
    alt_text: str = ""
    licence: str = ""
    fetched_at: str = ""
    source: bytes | None = None  # a picture's bytes as crawled
    declared: bool = True  # False: the crawl did not say that this is a picture
    reason: str | None = None
    detail: str = ""
    score: float | None = None
