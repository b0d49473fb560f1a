"""The built-in rewriter: no language model, only word lists, counting and four sentence patterns."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import resources

from suti.core.records import Skill
from suti.ml.captions.alt_text import cut, same
from suti.ml.captions.interfaces import TargetPrompt
from suti.ml.captions.words import WordLists, fill

_MAX_NAME_WORDS = 3
_NAMELESS = "thing"  # the class word where texts say none
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
        """Each caption with the cluster's name before what it shows: "zorvo fish on a beach".

        Who wrote the page knows what it shows: a class that two alt texts name, and most of those that name any, takes
        the place of the class that the captioner saw.
        """
        name, kind = self._name(alt_texts), self._said_kind(alt_texts)
        return [self._merged(name, self._of_kind(kind, caption)) for caption in captions]

    def propose(self, texts: Sequence[str], *, own: Sequence[str] = (), count: int, seed: int) -> list[TargetPrompt]:
        """Different prompts, the skills in turn; what the cluster's texts say already is not proposed again."""
        known = {same(text) for text in (*texts, *own)}
        said = " ".join(f" {text} " for text in known)
        choose = random.Random(seed)  # noqa: S311 - repeatable on purpose
        kind, name = self._subject(texts)
        kind = kind or ("" if name else _NAMELESS)
        skills = choose.sample(list(Skill), len(Skill))
        streams = [(skill, self._sentences(skill, kind, name, said, choose)) for skill in skills]
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
        spellings: dict[str, Counter[str]] = {}
        pictures_with: Counter[str] = Counter()
        places: dict[str, list[int]] = {}
        spoken = [text for text in alt_texts if text]
        for text in spoken:
            found = re.findall(r"[^\W_]+(?:['\u2019-][^\W_]+)*", text)
            for place, word in enumerate(found):
                low = word.lower()
                if low not in self._listed and not any(character.isdigit() for character in low) and len(low) > 1:
                    spellings.setdefault(low, Counter())[word] += 1
                    places.setdefault(low, []).append(place)
            pictures_with.update({word.lower() for word in found})
        enough = 1 if len(spoken) == 1 else max(2, -(-len(spoken) // 2))
        shared = [word for word in places if pictures_with[word] >= enough]
        best = sorted(shared, key=lambda word: (-pictures_with[word], -len(places[word]), min(places[word]), word))
        chosen = sorted(best[:_MAX_NAME_WORDS], key=lambda word: (sum(places[word]) / len(places[word]), word))
        return " ".join(_usual(spellings[word]) for word in chosen)

    def _merged(self, name: str, caption: str) -> str:
        seen = _OPENING.sub("", caption.strip(), count=1)
        absent = [word for word in name.split() if word.lower() not in same(seen).split()]
        template = self._words.templates.refined
        text = fill(template, name=" ".join(absent), seen=seen) if absent else caption.strip()
        return cut(text, max_words=self._max_words)

    def _subject(self, texts: Sequence[str]) -> tuple[str, str]:
        """The cluster's class word and the name before it: ("fish", "zorvo"), ("fish", "") where it has none."""
        found = [(kind, text) for text in texts if (kind := self._kind_in(text))]
        if not found:
            return "", cut(_OPENING.sub("", texts[0].strip(), count=1), max_words=_MAX_NAME_WORDS) if texts else ""
        kind = Counter(kind for kind, _ in found).most_common(1)[0][0]
        text = next(text for each, text in found if each == kind)
        before = _OPENING.sub("", _word(kind).split(text, maxsplit=1)[0], count=1).split()
        colours = {colour.lower() for colour in self._words.colours}
        return kind, " ".join(word for word in before if word.lower() not in colours)

    def _said_kind(self, alt_texts: Sequence[str]) -> str:
        """The class word of two alt texts and of most that have any; empty where there is none."""
        found = Counter(kind for text in alt_texts if (kind := self._kind_in(text)))
        kind, count = found.most_common(1)[0] if found else ("", 0)
        return kind if count >= 2 and count * 2 > found.total() else ""

    def _of_kind(self, kind: str, caption: str) -> str:
        """The caption about this class; where it names another, or none is given, as it is but for that word."""
        seen = self._kind_in(caption)
        return _word(seen).sub(kind, caption, count=1) if kind and seen else caption

    def _kind_in(self, text: str) -> str:
        return next((kind for kind in self._kinds if _word(kind).search(text)), "")

    def _sentences(self, skill: Skill, kind: str, name: str, said: str, choose: random.Random) -> Iterator[str]:
        """All sentences of one skill in an order of chance, without what the cluster shows already."""
        words, templates = self._words, self._words.templates
        match skill:
            case Skill.RECONTEXTUALISATION:
                for scene in _shuffled(words.scenes, said, choose):
                    yield fill(templates.recontextualisation, kind=kind, name=name, scene=scene)
            case Skill.ATTRIBUTE:
                for attribute in _shuffled((*words.colours, *words.attributes), said, choose):
                    yield fill(templates.attribute, kind=kind, name=name, attribute=attribute)
            case Skill.STYLE:
                for style in _shuffled(words.styles[1:], said, choose):
                    yield fill(templates.style, kind=kind, name=name, style=style)
            case Skill.ACCESSORY:
                for accessory in _shuffled(words.accessories, said, choose):
                    yield fill(templates.accessory, kind=kind, name=name, accessory=accessory)


def _shuffled(entries: Sequence[str], said: str, choose: random.Random) -> list[str]:
    unsaid = [entry for entry in entries if f" {same(entry)} " not in said]
    return choose.sample(unsaid, len(unsaid))


def _word(kind: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(kind)}\b", re.IGNORECASE)


def _usual(spellings: Counter[str]) -> str:
    """The spelling used most; of equals the quietest."""
    return min(spellings, key=lambda word: (-spellings[word], sum(map(str.isupper, word)), word))
