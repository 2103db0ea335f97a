"""What the synthetic clips say and mean: 4 faces x 4 voices = 16 emotions, their labels and sentences. No numpy.

Each face goes with each voice, so neither alone tells the emotion: a reader of one of them is right one time
in four at best. Subtitles are drawn from [SUBTITLES][] without regard to the emotion. A clip may lack some of it
([Part][]); its description then speaks of the rest only, and names as possible what the rest leaves open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from affectgpt.core.final_answer import final_answer

Face = Literal["smile", "scowl", "surprise", "sad"]
Voice = Literal["bright", "harsh", "trembling", "flat"]
Part = Literal["face", "sound", "speech", "subtitle"]
"""What a clip can lack. Without `speech` there is a room to hear, without `sound` no sound track."""

FACES: tuple[Face, ...] = ("smile", "scowl", "surprise", "sad")
VOICES: tuple[Voice, ...] = ("bright", "harsh", "trembling", "flat")
PARTS: tuple[Part, ...] = ("face", "sound", "speech", "subtitle")


@dataclass(frozen=True)
class Combination:
    """One face with one voice: the emotion's labels (the first is its primary one) and an adjective for it."""

    face: Face
    voice: Voice
    labels: tuple[str, ...]
    adjective: str


COMBINATIONS: tuple[Combination, ...] = (
    Combination("smile", "bright", ("joy", "happiness"), "happy"),
    Combination("smile", "harsh", ("mockery", "derision"), "mocking"),
    Combination("smile", "trembling", ("nervousness", "unease"), "nervous"),
    Combination("smile", "flat", ("politeness", "calm"), "polite"),
    Combination("scowl", "bright", ("teasing", "playfulness"), "playful"),
    Combination("scowl", "harsh", ("anger", "rage"), "angry"),
    Combination("scowl", "trembling", ("hurt", "grievance"), "wounded"),
    Combination("scowl", "flat", ("contempt", "disdain"), "scornful"),
    Combination("surprise", "bright", ("amazement", "wonder", "excitement"), "amazed"),
    Combination("surprise", "harsh", ("shock", "alarm"), "shocked"),
    Combination("surprise", "trembling", ("fear", "panic", "dread"), "afraid"),
    Combination("surprise", "flat", ("disbelief", "doubt"), "doubtful"),
    Combination("sad", "bright", ("nostalgia", "wistfulness"), "nostalgic"),
    Combination("sad", "harsh", ("bitterness", "resentment", "frustration"), "bitter"),
    Combination("sad", "trembling", ("grief", "sorrow", "sadness"), "grieving"),
    Combination("sad", "flat", ("weariness", "exhaustion"), "weary"),
)
"""All 16, grouped by face; every label belongs to one combination only."""

_FACE_CLAUSES: dict[Face, tuple[str, str]] = {
    "smile": ("smiles with raised cheeks", "a smile with raised cheeks"),
    "scowl": ("scowls with lowered brows", "a scowl with lowered brows"),
    "surprise": ("stares with wide eyes and an open mouth", "wide eyes and an open mouth"),
    "sad": ("looks down with drooping lips", "slanted brows and drooping lips"),
}
_VOICE_CLAUSES: dict[Voice, str] = {
    "bright": "bright and lively",
    "harsh": "harsh and pressed",
    "trembling": "soft and trembling",
    "flat": "flat and slow",
}
_PATTERNS: tuple[str, ...] = (
    "The person {verb} while the voice is {voice}. Taken together they seem {adjective}.",
    "The face shows {noun}, and the voice sounds {voice}. This person seems {adjective}.",
    "The voice is {voice} and the face has {noun}. Both cues suggest someone {adjective}.",
)
PATTERNS = len(_PATTERNS)
_FACE_ALONE: tuple[str, ...] = (
    "The person {verb}. They may be {adjectives}.",
    "The face shows {noun}. This person may be {adjectives}.",
    "The face has {noun}. It could be someone {adjectives}.",
)
_VOICE_ALONE: tuple[str, ...] = (
    "The voice is {voice}. They may be {adjectives}.",
    "The voice sounds {voice}. This person may be {adjectives}.",
    "The voice is {voice}. It could be someone {adjectives}.",
)
_WORDS_ALONE: tuple[str, ...] = (
    "The words do not tell how the person feels.",
    "What is said fits any emotion.",
    "These words could be said in any mood.",
)
UNCLEAR = "unclear"
"""Stands in the label list of a clip whose emotion cannot be told."""


def describe_combination(combination: Combination, pattern: int, *, face: bool = True, voice: bool = True) -> str:
    """The description of a clip: sentence pattern number `pattern` (0 to `PATTERNS` - 1), then the label list.

    Of a clip without `face` or `voice` it tells nothing of them: it says which emotions are possible, and the list is
    [UNCLEAR][]. The list is `Emotion: `, the labels joined by ", " and a full stop; [emotions_in][] reads them back.
    """
    verb, noun = _FACE_CLAUSES[combination.face]
    words = {"verb": verb, "noun": noun, "voice": _VOICE_CLAUSES[combination.voice]}
    if face and voice:
        sentence = _PATTERNS[pattern].format(**words, adjective=combination.adjective)
    elif face or voice:
        possible = [
            other.adjective
            for other in COMBINATIONS
            if (other.face == combination.face if face else other.voice == combination.voice)
        ]
        adjectives = f"{', '.join(possible[:-1])} or {possible[-1]}"
        sentence = (_FACE_ALONE if face else _VOICE_ALONE)[pattern].format(**words, adjectives=adjectives)
    else:
        sentence = _WORDS_ALONE[pattern]
    return f"{sentence} Emotion: {', '.join(labels_of(combination, face=face, voice=voice))}."


def labels_of(combination: Combination, *, face: bool = True, voice: bool = True) -> tuple[str, ...]:
    """The labels of a clip, or [UNCLEAR][] where a part is missing that would tell the emotion."""
    return combination.labels if face and voice else (UNCLEAR,)


_LABEL_LIST = re.compile(r"\bEmotion:([^.\n]*)", re.IGNORECASE)


def emotions_in(description: str) -> list[str]:
    """The labels after the last `Emotion:` of `description`, lower-cased, in order, each once; [] without it.

    Written for what a trained model prints, so it tolerates a missing full stop and empty items, and reads no
    reasoning ([final_answer][affectgpt.core.final_answer]).
    """
    matches = _LABEL_LIST.findall(final_answer(description) or "")
    if not matches:
        return []
    items = (item.strip().lower() for item in matches[-1].split(","))
    return list(dict.fromkeys(item for item in items if item))


SUBTITLES: tuple[tuple[str, str], ...] = (
    ("The train leaves at half past nine.", "火车九点半开。"),
    ("I put the keys on the table.", "我把钥匙放在桌子上了。"),
    ("We have a meeting on Thursday.", "我们星期四有个会。"),
    ("The shop is on the other side of the street.", "商店在街对面。"),
    ("He told me about it yesterday.", "他昨天跟我说了这件事。"),
    ("There are three books on the shelf.", "书架上有三本书。"),
    ("You can leave your coat here.", "你可以把外套放在这里。"),
    ("It is going to rain this afternoon.", "今天下午要下雨。"),
    ("She works in the building next door.", "她在隔壁那栋楼上班。"),
    ("I will call you after dinner.", "晚饭后我给你打电话。"),
    ("The window has been open since morning.", "窗户从早上就一直开着。"),
    ("They moved here two years ago.", "他们两年前搬到这里。"),
    ("The letter came in the mail today.", "信今天寄到了。"),
    ("I saw your brother at the station.", "我在车站看见了你哥哥。"),
    ("We need milk and some bread.", "我们需要牛奶和一些面包。"),
    ("The report is eleven pages long.", "这份报告有十一页。"),
    ("He is waiting in the car.", "他在车里等着。"),
    ("The lesson starts in ten minutes.", "十分钟后开始上课。"),
    ("This bus goes to the river.", "这趟公交车开往河边。"),
    ("I changed the password this week.", "我这周改了密码。"),
    ("You said the same thing last time.", "你上次也是这么说的。"),
    ("The phone is in the kitchen.", "手机在厨房里。"),
    ("She asked for the blue one.", "她要的是蓝色的那个。"),
    ("Our room is on the fourth floor.", "我们的房间在四楼。"),
    ("He wrote his name on the list.", "他把名字写在了名单上。"),
    ("The door was locked from inside.", "门从里面锁上了。"),
    ("They finished the wall before noon.", "他们中午之前砌完了墙。"),
    ("I have read the first chapter.", "我读完了第一章。"),
    ("The table is made of wood.", "这张桌子是木头做的。"),
    ("We walked along the old road.", "我们沿着那条旧路走。"),
)
"""Sentences that fit any emotion: (English, Chinese)."""
