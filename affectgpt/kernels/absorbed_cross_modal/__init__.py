"""Cross-modal attention over raw tokens, projections given as weights; see README.md."""

from affectgpt.kernels.absorbed_cross_modal.api import absorbed_cross_modal_attention
from affectgpt.kernels.absorbed_cross_modal.fold import Fold, Folded, fold
from affectgpt.kernels.absorbed_cross_modal.weights import FusionWeights

__all__ = ["Fold", "Folded", "FusionWeights", "absorbed_cross_modal_attention", "fold"]
