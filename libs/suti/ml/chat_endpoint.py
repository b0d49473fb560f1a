"""One model behind an address that speaks OpenAI's chat protocol: vLLM, llama.cpp, hosted.

Captioning and judging ask it. Answers are asked for as JSON and checked; an answer that makes no sense is asked for
again, then given up.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import openai
from PIL import Image
from pydantic import BaseModel, ValidationError

from suti.core.errors import BadConfiguration, RetryableError
from suti.ml.captions.interfaces import AnswerUnusable
from suti.ml.png import png_of

SENT_SIDE_PX = 512
_AGAIN = " Your last answer could not be read: answer with the JSON object alone."


class EndpointUnavailable(RetryableError):
    """The endpoint did not answer, or answered that it is busy or broken, as often as it was asked."""

    reason = "ENDPOINT_UNAVAILABLE"


class EndpointRefused(BadConfiguration):
    """The endpoint will never take this request: wrong address, key, model name or kind of model."""

    reason = "ENDPOINT_REFUSED"


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
            problem = "the answer is not of the form that was asked for"
        raise AnswerUnusable(
            f"{self.model} at {self.url} gave {self.attempts} unusable answers ({problem}): try another"
        )

    def close(self) -> None:
        """Give its connections back; the next question opens new ones."""
        client: openai.OpenAI | None = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()

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
                "correct endpoint, key and model name"
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
            raise EndpointRefused("no endpoint is named, or no model of it: set both")
        return openai.OpenAI(
            base_url=self.url,
            api_key=self.key or "none",  # vLLM and the like want none, the client insists on one
            timeout=self.timeout_s,
            max_retries=self.attempts - 1,
        )


def _json_in(text: str) -> str:
    """The outermost braces of an answer: some models wrap JSON in fences or words."""
    return text[text.find("{") : text.rfind("}") + 1]


def data_url(picture: Image.Image) -> str:
    """The picture as a chat message has it: PNG, its longer side at most SENT_SIDE_PX."""
    small = picture.convert("RGB")
    small.thumbnail((SENT_SIDE_PX, SENT_SIDE_PX))
    return f"data:image/png;base64,{base64.b64encode(png_of(small)).decode()}"
