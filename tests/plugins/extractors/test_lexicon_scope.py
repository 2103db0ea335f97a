"""What a clause denies or asserts, as minimal pairs: negators, verbs of hiding, degree, unreal conditions, lists."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.plugins.extractors.lexicon import Lexicon
from affectgpt.plugins.extractors.lexicon_config import LexiconConfig

READER = Lexicon(LexiconConfig())

PAIRS = {
    "a Chinese negator inside of a longer word": [
        ("他无比高兴地跑过来", "happy"),
        ("他感到无限感激", "grateful"),
        ("眼中满是无尽的悲伤", "sad"),
        ("他无恐惧", ""),
        ("告别时她很伤心", "sad"),
        ("离别的悲伤写在脸上", "sad"),
        ("别伤心", ""),
        ("别太伤心", ""),
        ("她不免有些失望", "disappointed"),
        ("她不失望", ""),
        ("他对大家的帮助不胜感激", "grateful"),
        ("她对未来的担忧很明显", "worried"),
        ("她未感到担忧", ""),
        ("这是一种不同的快乐", "happy"),
        ("他毫不犹豫", ""),
        ("他好不高兴", "happy"),
        ("他被悲伤淹没，哭了", "sad"),
        ("他淹没在悲伤中", "sad"),
    ],
    "a one-character negator negates what stands right behind": [
        ("他不说话却悲伤", "sad"),
        ("他不太悲伤", ""),
        ("他没表现出悲伤", ""),
        ("他没想到如此悲伤", "sad"),
        ("他不让她生气", ""),
        ("他没再生气", ""),
        ("他无法感到快乐", ""),
        ("他无法理解的悲伤", "sad"),
    ],
    "V不C asserts what follows and not the verb": [
        ("心里有说不出的委屈", "aggrieved"),
        ("他控制不住愤怒", "angry"),
        ("她压抑不住内心的喜悦", "joyful"),
        ("她压抑内心", "depressed"),
        ("他按捺不住兴奋", "excited"),
        ("忘不了的悲伤", "sad"),
        ("他高兴不起来", "unhappy"),
    ],
    "negated hiding shows": [
        ("He could hardly contain his joy.", "joyful"),
        ("The text does not contain any joy.", ""),
        ("She can barely hide her anger.", "angry"),
        ("She barely shows her anger.", ""),
        ("He can no longer hide his fear.", "scared"),
        ("He no longer shows fear.", ""),
        ("He does not hide his disgust.", "disgusted"),
        ("Nothing can hide his sadness.", "sad"),
        ("She is unable to suppress her anger.", "angry"),
        ("She failed to hold back her anger.", "angry"),
        ("She doesn't say that they hide anger.", ""),
        ("She tries to conceal her anger.", "angry"),
        ("他没有掩饰喜悦", "joyful"),
        ("他没有表现出喜悦", ""),
        ("他无法掩饰喜悦", "joyful"),
        ("他无法感到喜悦", ""),
        ("他没有压抑喜悦", "joyful"),
    ],
    "a negated comparative is the highest degree": [
        ("He could not be happier.", "happy"),
        ("He could not be happy.", ""),
        ("She couldn't be more disappointed.", "disappointed"),
        ("She couldn't be disappointed.", ""),
        ("He could not be bitter.", ""),
        ("She couldn't be less angry.", ""),
        ("He is no happier.", ""),
        ("She has never been happier.", "happy"),
        ("她不能更高兴了", "happy"),
        ("她不能高兴", ""),
        ("没有比他更伤心的人", "sad"),
        ("没有人伤心", ""),
    ],
    "never so": [
        ("She has never been so happy.", "happy"),
        ("She has never been happy.", ""),
        ("She is not so happy.", "unhappy"),
        ("He never felt such joy.", "joyful"),
        ("他从来没有这么高兴过", "happy"),
        ("他从来没有高兴过", ""),
        ("他从没如此伤心", "sad"),
        ("他从没伤心", ""),
    ],
    "more negators": [
        ("The man is anything but calm: he is shouting.", ""),
        ("The man is calm: he is shouting.", "calm"),
        ("He is unable to feel joy.", ""),
        ("He is able to feel joy.", "joyful"),
        ("He is unable to speak out of fear.", "scared"),
        ("She refuses to be sad and keeps smiling.", "happy"),
        ("She fails to be happy.", ""),
        ("Nobody in the room is angry.", ""),
        ("Somebody in the room is angry.", "angry"),
        ("No one at the large table seems angry.", ""),
        ("她哪里是高兴，分明是难过", "sad"),
        ("她是高兴", "happy"),
        ("没有人生气", ""),
        ("有人生气", "angry"),
        ("她说不上高兴", ""),
        ("她怎么可能高兴", ""),
        ("It is unclear if he is sad.", ""),
        ("It is clear that he is sad.", "sad"),
    ],
    "a fact stays one": [
        ("It is no secret that he is jealous.", "jealous"),
        ("It is not true that he is jealous.", ""),
        ("She does not know that he is sad.", "sad"),
        ("She does not say that he is sad.", ""),
        ("他不知道她很伤心", "sad"),
        ("没有人知道她很伤心", "sad"),
        ("She does not speak because she is angry.", "angry"),
        ("It is not because she is angry.", ""),
        ("他没有说话因为他生气", "angry"),
        ("不是因为他生气", ""),
    ],
    "two negators cancel": [
        ("I'm not unhappy with it.", ""),
        ("She pretends not to be hurt.", "hurt"),
        ("She pretends to be hurt.", ""),
        ("He does not lack confidence.", "confident"),
        ("He lacks confidence.", ""),
        ("She never speaks without anger.", "angry"),
        ("He does not speak and shows no anger.", ""),
        ("The man is neither calm nor happy.", ""),
        ("她并不是不喜欢", "loving"),
        ("她并不喜欢", ""),
        ("他不是不高兴", ""),
        ("她假装没有难过", "sad"),
        ("他希望她不难过", ""),
        ("She does not speak nor look angry.", ""),
        ("He hopes that she is not bored, or that she is sad.", ""),
        ("He asks whether she is angry, tired.", ""),
    ],
    "unreal conditions": [
        ("If he were angry, he would shout; he does not.", ""),
        ("He is angry and he shouts.", "angry"),
        ("She would be sad if he left.", ""),
        ("She is sad and would be happy if he stayed.", "sad"),
        ("She would be sad.", "sad"),
        ("He looks as if he is sad.", "sad"),
        ("If he is sad, she helps.", "sad"),
        ("如果他生气，他会大喊。", ""),
        ("他生气，他会大喊。", "angry"),
        ("要是他离开，她就会难过。", ""),
    ],
    "not yet, no longer, only said": [
        ("He was about to get angry when his daughter hugged him; he melted and smiled.", "happy"),
        ("He did get angry when his daughter hugged him.", "angry"),
        ("He is about to cry.", "sad"),
        ("She used to be afraid of dogs.", ""),
        ("The words are used to express fear.", "scared"),
        ("It would be wrong to call him arrogant; he is simply shy.", "shy"),
        ("He claims to be happy, which his tears contradict.", "sad"),
        ("他曾经害怕狗", ""),
        ("他害怕狗", "scared"),
        ("他差点生气", ""),
        ("他差点哭了", "sad"),
        ("他自称高兴", ""),
    ],
    "than": [
        ("She is more tired than angry.", "tired"),
        ("She is more tired and angry.", "tired angry"),
        ("She acts more from fear than from anger.", "scared"),
        ("She is happier than ever and sad.", "happy sad"),
        ("She is more than angry.", "angry"),
        ("She is less tired than angry.", "angry"),
    ],
    "a negation goes on over a list that a coordinator ends": [
        ("He is not happy, sad or angry.", "unhappy"),
        ("He is not happy, sad.", "unhappy sad"),
        ("No anger, fear, or sadness.", ""),
        ("No anger, fear.", "scared"),
        ("Without anger, fear, and sadness.", ""),
        ("She is not angry, sad and afraid.", "sad scared"),
        ("She is not angry, just sad.", "sad"),
        ("He is not here, sad or angry.", "sad angry"),
        ("She is not angry only sad.", "sad"),
        ("他没有愤怒，恐惧或悲伤。", ""),
        ("他没有愤怒，恐惧。", "scared"),
    ],
    "an item of a list is scoped by itself": [
        ("Emotion: not happy, sad", "unhappy sad"),
        ("[not angry, calm]", "calm"),
        ("[angry, calm]", "angry calm"),
        ("Emotion: very happy, not at all sad, calm", "happy calm"),
        ("no anger and fear", ""),
        ("[not angry]", ""),
        ("情绪：没有愤怒，悲伤", "sad"),
        ("没有愤怒、恐惧和悲伤。", ""),
        ("不生气，平静", "calm"),
    ],
}


@pytest.mark.parametrize(("text", "labels"), [pair for pairs in PAIRS.values() for pair in pairs])
def test_rule(text: str, labels: str) -> None:
    (result,) = READER.emotions([text])
    assert result.labels == tuple(labels.split()) and not result.error


@pytest.mark.parametrize("verb", ["掩饰", "压制", "忍", "藏", "挡", "憋", "克制"])
def test_any_verb_with_the_potential_negator_asserts(verb: str) -> None:
    assert READER.emotions([f"他{verb}不住愤怒"])[0].labels == ("angry",)


WORDS = ["没有", "不", "never", "not", ",", "or", "angry", "sad", "than", "if", "would", "hide", "不住"]


@given(st.lists(st.sampled_from(WORDS)))
def test_denying_adds_no_label_of_its_own(words: list[str]) -> None:
    assert set(READER.emotions([" ".join(words)])[0].labels) <= {"angry", "sad"}


def test_a_long_list_of_negated_words_does_not_hang(
    stopped_after: Callable[[int], AbstractContextManager[None]],
) -> None:
    with stopped_after(90):
        assert READER.emotions(["He shows no anger" + ", fear" * 100_000 + ", not x"])
