"""A run's models, each loaded once and only when a stage asks for it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, cast

from opentelemetry import trace

from suti.core.model_rules import OFFERED_ALONE, ModelRules
from suti.ml.captions.endpoints import NO_ENDPOINTS, Endpoints, named_endpoint
from suti.ml.captions.grammar import GrammarRewriter
from suti.ml.captions.interfaces import Captioner, Rewriter
from suti.ml.captions.words import FILE as WORDS_FILE
from suti.ml.captions.words import WordLists
from suti.ml.model_files import ModelChanged, ModelMissing, folder_digest, resolve
from suti.stages.installed_torch import require_torch
from suti.stages.run_spec import ModelRef, RunSpec

if TYPE_CHECKING:
    # Each back end is imported where it is loaded: captioning by an endpoint has no torch, selection no openai, and
    # diffusers is slow to import and large in memory; only experts need it.
    from suti.ml.chat_endpoint import Endpoint
    from suti.ml.clip.encoder import ClipEncoder
    from suti.ml.diffusion.base import Base


_tracer = trace.get_tracer("suti.stages")


class ModelFolders:
    """Finds a run's models below the search paths and checks that they are still the run's."""

    def __init__(self, search: Sequence[Path] = (), rules: ModelRules = OFFERED_ALONE) -> None:
        self.search = tuple(search)
        self.rules = rules
        self._checked: dict[tuple[str, str], Path] = {}

    def named(self, name: str) -> Path:
        """The folder of that name, as far as the rules allow. Raises ModelMissing."""
        return resolve(name, self.search, anywhere=self.rules.anywhere)

    def place(self, name: str) -> str:
        """The folder of that name, or where downloads are allowed the name itself. Raises ModelMissing."""
        try:
            return str(self.named(name))
        except ModelMissing:
            if not self.rules.downloads:
                raise
            return name  # the loader says if it is none

    def folder(self, model: ModelRef) -> Path:
        """The model's folder, its files hashed once per process.

        Raises:
            ModelMissing: no such folder.
            ModelChanged: its files are not those of the run's creation.
        """
        key = (model.name, model.sha256)
        if key not in self._checked:
            folder = self.named(model.name)
            if model.sha256 and (found := folder_digest(folder)) != model.sha256:
                raise ModelChanged(model.name, expected=model.sha256, found=found)
            self._checked[key] = folder
        return self._checked[key]

    def find(self, model: ModelRef) -> Path | None:
        """The model's folder as above, None for a name that a hub has to resolve."""
        try:
            return self.folder(model)
        except ModelMissing:
            return None


class StageModels:
    """What stages are handed as `models`. Attributes load on first use; safe to share between threads."""

    def __init__(
        self,
        spec: RunSpec,
        folders: ModelFolders,
        *,
        device: str = "cpu",
        endpoints: Endpoints = NO_ENDPOINTS,
    ) -> None:
        self.spec = spec
        self.folders = folders
        self.device = device
        self._endpoints = endpoints
        self._loading = RLock()  # a captioner loads the CLIP on its way
        self._loaded: dict[str, object] = {}

    @property
    def clip(self) -> "ClipEncoder":
        """The CLIP that selection, tags and verdicts compare with; float32, since thresholds are fine."""
        return self._once("clip", self._load_clip)

    @property
    def base(self) -> "Base":
        """The base that experts are tuned from and the apprentice may start from; float32."""
        return self._once("base", self._load_base)

    @property
    def words(self) -> WordLists:
        """The word lists: the recipe's, else those beside the CLIP, else the built-in ones."""
        return self._once("words", self._load_words)

    @property
    def captioner(self) -> Captioner:
        """Who looks at pictures, as the recipe says."""
        return self._once("captioner", self._load_captioner)

    @property
    def rewriter(self) -> Rewriter:
        """Who merges texts and proposes prompts, as the recipe says."""
        return self._once("rewriter", self._load_rewriter)

    def _once[T](self, name: str, load: Callable[[], T]) -> T:
        """Loads under a lock: two threads that ask at once get the same model, read once."""
        with self._loading:
            if name not in self._loaded:
                with _tracer.start_as_current_span(f"load {name}"):
                    self._loaded[name] = load()
            return cast("T", self._loaded[name])

    def _load_base(self) -> "Base":
        from suti.ml.diffusion.base import load_base  # noqa: PLC0415 - see above

        return load_base(self.folders.folder(self.spec.models.base), device=self.device)

    def _load_clip(self) -> "ClipEncoder":
        require_torch("CLIP", extra="clustering-score")
        import torch  # noqa: PLC0415 - see above

        from suti.ml.clip.encoder import load_clip  # noqa: PLC0415 - see above

        model = self.spec.models.clip
        folder = self.folders.find(model)
        encoder = load_clip(str(folder or self.folders.place(model.name)), device=self.device, dtype=torch.float32)
        if model.sha256 and encoder.digest != model.sha256:
            raise ModelChanged(model.name, expected=model.sha256, found=encoder.digest)
        return encoder

    def _load_words(self) -> WordLists:
        if self.spec.captioning.tags:
            place = Path(self.spec.captioning.tags)
            here = self.folders.rules.anywhere and place.exists()
            return WordLists.load(place if here else self.folders.named(str(place)))
        folder = self.folders.find(self.spec.models.clip)
        return WordLists.load(folder if folder and (folder / WORDS_FILE).is_file() else None)

    def _load_captioner(self) -> Captioner:
        recipe = self.spec.captioning
        if recipe.captioner != "openai":
            require_torch(f"the captioner {recipe.captioner!r}", extra="captioning")
        match recipe.captioner:
            case "tags":
                from suti.ml.captions.tags import TagCaptioner  # noqa: PLC0415 - see above

                return TagCaptioner(self.clip, self.words)
            case "transformers":
                from suti.ml.captions.transformers_captioner import TransformersCaptioner  # noqa: PLC0415 - see above

                place = self.folders.place(recipe.captioner_model)
                return TransformersCaptioner.load(place, device=self.device, max_tokens=recipe.max_tokens)
            case "openai":
                from suti.ml.captions.openai_endpoint import EndpointCaptioner  # noqa: PLC0415 - see above

                return EndpointCaptioner(self._endpoint(recipe.captioner_model))

    def _load_rewriter(self) -> Rewriter:
        recipe = self.spec.captioning
        match recipe.rewriter:
            case "grammar":
                return GrammarRewriter(self.words, max_words=recipe.max_tokens)
            case "openai":
                from suti.ml.captions.openai_endpoint import EndpointRewriter  # noqa: PLC0415 - see above

                return EndpointRewriter(self._endpoint(recipe.rewriter_model))

    def _endpoint(self, model: str) -> "Endpoint":
        from suti.ml.chat_endpoint import Endpoint  # noqa: PLC0415 - see above

        recipe = self.spec.captioning
        place = named_endpoint(recipe.endpoint, self._endpoints)
        return Endpoint(
            url=place.url,
            model=model,
            key=place.key.get_secret_value(),
            timeout_s=recipe.timeout_s,
            attempts=recipe.attempts,
            max_tokens=recipe.max_tokens,
        )
