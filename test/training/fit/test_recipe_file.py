import pytest
import yaml
from facial_attributes_training.recipe.file import read_recipe

from facial_attributes_ros.errors import UserError

GOOD = """\
name: mine
data:
  train: [{manifest: train.csv}]
  validation: [{manifest: val.csv}]
optimiser:
  lr: 1e-3
"""


def read(tmp_path, text, *overrides):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return read_recipe(path, overrides)


def test_values_are_read_with_their_types(tmp_path):
    recipe = read(tmp_path, GOOD)
    assert recipe.optimiser.lr == 1e-3
    assert recipe.tasks == ("age", "gender", "emotion")
    assert str(recipe.folder) == "runs/mine"


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("optimiser.lr=2e-4", lambda recipe: recipe.optimiser.lr == 2e-4),
        ("data.train.0.weight=3", lambda recipe: recipe.data.train[0].weight == 3),
        ("tasks=[emotion, age]", lambda recipe: recipe.tasks == ("age", "emotion")),
        ("adaptation=ft-2", lambda recipe: recipe.adaptation == {"name": "ft-2"}),
        ("adaptation.batch_norm=true", lambda recipe: recipe.adaptation == {"name": "lp", "batch_norm": True}),
        ("augmentation.blur=0.5", lambda recipe: recipe.augmentation.blur == 0.5),
        ("losses.combine=sum", lambda recipe: recipe.losses.combine == "sum"),
    ],
)
def test_every_field_can_be_set_on_the_command_line(tmp_path, override, field):
    text = GOOD + "adaptation: lp\n"
    assert field(read(tmp_path, text, override))


def test_a_sampler_may_be_given_by_its_name(tmp_path):
    assert read(tmp_path, GOOD + "sampler: reference\n").sampler.name == "sessa"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("optimizer: {lr: 1}", r"line 7: optimizer is not a key here; allowed are name, output"),
        ("schedule: {name: step}", r"line 7: schedule.name is 'step', but input should be 'plateau', 'cosine' or"),
        ("sampler: {balance: 2}", r"line 7: sampler.balance is 2, but input should be less than or equal to 1"),
        (
            "sampler: {balance: {age: 2}}",
            r"line 7: sampler.balance.age is 2, but input should be less than or equal to",
        ),
        ("augmentation: {zoom: 1}", r"line 7: augmentation.zoom is not a key here; allowed are flip, shift"),
        ("adaptation: lorra", r"line 7: adaptation: there is no adaptation 'lorra'; choose zero-shot, lp"),
        ("7: {lr: 1}", r"line 7: 7 is not a key here; allowed are name, output"),
        ("checkpoint_minutes: .inf", r"line 7: checkpoint_minutes is inf, but input should be a finite number"),
        ("tasks: {age: 1}", r"line 7: tasks is {'age': 1}, but input should be a valid list"),
        (
            "tasks: [age, ethnicity]",
            r"line 7: tasks: ethnicity is never estimated .* Art. 5\(1\)\(g\) of the EU AI Act",
        ),
        ("name: again", r"line 7: name is repeated, first on line 1"),
        ("sampler: even", r"sampler.name is 'even', but input should be 'balanced' or 'sessa'"),
        ("sampler: {name: reference, balance: 0.5}", r"line 7: sampler: the sampler sessa has its own balance"),
        ("sampler: {emotion_rows: 0.3, emotion_share: 0.3}", r"line 7: sampler: emotion_rows is a fraction of samples"),
        ("batch_size: 10\naccumulate: 3", r"batch_size 10 can't be divided into 3 equal parts"),
    ],
)
def test_a_mistake_names_its_line_and_what_is_allowed(tmp_path, line, told):
    with pytest.raises(UserError, match=told):
        read(tmp_path, GOOD + line + "\n")


def test_a_mistake_in_an_override_names_the_override(tmp_path):
    with pytest.raises(UserError, match=r"--set epochs=many: epochs is 'many'"):
        read(tmp_path, GOOD, "epochs=many")


@pytest.mark.parametrize("override", ["epochs", "=3", "data.train.5.weight=1", "name.first=x.y.z: ["])
def test_an_override_that_fits_nowhere_is_reported(tmp_path, override):
    with pytest.raises(UserError, match="--set"):
        read(tmp_path, GOOD, override)


@pytest.mark.parametrize("text", ["- a list", "name: [", ""])
def test_a_file_that_is_no_recipe_is_reported(tmp_path, text):
    with pytest.raises(UserError, match=r"recipe\.yaml"):
        read(tmp_path, text)


def test_the_recipes_of_the_package_are_valid(request):
    found = sorted((request.config.rootpath / "config" / "recipes").glob("*.yaml"))
    assert found
    for path in found:
        assert read_recipe(path).name == yaml.safe_load(path.read_text())["name"]


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        ("a0: &a0 [x, x]\n" + "\n".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 10}]" for n in range(1, 9)), ()),
        ("&me\nname: tiny\nbackbone: *me\n", ()),
        ("name: " + "[" * 3000 + "]" * 3000, ()),
        (GOOD + "seed: " + "9" * 5000, ()),
        ("? [a, b]\n: 1\nname: tiny\n", ()),
        (GOOD, ("seed=" + "[" * 3000 + "]" * 3000,)),
        (GOOD, ("seed=&a [*a]",)),
    ],
    ids=["aliases of aliases", "itself", "deep", "digits", "key", "deep value", "itself in a value"],
)
def test_a_recipe_that_would_fill_the_memory_or_never_end_is_reported(tmp_path, text, overrides):
    with pytest.raises(UserError, match="is not valid YAML"):
        read(tmp_path, text, *overrides)


def test_an_alias_stands_for_its_value(tmp_path):
    text = GOOD.replace("train: [{", "train: &rows [{").replace("[{manifest: val.csv}]", "*rows")
    recipe = read(tmp_path, text)
    assert recipe.data.validation == recipe.data.train == read(tmp_path, GOOD).data.train


def test_an_architecture_that_may_not_be_set_is_reported_with_its_line(tmp_path):
    with pytest.raises(UserError, match="'checkpoint_path', which may not be set"):
        read(tmp_path, GOOD + "backbone: {name: 'timm:vit_tiny_patch16_224', architecture: {checkpoint_path: x.pth}}\n")
