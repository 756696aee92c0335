"""Zero-shot classification with the text encoder (Radford et al., 2021): no training, one set of prompts per task."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.vit import in_open_clip

_LOGGER = logging.getLogger(__name__)

Prompts = Mapping[str, Sequence[Sequence[str]]]
"""Task to one list of prompts per class, in label order; the embeddings of a class's prompts are averaged."""
Tokenizer = Callable[[list[str]], Tensor]
"""Prompts to token ids, int64 (prompts, context length)."""

TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    AGE: ("a photo of a person {}.", "a close-up photo of the face of someone {}.", "a portrait of a person {}."),
    GENDER: ("a photo of a {}.", "a close-up photo of the face of a {}.", "a portrait of a {}."),
    EMOTION: ("a photo of a {} person.", "a photo of a face with a {} expression.", "a portrait of someone {}."),
}
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    AGE: (
        "under 3 years old",
        *(f"between {label.replace('-', ' and ')} years old" for label in LABELS[AGE][1:-1]),
        "over 70 years old",
    ),
    GENDER: ("man", "woman"),
    EMOTION: ("surprised", "fearful", "disgusted", "happy", "sad", "angry", "neutral"),
}


def default_prompts(tasks: Iterable[str] = TASKS) -> dict[str, list[list[str]]]:
    """Return the prompts of each task: every template filled with the words for every class."""
    return {task: [[form.format(words) for form in TEMPLATES[task]] for words in _WORDS[task]] for task in tasks}


def _is_relevant(record: logging.LogRecord) -> bool:
    # Random weights are intended here; trained weights are loaded later.
    return "No pretrained weights" not in record.getMessage()


def build_clip(name: str, weights: str | Path | None = None) -> Any:
    """Build an open_clip model with its text encoder, in eval mode; random weights unless a local file is given.

    Raises:
        UserError: open_clip has no such model, or the file doesn't fit it.
    """
    import open_clip

    if not in_open_clip(name):
        raise UserError(f"zero-shot needs a text encoder, and open_clip has no model {name!r}.")
    # torch.get_default_device() overlooks `with torch.device(...)` before torch 2.6.
    device = torch.empty(0).device
    root = logging.getLogger()
    root.addFilter(_is_relevant)
    try:
        model = open_clip.create_model(name, pretrained=None, load_weights=False, device=device)
    finally:
        root.removeFilter(_is_relevant)
    if weights is not None:
        from facial_attributes_ros.models.backbones.weights import read_tensors
        from facial_attributes_ros.models.checkpoint import load_into

        load_into(model, read_tensors(Path(weights)))
    return model.eval()


class ZeroShotClassifier(nn.Module):
    """Age, gender and emotion from one image embedding, by its cosine to the embedding of each class.

    Args:
        clip: an open_clip model (`encode_image`, `encode_text`, `logit_scale`).
        tokenizer: of that model, from `open_clip.get_tokenizer`.
        prompts: see `Prompts`; `default_prompts()` if None.
        cache: folder for text embeddings, one file per set of prompts and weights; None for no cache.

    Raises:
        UserError: the prompts of a task don't cover its classes.
    """

    def __init__(
        self, clip: Any, tokenizer: Tokenizer, prompts: Prompts | None = None, cache: Path | None = None
    ) -> None:
        super().__init__()
        self.clip = clip
        self.prompts = default_prompts() if prompts is None else prompts
        for task, classes in self.prompts.items():
            if len(classes) != len(LABELS.get(task, ())) or not all(classes):
                raise UserError(f"the prompts of {task} must give at least one for each class of {LABELS.get(task)}.")
        for task, embeddings in self._text_embeddings(tokenizer, cache).items():
            self.register_buffer(f"text_{task}", embeddings, persistent=False)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks with prompts."""
        return tuple(self.prompts)

    @torch.no_grad()
    def forward(self, images: Tensor, tasks: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return each task's logits (N, classes), cosine times the model's temperature, for images (N, 3, S, S)."""
        embedding = functional.normalize(self.clip.encode_image(images), dim=-1)
        scale = self.clip.logit_scale.exp()
        return {
            task: scale * embedding @ getattr(self, f"text_{task}").T
            for task in (self.tasks if tasks is None else tasks)
        }

    def _text_embeddings(self, tokenizer: Tokenizer, cache: Path | None) -> dict[str, Tensor]:
        """Return task to unit embeddings (classes, D), from the cache if it holds them for these prompts."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file, save_file

        from facial_attributes_ros.files import atomic_target, utf8_name

        path = None if cache is None else cache / f"text-{self._key(tokenizer)}.safetensors"
        if path is not None and path.is_file():
            try:
                with utf8_name(path) as name:
                    return load_file(name, device=str(self.clip.logit_scale.device))
            except SafetensorError:
                _LOGGER.warning("%s is damaged and made again.", path)
        embeddings = {
            task: torch.stack([self._embed(tokenizer, list(prompts)) for prompts in classes])
            for task, classes in self.prompts.items()
        }
        if path is not None:
            with atomic_target(path) as temporary, utf8_name(temporary) as name:
                save_file({task: tensor.contiguous() for task, tensor in embeddings.items()}, name)
        return embeddings

    @torch.no_grad()
    def _embed(self, tokenizer: Tokenizer, prompts: list[str]) -> Tensor:
        """Return the unit embedding (D,) of a class: the mean of its prompts' unit embeddings."""
        device = self.clip.logit_scale.device
        each = functional.normalize(self.clip.encode_text(tokenizer(prompts).to(device)).float(), dim=-1)
        return functional.normalize(each.mean(dim=0), dim=-1)

    def _key(self, tokenizer: Tokenizer) -> str:
        """Return a hash of this set of prompts with this text encoder."""
        digest = hashlib.sha256(json.dumps({task: list(map(list, c)) for task, c in self.prompts.items()}).encode())
        everything = [prompt for classes in self.prompts.values() for prompts in classes for prompt in prompts]
        digest.update(tokenizer(everything).numpy().tobytes())
        for name, tensor in sorted(self.clip.state_dict().items()):
            if not name.startswith("visual."):
                digest.update(f"{name}{tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]
