"""The built-in rewriter: no language model, only word lists, counting and four sentence patterns."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import resources

from suti.core.records import Skill
from suti.ml.captions.alt_text import same
from suti.ml.captions.interfaces import TargetPrompt
from suti.ml.captions.words import WordLists, fill

_MAX_NAME_WORDS = 3
_OPENING = re.compile(
    r"^(?:(?:an?|the) (?:close[- ]?up )?(?:photo(?:graph)?|picture|image) of )?(?:(?:an?|the|some) )?", re.I
)
# Words that name nothing: grammar, shops, cameras, measures, praise.
_COMMON = frozenset(resources.files(__package__).joinpath("common_words.txt").read_text(encoding="utf-8").split())


class GrammarRewriter:
    """Merges the specific words of alt texts into captions, and proposes prompts from word lists."""

    def __init__(self, words: WordLists, *, max_words: int = 77) -> None:
        self._words = words
        self._max_words = max_words
        # Longest first, so that "teddy bear" is found before "bear".
        self._kinds = sorted(words.kinds, key=lambda kind: (-len(kind), kind))
        listed = (*words.kinds, *words.scenes, *words.styles, *words.accessories, *words.colours, *words.attributes)
        self._listed = frozenset(word for entry in listed for word in same(entry).split()) | _COMMON

    def refine(self, alt_texts: Sequence[str], captions: Sequence[str]) -> list[str]:
        """Each caption with the cluster's name before what it shows: "zorvo fish on a beach"."""
        name = self._name(alt_texts)
        return [self._merged(name, caption) for caption in captions]

    def propose(self, texts: Sequence[str], *, own: Sequence[str] = (), count: int, seed: int) -> list[TargetPrompt]:
        """Different prompts, the skills in turn; what the cluster's texts say already is not proposed again."""
        known = {same(text) for text in (*texts, *own)}
        said = " ".join(f" {text} " for text in known)
        choose = random.Random(seed)  # noqa: S311 - repeatable on purpose
        kind, subject = self._subject(texts)
        skills = choose.sample(list(Skill), len(Skill))
        streams = [(skill, self._sentences(skill, kind, subject, said, choose)) for skill in skills]
        prompts: list[TargetPrompt] = []
        while streams and len(prompts) < count:
            for skill, sentences in list(streams):
                sentence = next((text for text in sentences if same(text) not in known), None)
                if sentence is None:
                    streams.remove((skill, sentences))
                elif len(prompts) < count:
                    known.add(same(sentence))
                    prompts.append(TargetPrompt(skill, sentence))
        return prompts

    def _name(self, alt_texts: Sequence[str]) -> str:
        """The words that the cluster's alt texts share and no list knows, in the order in which they mostly stand."""
        spellings: dict[str, str] = {}
        pictures_with: Counter[str] = Counter()
        times: Counter[str] = Counter()
        places: dict[str, list[int]] = {}
        spoken = [text for text in alt_texts if text]
        for text in spoken:
            found = re.findall(r"[^\W_]+(?:['\u2019-][^\W_]+)*", text)
            for place, word in enumerate(found):
                low = word.lower()
                if low not in self._listed and not any(character.isdigit() for character in low) and len(low) > 1:
                    spellings.setdefault(low, word)
                    times[low] += 1
                    places.setdefault(low, []).append(place)
            pictures_with.update({word.lower() for word in found})
        enough = 1 if len(spoken) == 1 else max(2, -(-len(spoken) // 2))
        shared = [word for word in times if pictures_with[word] >= enough]
        best = sorted(shared, key=lambda word: (-pictures_with[word], -times[word], min(places[word]), word))
        chosen = sorted(best[:_MAX_NAME_WORDS], key=lambda word: (sum(places[word]) / len(places[word]), word))
        return " ".join(spellings[word] for word in chosen)

    def _merged(self, name: str, caption: str) -> str:
        seen = _OPENING.sub("", caption.strip(), count=1)
        absent = [word for word in name.split() if word.lower() not in same(seen).split()]
        text = " ".join([*absent, seen] if absent else [caption.strip()]).strip()
        return " ".join(text.split()[: self._max_words])

    def _subject(self, texts: Sequence[str]) -> tuple[str, str]:
        """The cluster's class word and its specific name, article left out: ("fish", "zorvo fish")."""
        found = [(kind, text) for text in texts if (kind := self._kind_in(text))]
        if not found:
            return "thing", _OPENING.sub("", texts[0].strip(), count=1) if texts else "thing"
        kind = Counter(kind for kind, _ in found).most_common(1)[0][0]
        text = next(text for each, text in found if each == kind)
        before = text[: _word(kind).search(text.lower()).start()].strip()  # pyright: ignore[reportOptionalMemberAccess] - kind is in text
        before = _OPENING.sub("", f"{before} ", count=1).strip()
        return kind, f"{before} {kind}" if before else ""

    def _kind_in(self, text: str) -> str:
        return next((kind for kind in self._kinds if _word(kind).search(text.lower())), "")

    def _sentences(self, skill: Skill, kind: str, subject: str, said: str, choose: random.Random) -> Iterator[str]:
        """All sentences of one skill in an order of chance, without what the cluster shows already."""
        words, templates = self._words, self._words.templates
        match skill:
            case Skill.RECONTEXTUALISATION:
                for scene in _shuffled(words.scenes, said, choose):
                    yield fill(templates.recontextualisation, kind=kind, subject=subject, scene=scene)
            case Skill.ATTRIBUTE:
                for attribute in _shuffled((*words.colours, *words.attributes), said, choose):
                    yield fill(templates.attribute, kind=kind, subject=subject, attribute=attribute)
            case Skill.STYLE:
                for style in _shuffled(words.styles[1:], said, choose):
                    yield fill(templates.style, kind=kind, subject=subject, style=style)
            case Skill.ACCESSORY:
                for accessory in _shuffled(words.accessories, said, choose):
                    yield fill(templates.accessory, kind=kind, subject=subject, accessory=accessory)


def _shuffled(entries: Sequence[str], said: str, choose: random.Random) -> list[str]:
    unsaid = [entry for entry in entries if f" {same(entry)} " not in said]
    return choose.sample(unsaid, len(unsaid))


def _word(kind: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(kind.lower())}\b")
