"""The built-in plugins. They reach the registry by the same entry point as a stranger's package."""

from __future__ import annotations

from affectgpt.registry.hooks import hookimpl
from affectgpt.registry.spec import Kind, PluginSpec

_HERE = "affectgpt.plugins"
_AFFECTGPT = "AffectGPT: Lian et al., 2025, arXiv:2501.16566"


def _spec(
    kind: Kind, name: str, config: str, target: str, summary: str, citation: str = "", requires: str = ""
) -> PluginSpec:
    return PluginSpec(
        name=name,
        kind=kind,
        config=f"{_HERE}.{kind}s.{config}",
        target=f"{_HERE}.{kind}s.{target}",
        summary=summary,
        citation=citation,
        requires=tuple(requires.split()),
    )


@hookimpl
def affectgpt_plugins() -> list[PluginSpec]:
    """The plugins that ship with this project."""
    return [
        _spec(
            "encoder",
            "clip-vision",
            "vision_configs:ClipVisionConfig",
            "clip_vision:ClipVision",
            "CLIP image encoder, one token per picture (transformers)",
            "CLIP: Radford et al., 2021, arXiv:2103.00020",
        ),
        _spec(
            "encoder",
            "speech",
            "audio_configs:SpeechConfig",
            "speech:Speech",
            "HuBERT, WavLM, wav2vec 2.0 or data2vec, one token per window (transformers)",
            "HuBERT: Hsu et al., 2021, arXiv:2106.07447",
        ),
        _spec(
            "encoder",
            "timm",
            "vision_configs:TimmVisionConfig",
            "timm_vision:TimmVision",
            "any timm image model, one token per picture",
            "timm: Wightman, 2019, doi:10.5281/zenodo.4414861",
            "timm",
        ),
        _spec(
            "encoder",
            "open-clip",
            "vision_configs:OpenClipVisionConfig",
            "open_clip_vision:OpenClipVision",
            "any OpenCLIP image tower, one token per picture",
            "OpenCLIP: Cherti et al., 2022, arXiv:2212.07143",
            "open_clip_torch",
        ),
        _spec(
            "encoder",
            "mel",
            "audio_configs:MelConfig",
            "mel:Mel",
            "log-mel energies of the sound, no weights (torchaudio)",
        ),
        _spec(
            "encoder",
            "timm-mel",
            "audio_configs:TimmMelConfig",
            "timm_mel:TimmMel",
            "windows of the log-mel spectrogram through any timm image model",
            "",
            "timm",
        ),
        _spec(
            "fuser",
            "temporal-attention",
            "configs:TemporalAttentionConfig",
            "temporal_attention:TemporalAttention",
            "one input to one token, a learned score per moment",
            _AFFECTGPT,
        ),
        _spec(
            "fuser",
            "modality-attention",
            "configs:ModalityAttentionConfig",
            "modality_attention:ModalityAttention",
            "several inputs to one token, weighted by what they hold",
            _AFFECTGPT,
        ),
        _spec(
            "fuser",
            "qformer",
            "attention_configs:QFormerConfig",
            "qformer:QFormer",
            "learned queries read the inputs' tokens in layers, AffectGPT's Q-Former",
            "AffectGPT: Lian et al., 2025, arXiv:2501.16566; Q-Former: Li et al., 2023, arXiv:2301.12597",
        ),
        _spec(
            "fuser",
            "cross-attention",
            "attention_configs:CrossAttentionConfig",
            "cross_attention:CrossAttention",
            "learned queries read all inputs' tokens at once, a gate per input (fused operator)",
            "attention: Vaswani et al., 2017, arXiv:1706.03762; Perceiver: Jaegle et al., 2021, arXiv:2103.03206",
        ),
        _spec(
            "fuser",
            "perceiver",
            "attention_configs:PerceiverConfig",
            "perceiver:Perceiver",
            "learned latents read the inputs' tokens and themselves in layers (resampler)",
            "Flamingo: Alayrac et al., 2022, arXiv:2204.14198; Perceiver: Jaegle et al., 2021, arXiv:2103.03206",
        ),
        _spec(
            "fuser",
            "mbt",
            "attention_configs:BottleneckConfig",
            "bottleneck:Bottleneck",
            "a transformer per input, joined by a few bottleneck tokens",
            "MBT: Nagrani et al., 2021, arXiv:2107.00135",
        ),
        _spec(
            "fuser",
            "mult",
            "attention_configs:CrossmodalConfig",
            "crossmodal_transformer:CrossmodalTransformer",
            "a transformer from every input to every other, one token per input",
            "MulT: Tsai et al., 2019, arXiv:1906.00295",
        ),
        _spec(
            "fuser",
            "tfn",
            "pooled_configs:TensorFusionConfig",
            "tensor_fusion:TensorFusion",
            "every product of features of the inputs (tensor fusion)",
            "TFN: Zadeh et al., 2017, arXiv:1707.07250",
        ),
        _spec(
            "fuser",
            "lmf",
            "pooled_configs:LowRankConfig",
            "low_rank_fusion:LowRankFusion",
            "tensor fusion with weights of low rank",
            "LMF: Liu et al., 2018, arXiv:1806.00064",
        ),
        _spec(
            "fuser",
            "gated",
            "pooled_configs:GatedConfig",
            "gated:Gated",
            "each input behind a gate that sees all of them",
            "GMU: Arevalo et al., 2017, arXiv:1702.01992",
        ),
        _spec(
            "fuser",
            "film",
            "pooled_configs:FilmConfig",
            "film:Film",
            "the first input's tokens, scaled and shifted by the others",
            "FiLM: Perez et al., 2018, arXiv:1709.07871",
        ),
        _spec(
            "fuser",
            "moe",
            "pooled_configs:MixtureConfig",
            "mixture_of_experts:MixtureOfExperts",
            "a router sends each clip to a few of several experts",
            "MoE: Shazeer et al., 2017, arXiv:1701.06538",
        ),
        _spec("fuser", "mean", "configs:MeanConfig", "mean:Mean", "one input to one token, the average over time"),
        _spec("fuser", "concat", "configs:ConcatConfig", "concat:Concat", "all tokens in a row, no fusion"),
        _spec(
            "llm",
            "causal-lm",
            "configs:CausalLMConfig",
            "causal_lm:CausalLM",
            "any decoder of transformers, with LoRA by PEFT",
            "LoRA: Hu et al., 2021, arXiv:2106.09685",
        ),
        _spec(
            "extractor",
            "lexicon",
            "lexicon_config:LexiconConfig",
            "lexicon:Lexicon",
            "rules over a list of emotion words, English and Chinese, no model (simplemma)",
            "lemmas: simplemma, Barbaresi, doi:10.5281/zenodo.4673264",
        ),
        _spec(
            "extractor",
            "llm",
            "llm_config:LLMExtractorConfig",
            "llm:LLMExtractor",
            "a language model is asked: any LLM plugin, or an OpenAI-compatible server",
            _AFFECTGPT,
        ),
    ]
