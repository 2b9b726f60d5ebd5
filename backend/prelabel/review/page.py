"""A review as one page: pictures inside it, nothing loaded from anywhere, no script."""

from __future__ import annotations

import base64
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import Environment

from fbnetv3.data.coco import CocoError
from fbnetv3.images import ImageError
from prelabel.labelstudio.errors import FetchError
from prelabel.review.findings import ReviewFinding
from prelabel.review.pictures import picture_pair
from prelabel.review.review import Review

logger = logging.getLogger(__name__)

MOST_FINDINGS = 100
"""On a page, about 60 kB each with their pictures: the files beside it have all."""

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Review of {{ review.title }}</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --quiet: #777; --mark: #e0a800; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 4px; }
.quiet { color: var(--quiet); }
details { margin: 8px 0; }
nav { display: flex; flex-wrap: wrap; gap: 8px; margin: 18px 0; }
nav label { border: 1px solid var(--line); border-radius: 999px; padding: 3px 14px; cursor: pointer; }
nav input { position: absolute; opacity: 0; }
nav label:has(:checked) { background: var(--mark); border-color: var(--mark); color: #111; }
nav label:has(:focus-visible) { outline: 2px solid var(--mark); outline-offset: 2px; }
article { border: 1px solid var(--line); border-radius: 10px; margin: 0 0 18px; overflow: hidden; }
header { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; padding: 10px 16px;
  background: var(--soft); }
header h2 { font-size: 16px; margin: 0; }
header .to-do { font-weight: 600; }
header a { margin-left: auto; }
.sure { display: inline-block; width: 90px; height: 8px; border-radius: 4px; background: var(--line); }
.sure i { display: block; height: 100%; border-radius: 4px; background: var(--mark); }
.accepted { border: 1px solid #2a2; color: #2a2; border-radius: 4px; padding: 0 6px; font-size: 13px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 12px; padding: 12px 16px; }
figure { margin: 0; }
figure img { display: block; width: 100%; height: 320px; object-fit: contain; background: var(--soft);
  border-radius: 6px; }
figcaption { font-size: 13px; color: var(--quiet); margin-bottom: 4px; }
footer { padding: 0 16px 10px; font-size: 13px; color: var(--quiet); overflow-wrap: anywhere; }
code { font-size: 13px; }
{% for kind in kinds -%}
body:has(#kind-{{ loop.index }}:checked) article:not(.kind-{{ loop.index }}) { display: none; }
{% endfor -%}
</style>
</head>
<body>
<h1>Review of {{ review.title }}</h1>
<p class="quiet">{{ review.findings|length }} findings in {{ review.judged }} images, the surest first.
{%- if shown|length < review.findings|length %} The first {{ shown|length }} are shown.{% endif %}
{% for line in review.by %}<br>{{ line }}.{% endfor %}</p>
{% if review.notes %}<details><summary>{{ review.notes|length }} notes</summary>
<ul>{% for note in review.notes %}<li>{{ note }}</li>{% endfor %}</ul></details>{% endif %}
{% if shown %}<nav>
<label><input type="radio" name="kind" checked>all</label>
{% for kind, count in kinds.items() -%}
<label><input type="radio" name="kind" id="kind-{{ loop.index }}">{{ kind }} <span>({{ count }})</span></label>
{% endfor %}</nav>{% else %}<p>Nothing looks wrong.</p>{% endif %}
{% for card in shown %}{% set finding = card.finding -%}
<article class="kind-{{ numbers[finding.title] }}">
<header>
<h2>{{ finding.title }}</h2>
<span class="to-do">{{ finding.correction }}</span>
<span title="confidence"><span class="sure"><i style="width: {{ (finding.confidence * 100)|round|int }}%"></i></span>
{{ "%.2f"|format(finding.confidence) }}</span>
{% if finding.decision %}<span class="accepted">{{ finding.decision }}</span>{% endif %}
{% if card.link %}<a href="{{ card.link }}" rel="noreferrer">task {{ finding.place.task }} in Label Studio</a>
{% endif %}</header>
{% if card.pictures %}<div class="pair">
<figure><figcaption>{{ "image" if finding.source == "prediction" else "annotation" }}</figcaption>
<img src="data:image/jpeg;base64,{{ card.pictures[0] }}" alt="the annotation"></figure>
<figure><figcaption>{{ "prediction" if finding.source == "prediction" else "model" }}</figcaption>
<img src="data:image/jpeg;base64,{{ card.pictures[1] }}" alt="the model"></figure>
</div>{% endif %}
<footer>finding <code>{{ finding.id }}</code> &middot; {{ finding.place.name }}
{%- if finding.regions %} &middot; {{ "regions" if finding.regions|length > 1 else "region" }}
<code>{{ finding.regions|join(" ") }}</code>{% endif %}</footer>
</article>
{% endfor %}
</body>
</html>
"""


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
    template = Environment(autoescape=True).from_string(TEMPLATE)
    return template.render(review=review, shown=cards, kinds=kinds, numbers=numbers)


def _pictures(review: Review, finding: ReviewFinding) -> tuple[str, str] | None:
    try:
        picture = review.picture(finding)
    except (CocoError, FetchError, ImageError) as error:
        logger.warning("no pictures of finding %s: %s", finding.id, error)
        return None
    now, model = picture_pair(finding, picture.pixels, picture.annotated, picture.predicted)
    return base64.b64encode(now).decode(), base64.b64encode(model).decode()
