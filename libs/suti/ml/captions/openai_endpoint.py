"""Captions, refined texts and prompts from any endpoint that speaks OpenAI's chat protocol: vLLM, llama.cpp, hosted.

Answers are asked for as JSON and checked; an answer that makes no sense is asked for again, then given up.
"""

import base64
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import openai
from PIL import Image
from pydantic import BaseModel, Field, ValidationError

from suti.core.errors import BadConfiguration, RetryableError
from suti.core.records import Skill
from suti.ml.captions.alt_text import cut, same
from suti.ml.captions.interfaces import AnswerUnusable, TargetPrompt

PARALLEL = 8  # requests in flight; an endpoint answers many at once, and a shard has a thousand pictures
_SENT_SIDE_PX = 512
_MAX_TEXT_CHARS = 1_000
_ANSWER_TOKENS = 2_048  # of a cluster's answer; a caption has fewer
_AGAIN = " Your last answer could not be read: answer with the JSON object alone."

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


class EndpointUnavailable(RetryableError):
    """The endpoint did not answer, or answered that it is busy or broken, as often as it was asked."""

    reason = "ENDPOINT_UNAVAILABLE"


class EndpointRefused(BadConfiguration):
    """The endpoint will never take this request: wrong address, key, model name or kind of model."""

    reason = "ENDPOINT_REFUSED"


class _Caption(BaseModel):
    caption: str = Field(min_length=1)


class _Texts(BaseModel):
    texts: list[str]


class _Prompt(BaseModel):
    skill: Skill
    text: str = Field(min_length=1)


class _Prompts(BaseModel):
    prompts: list[_Prompt]


@dataclass(frozen=True)
class Endpoint:
    """One model behind one address. `attempts` counts tries for an answer, and again for one that makes sense."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout_s: float = 30.0
    attempts: int = 4
    max_tokens: int = 77

    def ask[A: BaseModel](
        self,
        answer: type[A],
        instruction: str,
        content: str | list[dict[str, Any]],
        *,
        tokens: int,
        seed: int = 0,
        check: Callable[[A], bool] = lambda _: True,
    ) -> A:
        """The model's answer, checked.

        Raises:
            EndpointUnavailable: no answer after all attempts (timeouts, 429, 5xx; the waits grow, Retry-After is kept).
            EndpointRefused: any other status: retrying cannot help.
            AnswerUnusable: answers came, and none could be read as asked.
        """
        problem = "no attempt was made"
        for attempt in range(self.attempts):
            system = instruction + (_AGAIN if attempt else "")
            text = self._complete(system, content, tokens=tokens, seed=(seed + attempt) % 2**31)
            try:
                found = answer.model_validate(json.loads(_json_in(text)))
            except (ValidationError, ValueError) as error:
                problem = str(error).splitlines()[0]
                continue
            if check(found):
                return found
            problem = "the answer has another number of texts than was asked for"
        raise AnswerUnusable(
            f"{self.model} at {self.url} gave {self.attempts} unusable answers ({problem}): try another"
        )

    def _complete(self, system: str, content: str | list[dict[str, Any]], *, tokens: int, seed: int) -> str:
        messages = cast(Any, [{"role": "system", "content": system}, {"role": "user", "content": content}])
        try:
            completion = self._client.chat.completions.create(
                model=self.model,
                messages=messages,
                max_tokens=tokens,
                temperature=0.0,
                seed=seed,
                response_format={"type": "json_object"},
            )
        except (openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError) as error:
            raise EndpointUnavailable(
                f"{self.url} did not answer in {self.attempts} attempts ({error}): see that it runs; retried later"
            ) from error
        except openai.APIStatusError as error:
            raise EndpointRefused(
                f"{self.url} refuses the request with status {error.status_code} ({error.message[:200]}): "
                "correct endpoint, key and model name in the captioning recipe"
            ) from error
        except (openai.APIError, ValueError) as error:  # a body that is no completion
            raise EndpointUnavailable(
                f"{self.url} answers in another protocol ({error}): see what runs there"
            ) from error
        choices = getattr(completion, "choices", None) or []
        return (choices[0].message.content or "") if choices else ""

    @cached_property
    def _client(self) -> openai.OpenAI:
        if not self.url or not self.model:
            raise EndpointRefused("the captioning recipe names no endpoint or no model for it: set both")
        return openai.OpenAI(
            base_url=self.url,
            api_key=self.key or "none",  # vLLM and the like want none, the client insists on one
            timeout=self.timeout_s,
            max_retries=self.attempts - 1,
        )


class EndpointCaptioner:
    """Shows an endpoint one picture per request, several requests at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def caption(self, pictures: Sequence[Image.Image]) -> list[str]:
        """One sentence for each picture, in order."""
        with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="caption") as pool:
            return list(pool.map(self._caption, pictures))

    def _caption(self, picture: Image.Image) -> str:
        content = [{"type": "image_url", "image_url": {"url": _data_url(picture)}}]
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


def _json_in(text: str) -> str:
    """The outermost braces of an answer: some models wrap JSON in fences or words."""
    return text[text.find("{") : text.rfind("}") + 1]


def _tidy(text: str, *, max_words: int) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text[:_MAX_TEXT_CHARS])
    return cut(printable, max_words=max_words)


def _data_url(picture: Image.Image) -> str:
    small = picture.convert("RGB")
    small.thumbnail((_SENT_SIDE_PX, _SENT_SIDE_PX))
    buffer = io.BytesIO()
    small.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
