"""The typed schema of a training run; `recipe.file` reads it from YAML.

Folders and files are relative to the working directory.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from facial_attributes_training.recipe.augmentation import Augmentation
from facial_attributes_training.recipe.data import DataRecipe, LicenceRecipe
from facial_attributes_training.recipe.section import Fraction, NotNegative, Section
from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from facial_attributes_ros.attributes import AGE, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.backbones.architecture import check_architecture

Task = Literal["age", "gender", "emotion"]
_NEVER_TASKS = frozenset({"ethnicity", "race", "ethnic_group", "skin_colour", "skin_color", "skin_tone"})


class BackboneRecipe(Section):
    """The network that is adapted; name, weights and image size are `build_backbone`'s.

    Attributes:
        start: a model (a name, a folder, a hub reference) that the run continues: every field of this section, the
            crop, the form of the heads and what is not learned anew are those of that model. Or a stopped run's
            checkpoint (`….pt`), whose backbone and heads training starts from. The trained model is still stored as its
            difference from `weights`.
        architecture: arguments of the constructor that `models.backbones.architecture` allows, for small or changed
            networks.
    """

    name: str = "dinov2-vits14"
    weights: str | None = "asset"
    image_size: PositiveInt | None = None
    start: str | None = None
    architecture: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sets_what_may_be_set(self) -> Self:
        check_architecture(self.name, self.architecture)
        return self

    @property
    def parent(self) -> str | None:
        """The model that the run continues; None if it starts anew, or from a checkpoint."""
        return None if self.from_checkpoint else self.start

    @property
    def from_checkpoint(self) -> bool:
        """Whether training starts from a checkpoint."""
        return self.start is not None and self.start.endswith(".pt")


class SamplerRecipe(Section):
    """How samples are drawn; `sampler: NAME` is short for `sampler: {name: NAME}`.

    Attributes:
        name: `balanced` draws by the fields below, stratified by class; `sessa` (before: `reference`) as the public
            code of Sessa's thesis, by `sampling.sessa_sampling`, where only `epoch_rows` and `stream_share` can be set.
        balance: 1 for sampling weights by the mean of the inverse class frequencies of a sample's labels; 0 for equal
            weights within a task, and tasks in equal parts; in between the frequencies are raised to that power. One
            number, or one per task.
        within: a column of the manifest, or several; classes are then balanced within each of its values. Where most
            samples of a class have one source, the network would otherwise learn the source's style for the class.
        emotion_rows: samples with an emotion are repeated up to this fraction of all samples, before classes are
            counted; None does not repeat them.
        emotion_share: fraction of the draws of an epoch that are samples with an emotion, instead; None does not set
            it.
        most_draws: largest number of draws of a sample in an epoch, against overfitting to the people of small sources;
            None for no limit.
        epoch_rows: samples of an epoch; all by default, of a stream as many as one pass accepts.
        stream_share: fraction of a stream's samples that is accepted; lower balances better, and reads more.
    """

    name: Literal["balanced", "sessa"] = "balanced"
    balance: Fraction | dict[Task, Fraction] = 1.0
    within: str | tuple[str, ...] | None = None
    emotion_rows: Annotated[float, Field(ge=0, lt=1)] | None = None
    emotion_share: Fraction | None = None
    most_draws: PositiveFloat | None = None
    epoch_rows: PositiveInt | None = None
    stream_share: Annotated[float, Field(gt=0, le=1)] = 0.3

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        values = {"name": value} if isinstance(value, str) else value
        # The name in older recipes and runs.
        return values | {"name": "sessa"} if isinstance(values, dict) and values.get("name") == "reference" else values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.emotion_rows is not None and self.emotion_share is not None:
            raise ValueError("emotion_rows is a fraction of samples, emotion_share one of draws: set only one of them")
        chosen = [name for name in ("balance", "within", "emotion_rows", "emotion_share") if self._is_chosen(name)]
        if self.name == "sessa" and chosen:
            raise ValueError(f"the sampler sessa has its own {', '.join(chosen)}; remove it, or the name")
        return self

    def _is_chosen(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)


class CacheRecipe(Section):
    """Features of the frozen part, cached on disk.

    Attributes:
        folder: of the cache.
        variants: copies of every image: the plain image and augmented ones, which epochs use in turn.
    """

    folder: Path = Path("work/features")
    variants: PositiveInt = 1


class LossRecipe(Section):
    """The losses.

    Attributes:
        combine: how the tasks' losses are combined: `uncertainty` weighting (Kendall et al. 2018), `running-means`
            divides each by its running mean, `sum` adds them.
        class_weights: `inverse` weights classes by their inverse frequency; for data that is not balanced otherwise.
        label_smoothing: fraction of the probability spread over all classes.
        neighbour_smoothing: fraction of an age group's probability for the neighbouring groups, since an error by one
            group is a smaller error: people of 29 and 31 hardly differ.
        expression: factor on the loss of the visible expressions.
        years: loss of an age in years, in standard deviations of the training ages: `smooth-l1` is squared up to one
            and linear beyond, so that wrong labels weigh less; `squared` everywhere.
    """

    combine: Literal["uncertainty", "running-means", "sum"] = "uncertainty"
    class_weights: Literal["none", "inverse"] = "none"
    label_smoothing: Fraction = 0.0
    neighbour_smoothing: Fraction = 0.0
    expression: PositiveFloat = 1.0
    years: Literal["smooth-l1", "squared"] = "smooth-l1"


class KeepRecipe(Section):
    """What a run keeps of the model that it continues, see `fit.keeping`.

    Attributes:
        weight: of the distance from the parent's predictions in the loss; 0 learns from the labels alone.
        missing_classes: `keep` goes on predicting classes without training samples, as the parent does; `mask` never
            predicts them.
    """

    weight: NotNegative = 1.0
    missing_classes: Literal["keep", "mask"] = "keep"


class OptimiserRecipe(Section):
    """AdamW.

    Attributes:
        lr: learning rate of the heads.
        backbone_rate: factor on it for the backbone.
        pooling_adapters: learning rate of the adapters in the attention pooling, task streams included: `adapter`, as
            of all other adapters, or `head`, as in Sessa's code.
        layer_decay: layer-wise learning-rate decay: each block's rate is that of the block after it times this factor.
        weight_decay: of matrices.
        clip: largest norm of the gradient; None for no limit.
    """

    lr: PositiveFloat = 1e-4
    backbone_rate: PositiveFloat = 0.1
    pooling_adapters: Literal["adapter", "head"] = "adapter"
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    weight_decay: NotNegative = 0.01
    clip: PositiveFloat | None = 1.0


class ScheduleRecipe(Section):
    """The learning-rate schedule.

    Attributes:
        name: `plateau` multiplies the rate by `factor` after `patience` epochs without a better validation loss,
            `cosine` lowers it to 0 over the epochs, `constant` keeps it.
        warmup_epochs: epochs in which the rate rises from 0; may be fractional.
    """

    name: Literal["plateau", "cosine", "constant"] = "plateau"
    warmup_epochs: NotNegative = 0.0
    patience: PositiveInt = 5
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1


class Recipe(Section):
    """A training run.

    Attributes:
        name: of the model.
        output: folder of the run; `runs/NAME` by default.
        adaptation: a name, or an object with a name and the fields to change.
        head_dropout: dropout rate of the heads' features.
        tasks: to learn. A run that continues a model learns those of them that have labels, all by default, and keeps
            the model's others.
        age_as: whether age is learned as class probabilities of age groups or as a number of years; the latter only
            from samples with an age in years.
        one_after_another: train task by task, each on the samples with its label, instead of all together.
        augmentation: None for none.
        cache: None for no cache; only possible if leading blocks are frozen.
        batch_size: samples of one optimiser step, over all processes.
        accumulate: number of partial batches of a step, to save memory.
        early_stopping: epochs without a better validation loss after which a run ends.
        precision: of the computation; weights stay in float32.
        gradient_checkpointing: recompute blocks in the backward pass to save memory.
        workers: processes that read images; 0 reads in the main process.
        checkpoint_minutes: time between checkpoints; every epoch ends with one too.
        stored_rank: fully trained matrices are stored as a difference of this rank from the starting weights; None
            stores them whole.
        licence: of the trained weights, beside those of the starting weights and of the data, see `provenance`.
        version: of the trained model.
    """

    name: str = Field(min_length=1)
    output: Path | None = None
    backbone: BackboneRecipe = BackboneRecipe()
    adaptation: dict[str, Any] = Field(default_factory=lambda: {"name": "lp"})
    head_dropout: Fraction = 0.5
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)] = ("age", "gender", "emotion")
    age_as: Literal["groups", "years"] = "groups"
    one_after_another: bool = False
    data: DataRecipe
    sampler: SamplerRecipe = SamplerRecipe()
    augmentation: Augmentation | None = None
    cache: CacheRecipe | None = None
    losses: LossRecipe = LossRecipe()
    keep: KeepRecipe = KeepRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    epochs: PositiveInt = 20
    early_stopping: PositiveInt | None = 10
    batch_size: PositiveInt = 64
    accumulate: PositiveInt = 1
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    gradient_checkpointing: bool = False
    workers: Annotated[int, Field(ge=0)] = 0
    checkpoint_minutes: NotNegative = 5.0
    seed: Annotated[int, Field(ge=0)] = 42
    stored_rank: PositiveInt | None = None
    licence: LicenceRecipe | None = None
    version: str = "0.1.0"

    @field_validator("adaptation", mode="before")
    @classmethod
    def _named_adaptation(cls, value: object) -> object:
        values = {"name": value} if isinstance(value, str) else value
        if isinstance(values, dict):
            try:
                adaptation = Adaptation.from_dict(values)
            except UserError as error:
                raise ValueError(str(error)) from error
            if adaptation.merged:
                raise ValueError("merged says how a model is stored; a run sets it")
            if adaptation.name == "zero-shot":
                raise ValueError("zero-shot trains nothing, so it needs no recipe; lp trains the heads alone")
        return values

    @field_validator("tasks", mode="before")
    @classmethod
    def _no_sensitive_task(cls, value: object) -> object:
        named = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
        if found := sorted({str(task) for task in named if str(task).lower() in _NEVER_TASKS}):
            raise ValueError(
                f"{', '.join(found)} is never estimated from a face here: Art. 5(1)(g) of the EU AI Act "
                "(Regulation (EU) 2024/1689) prohibits inferring race from biometric data; a column of a manifest "
                "serves to report results by group only"
            )
        return value

    @field_validator("tasks")
    @classmethod
    def _ordered_tasks(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(task for task in TASKS if task in tasks)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} can't be divided into {self.accumulate} equal parts")
        if self.cache and self.cache.variants > 1 and self.augmentation is None:
            raise ValueError("cache.variants above 1 need an augmentation")
        if self.cache and self.cache.variants == 1 and self.augmentation is not None:
            raise ValueError("with a cache, augmentation needs cache.variants of 2 or more; or remove one of them")
        return self

    @model_validator(mode="after")
    def _stores_what_it_trains(self) -> Self:
        low_rank = Adaptation.from_dict(self.adaptation).rank
        if low_rank and self.backbone.from_checkpoint:
            raise ValueError(
                "a checkpoint as backbone.start suits lp, ft-K and full; start from its model folder to add adapters"
            )
        if low_rank and self.stored_rank:
            raise ValueError("stored_rank suits ft-K and full; adapters have a rank of their own")
        return self

    @model_validator(mode="after")
    def _can_learn_expressions(self) -> Self:
        if self.data.expressions is None:
            return self
        if self.cache or self.one_after_another or Adaptation.from_dict(self.adaptation).task_specific:
            raise ValueError(
                "data.expressions are learned from crops and with all tasks together: set cache=null and "
                "one_after_another=false, and take an adaptation without streams of every task's own"
            )
        return self

    @model_validator(mode="after")
    def _can_be_cross_validated(self) -> Self:
        if self.data.folds and self.backbone.parent is None:
            raise ValueError("data.folds are for runs that continue a model: set backbone.start, or give validation")
        if self.data.folds and self.one_after_another:
            raise ValueError("data.folds need all tasks together: set one_after_another=false")
        return self

    @property
    def age_in_years(self) -> bool:
        """Whether age is learned as a number of years."""
        return self.age_as == "years" and AGE in self.tasks

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.output or Path("runs") / self.name

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """The tasks that are trained together, in the order of the stages."""
        return tuple((task,) for task in self.tasks) if self.one_after_another else (self.tasks,)
