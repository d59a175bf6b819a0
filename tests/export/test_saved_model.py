"""The exported model: the same numbers as in this process, from TensorFlow alone."""

import importlib.metadata
import json
import os
import pathlib
import re
import subprocess
import sys
import venv

import numpy as np
import pytest
import tensorflow as tf
from packaging.requirements import Requirement

from tests import contracts
from tests.contracts import CASES
from tests.export import tensorfloat
from tests.guards import check, columns_of, guard_of, verdicts
from tfp_ood import units
from tfp_ood.config import MODEL_CONFIGS
from tfp_ood.errors import ExportError
from tfp_ood.export import saved_model

NUM_DRAWS = 2
FEW_TOLERANCE = 3e-2
"""Of scores: with 40 images held out, a digit more of log-dets moves densities by hundredths."""
RATE = 0.1
NAMES = list({case.family: name for name, case in CASES.items()}.values())  # of each the last
ELSEWHERE = pathlib.Path(__file__).with_name("elsewhere.py")
FORBIDDEN = ("tensorflow_probability", "tf_keras", "tfp_ood")
OURS = ("PYTHONPATH", "TF_USE_LEGACY_KERAS")
QUIET = {
    # Without the path on which this package may lie, and the Keras that it uses.
    **{key: value for key, value in os.environ.items() if key not in OURS},
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "",
}


def moved(case, **how):
    """A model off its initial weights, where many layers give zeros; faster made than a trained."""
    model, rng = contracts.initialized(case, **how), np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0, 0.01, variable.shape))
    return model


def export(name, path):
    """A case, a model, its guard, and where it was exported to."""
    case = CASES[name]
    model = moved(case)
    held_out = columns_of(model, contracts.random_images(case, 80, seed=8), NUM_DRAWS)
    guard = guard_of(held_out, RATE)
    saved_model.write(path, model, NUM_DRAWS, guard)
    return case, model, guard, path


@pytest.fixture(
    scope="module",
    name="exported",
    params=[pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:]] + NAMES[:1],
)
def _exported(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "model"
    *made, path = export(request.param, path)
    return *made, tf.saved_model.load(str(path))


def test_every_family_is_exported():
    assert {CASES[name].family for name in NAMES} == set(MODEL_CONFIGS)


def test_signatures_have_these_names_types_and_shapes(exported):
    case, model, guard, loaded = exported
    assert set(loaded.signatures) == set(saved_model.SIGNATURES)
    images = tf.TensorSpec([None, *case.image_shape], tf.uint8, "images")
    terms = sorted(model.terms)
    floats = {"log_prob": ["bits_per_dim", "log_prob", *terms]}
    alone = [f"p_value.{name}" for name in guard.reasons]
    floats["guard"] = [*floats["log_prob"], "percentile", "score", "p_value", *alone, "code_bits"]
    for name in ("log_prob", "guard"):
        assert loaded.signatures[name].structured_input_signature == ((), {"images": images})
        outputs = dict(loaded.signatures[name].structured_outputs)
        if name == "guard":
            assert outputs.pop("is_out_of_distribution").dtype == tf.bool
            assert outputs.pop("reasons").dtype == tf.string
        assert sorted(outputs) == sorted(floats[name])
        assert {spec.dtype for spec in outputs.values()} == {tf.float32}
    sample = loaded.signatures["sample"]
    types = {k: (v.dtype, v.shape) for k, v in sample.structured_input_signature[1].items()}
    assert types == {
        "num_images": (tf.int32, []),
        "seed": (tf.int32, []),
        "temperature": (tf.float32, []),
    }
    (output,) = sample.structured_outputs.values()
    assert output.dtype == tf.uint8 and output.shape[1:] == case.image_shape


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_likelihoods_are_those_of_the_model(exported, count):
    case, model, guard, loaded = exported
    images = contracts.random_images(case, count, seed=9)
    expected = model.statistics(images, NUM_DRAWS)
    told = loaded.signatures["log_prob"](images=tf.constant(images))
    for name, values in told.items():
        assert values.shape == [count]
        if name != "bits_per_dim":
            np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-4)
    bits = units.bits_per_dim(np.float64(expected["log_prob"]), model.num_dims)
    np.testing.assert_allclose(told["bits_per_dim"], bits, rtol=1e-5)
    judged = loaded.signatures["guard"](images=tf.constant(images))
    for name, values in told.items():
        np.testing.assert_array_equal(judged[name], values)
    check(judged, verdicts(guard, columns_of(model, images, NUM_DRAWS)), FEW_TOLERANCE)


def test_no_images_have_no_likelihoods(exported):
    case, _, _, loaded = exported
    for name in ("log_prob", "guard"):
        told = loaded.signatures[name](images=tf.zeros([0, *case.image_shape], tf.uint8))
        assert {tuple(values.shape) for values in told.values()} == {(0,)}


def test_the_guard_is_that_of_the_tables_for_usual_and_other_images(exported):
    case, model, guard, loaded = exported
    own = contracts.random_images(case, 40, seed=10)
    noise = np.random.default_rng(0).integers(0, 256, own.shape).astype(np.uint8)
    constant = np.broadcast_to(
        np.arange(0, 250, 50, np.uint8)[:, None, None, None], (5, *own[0].shape)
    )
    images = np.concatenate([own, noise, constant])
    told = loaded.signatures["guard"](images=tf.constant(images))
    check(told, verdicts(guard, columns_of(model, images, NUM_DRAWS)), FEW_TOLERANCE)
    foreign = told["is_out_of_distribution"].numpy()
    assert np.mean(foreign[:40]) <= 0.25 and np.mean(foreign[40:]) > np.mean(foreign[:40])
    assert any(told["reasons"].numpy()[40:])


def test_tensorfloat_32_does_not_touch_a_flows_own_signal(tmp_path):
    """With the operands of every float32 product rounded, as GPUs since Ampere do by default.

    Those of the networks: had the flow's own been of float32, verdicts and samples would change.
    """
    case, model, guard, path = export("glow_color", tmp_path / "model")
    images = np.concatenate([contracts.random_images(case, 40, seed=s) for s in (10, 11)])
    images[40:] = np.random.default_rng(0).integers(0, 256, images[40:].shape)
    drawn = {"num_images": tf.constant(40), "seed": tf.constant(1), "temperature": tf.constant(0.8)}
    errors, moved_pixels = [], []
    for float64_too in (False, True):
        copy = tensorfloat.load(path, tmp_path / str(float64_too), float64_too)
        told = copy.signatures["guard"](images=tf.constant(images))
        errors.append(np.max(np.abs(told["log_prob"] - model.log_prob(images, NUM_DRAWS))))
        again = np.int32(copy.signatures["sample"](**drawn)["images"])
        moved_pixels.append(np.mean(again != np.int32(model.sample(40, 1, 0.8))))
        if not float64_too:
            # Networks move a statistic in its fourth digit; no image changes places with another.
            check(told, verdicts(guard, columns_of(model, images, NUM_DRAWS)), 2e-2)
    assert errors[0] < 0.03 and errors[1] > 0.3
    assert moved_pixels[0] < 0.003 and moved_pixels[1] > 5 * moved_pixels[0]


def test_the_code_is_computed_beside_the_model_and_without_python(exported):
    """No count waits for a network, and none calls this process."""
    *_, loaded = exported
    functions = loaded.signatures["guard"].graph.as_graph_def().library.function
    found = [{node.name: node for node in function.node_def} for function in functions]
    kinds = {node.op for nodes in found for node in nodes.values()}
    assert "DenseBincount" in kinds and not {kind for kind in kinds if "PyFunc" in kind}
    assert any(node.op.endswith("While") for nodes in found for node in nodes.values())
    for nodes in found:
        # Of the code there is one loop, in which all is counted.
        waiting = [node for node in nodes.values() if node.op.endswith("While")]
        while waiting:
            node = waiting.pop()
            assert "Call" not in node.op and "Conv" not in node.op
            names = (name.strip("^").split(":")[0] for name in node.input)
            waiting += [nodes[name] for name in names if name in nodes]


def test_samples_are_those_of_the_model_and_of_the_seed(exported):
    case, model, _, loaded = exported

    def sample(number, seed, temperature=1.0):
        given = {"num_images": number, "seed": seed, "temperature": temperature}
        return loaded.signatures["sample"](**{k: tf.constant(v) for k, v in given.items()})[
            "images"
        ].numpy()

    images = sample(3, 5)
    assert images.dtype == np.uint8 and images.shape == (3, *case.image_shape)
    np.testing.assert_array_equal(images, sample(3, 5))
    assert np.any(images != sample(3, 6))
    assert np.any(images != sample(3, 5, 0.3))
    assert sample(1, 5).shape == (1, *case.image_shape)
    # A rounding of the network's may move a pixel's value over the edge to the next.
    difference = np.abs(np.int32(images) - np.int32(model.sample(3, 5)))
    assert np.mean(difference > 1) < 0.01


def test_wrong_images_are_refused_with_a_clear_error(exported):
    case, _, _, loaded = exported
    height, width, channels = case.image_shape
    shapes = [
        [2, height, width, 4 - channels],
        [2, height + 2, width, channels],
        [height, width, channels],
    ]
    for name in ("log_prob", "guard"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="uint8 tensor but is a float"):
            loaded.signatures[name](images=tf.zeros([2, *case.image_shape]))
        for shape in shapes:
            given, valid = ",".join(map(str, shape)), f"?,{height},{width},{channels}"
            said = rf"\[{given}\] is not compatible with expected shape \[{re.escape(valid)}\]"
            with pytest.raises(tf.errors.InvalidArgumentError, match=said):
                loaded.signatures[name](images=tf.zeros(shape, tf.uint8))


@pytest.mark.slow
def test_weights_in_bfloat16_are_exported_too(tmp_path):
    case = CASES["glow"]
    model = moved(case, precision="mixed_bfloat16")
    images = contracts.random_images(case, 80)
    log_prob = model.log_prob(images)
    saved_model.write(tmp_path / "m", model, 1, guard_of(columns_of(model, images), RATE))
    told = tf.saved_model.load(str(tmp_path / "m")).signatures["log_prob"](
        images=tf.constant(images)
    )
    np.testing.assert_allclose(told["log_prob"], log_prob, rtol=1e-3)


def test_what_calls_python_is_refused(tmp_path, monkeypatch):
    """A model of a family to come, which only this process can run."""
    model = contracts.initialized(CASES["glow"])
    score = model.scoring_function(1)

    def in_python(images):
        scores = score(images)
        log_prob = tf.numpy_function(lambda x: x, [scores["log_prob"]], tf.float32)
        return {**scores, "log_prob": tf.ensure_shape(log_prob, [None])}

    guard = guard_of({"log_prob": np.arange(80.0), "code_bits": np.arange(80.0)}, RATE)
    monkeypatch.setattr(model, "scoring_function", lambda num_draws, leaves: in_python)
    with pytest.raises(ExportError, match=r"cannot be exported: its log_prob calls back into Pyth"):
        saved_model.write(tmp_path / "m", model, 1, guard)
    assert not (tmp_path / "m").exists()


def test_a_guard_of_what_the_graph_does_not_tell_is_refused(tmp_path):
    model, rng = contracts.initialized(CASES["glow"]), np.random.default_rng(0)
    names = ("log_prob", "code_bits", "log_det", "symmetry.flipped")
    guard = guard_of({name: rng.normal(size=80) for name in names}, RATE)
    with pytest.raises(ExportError, match=r"its detector combined needs symmetry.flipped, which"):
        saved_model.write(tmp_path / "m", model, 1, guard)
    assert names[3] not in saved_model.computable(model, 1)
    assert {*names[:3], "mean.level_1"} <= saved_model.computable(model, 1)


def distributions(root):
    """Names of a distribution and all that it requires, as pip would install them."""
    found, wanted = set(), [root]
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name in found:
            continue
        found.add(name)
        for line in importlib.metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    return found


@pytest.fixture(scope="module", name="bare_python")
def _bare_python(tmp_path_factory):
    """The Python of a virtual environment that has TensorFlow and what it requires, nothing else.

    Linked from this one's, so that nothing is fetched.
    """
    root = tmp_path_factory.mktemp("bare")
    venv.create(root, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = root / "lib" / version / "site-packages"
    for name in distributions("tensorflow"):
        for file in importlib.metadata.files(name):
            top = file.parts[0]
            source = pathlib.Path(importlib.metadata.distribution(name).locate_file(top))
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(source.resolve())
    return root / "bin" / "python"


@pytest.fixture(scope="module", name="glow")
def _glow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glow")
    made = export("glow_constant_volume", folder / "model")
    np.save(folder / "images.npy", contracts.random_images(made[0], 5, seed=11))
    return made


def run(python, *args, **how):
    command = [str(python), *map(str, args)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=QUIET, cwd="/", **how
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def check_all(model, guard, images, told):
    """Results from elsewhere, as arrays by signature and output."""
    columns = columns_of(model, images, NUM_DRAWS)
    np.testing.assert_allclose(told["log_prob.log_prob"], columns["log_prob"], rtol=1e-5)
    judged = {k.removeprefix("guard."): v for k, v in told.items() if k.startswith("guard.")}
    check(judged, verdicts(guard, columns))
    difference = np.abs(np.int32(told["sample.images"]) - np.int32(model.sample(3, 7, 0.8)))
    assert told["sample.images"].dtype == np.uint8 and np.mean(difference > 1) < 0.01


def test_runs_where_this_package_is_forbidden(glow, tmp_path):
    """In a process that cannot import TFP, tf_keras or this package."""
    _, model, guard, path = glow
    out = tmp_path / "told.npz"
    images = path.with_name("images.npy")
    run(sys.executable, ELSEWHERE, path, images, out, *FORBIDDEN)
    check_all(model, guard, np.load(images), dict(np.load(out)))


@pytest.mark.slow
def test_runs_in_an_environment_that_has_tensorflow_alone(glow, bare_python, tmp_path):
    _, model, guard, path = glow
    out, images = tmp_path / "told.npz", path.with_name("images.npy")
    code = f"import importlib.util as u; print([n for n in {FORBIDDEN} if u.find_spec(n)])"
    assert run(bare_python, "-c", code).strip() == "[]"
    run(bare_python, ELSEWHERE, path, images, out)
    check_all(model, guard, np.load(images), dict(np.load(out)))


# Runs `saved_model_cli` with each of several lists of arguments, after one import of TensorFlow.
SAVED_MODEL_CLI = """
import json, os, sys
from tensorflow.python.tools import saved_model_cli
for arguments in json.loads(sys.argv[1]):
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        continue
    sys.argv[1:] = arguments
    sys.exit(saved_model_cli.main())
"""


@pytest.mark.slow
def test_saved_model_cli_runs_it_there(glow, bare_python, tmp_path):
    _, model, guard, path = glow
    told, images, commands = {}, path.with_name("images.npy"), []
    inputs = {
        "log_prob": ["--inputs", f"images={images}"],
        "guard": ["--inputs", f"images={images}"],
        "sample": [
            "--input_exprs",
            "num_images=3;seed=7;temperature=0.8",
        ],
    }
    for name, given in inputs.items():
        where = ["--dir", str(path), "--tag_set", "serve", "--signature_def", name]
        commands.append(["run", *where, "--outdir", str(tmp_path / name), *given])
    run(bare_python, "-c", SAVED_MODEL_CLI, json.dumps(commands))
    for name in inputs:
        for file in (tmp_path / name).glob("*.npy"):
            told[f"{name}.{file.stem}"] = np.load(file, allow_pickle=True)  # of words
    check_all(model, guard, np.load(images), told)
