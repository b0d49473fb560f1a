"""All rivals, as one type that a recipe file or an experiment can hold."""

from typing import Annotated

from pydantic import Field

from suti.ml.rivals.dream_suti import DreamSuti
from suti.ml.rivals.fine_tuned import DreamBooth, Lora
from suti.ml.rivals.textual_inversion import TextualInversion
from suti.ml.rivals.untuned import BaseAlone, InContext

AnyRival = Annotated[
    BaseAlone | InContext | TextualInversion | DreamBooth | Lora | DreamSuti, Field(discriminator="rival")
]
