"""One data set's score: predictions meet the truth, every clip is counted, excluded with a reason, or an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from affectgpt.core.contracts import SENTIMENTS
from affectgpt.registry.errors import DataError
from affectgpt.registry.messages import first_of
from affectgpt.unibench.confusion import ConfusionCounter
from affectgpt.unibench.label_extraction import Prediction, chunks
from affectgpt.unibench.label_text import label_list
from affectgpt.unibench.metrics.hit_rate import HitRate
from affectgpt.unibench.metrics.overlap import WheelOverlap
from affectgpt.unibench.metrics.sector_table import SectorTable, Written
from affectgpt.unibench.metrics.sentiment import SentimentScore
from affectgpt.unibench.resampling import Resampling, Tally
from affectgpt.unibench.result import DatasetResult, WorstClip
from affectgpt.unibench.truth import Truth

CHUNK = 4096
LARGEST_CHUNK = 4 * 2**20
_SHOWN, _LABELS_SHOWN = 2000, 100
Missing = Literal["error", "exclude", "wrong"]
Unreadable = Literal["wrong", "exclude"]


@dataclass(frozen=True)
class ScoringRules:
    """What becomes of clips without a usable prediction, and how many of the worst clips are kept for the report.

    - `missing`: a clip of the truth that has no prediction stops the scoring, is excluded, or counts as wrong.
    - `unreadable`: a prediction that is an error, or whose reading was one, counts as wrong or is excluded. A wrong
      clip predicts nothing; for sentiment, the opposite.
    """

    missing: Missing = "error"
    unreadable: Unreadable = "wrong"
    worst: int = 20


class DatasetScore:
    """Scores one data set in a stream of predictions; memory grows with the truth, not with the texts."""

    def __init__(
        self, truth: Truth, table: SectorTable, resampling: Resampling, rules: ScoringRules, *, paired: bool = False
    ) -> None:
        self.truth, self.table, self.rules = truth, table, rules
        self.metric: WheelOverlap | HitRate | SentimentScore
        if truth.task == "fine-grained":
            self.metric = WheelOverlap(table)
        elif truth.task == "basic":
            self.metric = HitRate(table, truth.values.values())
        else:
            self.metric = SentimentScore()
        self.tally = Tally(self.metric, resampling, truth.dataset, paired=paired)
        self.excluded: Counter[str] = Counter()
        self.counted_wrong: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self._confusion = ConfusionCounter(table)
        self._worst: list[WorstClip] = []
        self._unknown: list[str] = []

    def read(self, predictions: Iterable[Prediction]) -> DatasetResult:
        """Score all predictions. Raises DataError for ids that repeat, and for missing ones when that is an error."""
        left = dict.fromkeys(self.truth.values)
        if self.truth.synthetic:
            self.notes["synthetic clips in the data set's layout: nothing to compare with published scores"] = len(left)
        for portion in _portions(self._usable(predictions, left)):
            self._add(portion)
        if left:
            self._miss(list(left))
        if self.tally.clips and self.notes[_ODD] == self.tally.clips:
            raise DataError(
                "no prediction is a sentiment",
                where=self.truth.title,
                expected="positive, negative or neutral",
                hint="if they are descriptions or emotion words, read the sentiment out of them: --read text",
            )
        return self.result()

    def result(self) -> DatasetResult:
        """The figures of what was added."""
        truth = self.truth
        per_wheel: dict[str, dict[str, float | None]] = {}
        if not isinstance(self.metric, SentimentScore):
            by_column = self.metric.by_column(self.tally.sums)
            for index, column in enumerate(self.metric.columns):
                name = column.name + (f", level {column.level}" if column.level else "")
                per_wheel[name] = {figure: _or_none(values[index]) for figure, values in by_column.items()}
        return DatasetResult(
            dataset=truth.dataset,
            title=truth.title,
            task=truth.task,
            primary=self.metric.primary,
            figures=self.tally.figures(),
            clips=self._kept,
            excluded=dict(self.excluded),
            counted_wrong=dict(self.counted_wrong),
            notes=dict(+self.notes),
            expected=truth.expected,
            per_wheel=per_wheel,
            confusion=() if truth.task == "sentiment" else self._confusion.result(),
            worst=tuple(self._worst),
        )

    @property
    def _kept(self) -> int:
        return self.tally.clips - sum(self.excluded[reason] for reason in _UNCOUNTED)

    def _usable(self, predictions: Iterable[Prediction], left: dict[str, None]) -> Iterable[Prediction]:
        repeated: dict[str, int] = {}
        for said in predictions:
            if said.id not in left:
                if said.id in self.truth.values:
                    if said.id in repeated or len(repeated) < _NAMED:
                        repeated[said.id] = repeated.get(said.id, 1) + 1
                else:
                    self.notes[_UNKNOWN] += 1
                    if len(self._unknown) < _NAMED:
                        self._unknown.append(said.id)
                continue
            del left[said.id]
            if said.error and self.rules.unreadable == "exclude":
                self.excluded[_UNREADABLE] += 1
                continue
            yield said
        if repeated:
            raise DataError(
                "predictions repeat",
                where=self.truth.title,
                found=", ".join(f"{name} {count} times" for name, count in repeated.items()),
                expected="each id once",
                hint="keep one prediction for each clip",
            )

    def _miss(self, names: list[str]) -> None:
        if self.notes[_UNKNOWN] and len(names) == len(self.truth.values):
            raise DataError(
                "no prediction is of a clip of the truth",
                where=self.truth.title,
                found=f"predictions of {', '.join(self._unknown)}, ...; truth of {', '.join(names[:_NAMED])}, ...",
                expected="the same ids in both",
                hint="say which field holds them with --id-field; give a manifest or data set as --data, not --truth",
            )
        if self.rules.missing == "error":
            raise DataError(
                "clips have no prediction",
                where=self.truth.title,
                found=f"{first_of(names)} (of {len(self.truth.values)} clips)",
                expected="a prediction for every clip of the truth",
                hint="predict them, or say what they count as: --missing exclude or --missing wrong",
            )
        if self.rules.missing == "exclude":
            self.excluded[_MISSING] += len(names)
            return
        for chunk in chunks(names, CHUNK):
            self._add([Prediction(name, None, error=_MISSING) for name in chunk])

    def _add(self, said: Sequence[Prediction]) -> None:
        names = [each.id for each in said]
        true = [self.truth.values[name] for name in names]
        if isinstance(self.metric, SentimentScore):
            values = [_sentiment(each, value) for each, value in zip(said, true, strict=True)]
            odd = sum(not each.error and each.value not in SENTIMENTS for each in said)
            if odd:
                self.notes[_ODD] += odd
            terms = self.metric.terms(true, values)
            self.excluded["the true value is 0"] += int((terms[:, -1] == 0).sum())
            scores = np.where(terms[:, -1] == 0, np.nan, terms[:, 0] + terms[:, 3])
        else:
            values = [[] if each.error else each.value for each in said]
            written = self.table.read([[value] for value in true] if self.truth.task == "basic" else true)
            read = self._read(values, names)
            terms = self.metric.compared(written, read)
            self._confusion.add(written, read)
            scores = _clip_scores(self.metric, terms)
            empty = np.asarray(written.counts == 0)
            self.excluded["no true label"] += int(empty.sum())
            self.excluded["no true label has a place on the wheels"] += int((np.isnan(scores) & ~empty).sum())
            self.notes[_NO_PLACE] += int(((read.counts > 0) & ~self._placed(read)).sum())
        for each, score in zip(said, scores, strict=True):
            if each.error and not np.isnan(score):
                self.counted_wrong[_MISSING if each.error == _MISSING else _UNREADABLE] += 1
        self.excluded = +self.excluded
        self.tally.add(names, terms)
        self._keep_worst(said, true, values, scores)

    def _placed(self, read: Written) -> np.ndarray:
        """Which clips have a label with a sector on any wheel, bool `[n]`."""
        level_1 = [index for index, column in enumerate(self.table.columns) if column.level == 1]
        placed: np.ndarray = self.table.sizes(self.table.sets(read))[:, level_1].sum(axis=1) > 0
        return placed

    def _read(self, values: Sequence[Any], names: Sequence[str]) -> Any:
        try:
            return self.table.read(values)
        except DataError as error:
            problem = error.problems[0]
            name = names[int(problem.where.removeprefix("row "))]
            raise DataError(
                problem.what, where=f"{self.truth.title}, {name}", found=problem.found, expected=problem.expected
            ) from None

    def _texts(self, value: Any) -> tuple[str, ...]:
        if self.truth.task == "sentiment":
            return (_cut(f"{value:g}" if isinstance(value, float) else str(value)),)
        return tuple(_cut(label) for label in label_list(value)[:_LABELS_SHOWN])

    def _keep_worst(
        self, said: Sequence[Prediction], true: Sequence[Any], values: Sequence[Any], scores: np.ndarray
    ) -> None:
        wrong = sorted(np.flatnonzero(scores < 1).tolist(), key=lambda index: (scores[index], said[index].id))
        clips = [
            WorstClip(
                said[index].id,
                _cut(said[index].error or said[index].text),
                self._texts(values[index]),
                self._texts(true[index]),
                float(scores[index]),
            )
            for index in wrong[: self.rules.worst]
        ]
        self._worst = sorted([*self._worst, *clips], key=lambda clip: (clip.score, clip.id))[: self.rules.worst]


_MISSING = "no prediction"
_UNKNOWN = "predictions of unknown clips, left out"
_UNREADABLE = "the prediction is an error or could not be read"
_NO_PLACE = "predictions with labels none of which has a place on the wheels"
_NAMED = 5
_ODD = "values that are none of positive, negative and neutral, counted as not positive"
_UNCOUNTED = ("no true label", "no true label has a place on the wheels", "the true value is 0")


def _clip_scores(metric: WheelOverlap | HitRate, terms: np.ndarray) -> np.ndarray:
    """Each clip's own F, the mean over the wheels at level 1 on which it counts; NaN where it counts on none."""
    if isinstance(metric, WheelOverlap):
        count = sum(column.level == 1 for column in metric.columns)
        each = terms[:, : 3 * count].reshape(len(terms), count, 3)
        precision, recall, kept = each[..., 0], each[..., 1], each[..., 2]
    else:
        each = terms[:, :-2].reshape(len(terms), len(metric.columns), 4)
        precision, recall, kept = each[..., 2], each[..., 0], each[..., 3]
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    clips = kept.sum(axis=1)
    return np.where(clips > 0, score.sum(axis=1) / np.maximum(clips, 1), np.nan)


def _sentiment(said: Prediction, value: float) -> Any:
    if said.error:
        return "negative" if value > 0 else "positive"
    return said.value


def _portions(predictions: Iterable[Prediction]) -> Iterator[list[Prediction]]:
    """Lists of predictions that are bounded in number and in what their texts and labels take."""
    portion: list[Prediction] = []
    size = 0
    for said in predictions:
        portion.append(said)
        size += len(said.text) + (sum(map(len, map(str, said.value))) if isinstance(said.value, list) else 0)
        size += len(said.value) if isinstance(said.value, str) else 0
        if len(portion) == CHUNK or size > LARGEST_CHUNK:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def _or_none(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
