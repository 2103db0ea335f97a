"""One data set's score: predictions meet the truth, every clip is counted, excluded with a reason, or an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from affectgpt.core.contracts import SENTIMENTS
from affectgpt.registry.errors import DataError
from affectgpt.registry.messages import count_and_first
from affectgpt.unibench.confusion import ConfusionCounter
from affectgpt.unibench.label_extraction import Prediction, chunks
from affectgpt.unibench.label_text import parse_labels
from affectgpt.unibench.metrics.hit_rate import HitRate
from affectgpt.unibench.metrics.overlap import WheelOverlap
from affectgpt.unibench.metrics.sector_table import LabelIndices, SectorTable
from affectgpt.unibench.metrics.sentiment import SentimentScore
from affectgpt.unibench.resampling import Resampling, TermSums
from affectgpt.unibench.result import DatasetResult, WorstClip
from affectgpt.unibench.truth import Truth

CHUNK = 4096
LARGEST_CHUNK = 4 * 2**20
_MAX_TEXT, _MAX_LABELS = 2000, 100
Missing = Literal["error", "exclude", "wrong"]
Unreadable = Literal["wrong", "exclude"]
Unknown = Literal["error", "exclude"]


@dataclass(frozen=True)
class ScoringRules:
    """What becomes of clips without a usable prediction, and how many of the worst clips are kept for the report.

    - `missing`: a clip of the truth that has no prediction stops the scoring, is excluded, or counts as wrong.
    - `unreadable`: a prediction that is an error, or whose reading was one, counts as wrong or is excluded. A wrong
      clip predicts nothing; for sentiment, the opposite.
    - `unknown`: a prediction for a clip that the truth lacks stops the scoring, or is excluded with a note.
    """

    missing: Missing = "error"
    unreadable: Unreadable = "wrong"
    worst: int = 20
    unknown: Unknown = "exclude"


class DatasetScorer:
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
        self.tally = TermSums(self.metric, resampling, truth.dataset, paired=paired)
        self.excluded: Counter[str] = Counter()
        self.counted_wrong: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self._confusion = ConfusionCounter(table)
        self._worst: list[WorstClip] = []
        self._unknown: list[str] = []

    def read(self, predictions: Iterable[Prediction]) -> DatasetResult:
        """Score all predictions. Raises DataError for ids that repeat, and for missing ones when that is an error."""
        remaining = dict.fromkeys(self.truth.values)
        if self.truth.synthetic:
            self.notes["synthetic clips in the data set's layout: nothing to compare with published scores"] = len(
                remaining
            )
        for portion in _bounded_chunks(self._filter(predictions, remaining)):
            self._add(portion)
        if remaining:
            self._handle_missing(list(remaining))
        if self.tally.clips and self.notes[_INVALID_SENTIMENT] == self.tally.clips:
            raise DataError(
                "no prediction is a sentiment",
                where=self.truth.title,
                expected="positive, negative or neutral",
                hint='if they are descriptions or emotion words, read the sentiment out of them: pass read="text"',
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
            clips=self._counted_clips,
            excluded=dict(self.excluded),
            counted_wrong=dict(self.counted_wrong),
            notes=dict(+self.notes),
            expected=truth.expected,
            per_wheel=per_wheel,
            confusion=() if truth.task == "sentiment" else self._confusion.result(),
            worst=tuple(self._worst),
        )

    @property
    def _counted_clips(self) -> int:
        return self.tally.clips - sum(self.excluded[reason] for reason in _UNCOUNTED)

    def _filter(self, predictions: Iterable[Prediction], remaining: dict[str, None]) -> Iterable[Prediction]:
        repeated: dict[str, int] = {}
        for prediction in predictions:
            if prediction.id not in remaining:
                if prediction.id in self.truth.values:
                    if prediction.id in repeated or len(repeated) < _MAX_NAMED:
                        repeated[prediction.id] = repeated.get(prediction.id, 1) + 1
                else:
                    self.notes[_UNKNOWN] += 1
                    if len(self._unknown) < _MAX_NAMED:
                        self._unknown.append(prediction.id)
                continue
            del remaining[prediction.id]
            if prediction.error and self.rules.unreadable == "exclude":
                self.excluded[_UNREADABLE] += 1
                continue
            self.notes[_REASONING] += bool(prediction.note)
            yield prediction
        # Where no id is known, the fields or the files are wrong ones, which [_miss][] says.
        if self.notes[_UNKNOWN] and self.rules.unknown == "error" and len(remaining) < len(self.truth.values):
            raise DataError(
                "there are predictions of clips that the truth lacks",
                where=self.truth.title,
                found=f"{self.notes[_UNKNOWN]}: {', '.join(self._unknown)}",
                expected="ids of the truth only",
                hint='leave them out, or pass unknown="exclude"',
            )
        if repeated:
            raise DataError(
                "predictions repeat",
                where=self.truth.title,
                found=", ".join(f"{name} {count} times" for name, count in repeated.items()),
                expected="each id once",
                hint="keep one prediction for each clip",
            )

    def _handle_missing(self, names: list[str]) -> None:
        if self.notes[_UNKNOWN] and len(names) == len(self.truth.values):
            raise DataError(
                "no prediction is of a clip of the truth",
                where=self.truth.title,
                found=f"predictions of {', '.join(self._unknown)}, ...; truth of {', '.join(names[:_MAX_NAMED])}, ...",
                expected="the same ids in both",
                hint="name the column of the ids with id_column=; a manifest or a data set goes into data=, not truth=",
            )
        if self.rules.missing == "error":
            raise DataError(
                "clips have no prediction",
                where=self.truth.title,
                found=f"{count_and_first(names)} (of {len(self.truth.values)} clips)",
                expected="a prediction for every clip of the truth",
                hint='predict them, or say what they count as: missing="exclude" or missing="wrong"',
            )
        if self.rules.missing == "exclude":
            self.excluded[_MISSING] += len(names)
            return
        for chunk in chunks(names, CHUNK):
            self._add([Prediction(name, None, error=_MISSING) for name in chunk])

    def _add(self, predictions: Sequence[Prediction]) -> None:
        names = [prediction.id for prediction in predictions]
        true = [self.truth.values[name] for name in names]
        if isinstance(self.metric, SentimentScore):
            values = [_sentiment(prediction, value) for prediction, value in zip(predictions, true, strict=True)]
            invalid = sum(not prediction.error and prediction.value not in SENTIMENTS for prediction in predictions)
            if invalid:
                self.notes[_INVALID_SENTIMENT] += invalid
            terms = self.metric.terms(true, values)
            self.excluded["the true value is 0"] += int((terms[:, -1] == 0).sum())
            scores = np.where(terms[:, -1] == 0, np.nan, terms[:, 0] + terms[:, 3])
        else:
            values = [[] if prediction.error else prediction.value for prediction in predictions]
            labels = self.table.read([[value] for value in true] if self.truth.task == "basic" else true)
            predicted = self._read(values, names)
            terms = self.metric.terms_of_indices(labels, predicted)
            self._confusion.add(labels, predicted)
            scores = _clip_scores(self.metric, terms)
            empty = np.asarray(labels.counts == 0)
            self.excluded["no true label"] += int(empty.sum())
            self.excluded["no true label has a place on the wheels"] += int((np.isnan(scores) & ~empty).sum())
            placed, true_placed = self._placed(predicted), self._placed(labels)
            self.notes[_NO_PLACE] += int(((predicted.counts > 0) & (placed == 0)).sum())
            self.notes[_SOME_NO_PLACE] += int(((placed > 0) & (placed < predicted.counts)).sum())
            self.notes[_SOME_TRUE_NO_PLACE] += int(((true_placed > 0) & (true_placed < labels.counts)).sum())
        for prediction, score in zip(predictions, scores, strict=True):
            if prediction.error and not np.isnan(score):
                self.counted_wrong[_MISSING if prediction.error == _MISSING else _UNREADABLE] += 1
        self.excluded = +self.excluded
        self.tally.add(names, terms)
        self._update_worst(predictions, true, values, scores)

    def _placed(self, labels: LabelIndices) -> np.ndarray:
        """How many labels of each clip have a sector on any wheel, int `[n]`."""
        level_1 = [index for index, column in enumerate(self.table.columns) if column.level == 1]
        rows, positions = np.unique(labels.rows, return_inverse=True)
        singles = LabelIndices(rows, np.ones(len(rows), dtype=np.int64))
        has_sector = self.table.sizes(self.table.sets(singles))[:, level_1].sum(axis=1) > 0
        clips = np.repeat(np.arange(len(labels.counts)), labels.counts)
        return np.bincount(clips[has_sector[positions]], minlength=len(labels.counts))

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
            return (_shorten(f"{value:g}" if isinstance(value, float) else str(value)),)
        return tuple(_shorten(label) for label in parse_labels(value)[:_MAX_LABELS])

    def _update_worst(
        self, predictions: Sequence[Prediction], true: Sequence[Any], values: Sequence[Any], scores: np.ndarray
    ) -> None:
        wrong = sorted(np.flatnonzero(scores < 1).tolist(), key=lambda index: (scores[index], predictions[index].id))
        clips = [
            WorstClip(
                predictions[index].id,
                _shorten(predictions[index].error or predictions[index].text),
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
_SOME_NO_PLACE = "predictions with labels some of which have no place on the wheels and were left out"
_SOME_TRUE_NO_PLACE = "clips with true labels some of which have no place on the wheels and were left out"
_REASONING = "predictions that hold reasoning or marks around the answer, which are not read"
_MAX_NAMED = 5
_INVALID_SENTIMENT = "values that are none of positive, negative and neutral, counted as not positive"
_UNCOUNTED = ("no true label", "no true label has a place on the wheels", "the true value is 0")


def _clip_scores(metric: WheelOverlap | HitRate, terms: np.ndarray) -> np.ndarray:
    """Each clip's own F, the mean over the wheels at level 1 on which it counts; NaN where it counts on none."""
    if isinstance(metric, WheelOverlap):
        count = sum(column.level == 1 for column in metric.columns)
        clip_terms = terms[:, : 3 * count].reshape(len(terms), count, 3)
        precision, recall, counted = clip_terms[..., 0], clip_terms[..., 1], clip_terms[..., 2]
    else:
        clip_terms = terms[:, :-2].reshape(len(terms), len(metric.columns), 4)
        precision, recall, counted = clip_terms[..., 2], clip_terms[..., 0], clip_terms[..., 3]
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    clips = counted.sum(axis=1)
    return np.where(clips > 0, score.sum(axis=1) / np.maximum(clips, 1), np.nan)


def _sentiment(prediction: Prediction, value: float) -> Any:
    if prediction.error:
        return "negative" if value > 0 else "positive"
    return prediction.value


def _bounded_chunks(predictions: Iterable[Prediction]) -> Iterator[list[Prediction]]:
    """Lists of predictions that are bounded in number and in what their texts and labels take."""
    portion: list[Prediction] = []
    size = 0
    for prediction in predictions:
        portion.append(prediction)
        size += len(prediction.text) + (
            sum(map(len, map(str, prediction.value))) if isinstance(prediction.value, list) else 0
        )
        size += len(prediction.value) if isinstance(prediction.value, str) else 0
        if len(portion) == CHUNK or size > LARGEST_CHUNK:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} ..."


def _or_none(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
