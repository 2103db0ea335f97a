"""The closed-class words that decide whether a clause asserts an emotion word, in English and Chinese."""

from __future__ import annotations

from affectgpt.plugins.extractors.lexicon_grammar import closed_class

NEGATORS = closed_class(
    "not, never, no, without, lack, lacks, lacking, absence, hardly, rarely, scarcely, barely, cannot, can not, "
    "could not, isn't, aren't, wasn't, weren't, doesn't, don't, didn't, hasn't, haven't, hadn't, can't, couldn't, "
    "won't, wouldn't, shouldn't, ain't, nothing, less, less than, rather than, instead of, as opposed to, free of, "
    "devoid of, far from, anything but, 与其, 与其说, 没有, 并非, 并不, 并没有, 并未, 毫无, 不是, 不再, 不太, 不算, "
    "缺乏, 缺少, 而不是, 而非, 不会, 不能, 不可能, 从不, 从没, 从未, 从没有, 从来没, 从来没有, 不要, 不必, 不用, "
    "未必, 不怎么, 不那么, 不到, 哪里是, 哪是, 岂是, 哪里会, 怎么会, 怎么可能, 说不上, 谈不上, 算不上, 称不上, "
    "没有比, 没有谁比, 没有人比, 没有什么比, 没人比"
)
ALTERNATIVES = closed_class("neither, nor, 既不, 也不, 又不, 也没, 也没有, 既没有")
"""Negators that go on with a negation, so that two of them do not cancel."""
NOBODY = closed_class("nobody, no one, none, no-one, 没人, 没有人, 无人, 谁都没, 谁也没, 谁都不, 谁也不")
"""Negating subjects: what is said of them is further away."""
BOUND_NEGATORS = closed_class(
    "unable to, refuse to, refuses to, refused to, refusing to, fail to, fails to, failed to, failing to, 不, 没, "
    "无, 未, 非, 别, 无法"
)
"""Those that negate only what follows at once: an emotion word, its degree, or a verb of feeling or showing."""
NOT_A_NEGATOR = closed_class(
    "无比, 无限, 无尽, 无穷, 无数, 无论, 无声, 无非, 无端, 无心, 无形, 无意, 无意间, 无与伦比, 无时无刻, 无微不至, "
    "无缘无故, 不免, 不胜, 不由自主, 不同, 不久, 不得不, 不得了, 不时, 不知, 不知不觉, 不自觉, 不自禁, 不经意, 不顾, "
    "不幸, 不管, 不料, 不论, 不愧, 不单, 不外乎, 不约而同, 不可抑制, 不可避免, 好不, 想不到, 意想不到, 了不起, "
    "差不多, 未来, 未免, 未尝不, 未知, 告别, 离别, 分别, 道别, 送别, 惜别, 永别, 久别, 诀别, 话别, 个别, 区别, 差别, "
    "性别, 级别, 类别, 识别, 辨别, 鉴别, 辞别, 别墅, 别致, 别扭, 别有, 别的, 别样, 淹没, 埋没, 沉没, 吞没, 出没, "
    "没准, 除非, 莫非, 是非, 非要, 非得, 并无二致"
)
"""Longer words that hold such a negator and do not negate what follows."""
POTENTIAL = closed_class("不住, 不了, 不出, 不尽, 不完, 不清, 不得, 不起, 不下, 不起来, 不下去, 不出来")
"""Ends of V不C, "cannot V": that verb is not done, and what follows is not negated (压抑不住喜悦)."""
PLAIN_NOT = closed_class("not, isn't, aren't, wasn't, weren't, doesn't, don't, didn't, 不, 并不, 不太, 不怎么, 不那么")
"""The negators after which an adjective means its opposite ("not happy")."""
BETWEEN = closed_class(
    "very, so, really, too, at, all, that, particularly, a, bit, is, be, feel, look, seem, appear, 很, 太, 那么"
)
"""What may stand between such a negator and the adjective."""
UNSURPASSED = closed_class(
    "could not, couldn't, cannot, can not, can't, never, nothing, nobody, no one, hardly, 不能, 不可能, 没有比, "
    "没有谁比, 没有人比, 没有什么比, 没人比"
)
"""Negators that praise a comparative: "could not be happier" is very happy."""
NEVER = closed_class("never, 从没, 从未, 从没有, 从来没, 从来没有, 从不")
SUCH = closed_class("so, such, this, 这么, 如此, 这样, 那么, 这般")
"""After [NEVER][] they assert: "never so happy", 从来没有这么高兴."""
HIDING = closed_class(
    "hide, hides, hiding, hid, hidden, conceal, conceals, concealing, concealed, suppress, suppresses, suppressing, "
    "suppressed, disguise, disguises, disguising, disguised, mask, masks, masking, masked, repress, represses, "
    "repressing, repressed, restrain, restrains, restraining, restrained, control, controls, controlling, "
    "controlled, hold back, holds back, holding back, held back, keep back, stop, stops, stopping, stopped, resist, "
    "resisting, contain my, contain our, contain her, contain his, contain their, contain herself, contain himself, "
    "掩饰, 掩盖, 遮掩, 隐藏, 隐瞒, 抑制, 压抑, 压制, 克制, 控制, 控制住, 按捺, 遏制, 忍住, 藏住, 掩藏, 平息"
)
"""Verbs whose negation leaves the feeling visible."""
FACTS = closed_class(
    "know, knows, knew, notice, notices, noticed, noticing, realize, realizes, realized, realise, understand, "
    "understands, understood, secret, question, deny, denies, denying, 知道, 注意到, 意识到, 发现, 察觉, 察觉到, "
    "秘密, 否认, 明白"
)
"""What is known or not is so: the negation does not go on behind them."""
REASONS = closed_class("because, since, while, when, 因为, 由于")
UNDECIDED = closed_class(
    "whether, impossible to, difficult to determine, difficult to tell, hard to tell, unable to determine, wrong to, "
    "incorrect to, inaccurate to, misleading to, a mistake to, wonder if, wonders if, wondering if, see if, "
    "unclear if, unsure if, not sure if, 是否, 有没有, 是不是, 无法判断, 无法确定, 难以判断, 难以确定, 不能确定, "
    "看不出, 听不出, 不能说"
)
UNREACHED = closed_class(
    "about to, on the point of, used to be, used to feel, used to have, used to get, used to look, used to seem, "
    "差点, 差点儿, 差一点, 险些, 正要, 快要, 曾经, 以前, 从前"
)
"""What follows is not yet so, or no longer; behaviours (about to cry) still point at a feeling."""
CONDITIONS = closed_class("if, unless, 如果, 要是, 假如, 倘若, 若, 若是")
CONDITIONED = closed_class(
    "would, wouldn't, would've, he'd, she'd, they'd, i'd, you'd, we'd, it'd, could have, might have, 会, 就, 就会, "
    "便, 早就"
)
"""With one of [CONDITIONS][] in the same clause, what either opens is not so."""
NOT_NEGATING = closed_class(
    "not only, not just, not merely, not simply, no doubt, without doubt, cannot help, can't help, couldn't help, "
    "could not help, can not help, cannot help but, can't help but, couldn't help but, could not help but, "
    "no wonder, not without, nothing but, more than, no less than, nothing less than, other than, none other than, "
    "不仅, 不仅仅, 不只, 不但, 不光, 难掩, 忍不住, 不禁, 不由, 不由得, 掩饰不住, 掩盖不住, 抑制不住, 无不, 不无, "
    "毫不掩饰, 毫无疑问, 无疑, 不断, 不停, 免不了, 何尝不"
)
PRETENCE = closed_class(
    "pretend, pretends, pretending, pretended, feign, feigns, feigning, feigned, faking, fake, claim to, claims to, "
    "claimed to, claiming to, purports to, 假装, 装作, 伪装出, 故作, 声称, 自称, 号称"
)
WISHES = closed_class(
    "hope, hopes, hoping, hoped, wish, wishes, wishing, want, wants, wanting, urge, urges, urging, advise, advises, "
    "advising, ask, asks, asking, avoid, avoids, avoiding, prevent, prevents, so as not to, 希望, 想要, 想让, 劝, "
    "避免, 以免, 防止, 请求"
)
DISPLAY_WORDS = closed_class(
    "feel, feels, be, show, express, display, look, seem, appear, have, find, become, get, hold, 感到, 感受到, 感受, "
    "感觉到, 表现, 表现出, 流露, 流露出, 露出, 显露, 显露出, 显示出, 显得, 表达, 表达出, 带有, 带, 含, 像, 让, 使, "
    "令, 再, 太, 很, 那么, 这么, 怎么, 如此, 真的, 明显, 任何, 什么, 一点, 丝毫, 多么"
)
"""With degrees and [FEELING][]: what lets one of [BOUND_NEGATORS][] reach an emotion word."""
ONLY = closed_class("just, only, simply, merely, rather, 仅, 只, 更多")
"""After a negated word they turn to what is so: "not angry, just sad"."""
OF_NOUNS = closed_class("no, without, lack, lacks, lacking, absence, free of, devoid of, nor")
"""Negators of nouns, whose list "and" may end: "without anger, fear, and sadness"."""
ASSERTION = frozenset().union(
    NEGATORS,
    ALTERNATIVES,
    NOBODY,
    BOUND_NEGATORS,
    NOT_A_NEGATOR,
    POTENTIAL,
    PLAIN_NOT,
    BETWEEN,
    UNSURPASSED,
    NEVER,
    SUCH,
    HIDING,
    FACTS,
    REASONS,
    UNDECIDED,
    UNREACHED,
    CONDITIONS,
    CONDITIONED,
    NOT_NEGATING,
    PRETENCE,
    WISHES,
    DISPLAY_WORDS,
    ONLY,
    OF_NOUNS,
)
"""Every one of them, for the finder, which must know a phrase to keep it together."""
