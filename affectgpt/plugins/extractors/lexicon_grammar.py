"""The closed-class words that the rules of `lexicon` turn on, in English and Chinese."""

from __future__ import annotations


def closed_class(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(","))


TURNS = closed_class(
    "but, however, yet, whereas, instead, 但, 但是, 然而, 却, 而是, 不过, 可是, 只是, 反而, 其实, 不如, 不如说"
)
CONCESSIONS = closed_class("although, though, despite, even though, in spite of, 虽然, 尽管, 虽, 虽说, 即使")
COORDINATORS = closed_class(
    "and, or, nor, but also, as well as, and/or, /, 和, 或, 或者, 与, 以及, 及, 、, 且, 并, 还有, 又"
)
GENERIC = closed_class("usually, often, typically, generally, commonly, normally, sometimes, 通常, 往往, 常常, 一般")
CONCLUDING = closed_class(
    "infer, infers, inferred, inference, conclude, concluded, conclusion, deduce, deduced, speculate, speculated, "
    "predict, predicted, therefore, thus, hence, overall, in summary, to sum up, in short, all in all, "
    "taken together, confirm, confirmed, 推断, 推测, 预测, 判断出, 因此, 所以, 总之, 综上, 综上所述, 总体, 总体而言, "
    "总的来说, 整体, 整体上, 由此可见, 可见, 得出, 确认"
)
OPENING = closed_class(
    "beginning, initially, at first, opening, first, start, initial, 开头, 一开始, 起初, 最初, 刚开始, 开始时, 开始"
)
EVIDENCE = closed_class("based on, according to, judging from, 根据, 基于, 从")
INTENSIFIERS = closed_class(
    "very, extremely, deeply, highly, strongly, intensely, particularly, especially, utterly, strong, extreme, "
    "intense, deep, 无比, 无限, 不胜, 非常, 十分, 极其, 极度, 特别, 强烈, 深深, 异常, 极为"
)
DIMINISHERS = closed_class(
    "slightly, slight, somewhat, a bit, a little, a hint of, a trace of, mildly, mild, faint, faintly, kind of, "
    "有些, 有点, 略微, 稍微, 一丝, 略, 轻微, 些许"
)
SITUATIONS = closed_class(
    "conversation, conversations, dialogue, discussion, discussions, topic, topics, environment, atmosphere, "
    "background, situation, situations, matter, matters, music, news, event, events, issue, issues, occasion, place, "
    "scene, scenes, setting, content, argument, interaction, communication, exchange, moment, moments, experience, "
    "memory, time, words, word, result, results, plot, 对话, 谈话, 话题, 讨论, 环境, 氛围, 气氛, 背景, 场景, 情境, "
    "情景, 事情, 事, 消息, 音乐, 事件, 问题, 场合, 内容, 争论, 互动, 交流, 时刻, 回忆, 经历, 结果, 时光, 语境"
)
OTHERS = closed_class(
    "other person, other party, other side, someone else, others, other people, another person, listener, 对方, "
    "他人, 别人, 其他人, 旁人"
)
PREPOSITIONS = closed_class(
    "at, to, towards, toward, with, about, from, of, by, for, against, on, 对, 向, 对于, 给, 和, 与, 跟, 看向, 朝, "
    "针对, 被"
)
FEELING = closed_class(
    "is, are, was, were, be, being, been, feel, feels, feeling, felt, seem, seems, look, looks, appear, appears, "
    "become, becomes, get, gets, may, might, must, can, could, will, would, very, so, quite, really, too, a, bit, "
    "little, also, to, not, more, as if, as though, even if, 会, 很, 非常, 是, 变得, 变, 有些, 有点, 感到, 觉得, "
    "感觉, 十分, 比较, 能, 能够, 不, 要, 也, 更, 产生, 的"
)
SPEECH_VERBS = closed_class(
    "says, say, said, saying, shouts, shout, shouted, shouting, asks, asked, replies, reply, replied, whispers, "
    "whisper, whispered, whispering, yells, yelled, yelling, exclaims, exclaimed, answers, answered, mutters, "
    "muttered, screams, screamed, murmurs, murmured, responds, responded, 说, 说道, 喊, 喊道, 问, 问道, 答, 回答, "
    "答道, 叫道, 低语, 低声说"
)
SPEECH = SPEECH_VERBS | closed_class(
    "subtitle, subtitles, reads, read, line, utters, text, words, 字幕, 台词, 内容, 这句话"
)
ENDS = frozenset(".!?。！？；;\n…")
PAUSES = frozenset(",，:：()（）")
GRAMMAR = frozenset().union(
    TURNS,
    CONCESSIONS,
    COORDINATORS,
    GENERIC,
    CONCLUDING,
    OPENING,
    EVIDENCE,
    SITUATIONS,
    OTHERS,
    PREPOSITIONS,
    FEELING,
    SPEECH,
    INTENSIFIERS,
    DIMINISHERS,
)
"""Every one of them, for the finder, which must know a phrase to keep it together."""
