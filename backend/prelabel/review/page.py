"""A review as one page: pictures inside it, nothing loaded from anywhere, no script."""

from __future__ import annotations

import base64
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader

from fbnetv3.data.coco import CocoError
from fbnetv3.images import ImageError
from prelabel.labelstudio.errors import FetchError
from prelabel.review.findings import ReviewFinding
from prelabel.review.pictures import picture_pair
from prelabel.review.review import Review

logger = logging.getLogger(__name__)

MOST_FINDINGS = 100
"""On a page, about 60 kB each with their pictures: the files beside it have all."""

PAGE = "page.html.jinja"


@dataclass(frozen=True)
class _Card:
    """A finding as the page shows it; `pictures`: JPEG in Base64."""

    finding: ReviewFinding
    link: str | None
    pictures: tuple[str, str] | None


def review_page(
    review: Review, link_of: Callable[[ReviewFinding], str | None], on_picture: Callable[[], None]
) -> str:
    """The page's HTML. A finding whose image cannot be had any more stands there without pictures."""
    cards = []
    for finding in review.findings[:MOST_FINDINGS]:
        cards.append(_Card(finding, link_of(finding), _pictures(review, finding)))
        on_picture()
    kinds = Counter(card.finding.title for card in cards)
    numbers = {kind: number for number, kind in enumerate(kinds, start=1)}
    pages = Environment(loader=PackageLoader("prelabel.review", "."), autoescape=True)
    return pages.get_template(PAGE).render(review=review, shown=cards, kinds=kinds, numbers=numbers)


def _pictures(review: Review, finding: ReviewFinding) -> tuple[str, str] | None:
    try:
        picture = review.picture(finding)
    except (CocoError, FetchError, ImageError) as error:
        logger.warning("no pictures of finding %s: %s", finding.id, error)
        return None
    now, model = picture_pair(finding, picture.pixels, picture.annotated, picture.predicted)
    return base64.b64encode(now).decode(), base64.b64encode(model).decode()
