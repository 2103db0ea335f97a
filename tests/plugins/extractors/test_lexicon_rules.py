"""Every rule of the `lexicon` extractor as minimal pairs, in English and Chinese."""

from __future__ import annotations

import pytest

from affectgpt.plugins.extractors.lexicon import Lexicon
from affectgpt.plugins.extractors.lexicon_config import LexiconConfig

READER = Lexicon(LexiconConfig())

PAIRS = {
    "negation": [
        ("He is angry.", "angry"),
        ("He is not angry.", ""),
        ("There is no sign of anger.", ""),
        ("She speaks without sadness.", ""),
        ("She speaks with sadness.", "sad"),
        ("He isn't worried at all.", ""),
        ("No anger, fear or sadness.", ""),
        ("The man is neither happy nor sad.", ""),
        ("He is not only angry but also sad.", "angry sad"),
        ("He cannot hide his joy.", "joyful"),
        ("他很生气。", "angry"),
        ("他没有生气。", ""),
        ("她并非愤怒。", ""),
        ("没有愤怒、恐惧或悲伤。", ""),
        ("他既不高兴也不难过。", ""),
        ("他不仅愤怒而且悲伤。", "angry sad"),
        ("他难掩喜悦。", "joyful"),
    ],
    "a plain not says the opposite": [
        ("He is not happy.", "unhappy"),
        ("She isn't very satisfied.", "dissatisfied"),
        ("There is no happiness.", ""),
        ("他不高兴。", "unhappy"),
        ("他不太满意。", "dissatisfied"),
    ],
    "rather than": [
        ("He shows sadness rather than anger.", "sad"),
        ("Instead of anger, he shows sadness.", "sad"),
        ("He shows sadness and anger.", "sad angry"),
        ("并非愤怒而是悲伤。", "sad"),
        ("他是悲伤而不是愤怒。", "sad"),
        ("与其说愤怒，不如说失望。", "disappointed"),
    ],
    "a hedge keeps the word": [
        ("She may be angry.", "angry"),
        ("He seems sad.", "sad"),
        ("她可能很生气。", "angry"),
        ("他似乎难过。", "sad"),
    ],
    "doubt, wishes and pretence assert nothing": [
        ("It is impossible to determine anger.", ""),
        ("It is unclear whether he is angry.", ""),
        ("He hopes that she is happy.", ""),
        ("She pretends to be happy.", ""),
        ("She turns out to be happy.", "happy"),
        ("无法判断他是否生气。", ""),
        ("他希望她开心。", ""),
        ("她假装开心。", ""),
    ],
    "a question asserts nothing": [("Is he angry?", ""), ("He is angry.", "angry"), ("他生气了吗？", "")],
    "who feels it": [
        ("The other person is angry. He is sad.", "sad"),
        ("He is angry at the other person.", "angry"),
        ("The other person's anger makes him nervous.", "nervous"),
        ("He accuses the other person angrily.", "blaming angry"),
        ("对方很生气，他很难过。", "sad"),
        ("他对对方感到愤怒。", "angry"),
        ("对方的愤怒让他紧张。", "nervous"),
    ],
    "quoted speech": [
        ('The subtitle says, "I am so angry!" He is sad.', "sad"),
        ("The subtitle says that he is angry. He is sad.", "angry sad"),
        ('His emotion is "anger".', "angry"),
        ('He says "so be it and is angry.', "angry"),
        ("字幕内容：“我好生气！”他很难过。", "sad"),
        ("他的情绪是“愤怒”。", "angry"),
        ('"I hate you!" she shouts playfully, and both burst into laughter.', "playful"),
        ('"Hate" is the word. He is playful.', "hateful playful"),
        ('His emotion is "anger."', "angry"),
        ('"So sad," he says. He is calm.', "calm"),
        ('"So sad" fits. He is calm.', "sad calm"),
        ('"Sad day." He is playful.', "playful"),
        ('"so much of sad and dull" hangs there. He is calm.', "calm"),
        ('"Sad" is the word that he never says. He is calm.', "sad calm"),
        ('"So sad." He is playful.', "playful"),
        ("“生气！”他喊道，她很高兴", "happy"),
        ("“生气”他说。她很高兴", "happy"),
    ],
    "single quotation marks": [
        ("The subtitle reads: 'I am so happy for you.' His flat voice shows envy.", "envious"),
        ("The subtitle reads: ‘I am so happy for you.’ His flat voice shows envy.", "envious"),
        ("The subtitle reads: 'Don't be sad, I'm happy.' He shows envy.", "envious"),
        ("The boys' anger shows, it's the girls' joy.", "angry joyful"),
        ("His emotion is 'anger'.", "angry"),
        ("‘Nothing closes here: he is sad.", "sad"),
        ('\'Nothing closes: he says "I am happy". He is sad.', "sad"),
        ("字幕：‘我好生气！’他很难过。", "sad"),
    ],
    "contrast": [
        ("He looks worried, but he is actually furious.", "furious"),
        ("He looks worried, and he is furious.", "worried furious"),
        ("Although worried, he is happy.", "happy"),
        ("他看起来担心，但其实很愤怒。", "angry"),
        ("虽然担心，但他高兴。", "happy"),
    ],
    "situations": [
        ("It is a pleasant conversation. He is sad.", "sad"),
        ("It is a pleasant man. He is sad.", "pleasant sad"),
        ("这是愉快的对话。他很难过。", "sad"),
    ],
    "the conclusion outweighs the clues": [
        ("He looks surprised. Therefore, he is angry.", "angry"),
        ("He looks surprised. He is angry.", "surprised angry"),
        ("Based on the surprised look, we can infer that he is angry.", "angry"),
        ("他看起来惊讶。因此，他很愤怒。", "angry"),
        ("他看起来惊讶。他很愤怒。", "surprised angry"),
        ("根据惊讶的表情，可以推断他很愤怒。", "angry"),
    ],
    "faint beside strong": [
        ("He is extremely angry and a bit stern.", "angry"),
        ("He is angry and stern.", "angry stern"),
        ("他非常愤怒，略微严厉。", "angry"),
        ("他愤怒，严厉。", "angry stern"),
    ],
    "a smile is a weak sign": [
        ("He smiles.", "happy"),
        ("He smiles. He is angry.", "angry"),
        ("A forced smile.", ""),
        ("A wry smile.", "helpless"),
        ("他微笑着。", "happy"),
        ("他微笑着。他很愤怒。", "angry"),
        ("他强颜欢笑。", ""),
        ("他苦笑。", "helpless"),
    ],
    "lists": [
        ("[happy, sad]", "happy sad"),
        ('["happy", "sad"]', "happy sad"),
        ("Emotion: joy, happiness.", "joyful happy"),
        ("1. anger\n2. fear", "angry scared"),
        ("- very calm\n- furious", "calm furious"),
        ("Anger", "angry"),
        ("He looks surprised. Final answer: anger, calm", "angry calm"),
        ("neutral", "neutral"),
        ("情绪：高兴、激动。", "happy excited"),
        ("高兴", "happy"),
        ("高兴，平静", "happy calm"),
    ],
    "a JSON object": [
        ('{"emotions": ["happy","relieved"], "confidence": 0.9}', "happy relieved"),
        ('{"emotions": ["happy","confident"]}', "happy confident"),
        ('{"confidence": 0.9, "worried": true}', ""),
        ('```json\n{"predictedEmotion": "not happy, sad", "calm": "calm"}\n```', "unhappy sad"),
        ('[{"emotion": "happy", "sad": 0.9}, {"emotion_2": "calm"}]', "happy calm"),
        ('{"情绪": "高兴"}', "happy"),
        ('{"result": {"Emotion": "He feels sad and is not angry."}, "why": "joy"}', "sad"),
        ('{"sentiment": "negative"}', "negative"),
        ('He is sad. {"joy": 1}', "sad"),
        ('{"emotions": ["happy"', "happy"),
        ('{"result": [{"emotion": "happy"}, {"emotion": "sad"}]}', "happy sad"),
        ('{"emotion": "happy"} {"emotion": "sad"}', "happy sad"),
        ('{"emotion": [1, null, "sad"]}', "sad"),
    ],
    "气得 and its like name what leads there": [
        ("她气得浑身发抖，眼泪直流", "angry"),
        ("她浑身发抖，眼泪直流", "sad"),
        ("他吓得不敢动", "scared"),
        ("他急得团团转", "anxious"),
        ("她乐得合不拢嘴", "happy"),
        ("她羞得满脸通红", "shy"),
        ("他恨得咬牙切齿", "hateful"),
        ("他愁得睡不着", "worried"),
        ("他语气得体", ""),
        ("空气得到净化", ""),
        ("他没气得发抖", ""),
    ],
    "words of a family only where they stand so": [
        ("She is kind to him.", "friendly"),
        ("She looks gentle and very kind.", "gentle friendly"),
        ("It is one of a kind and very rare.", ""),
        ("This is kind of hard.", ""),
        ("She seems content.", "satisfied"),
        ("The content is long.", ""),
        ("He looks moved.", "touched"),
        ("He moved away.", ""),
        ("His expression seems cold.", "indifferent"),
        ("It was a cold and rainy night.", ""),
        ("Her mood is very heavy.", "heavy-hearted"),
        ("With a heavy heart.", "heavy-hearted"),
        ("The bag is heavy.", ""),
        ("She feels very low.", "depressed"),
        ("The wall is low.", ""),
        ("He lifts it with ease.", ""),
        ("He feels at ease.", "relaxed"),
        ("She shows her care.", "caring"),
        ("The plant grew well under her care.", ""),
        ("Her emotions are quite stable.", "calm"),
        ("The table is stable.", ""),
        ("他情绪十分稳定", "calm"),
        ("他表达了肯定和赞赏", "appreciative"),
        ("他肯定和她在一起", ""),
    ],
    "nothing to read": [("", ""), ("A table is brown.", ""), ("一张桌子。", ""), ("12345", ""), ("\ud800\x00", "")],
    "both languages in one text": [("The man is angry 又有些担心。", "angry worried")],
}


@pytest.mark.parametrize(("text", "labels"), [pair for pairs in PAIRS.values() for pair in pairs])
def test_rule(text: str, labels: str) -> None:
    (result,) = READER.emotions([text])
    assert result.labels == tuple(labels.split()) and not result.error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He is happy.", "positive"),
        ("He is not happy.", "negative"),
        ("He is sad.", "negative"),
        ("He is furious and a bit pleased.", "negative"),
        ("Positive.", "positive"),
        ("She is calm.", "neutral"),
        ("He is surprised.", "neutral"),
        ("He is excited.", "positive"),
        ("He is excited and angry.", "negative"),
        ("There is no obvious emotion.", "neutral"),
        ("他很高兴。", "positive"),
        ("他很难过。", "negative"),
        ("他很平静。", "neutral"),
        ("他激动而愤怒。", "negative"),
    ],
)
def test_sentiment(text: str, expected: str) -> None:
    (result,) = READER.sentiments([text])
    assert result.labels == (expected,) and not result.error


@pytest.mark.parametrize("text", ["", " \n", "A table is brown.", "He is not angry.", "一张桌子。"])
def test_no_sentiment_is_an_error_and_not_neutral(text: str) -> None:
    (result,) = READER.sentiments([text])
    assert result.labels == () and "no emotion" in result.error


def test_keep_and_signs_do_something() -> None:
    text = "He smiles. He looks surprised. Therefore, he is angry."
    everything = Lexicon(LexiconConfig(keep=0)).emotions([text])[0].labels
    assert everything == ("happy", "surprised", "angry")
    assert Lexicon(LexiconConfig(keep=0, signs=False)).emotions([text])[0].labels == ("surprised", "angry")
    assert READER.emotions([text])[0].labels == ("angry",)


@pytest.mark.parametrize(
    ("weaker", "as_strong"),
    [
        ("At the beginning, he is angry. He is sad.", "At the window, he is angry. He is sad."),
        ("Blinking usually shows fear. He is sad.", "Blinking here shows fear. He is sad."),
        ("He is slightly angry. He is sad.", "He is really angry. He is sad."),
        ("He is calm. He is sad.", "He is angry. He is sad."),
        ("起初他愤怒。他很难过。", "现在他愤怒。他很难过。"),
        ("眨眼通常表示害怕。他很难过。", "眨眼此时表示害怕。他很难过。"),
    ],
)
def test_what_counts_for_less(weaker: str, as_strong: str) -> None:
    strict = Lexicon(LexiconConfig(keep=0.9))
    assert strict.emotions([weaker])[0].labels == ("sad",)
    assert len(strict.emotions([as_strong])[0].labels) == 2
