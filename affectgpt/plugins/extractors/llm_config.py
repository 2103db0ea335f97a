"""Options of the `llm` extractor. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from affectgpt.core.contracts import ExtractorConfig, ModelPath
from affectgpt.plugins.extractors.llm_prompts import check_template
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="extractor",
    name="llm",
    config=f"{__name__}:LLMExtractorConfig",
    target="affectgpt.plugins.extractors.llm:LLMExtractor",
    summary="a language model is asked: any LLM plugin, or an OpenAI-compatible server",
    citation="AffectGPT: Lian et al., 2025, arXiv:2501.16566",
)

OFF = "off"


class Endpoint(BaseModel):
    """A server that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, OpenAI and others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    url: str = Field(description="its address, with the version: http://localhost:8000/v1")
    model: str = Field(min_length=1, description="the model's name on the server")
    api_key_env: str = Field(
        default="OPENAI_API_KEY", min_length=1, description="the environment variable that holds the key, if any"
    )
    timeout: float = Field(default=60.0, gt=0, le=3600, description="seconds to wait for an answer")
    retries: int = Field(default=3, ge=0, le=20, description="how often a request that failed is sent again")
    parallel: int = Field(default=4, ge=1, le=256, description="requests at the same time")

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"is no web address: {error}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("must be a web address such as http://localhost:8000/v1")
        if parts.username or parts.password:
            raise ValueError("must hold no password: name the variable of the key with `api_key_env`")
        return value.rstrip("/")


class LLMExtractorConfig(ExtractorConfig, defer_build=True):
    """`llm`: a language model is asked, greedily, for the emotion words and then for the sentiment of those."""

    llm: dict[str, Any] | None = Field(
        default=None, description="an LLM plugin: {plugin: causal-lm, model: Qwen/Qwen2.5-7B-Instruct}"
    )
    endpoint: Endpoint | None = Field(
        default=None, description="or a server: {url: http://localhost:8000/v1, model: NAME}"
    )
    prompt: str | None = Field(default=None, description="the question about a text, with {text}; default: our own")
    sentiment_prompt: str | None = Field(
        default=None, description="the question about the emotion words, with {labels}; default: our own"
    )
    max_new_tokens: int = Field(default=128, ge=1, le=4096, description="longest answer; one that is cut is an error")
    reasoning_tokens: int = Field(
        default=2048, ge=0, le=4096, description="further tokens for an answer cut within a model's reasoning; 0: none"
    )
    max_characters: int = Field(default=20_000, ge=1, description="a longer text is an error, it is not cut")
    batch_size: int = Field(default=8, ge=1, le=1024, description="questions at once, for an LLM plugin")
    device: str = Field(default="auto", description="where an LLM plugin runs: auto, cpu, cuda, cuda:1, ...")
    cache: ModelPath | None = Field(
        default=None, description="folder of the answers already given; default: the user's cache; off: none is kept"
    )

    @field_validator("cache", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        # YAML reads a plain `off` as false.
        return OFF if value is False else value

    @field_validator("prompt")
    @classmethod
    def _holds_text(cls, value: str | None) -> str | None:
        return value if value is None else check_template(value, "text")

    @field_validator("sentiment_prompt")
    @classmethod
    def _holds_labels(cls, value: str | None) -> str | None:
        return value if value is None else check_template(value, "labels")

    @model_validator(mode="after")
    def _one_route(self) -> LLMExtractorConfig:
        if (self.llm is None) == (self.endpoint is None):
            raise ValueError("give either `llm` (an LLM plugin and its options) or `endpoint` (a server)")
        return self

    def llm_options(self) -> Mapping[str, Any] | None:
        return self.llm
