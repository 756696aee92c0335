"""Zero-shot on a tiny random open_clip model: cosines times the temperature, texts embedded once per prompt set."""

from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch.nn import functional

from facial_attributes_ros.attributes import LABELS, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.zero_shot import ZeroShotClassifier, build_clip, default_prompts


class Tokenizer:
    """open_clip's own, counting its calls."""

    def __init__(self) -> None:
        self.inner = open_clip.SimpleTokenizer(context_length=24)

    def __call__(self, prompts: list[str]) -> torch.Tensor:
        return self.inner(prompts)


@pytest.fixture
def clip() -> Any:
    torch.manual_seed(2)
    vision = {"image_size": 32, "patch_size": 16, "width": 16, "layers": 1, "head_width": 8}
    text = {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    model = open_clip.CLIP(8, vision_cfg=vision, text_cfg=text).eval()
    model.calls = 0
    encode = model.encode_text

    def counted(tokens: torch.Tensor) -> torch.Tensor:
        model.calls += 1
        return encode(tokens)

    model.encode_text = counted
    return model


@torch.no_grad()
def test_logits_are_cosines_to_averaged_prompts_times_the_temperature(clip: Any) -> None:
    prompts = {"gender": [["a man", "a photo of a man"], ["a woman"]]}
    images = torch.randn(4, 3, 32, 32)
    logits = ZeroShotClassifier(clip, Tokenizer(), prompts)(images)
    assert logits.keys() == {"gender"}
    texts = [functional.normalize(clip.encode_text(Tokenizer()(texts)), dim=-1).mean(0) for texts in prompts["gender"]]
    embedding = clip.encode_image(images)
    for index, text in enumerate(texts):
        cosine = functional.cosine_similarity(embedding, text[None])
        torch.testing.assert_close(logits["gender"][:, index], clip.logit_scale.exp() * cosine)


@torch.no_grad()
def test_every_task_is_answered_from_one_image_embedding(clip: Any) -> None:
    classifier = ZeroShotClassifier(clip, Tokenizer())
    seen = []
    encode = clip.encode_image
    clip.encode_image = lambda images: seen.append(len(images)) or encode(images)
    logits = classifier(torch.randn(2, 3, 32, 32))
    assert {task: values.shape for task, values in logits.items()} == {t: (2, len(LABELS[t])) for t in TASKS}
    assert seen == [2]
    assert classifier(torch.randn(2, 3, 32, 32), ["age"]).keys() == {"age"}


def test_text_embeddings_are_kept_on_disk_per_prompts_and_weights(clip: Any, tmp_path: Path) -> None:
    images = torch.randn(2, 3, 32, 32)
    first = ZeroShotClassifier(clip, Tokenizer(), cache=tmp_path)(images)
    calls = clip.calls
    again = ZeroShotClassifier(clip, Tokenizer(), cache=tmp_path)(images)
    assert clip.calls == calls
    assert all(torch.equal(again[task], first[task]) for task in TASKS)
    others = default_prompts()
    others["gender"][0] = ["someone else"]
    ZeroShotClassifier(clip, Tokenizer(), others, cache=tmp_path)
    assert clip.calls > calls
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    with torch.no_grad():
        clip.token_embedding.weight.mul_(2)
    ZeroShotClassifier(clip, Tokenizer(), cache=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


def test_prompts_cover_every_class_with_several_templates() -> None:
    for task, classes in default_prompts().items():
        assert len(classes) == len(LABELS[task])
        assert len({prompt for prompts in classes for prompt in prompts}) == 3 * len(classes)
    assert default_prompts()["age"][1][0] == "a photo of a person between 3 and 9 years old."


def test_prompts_that_miss_a_class_are_refused(clip: Any) -> None:
    with pytest.raises(UserError, match="gender must give at least one"):
        ZeroShotClassifier(clip, Tokenizer(), {"gender": [["a man"], []]})
    with pytest.raises(UserError, match="open_clip has no model"):
        build_clip("nothing")
