"""The network of Sessa's thesis, written down plainly in Meta's names, to compare an imported checkpoint with.

Low-rank matrices enter as the formulas say: DoRA as a weight of given row lengths, MTLoRA as one frozen product of the
shared stream plus each task's own update.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Tensors = dict[str, Tensor]
TASKS = ("Gender", "Age", "Emotion")
CLASSES = {"Gender": 2, "Age": 9, "Emotion": 7}
WIDTH, DEPTH, HEADS, POOL_HEADS, PATCH, SIDE, RANK = 16, 3, 2, 8, 8, 24, 2
GRID = SIDE // PATCH


def random_backbone() -> Tensors:
    """Return random weights of a PE image tower with a class token."""
    tensors = {
        "conv1.weight": (WIDTH, 3, PATCH, PATCH),
        "class_embedding": (WIDTH,),
        "positional_embedding": (GRID * GRID + 1, WIDTH),
        "proj": (WIDTH, WIDTH),
        "attn_pool.probe": (1, 1, WIDTH),
    }
    norms = ["ln_pre", "ln_post", "attn_pool.layernorm"]
    for place in (*(f"transformer.resblocks.{block}" for block in range(DEPTH)), "attn_pool"):
        tensors |= {f"{place}.attn.in_proj_weight": (3 * WIDTH, WIDTH), f"{place}.attn.in_proj_bias": (3 * WIDTH,)}
        for layer, (rows, columns) in _SHAPES.items():
            tensors |= {f"{place}.{layer}.weight": (rows, columns), f"{place}.{layer}.bias": (rows,)}
        norms += [f"{place}.ln_1", f"{place}.ln_2"] if place != "attn_pool" else []
    state = {name: 0.3 * torch.randn(shape) for name, shape in tensors.items()}
    for norm in norms:
        state |= {f"{norm}.weight": 1 + 0.2 * torch.randn(WIDTH), f"{norm}.bias": 0.2 * torch.randn(WIDTH)}
    return state


_SHAPES = {
    "attn.out_proj": (WIDTH, WIDTH),
    "mlp.c_fc": (4 * WIDTH, WIDTH),
    "mlp.c_proj": (WIDTH, 4 * WIDTH),
}


def random_adapters(blocks: int, pool: bool) -> Tensors:
    """Return random DoRA matrices of the first blocks and, if asked, the pooling, as peft names them in a file."""
    found = {}
    places = [f"transformer.resblocks.{block}" for block in range(blocks)]
    layers = [(place, layer) for place in places for layer in ("attn.in_proj", *_SHAPES)]
    for place, layer in layers + [("attn_pool", layer) for layer in _SHAPES if pool]:
        rows, columns = _SHAPES.get(layer, (3 * WIDTH, WIDTH))
        found[f"base_model.model.{place}.{layer}.lora_A.weight"] = torch.randn(RANK, columns)
        found[f"base_model.model.{place}.{layer}.lora_B.weight"] = 0.3 * torch.randn(rows, RANK)
        found[f"base_model.model.{place}.{layer}.lora_magnitude_vector"] = 0.5 + torch.rand(rows)
    return found


def random_heads() -> Tensors:
    """Return random deep heads: batch normalisation, hidden layer, classifier."""
    state = {}
    for task in TASKS:
        shapes = {"0.weight": (WIDTH,), "0.bias": (WIDTH,), "0.running_mean": (WIDTH,), "2.weight": (WIDTH, WIDTH)}
        shapes |= {"2.bias": (WIDTH,), "4.weight": (CLASSES[task], WIDTH), "4.bias": (CLASSES[task],)}
        state |= {f"{task}.{name}": 0.3 * torch.randn(shape) for name, shape in shapes.items()}
        state |= {f"{task}.0.running_var": 0.5 + torch.rand(WIDTH), f"{task}.0.num_batches_tracked": torch.tensor(7)}
    return state


def random_streams(backbone: Tensors) -> dict[str, Tensors]:
    """Return the task-specific block and pooling of MTLoRA, with copies of the frozen weights and unused matrices."""
    last = f"transformer.resblocks.{DEPTH - 1}"
    block = _stream_layers(backbone, last, {"attn.q": 0, "attn.k": 1, "attn.v": 2}, "out_proj")
    block |= {f"ln_{n}.{part}": backbone[f"{last}.ln_{n}.{part}"] for n in (1, 2) for part in ("weight", "bias")}
    pool = _stream_layers(backbone, "attn_pool", {"q_proj": 0, "k_proj": 1, "v_proj": 2}, "out_proj")
    pool |= {f"probe.{task}": torch.randn(1, 1, WIDTH) for task in TASKS}
    pool |= {f"layernorm.{part}": backbone[f"attn_pool.layernorm.{part}"] for part in ("weight", "bias")}
    return {"mtl_layer": block, "mtl_attn_pool": pool}


def _stream_layers(backbone: Tensors, place: str, projections: dict[str, int], out: str) -> Tensors:
    weights = {
        name: (backbone[f"{place}.attn.in_proj_weight"].chunk(3)[i], backbone[f"{place}.attn.in_proj_bias"].chunk(3)[i])
        for name, i in projections.items()
    }
    for name, layer in ((out, "attn.out_proj"), ("mlp.c_fc", "mlp.c_fc"), ("mlp.c_proj", "mlp.c_proj")):
        weights[name] = (backbone[f"{place}.{layer}.weight"], backbone[f"{place}.{layer}.bias"])
    state = {}
    for name, (weight, bias) in weights.items():
        rows, columns = weight.shape
        state |= {f"{name}.linear.weight": weight, f"{name}.linear.bias": bias}
        state |= {f"{name}.lora_shared_A": torch.randn(RANK, columns), f"{name}.lora_shared_B": torch.randn(rows, RANK)}
        for task in TASKS:
            state[f"{name}.lora_tasks_A.{task}"] = torch.randn(RANK, columns)
            state[f"{name}.lora_tasks_B.{task}"] = 0.3 * torch.randn(rows, RANK)
    return state


def logits(backbone: Tensors, adapters: Tensors, custom: dict[str, Tensors], images: Tensor) -> Tensors:
    """Return each task's logits (N, classes) for images (N, 3, SIDE, SIDE)."""
    weights = backbone | dict(_adapted(backbone, adapters))
    tokens = functional.conv2d(images, weights["conv1.weight"], stride=PATCH).flatten(2).transpose(1, 2)
    tokens = torch.cat([weights["class_embedding"].expand(len(images), 1, -1), tokens], dim=1)
    tokens = _norm(weights, "ln_pre", tokens + weights["positional_embedding"])
    if "mtl_layer" in custom:
        for block in range(DEPTH - 1):
            tokens = _block(weights, f"transformer.resblocks.{block}", tokens)
        own = _task_block(custom["mtl_layer"], tokens)
        pooled = {t: _task_pool(custom["mtl_attn_pool"], t, _norm(weights, "ln_post", own[t])) for t in TASKS}
    else:
        for block in range(DEPTH):
            tokens = _block(weights, f"transformer.resblocks.{block}", tokens)
        shared = _pool(weights, _norm(weights, "ln_post", tokens)) @ weights["proj"]
        pooled = dict.fromkeys(TASKS, shared)
    return {task: _head(custom["prediction_layers"], task, pooled[task]) for task in TASKS}


def _adapted(backbone: Tensors, adapters: Tensors) -> list[tuple[str, Tensor]]:
    changed = []
    for name in (name for name in adapters if name.endswith(".lora_A.weight")):
        layer = name.removesuffix(".lora_A.weight")
        plain = layer.removeprefix("base_model.model.")
        if plain == "attn_pool.attn.out_proj":
            continue  # the multi-head attention reads the weight past its adapter
        plain = plain.replace("in_proj", "in_proj_weight") if "in_proj" in plain else f"{plain}.weight"
        moved = backbone[plain] + adapters[f"{layer}.lora_B.weight"] @ adapters[name]
        length = adapters[f"{layer}.lora_magnitude_vector"] / moved.norm(dim=1)
        changed.append((plain, length[:, None] * moved))
    return changed


def _linear(weights: Tensors, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(weights: Tensors, name: str, x: Tensor) -> Tensor:
    return functional.layer_norm(x, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"])


def _rotated(x: Tensor) -> Tensor:
    """Rotate (N, heads, T, D) by the patch's place, counted from 1; the class token stays."""
    half = x.shape[-1] // 2
    frequencies = 10000.0 ** -(torch.arange(0, half, 2) / half)
    angles = ((torch.arange(GRID) + 1)[:, None] * frequencies).repeat_interleave(2, dim=-1)
    across, down = angles[None].expand(GRID, -1, -1), angles[:, None].expand(-1, GRID, -1)
    table = torch.cat([across, down], dim=-1).reshape(GRID * GRID, -1)
    table = torch.cat([torch.zeros(1, table.shape[1]), table])
    turned = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
    return x * table.cos() + turned * table.sin()


def _attention(q: Tensor, k: Tensor, v: Tensor, heads: int, turn: Callable[[Tensor], Tensor] = lambda x: x) -> Tensor:
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    return functional.scaled_dot_product_attention(turn(q), turn(k), v).transpose(1, 2).flatten(2)


def _block(weights: Tensors, place: str, x: Tensor) -> Tensor:
    inner = _norm(weights, f"{place}.ln_1", x)
    fused = functional.linear(inner, weights[f"{place}.attn.in_proj_weight"], weights[f"{place}.attn.in_proj_bias"])
    x = x + _linear(weights, f"{place}.attn.out_proj", _attention(*fused.chunk(3, -1), HEADS, _rotated))
    hidden = functional.gelu(_linear(weights, f"{place}.mlp.c_fc", _norm(weights, f"{place}.ln_2", x)))
    return x + _linear(weights, f"{place}.mlp.c_proj", hidden)


def _pool(weights: Tensors, x: Tensor) -> Tensor:
    matrices, biases = (weights[f"attn_pool.attn.in_proj_{part}"].chunk(3) for part in ("weight", "bias"))
    probe = weights["attn_pool.probe"].expand(len(x), -1, -1)
    q, k, v = (functional.linear(y, m, b) for y, m, b in zip((probe, x, x), matrices, biases, strict=True))
    out = functional.linear(
        _attention(q, k, v, POOL_HEADS),
        weights["attn_pool.attn.out_proj.weight"],
        weights["attn_pool.attn.out_proj.bias"],
    )
    inner = _norm(weights, "attn_pool.layernorm", out)
    hidden = functional.linear(inner, weights["attn_pool.mlp.c_fc.weight"], weights["attn_pool.mlp.c_fc.bias"])
    mlp = functional.linear(
        functional.gelu(hidden), weights["attn_pool.mlp.c_proj.weight"], weights["attn_pool.mlp.c_proj.bias"]
    )
    return (out + mlp)[:, 0]


def _update(state: Tensors, layer: str, task: str, x: Tensor) -> Tensor:
    return x @ state[f"{layer}.lora_tasks_A.{task}"].T @ state[f"{layer}.lora_tasks_B.{task}"].T


def _product(state: Tensors, layer: str, x: Tensor) -> Tensor:
    return functional.linear(x, state[f"{layer}.linear.weight"], state[f"{layer}.linear.bias"])


def _task_block(state: Tensors, tokens: Tensor) -> Tensors:
    streams = {"shared": tokens, **dict.fromkeys(TASKS, tokens)}

    def layer(name: str, inputs: Tensors) -> Tensors:
        frozen = _product(state, name, inputs["shared"])
        return {"shared": frozen} | {task: frozen + _update(state, name, task, inputs[task]) for task in TASKS}

    inner = {stream: _norm(state, "ln_1", x) for stream, x in streams.items()}
    q, k, v = (layer(f"attn.{part}", inner) for part in "qkv")
    mixed = {stream: _attention(q[stream], k[stream], v[stream], HEADS, _rotated) for stream in streams}
    out = layer("out_proj", mixed)
    streams = {stream: x + out[stream] for stream, x in streams.items()}
    hidden = layer("mlp.c_fc", {stream: _norm(state, "ln_2", x) for stream, x in streams.items()})
    out = layer("mlp.c_proj", {stream: functional.gelu(x) for stream, x in hidden.items()})
    return {task: streams[task] + out[task] for task in TASKS}


def _task_pool(state: Tensors, task: str, x: Tensor) -> Tensor:
    def layer(name: str, y: Tensor) -> Tensor:
        return _product(state, name, y) + _update(state, name, task, y)

    probe = state[f"probe.{task}"].expand(len(x), -1, -1)
    mixed = _attention(layer("q_proj", probe), layer("k_proj", x), layer("v_proj", x), POOL_HEADS)
    out = layer("out_proj", mixed)
    hidden = functional.gelu(layer("mlp.c_fc", _norm(state, "layernorm", out)))
    return (out + layer("mlp.c_proj", hidden))[:, 0]


def _head(state: Tensors, task: str, x: Tensor) -> Tensor:
    part = {name.removeprefix(f"{task}."): tensor for name, tensor in state.items() if name.startswith(f"{task}.")}
    x = functional.batch_norm(x, part["0.running_mean"], part["0.running_var"], part["0.weight"], part["0.bias"])
    hidden = functional.gelu(functional.linear(x, part["2.weight"], part["2.bias"]))
    return functional.linear(hidden, part["4.weight"], part["4.bias"])
