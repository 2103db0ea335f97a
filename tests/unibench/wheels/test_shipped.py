"""The shipped wheels: every label finds one sector or none, the same always, and the right one for known words."""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.lexicon.families import lexicon
from affectgpt.unibench.label_text import parse_labels
from affectgpt.unibench.wheels.lemmas import word_family
from affectgpt.unibench.wheels.sector_lookup import shipped_synonyms
from affectgpt.unibench.wheels.shipped import NAME, shipped_wheels
from affectgpt.unibench.wheels.wheel_set import Wheel

WHEELS = {wheel.name: wheel for wheel in shipped_wheels().wheels}
DOCS = (Path(__file__).resolve().parents[3] / "docs" / "how-to" / "wheels.md").read_text(encoding="utf-8")
each_wheel = pytest.mark.parametrize("wheel", WHEELS.values(), ids=WHEELS)


def words(wheel: Wheel) -> list[tuple[str, str, str]]:
    """(level 1, level 2, word) of every word, the names of level-2 sectors included."""
    return [
        (level1, level2, word)
        for level1, parts in wheel.tree.items()
        for level2, listed in parts.items()
        for word in (level2, *listed)
    ]


def test_the_set_says_that_it_is_not_the_official_one() -> None:
    wheels = shipped_wheels()
    assert wheels.name == NAME and not wheels.official and len(wheels.citations) == len(wheels.wheels) == 4
    assert len(wheels.fingerprint) == 16 and wheels is shipped_wheels()


@pytest.mark.parametrize(
    ("name", "level1", "level2"), [("plutchik", 8, 24), ("parrott", 6, 25), ("willcox", 6, 36), ("geneva", 4, 20)]
)
def test_the_published_number_of_sectors(name: str, level1: int, level2: int) -> None:
    tree = WHEELS[name].tree
    assert (len(tree), sum(map(len, tree.values()))) == (level1, level2)


@each_wheel
def test_a_word_lies_in_the_sector_that_lists_it(wheel: Wheel) -> None:
    for level1, level2, word in words(wheel):
        assert (wheel.sector(word, 1), wheel.sector(word, 2)) == (level1, level2), word


@each_wheel
def test_the_name_of_a_level_1_sector_lies_in_it_at_both_levels(wheel: Wheel) -> None:
    for level1, parts in wheel.tree.items():
        assert wheel.sector(level1, 1) == level1 and wheel.sector(level1, 2) in parts


@each_wheel
def test_every_sector_has_english_and_chinese_words(wheel: Wheel) -> None:
    for parts in wheel.tree.values():
        for level2, listed in parts.items():
            assert level2.isascii() and any(not word.isascii() for word in listed), level2


@each_wheel
def test_words_of_degree_do_not_move_a_word(wheel: Wheel) -> None:
    for _, level2, word in words(wheel):
        english = ("slightly {}", "very {}", "a bit {}", "a sense of {}", "feeling {}", "{} emotions")
        for pattern in english if word.isascii() else ("有点{}", "非常{}", "很{}的", "{}的情绪", "感到{}"):
            assert wheel.sector(pattern.format(word), 2) == level2, pattern.format(word)


@each_wheel
def test_synonyms_stand_where_the_nearest_word_of_their_group_stands(wheel: Wheel) -> None:
    """So adding a synonym of a label that is there already changes no set of sectors."""
    roots = {word_family(word) for _, _, word in words(wheel)} | {word_family(name) for name in wheel.tree}
    for group in shipped_synonyms():
        nearest = next((word for word in (*group.near, *group.words) if word_family(word) in roots), None)
        for word in group.words:
            if word_family(word) not in roots and nearest is not None:
                assert wheel.sector(word, 2) == wheel.sector(nearest, 2), word


@each_wheel
@given(label=st.one_of(st.text(max_size=120), st.sampled_from([g.words[0] for g in shipped_synonyms()]).map(str.upper)))
def test_any_text_has_a_sector_of_the_tree_or_none(wheel: Wheel, label: str) -> None:
    level1, level2 = wheel.sector(label, 1), wheel.sector(label, 2)
    assert (level1 is None) == (level2 is None)
    assert level1 is None or level2 in wheel.tree[level1]
    assert wheel.sector(label, 1) == level1


@each_wheel
def test_neutral_has_no_sector_and_calm_has_a_pleasant_one(wheel: Wheel) -> None:
    assert wheel.sector("neutral", 1) is None and wheel.sector("中性", 1) is None
    assert wheel.sector("calm", 1) == wheel.sector("relaxed", 1)
    assert wheel.sector("calm", 1) in {"joy", "peaceful", "pleasant low control"}


@each_wheel
@pytest.mark.parametrize(
    "label", ["not happy at all", "not sad", "不太高兴", "happy but angry", "xyzzy", "", " ", "a", "感", "的"]
)
def test_denied_mixed_and_unknown_labels_have_none(wheel: Wheel, label: str) -> None:
    assert wheel.sector(label, 1) is None


@each_wheel
def test_a_long_label_is_refused(wheel: Wheel) -> None:
    for length in range(101, 2000):
        assert wheel.sector("very " * length + "happy", 1) is None
    assert wheel.sector("very " * 5 + "happy", 1) is not None


@each_wheel
def test_a_long_label_is_not_kept_in_memory(wheel: Wheel) -> None:
    label = "x" * 1_000_000
    references = sys.getrefcount(label)
    assert wheel.sector(label, 1) is None
    assert sys.getrefcount(label) == references


@each_wheel
def test_other_levels_are_a_mistake_of_the_caller(wheel: Wheel) -> None:
    with pytest.raises(ValueError, match="levels"):
        wheel.sector("happy", 3)


@pytest.mark.parametrize(
    ("label", "plutchik", "parrott", "willcox", "geneva"),
    [
        ("happy", "joy", "joy", "joyful", "happiness"),
        ("furious", "anger", "anger", "mad", "anger"),
        ("aggrieved", "sadness", "sadness", "mad", "sadness"),
        ("委屈", "sadness", "sadness", "mad", "sadness"),
        ("helpless", "sadness", "sadness", "scared", "sadness"),
        ("puzzled", "surprise", "surprise", "scared", "worry"),
        ("relieved", "joy", "joy", "peaceful", "relief"),
        ("curious", "anticipation", "joy", "powerful", "interest"),
        ("mocking", "disgust", "anger", "mad", "contempt"),
        ("indignant", "anger", "anger", "mad", "anger"),
        ("flustered", "fear", "fear", "scared", "worry"),
        ("wistful", "sadness", "love", "sad", "longing"),
        ("worried", "fear", "fear", "scared", "worry"),
        ("disgusted", "disgust", "anger", "mad", "disgust"),
        ("surprise", "surprise", "surprise", "powerful", "surprise"),
        ("无语", "sadness", "sadness", "scared", "sadness"),
        ("grateful", "trust", "love", "peaceful", "tenderness"),
        ("jealous", "anger", "anger", "mad", "envy"),
        ("dissatisfied", "anger", "anger", "mad", "anger"),
    ],
)
def test_known_labels(label: str, plutchik: str, parrott: str, willcox: str, geneva: str) -> None:
    sectors = {name: wheel.sector(label, 2 if name == "geneva" else 1) for name, wheel in WHEELS.items()}
    assert sectors == {"plutchik": plutchik, "parrott": parrott, "willcox": willcox, "geneva": geneva}


PLEASANT = {"joy", "trust", "love", "joyful", "powerful", "peaceful", "pleasant low control", "pleasant high control"}
UNPLEASANT = "distrust mistrust suspicious doubtful skeptical confused 纠结 惊吓 吓一跳 被吓坏"
AIMED_AT = """mocked ridiculed blamed accused criticized scolded hated despised disliked belittled suspected doubted
    judged laughed-at yelled-at 被嘲笑 被鄙视 被讽刺 被看不起 被指责 被骂 被批评 被责备 被讨厌 被嫌弃 被恨 被怀疑"""


@each_wheel
@pytest.mark.parametrize("label", AIMED_AT.split())
def test_one_at_whom_contempt_or_anger_is_aimed_does_not_feel_it(wheel: Wheel, label: str) -> None:
    hurt = {wheel.sector(word, 2) for word in ("hurt", "humiliated", "ashamed")}
    english = ("{}", "being {}", "feeling {}", "feels deeply {}")
    for pattern in english if label.isascii() else ("{}", "感到{}", "{}的感觉"):
        assert wheel.sector(pattern.format(label), 2) in hurt, pattern.format(label)


@each_wheel
@pytest.mark.parametrize("label", ["feared", "being envied", "feeling pitied", "被羡慕", "被害怕", "被生气"])
def test_what_others_feel_about_one_has_no_sector(wheel: Wheel, label: str) -> None:
    assert wheel.sector(label, 1) is None


@each_wheel
@pytest.mark.parametrize(
    ("label", "same"),
    [
        ("被感动", "感动"),
        ("被吓坏", "吓坏"),
        ("被逗乐", "逗乐"),
        ("being moved", "moved"),
        ("feeling annoyed", "annoyed"),
        ("惊吓", "吓坏"),
        ("受惊", "吓坏"),
        ("情绪激动", "激动"),
        ("calm", "平静"),
        ("calm", "relaxed"),
        ("mistrust", "怀疑"),
        ("distrust", "suspicious"),
        ("mixed feelings", "confused"),
        ("矛盾", "困惑"),
    ],
)
def test_labels_of_one_meaning_have_one_place(wheel: Wheel, label: str, same: str) -> None:
    assert wheel.sector(label, 2) == wheel.sector(same, 2) is not None


@each_wheel
@pytest.mark.parametrize("label", UNPLEASANT.split())
def test_labels_that_are_unpleasant_have_no_pleasant_place(wheel: Wheel, label: str) -> None:
    assert wheel.sector(label, 1) not in PLEASANT


def test_distrust_is_apprehension_and_no_surprise() -> None:
    for label in ("distrust", "mistrust", "suspicious", "doubtful", "skeptical", "不信任"):
        assert WHEELS["plutchik"].sector(label, 2) == "apprehension"


@each_wheel
def test_without_emotion_is_no_emotion(wheel: Wheel) -> None:
    assert wheel.sector("emotionless", 1) is None


def test_the_documented_denied_labels_are_as_documented() -> None:
    (line,) = [line for line in DOCS.splitlines() if line.startswith("- a denied label")]
    without, listed = re.findall(r'"([^"]+)"', line)
    for wheel in WHEELS.values():
        assert wheel.sector(without, 1) is None and wheel.sector(listed, 1) is not None


# The labels of data sets that were not looked at when the synonyms were written: GoEmotions (Demszky et al. 2020),
# EmpatheticDialogues (Rashkin et al. 2019), and the classes of the benchmark's own data sets.
GO_EMOTIONS = """admiration amusement anger annoyance approval caring confusion curiosity desire disappointment
    disapproval disgust embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization
    relief remorse sadness surprise"""
EMPATHETIC_DIALOGUES = """afraid angry annoyed anticipating anxious apprehensive ashamed caring confident content
    devastated disappointed disgusted embarrassed excited faithful furious grateful guilty hopeful impressed jealous
    joyful lonely nostalgic prepared proud sad sentimental surprised terrified trusting"""
CLASSES = "worried happy angry surprise sad anger joy sadness disgust fear"


@each_wheel
def test_labels_of_other_data_sets_have_sectors(wheel: Wheel) -> None:
    assert _without_sector(wheel, CLASSES.split()) == set()
    assert _without_sector(wheel, GO_EMOTIONS.split()) <= {"realization"}
    assert _without_sector(wheel, EMPATHETIC_DIALOGUES.split()) <= {"prepared"}


@each_wheel
def test_nearly_all_labels_of_the_shipped_lexicon_have_sectors(wheel: Wheel) -> None:
    assert len(_without_sector(wheel, lexicon().families)) <= 0.05 * len(lexicon().families)


@each_wheel
def test_19_of_20_human_labels_have_sectors(wheel: Wheel, shared: Path) -> None:
    with (shared / "reference" / "ovmerd" / "descriptions_dev.csv").open(encoding="utf-8-sig", newline="") as file:
        counts = Counter(label.lower() for row in csv.DictReader(file) for label in parse_labels(row["openset"]))
    without = _without_sector(wheel, counts)
    assert sum(counts[label] for label in without) <= 0.05 * counts.total()


def _without_sector(wheel: Wheel, labels: Iterable[str]) -> set[str]:
    return {label for label in labels if wheel.sector(label, 1) is None}


def test_the_documentation_counts_what_is_there() -> None:
    for wheel in WHEELS.values():
        listed = {word for _, _, word in words(wheel)} | set(wheel.tree)
        counts = f"| {len(wheel.tree)} | {sum(map(len, wheel.tree.values()))} | {len(listed)} |"
        assert any(line.startswith(f"| {wheel.name} |") and line.endswith(counts) for line in DOCS.splitlines()), counts
    groups = shipped_synonyms()
    assert f"{sum(len(group.words) for group in groups):,} words in {len(groups)} groups" in DOCS
