"""Captions, refined texts and prompts from any endpoint that speaks OpenAI's chat protocol: vLLM, llama.cpp, hosted.

How an endpoint is asked, and asked again, is told in `suti.ml.chat_endpoint`.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image
from pydantic import BaseModel, Field

from suti.core.records import Skill
from suti.ml.captions.alt_text import cut, same
from suti.ml.captions.interfaces import TargetPrompt
from suti.ml.chat_endpoint import Endpoint, data_url

PARALLEL = 8  # requests in flight; an endpoint answers many at once, and a shard has a thousand pictures
_MAX_TEXT_CHARS = 1_000
_ANSWER_TOKENS = 2_048  # of a cluster's answer; a caption has fewer

_CAPTION = (
    "You see one picture. Say in one short, plain sentence what it shows, without guessing names or brands. "
    'Answer as JSON: {"caption": "..."}'
)
_REFINE = (
    "Each item has the alt text that a web page gave a picture and a caption of what the picture shows. All pictures "
    "show the same subject. For each item write one short descriptive text about the visual subject that keeps what "
    "the caption sees and adds the specific names or brands of the alt texts. Example: alt text 'duggee talking puppet "
    "hey duggee chicco 12m', caption 'a toy on the table' -> 'Hey duggee toy on the table'. "
    'Answer as JSON, one text per item in order: {"texts": ["..."]}'
)
_PROPOSE = (
    "The texts describe pictures of one subject. Imagine {count} new pictures of this same subject that do not exist "
    "yet, and write a short caption for each. Vary the skill: recontextualisation (a new place), attribute (a changed "
    "colour, material or expression), style (an art style), accessory (the subject wears or holds something). Name the "
    "subject as the texts do. Do not repeat a text. "
    'Answer as JSON: {{"prompts": [{{"skill": "recontextualisation|attribute|style|accessory", "text": "..."}}]}}'
)


class _Caption(BaseModel):
    caption: str = Field(min_length=1)


class _Texts(BaseModel):
    texts: list[str]


class _Prompt(BaseModel):
    skill: Skill
    text: str = Field(min_length=1)


class _Prompts(BaseModel):
    prompts: list[_Prompt]


class EndpointCaptioner:
    """Shows an endpoint one picture per request, several requests at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def caption(self, pictures: Sequence[Image.Image]) -> list[str]:
        """One sentence for each picture, in order."""
        with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="caption") as pool:
            return list(pool.map(self._caption, pictures))

    def _caption(self, picture: Image.Image) -> str:
        content = [{"type": "image_url", "image_url": {"url": data_url(picture)}}]
        answer = self._endpoint.ask(_Caption, _CAPTION, content, tokens=self._endpoint.max_tokens * 4)
        return _tidy(answer.caption, max_words=self._endpoint.max_tokens)


class EndpointRewriter:
    """Gives an endpoint one cluster's texts per request."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def refine(self, alt_texts: Sequence[str], captions: Sequence[str]) -> list[str]:
        """One specific text for each picture of the cluster; as many as there are pictures, or AnswerUnusable."""
        items = [
            {"alt_text": alt[:_MAX_TEXT_CHARS], "caption": text} for alt, text in zip(alt_texts, captions, strict=True)
        ]
        answer = self._endpoint.ask(
            _Texts,
            _REFINE,
            json.dumps(items, ensure_ascii=False),
            tokens=_ANSWER_TOKENS,
            check=lambda answer: len(answer.texts) == len(items) and all(same(text) for text in answer.texts),
        )
        return [_tidy(text, max_words=self._endpoint.max_tokens) for text in answer.texts]

    def propose(self, texts: Sequence[str], *, own: Sequence[str] = (), count: int, seed: int) -> list[TargetPrompt]:
        """Up to `count` different prompts that none of the cluster's texts says already."""
        known = {same(text) for text in (*texts, *own)}
        answer = self._endpoint.ask(
            _Prompts,
            _PROPOSE.format(count=count),
            json.dumps(list(texts), ensure_ascii=False),
            tokens=_ANSWER_TOKENS,
            seed=seed,
            check=lambda answer: len(answer.prompts) > 0,
        )
        prompts: list[TargetPrompt] = []
        for prompt in answer.prompts:
            text = _tidy(prompt.text, max_words=self._endpoint.max_tokens)
            if same(text) and same(text) not in known and len(prompts) < count:
                known.add(same(text))
                prompts.append(TargetPrompt(prompt.skill, text))
        return prompts


def _tidy(text: str, *, max_words: int) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text[:_MAX_TEXT_CHARS])
    return cut(printable, max_words=max_words)
