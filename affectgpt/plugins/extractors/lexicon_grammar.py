"""The closed-class words that the rules of `lexicon` turn on, in English and Chinese."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(","))


NEGATORS = _words(
    "not, never, no, without, lack, lacks, lacking, absence, neither, nor, hardly, rarely, scarcely, barely, "
    "cannot, isn't, aren't, wasn't, weren't, doesn't, don't, didn't, hasn't, haven't, hadn't, can't, couldn't, "
    "won't, wouldn't, shouldn't, ain't, nothing, none, less, rather than, instead of, 与其, 与其说, 既不, 也不, "
    "又不, as opposed to, free of, devoid of, far from, 没有, 没, 不, 并非, 并不, 并没有, 并未, 毫无, 无, 未, "
    "不是, 不再, 不太, 不算, 缺乏, 缺少, 而不是, 而非, 非, 不会, 不能, 从不, 别, 不要, 不必, 未必, 不怎么, 不那么"
)
PLAIN_NOT = _words("not, isn't, aren't, wasn't, weren't, doesn't, don't, didn't, 不, 并不, 不太, 不怎么, 不那么")
"""Those of [NEGATORS][] after which an adjective means its opposite ("not happy")."""
BETWEEN = _words(
    "very, so, really, too, at, all, that, particularly, a, bit, is, be, feel, look, seem, appear, 很, 太, 那么"
)
"""What may stand between such a negator and the adjective."""
UNDECIDED = _words(
    "whether, impossible to, difficult to determine, difficult to tell, hard to tell, unable to determine, 是否, "
    "无法判断, 无法确定, 难以判断, 难以确定, 不能确定, 看不出, 听不出"
)
NOT_NEGATING = _words(
    "not only, not just, not merely, not simply, no doubt, cannot help, can't help, couldn't help, cannot hide, "
    "can't hide, couldn't hide, cannot conceal, cannot contain, can't contain, couldn't contain, cannot suppress, "
    "unable to hide, unable to contain, unable to suppress, no wonder, not without, nothing but, 不仅, 不仅仅, "
    "不只, 不但, 不光, 难掩, 忍不住, 不禁, 不由, 不由得, 掩饰不住, 掩盖不住, 抑制不住, 无不, 毫不掩饰, 毫无疑问, "
    "无疑, 不断, 不停"
)
TURNS = _words(
    "but, however, yet, whereas, instead, 但, 但是, 然而, 却, 而是, 不过, 可是, 只是, 反而, 其实, 不如, "
    "不如说"
)
CONCESSIONS = _words("although, though, despite, even though, in spite of, 虽然, 尽管, 虽, 虽说, 即使")
COORDINATORS = _words(
    "and, or, nor, but also, as well as, and/or, /, 和, 或, 或者, 与, 以及, 及, 、, 且, 并, 还有, 又"
)
PRETENCE = _words(
    "pretend, pretends, pretending, pretended, feign, feigns, feigning, feigned, faking, fake, 假装, 装作, 伪装出, "
    "故作"
)
WISHES = _words(
    "hope, hopes, hoping, hoped, wish, wishes, wishing, want, wants, wanting, urge, urges, urging, advise, "
    "advises, advising, ask, asks, asking, avoid, avoids, avoiding, prevent, prevents, so as not to, 希望, 想要, "
    "想让, 劝, 避免, 以免, 防止, 请求"
)
GENERIC = _words("usually, often, typically, generally, commonly, normally, sometimes, 通常, 往往, 常常, 一般")
CONCLUDING = _words(
    "infer, infers, inferred, inference, conclude, concluded, conclusion, deduce, deduced, speculate, speculated, "
    "predict, predicted, therefore, thus, hence, overall, in summary, to sum up, in short, all in all, "
    "taken together, confirm, confirmed, 推断, 推测, 预测, 判断出, 因此, 所以, 总之, 综上, 综上所述, 总体, "
    "总体而言, 总的来说, 整体, 整体上, 由此可见, 可见, 得出, 确认"
)
OPENING = _words(
    "beginning, initially, at first, opening, first, start, initial, 开头, 一开始, 起初, 最初, 刚开始, 开始时, 开始"
)
EVIDENCE = _words("based on, according to, judging from, 根据, 基于, 从")
INTENSIFIERS = _words(
    "very, extremely, deeply, highly, strongly, intensely, particularly, especially, utterly, strong, extreme, "
    "intense, deep, 非常, 十分, 极其, 极度, 特别, 强烈, 深深, 异常, 极为"
)
DIMINISHERS = _words(
    "slightly, slight, somewhat, a bit, a little, a hint of, a trace of, mildly, mild, faint, faintly, kind of, "
    "有些, 有点, 略微, 稍微, 一丝, 略, 轻微, 些许"
)
SITUATIONS = _words(
    "conversation, conversations, dialogue, discussion, discussions, topic, topics, environment, atmosphere, "
    "background, situation, situations, matter, matters, music, news, event, events, issue, issues, occasion, "
    "place, scene, scenes, setting, content, argument, interaction, communication, exchange, moment, moments, "
    "experience, memory, time, words, word, result, results, plot, 对话, 谈话, 话题, 讨论, 环境, 氛围, 气氛, 背景, "
    "场景, 情境, 情景, 事情, 事, 消息, 音乐, 事件, 问题, 场合, 内容, 争论, 互动, 交流, 时刻, 回忆, 经历, 结果, "
    "时光, 语境"
)
OTHERS = _words(
    "other person, other party, other side, someone else, others, other people, another person, listener, 对方, "
    "他人, 别人, 其他人, 旁人"
)
PREPOSITIONS = _words(
    "at, to, towards, toward, with, about, from, of, by, for, against, on, 对, 向, 对于, 给, 和, 与, 跟, 看向, 朝, "
    "针对, 被"
)
FEELING = _words(
    "is, are, was, were, be, being, been, feel, feels, feeling, felt, seem, seems, look, looks, appear, appears, "
    "become, becomes, get, gets, may, might, must, can, could, will, would, very, so, quite, really, too, a, bit, "
    "little, also, to, not, more, 会, 很, 非常, 是, 变得, 变, 有些, 有点, 感到, 觉得, 感觉, 十分, 比较, 能, 能够, "
    "不, 要, 也, 更, 产生, 的"
)
SPEECH = _words(
    "subtitle, subtitles, says, say, said, reads, read, line, utters, text, words, saying, 字幕, 台词, 说, 说道, "
    "内容, 这句话"
)
ENDS = frozenset(".!?。！？；;\n…")
PAUSES = frozenset(",，:：()（）")
GRAMMAR = frozenset().union(
    NEGATORS, UNDECIDED, NOT_NEGATING, TURNS, CONCESSIONS, COORDINATORS, PRETENCE, WISHES, GENERIC, CONCLUDING, OPENING,
    EVIDENCE, SITUATIONS, OTHERS, PREPOSITIONS, FEELING, SPEECH, INTENSIFIERS, PLAIN_NOT, BETWEEN, DIMINISHERS,
)  # fmt: skip
"""Every one of them, for the finder, which must know a phrase to keep it together."""
