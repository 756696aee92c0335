"""What a training run is made of, as a typed schema; `recipe_file` reads it from YAML.

Folders and files are relative to the working directory.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from facial_attributes_training.recipe.augmentation import Augmentation
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from facial_attributes_ros.attributes import AGE, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.backbones.architecture import check_architecture
from facial_attributes_ros.models.provenance import Licence

Task = Literal["age", "gender", "emotion"]
_NEVER_TASKS = frozenset({"ethnicity", "race", "ethnic_group", "skin_colour", "skin_color", "skin_tone"})
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A part of a recipe: unknown keys are mistakes, and nothing changes after it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackboneRecipe(Section):
    """The network that is adapted; name, weights and image size are `build_backbone`'s.

    Attributes:
        start: a model (a name, a folder, a hub reference) or a stopped run's checkpoint (`….pt`) whose backbone and
            heads training goes on from; the trained model is still stored as what differs from `weights`.
        architecture: arguments of the constructor that `models.backbones.architecture` allows, for small or changed
            networks.
    """

    name: str = "dinov2-vits14"
    weights: str | None = "asset"
    image_size: PositiveInt | None = None
    start: str | None = None
    architecture: dict[str, Any] = {}

    @model_validator(mode="after")
    def _sets_what_may_be_set(self) -> Self:
        check_architecture(self.name, self.architecture)
        return self


class LicenceRecipe(Section):
    """Terms of data or weights; `licence: TEXT` is short for `licence: {text: TEXT}`.

    Attributes:
        spdx: an SPDX expression, `LicenseRef-NAME` for terms without an identifier.
        commercial_use: yes, no or unknown; a text that says non-commercial means no by itself.
        sources: names of what the terms are of.
        text: the terms, for people to read.
    """

    spdx: str = ""
    commercial_use: Literal["yes", "no", "unknown"] | None = None
    sources: tuple[str, ...] = ()
    text: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return {"text": value} if isinstance(value, str) else value

    @field_validator("commercial_use", mode="before")
    @classmethod
    def _yes_and_no(cls, value: object) -> object:
        # YAML reads a bare yes or no as true or false.
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value

    def terms(self) -> Licence:
        """Return the licence."""
        use = self.commercial_use or Licence.from_text(self.text).commercial_use
        return Licence(self.spdx, use, self.sources, self.text)


class DataSetRecipe(Section):
    """Rows of one manifest.

    Attributes:
        manifest: the CSV.
        splits: only these splits, all if empty.
        sources: only these sources, all if empty.
        weight: how often its rows are drawn compared with those of other sets.
        address: where its tar shards are on a web server, such as https://host/folder, for a manifest whose paths are
            relative to it; its pictures then come as a stream.
        licence: the terms that its rows were given out under; by default those that are known of their sources, see
            `data_licences`, and unknown for all others.
    """

    manifest: Path
    splits: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    weight: PositiveFloat = 1.0
    address: Annotated[str, Field(pattern="^(https?://.*)?$")] = ""
    licence: LicenceRecipe | None = None


class DataRecipe(Section):
    """The pictures.

    Attributes:
        train, validation: the sets; epochs are chosen and temperatures fitted on one half of the validation rows,
            and the figures of the model are measured on the other.
        test: what the figures are measured on instead, if given; then all validation rows are chosen and fitted on.
        crop: which square is cut out: `landmarks`, upright and of one scale, or `box`; see `imaging.crop`.
        crop_margin: as in `imaging.crop`.
        expressions: what a teacher says of the visible expressions, an `.npz` file as in `expressions`; the network
            then learns them as a second output. None to learn none.
        rows: take so many rows of each, spread evenly, to try things out; all by default.
    """

    train: Annotated[tuple[DataSetRecipe, ...], Field(min_length=1)]
    validation: Annotated[tuple[DataSetRecipe, ...], Field(min_length=1)]
    test: tuple[DataSetRecipe, ...] = ()
    crop: Literal["box", "landmarks"] = "box"
    expressions: Path | None = None
    crop_margin: Annotated[float, Field(ge=-0.4, le=4)] = 0.0
    rows: PositiveInt | None = None


class SamplerRecipe(Section):
    """How rows are drawn; `sampler: NAME` is short for `sampler: {name: NAME}`.

    Attributes:
        name: `balanced` draws as the fields below say, class by class; `reference` as the reference's code does, by
            `sampling.reference_sampling`, where only `epoch_rows` and `stream_share` can be chosen.
        balance: 1 draws by the mean of the inverse class frequencies of a row's labels; 0 draws the rows of a task
            alike, and every task as often; in between the frequencies are raised to that power. One number, or one
            per task.
        within: a column of the manifest, or several; classes are then balanced within each of its values. Where a class
            comes mostly from one source, the network would otherwise learn the source's style for the class.
        emotion_rows: rows with an emotion are repeated until they are this share of all rows, before classes are
            counted; None leaves them.
        emotion_share: share of the draws of an epoch that are rows with an emotion, instead; None leaves it.
        most_draws: how often a row is drawn in an epoch at most, so that people of small sources are not learned by
            heart; None for no limit.
        epoch_rows: rows of an epoch; as many as there are by default, of a stream as many as one round accepts.
        stream_share: share of a stream's rows that is accepted as they pass; lower balances better, and reads more.
    """

    name: Literal["balanced", "reference"] = "balanced"
    balance: Share | dict[Task, Share] = 1.0
    within: str | tuple[str, ...] | None = None
    emotion_rows: Annotated[float, Field(ge=0, lt=1)] | None = None
    emotion_share: Share | None = None
    most_draws: PositiveFloat | None = None
    epoch_rows: PositiveInt | None = None
    stream_share: Annotated[float, Field(gt=0, le=1)] = 0.3

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.emotion_rows is not None and self.emotion_share is not None:
            raise ValueError("emotion_rows is a share of the rows, emotion_share one of the draws; give one of them")
        chosen = [name for name in ("balance", "within", "emotion_rows", "emotion_share") if self._is_chosen(name)]
        if self.name == "reference" and chosen:
            raise ValueError(f"the sampler reference has its own {', '.join(chosen)}; leave it out, or the name")
        return self

    def _is_chosen(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)


class CacheRecipe(Section):
    """Features of the frozen part, kept on disk.

    Attributes:
        folder: where.
        variants: copies of every picture: the picture itself and augmented ones, which epochs take in turn.
    """

    folder: Path = Path("work/features")
    variants: PositiveInt = 1


class LossRecipe(Section):
    """What is minimised.

    Attributes:
        combine: how the tasks' losses are added: `uncertainty` weights (Kendall et al. 2018), `running-means`
            divides each by its running mean, `sum` just adds.
        class_weights: `inverse` weights classes by their inverse frequency; for data that is not balanced otherwise.
        label_smoothing: share of the probability spread over all classes.
        neighbour_smoothing: share of an age group's probability given to the groups beside it, since being wrong by
            one is less wrong; a person of 29 and one of 31 hardly differ.
        expression: factor on the loss of the visible expressions.
        years: of an age told in years, in units of the training ages' deviation: `smooth-l1` is squared up to one unit
            and linear beyond, so that wrong labels weigh less; `squared` everywhere.
    """

    combine: Literal["uncertainty", "running-means", "sum"] = "uncertainty"
    class_weights: Literal["none", "inverse"] = "none"
    label_smoothing: Share = 0.0
    neighbour_smoothing: Share = 0.0
    expression: PositiveFloat = 1.0
    years: Literal["smooth-l1", "squared"] = "smooth-l1"


class OptimiserRecipe(Section):
    """AdamW.

    Attributes:
        lr: rate of the heads.
        backbone_rate: the backbone's share of it.
        pooling_adapters: rate of the adapters in the attention pooling, task streams included: `adapter`, as that of
            all others, or `head`, as in the reference's code.
        layer_decay: every block of a fully trained part learns so many times as fast as the block behind it.
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
    """How the learning rate goes.

    Attributes:
        name: `plateau` multiplies it by `factor` after `patience` epochs without a better validation loss, `cosine`
            lets it fall to nothing over the epochs, `constant` leaves it.
        warmup_epochs: in which it rises from nothing; parts of an epoch are fine.
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
        adaptation: a name of the ladder, or an object with a name and the fields to change.
        head_dropout: share of features that the heads drop in training.
        tasks: what is learned.
        age_as: whether age is learned as a distribution over age groups or as a number of years; the latter only from
            rows that have one.
        one_after_another: train task by task, each on the rows with its label, instead of all together.
        augmentation: None leaves the crops as they are.
        cache: None computes everything anew; only possible where something before the heads is frozen.
        batch_size: rows of one optimiser step, over all processes.
        accumulate: parts that a step is computed in, to save memory.
        early_stopping: epochs without a better validation loss after which a run ends.
        precision: of the computation; weights stay in float32.
        gradient_checkpointing: recompute blocks in the backward pass to save memory.
        workers: processes that read pictures; 0 reads in the main one.
        checkpoint_minutes: at most so much work is lost; every epoch ends with a checkpoint too.
        stored_rank: fully trained matrices are stored as a difference of this rank from the starting weights; None
            stores them whole.
        licence: of the trained weights, beside those of the starting weights and of the data, see `provenance`.
        version: of the trained model.
    """

    name: str = Field(min_length=1)
    output: Path | None = None
    backbone: BackboneRecipe = BackboneRecipe()
    adaptation: dict[str, Any] = {"name": "lp"}
    head_dropout: Share = 0.5
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)] = ("age", "gender", "emotion")
    age_as: Literal["groups", "years"] = "groups"
    one_after_another: bool = False
    data: DataRecipe
    sampler: SamplerRecipe = SamplerRecipe()
    augmentation: Augmentation | None = None
    cache: CacheRecipe | None = None
    losses: LossRecipe = LossRecipe()
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
            raise ValueError(f"batch_size {self.batch_size} can't be computed in {self.accumulate} equal parts")
        if self.cache and self.cache.variants > 1 and self.augmentation is None:
            raise ValueError("cache.variants above 1 need an augmentation to differ by")
        if self.cache and self.cache.variants == 1 and self.augmentation is not None:
            raise ValueError("with a cache, augmentation needs cache.variants of 2 or more; or leave one of them out")
        return self

    @model_validator(mode="after")
    def _stores_what_it_trains(self) -> Self:
        low_rank = Adaptation.from_dict(self.adaptation).rank
        if low_rank and self.backbone.start:
            raise ValueError(
                "backbone.start suits lp, ft-K and full; adapters would be stored without what they stand on"
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
