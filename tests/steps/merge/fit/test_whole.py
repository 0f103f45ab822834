"""A base that is not the whole model, or has another model's tokenizer, is refused with the real cause and the fix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from steps.merge.__main__ import main
from steps.merge.fit.base import Base, open_base
from steps.merge.fit.whole import require_embedded, require_whole
from steps.shared.contract import StepError

AGAIN = "copy or download the base again"


def rename(base: Path, name_of: Callable[[str], str | None]) -> None:
    """Write the base's tensors under other names; None leaves one out."""
    tensors = load_file(base / "model.safetensors")
    named = {name_of(name): tensor for name, tensor in tensors.items()}
    save_file({name: tensor for name, tensor in named.items() if name}, base / "model.safetensors")


def configure(base: Path, **changes: object) -> None:
    path = base / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(base: Path) -> str:
    with pytest.raises(StepError) as refused:
        require_whole(open_base(str(base), None))
    return str(refused.value)


@pytest.mark.parametrize(
    ("prefix", "by"),
    [
        ("_orig_mod.", "torch.compile"),
        ("_fsdp_wrapped_module.", "FSDP"),
        ("base_model.model.", "peft: this is an adapted model"),
    ],
)
def test_names_that_a_wrapper_wrote_are_told(make_base, prefix: str, by: str) -> None:
    base = make_base()
    require_whole(open_base(str(base), None))
    rename(base, lambda name: prefix + name)
    assert refusal(base) == (
        f"{base}: its weights have names like {prefix}lm_head.weight, written by {by}; save the model inside the "
        "wrapper with save_pretrained"
    )


def test_missing_layers_are_told_and_no_other_base_is_blamed(make_base) -> None:
    base = make_base(num_hidden_layers=4)
    rename(base, lambda name: None if ".2." in name or ".3." in name else name)
    assert refusal(base) == f"{base}: 2 of 4 layers are missing, first layer 2; {AGAIN}"


def test_a_configuration_of_fewer_layers_is_told(make_base) -> None:
    base = make_base(num_hidden_layers=4)
    configure(base, num_hidden_layers=2)
    assert refusal(base) == (
        f"{base}: config.json says 2 layers, the files have 4; correct num_hidden_layers, or take the config.json that "
        "belongs to the weights"
    )
    configure(base, num_hidden_layers=3)  # the fourth may predict a second token
    require_whole(open_base(str(base), None))


def test_a_resized_vocabulary_is_told(make_base) -> None:
    base = make_base()
    configure(base, vocab_size=72)
    assert refusal(base) == (
        f"{base}: config.json says vocab_size 72, the embeddings have 64 rows; correct vocab_size, as after a resize "
        f"of the embeddings, or {AGAIN}"
    )
    configure(base, vision_config={})  # whose layers and rows are of several kinds
    require_whole(open_base(str(base), None))


def test_what_stands_for_weights_and_is_none_is_told(make_base) -> None:
    base = make_base()
    (base / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(StepError, match=r"model.safetensors: is a pointer of Git LFS, not the weights; run git lfs"):
        open_base(str(base), None)
    (base / "model.safetensors").rename(base / "model.tar.gz")
    with pytest.raises(StepError, match=r"no weights: neither .* is there; unpack model.tar.gz there$"):
        open_base(str(base), None)


def tokenizer(base: Path, words: int, *, added: int = 0, eos: str = "w0") -> tuple[Base, dict[str, Path]]:
    """The base with a tokenizer.json of so many words, and some added ones behind them."""
    vocabulary = {f"w{number}": number for number in range(words)}
    more = [{"content": f"<{number}>", "id": words + number} for number in range(added)]
    content = {"model": {"vocab": vocabulary}, "added_tokens": more}
    files = {"tokenizer.json": content, "tokenizer_config.json": {"eos_token": {"content": eos}}}
    for name, text in files.items():
        (base / name).write_text(json.dumps(text))
    return open_base(str(base), None), {name: base / name for name in files}


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(make_base) -> None:
    base = make_base()
    require_embedded(*tokenizer(base, 64))
    with pytest.raises(StepError) as refused:
        require_embedded(*tokenizer(base, 66))
    fix = (
        "use the tokenizer that came with the model, or resize the embeddings (resize_token_embeddings) and save the "
        "model again"
    )
    assert str(refused.value) == (
        f"{base}: the tokenizer has 66 tokens, the model's embedding 64 rows: none for token 64 ('w64'); {fix}"
    )
    require_embedded(*tokenizer(base, 64, added=1))  # a placeholder for images, as in Gemma 3's
    with pytest.raises(StepError, match=r"65 tokens, .* 64 rows: none for token 64 \('<0>'\)"):
        require_embedded(*tokenizer(base, 64, added=1, eos="<0>"))


def test_a_base_of_zeros_is_told_by_merge(make_base, make_adapter, tmp_path: Path) -> None:
    base = make_base()
    adapter = make_adapter(base)
    tensors = load_file(base / "model.safetensors")
    zeros = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    save_file(zeros, base / "model.safetensors", metadata={"format": "pt"})
    words = ["--base", str(base), "--adapter", str(adapter), "--output", str(tmp_path / "out")]
    with pytest.raises(StepError) as refused:
        main([*words, "--check-logits", "always"])
    assert str(refused.value) == (
        f"{base}: with the adapter every token is equally likely: the base's weights seem to be zeros; copy or "
        "download the base again"
    )
