"""Samples and reconstructions that a trained model leaves in its work directory."""

import dataclasses
import json
import shutil
from unittest import mock

import numpy as np
import pytest

from tests.data import tiny
from tfp_ood import detectors
from tfp_ood.config import Config, DataConfig, SampleConfig, TrainConfig, VAEConfig
from tfp_ood.data import pipeline
from tfp_ood.errors import EvaluationError, UserError
from tfp_ood.evaluation import code_length, evaluate, samples, tables
from tfp_ood.training import fit
from tfp_ood.workdir import open_workdir

CONFIG = Config(
    data=DataConfig(num_validation=4, out_of_distribution=("mnist", "noise")),
    model=VAEConfig(num_latents=2, num_filters=2, decoder="logistic"),
    train=TrainConfig(batch_size=8, num_steps=2, steps_per_epoch=2, warmup_steps=1),
    sample=SampleConfig(num_images=3, num_paths=2),
)


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory, data_dir):
    workdir = open_workdir(tmp_path_factory.mktemp("runs") / "run")
    fit.train(CONFIG, workdir, data_dir)
    samples.sample(CONFIG, workdir, data_dir)
    return workdir


def test_a_vae_leaves_samples_and_reconstructions_of_every_set(workdir, data_dir):
    assert np.load(workdir.samples / "samples.npy").shape == (3, 28, 28, 1)
    pairs = np.load(workdir.samples / "reconstructions.npy")
    assert pairs.dtype == np.uint8 and pairs.shape == (3, 2, 16, 28, 28, 1)
    own, _ = pipeline.load(pipeline.open_sets(CONFIG.data, data_dir)[0])
    np.testing.assert_array_equal(pairs[0, 0, : tiny.NUM_TEST], own)
    assert np.all(pairs[:2, :, tiny.NUM_TEST :] == 255)
    again = fit.load_trained(CONFIG, workdir).reconstruct(own)
    np.testing.assert_array_equal(pairs[0, 1, : tiny.NUM_TEST], again)
    assert not np.all(pairs[2, :, 15] == 255)
    assert [p.name for p in workdir.root.glob(".*")] == []


def test_paths_lead_from_one_test_image_to_the_next(workdir, data_dir):
    paths = np.load(workdir.paths)
    assert paths.dtype == np.uint8 and paths.shape == (3, 2, 9, 28, 28, 1)
    model = fit.load_trained(CONFIG, workdir)
    for found, split in zip(paths, pipeline.open_sets(CONFIG.data, data_dir), strict=True):
        images, _ = pipeline.load(split)
        latents = model.encode(images[np.arange(4) * len(images) // 4]).numpy()
        ends = model.decode(latents).numpy()
        np.testing.assert_array_equal(found[:, 0], ends[::2])
        np.testing.assert_array_equal(found[:, -1], ends[1::2])
        middle = model.decode((latents[::2] + latents[1::2]) / 2)
        np.testing.assert_array_equal(found[:, 4], middle)


def test_a_set_of_one_image_has_no_path(workdir, data_dir, tmp_path):
    np.save(tmp_path / "one.npy", np.zeros((1, 28, 28, 1), np.uint8))
    data = dataclasses.replace(CONFIG.data, out_of_distribution=(f"array:{tmp_path}/one.npy",))
    copy = open_workdir(shutil.copytree(workdir.root, tmp_path / "run"))
    samples.sample(dataclasses.replace(CONFIG, data=data), copy, data_dir)
    assert np.all(np.load(copy.paths)[1] == 255)


def test_rows_are_of_the_same_draws_at_other_temperatures(workdir):
    rows = np.load(workdir.temperatures)
    assert rows.dtype == np.uint8 and rows.shape == (3, 10, 28, 28, 1)
    model, last = fit.load_trained(CONFIG, workdir), samples.TEMPERATURES[-1]
    np.testing.assert_array_equal(rows[-1], model.sample(10, CONFIG.seed, last))
    assert not np.array_equal(rows[0], rows[-1])


def test_samples_are_drawn_at_the_temperature_that_is_asked_for(workdir, data_dir, tmp_path):
    copy = open_workdir(shutil.copytree(workdir.root, tmp_path / "run"))
    asked = dataclasses.replace(CONFIG.sample, temperature=0.2)
    samples.sample(dataclasses.replace(CONFIG, sample=asked), copy, data_dir)
    model = fit.load_trained(CONFIG, workdir)
    drawn = np.load(copy.sample_images)
    np.testing.assert_array_equal(drawn, model.sample(3, CONFIG.seed, 0.2))
    assert not np.array_equal(drawn, np.load(workdir.sample_images))


def test_they_are_made_again_only_for_other_sets(workdir, data_dir):
    record = workdir.samples / "samples.json"
    before = record.stat().st_mtime_ns
    samples.sample(CONFIG, workdir, data_dir)
    assert record.stat().st_mtime_ns == before
    data = dataclasses.replace(CONFIG.data, out_of_distribution=("noise",))
    samples.sample(dataclasses.replace(CONFIG, data=data), workdir, data_dir)
    assert np.load(workdir.samples / "reconstructions.npy").shape[0] == 2
    assert json.loads(record.read_text())["reconstructed"] == ["fashion_mnist", "noise"]


def test_samples_that_show_files_are_made_again_when_those_change(workdir, data_dir, tmp_path):
    path = tmp_path / "mine.npy"
    data = dataclasses.replace(CONFIG.data, out_of_distribution=(f"array:{path}",))
    config = dataclasses.replace(CONFIG, data=data)
    shown = []
    for value in (7, 7, 9):
        np.save(path, np.full((2, 28, 28, 1), value, np.uint8))
        samples.sample(config, workdir, data_dir)
        shown.append((workdir.sample_facts.stat().st_mtime_ns, np.load(workdir.reconstructions)))
    assert shown[0][0] == shown[1][0] != shown[2][0]
    assert np.all(shown[2][1][1, 0, :2] == 9)


def test_nothing_of_replaced_weights_is_current(workdir, data_dir, tmp_path):
    """Of the same config, even if they differ in one number alone."""
    data = dataclasses.replace(CONFIG.data, out_of_distribution=("mnist",))
    config = dataclasses.replace(CONFIG, data=data)
    copy = open_workdir(shutil.copytree(workdir.root, tmp_path / "run"))
    for _ in range(2):
        evaluate.evaluate(config, copy, data_dir)
        samples.sample(config, copy, data_dir)
        scored, held_out = evaluate.current_tables(config, copy, data_dir)
        found = {one.metadata["weights"] for one in (*scored, held_out)}
        assert found == {copy.weights, json.loads(copy.sample_facts.read_text())["weights"]}
        model = fit.load_trained(config, copy)
        bias = next(v for v in model.trainable_variables if "bias" in v.name)
        bias.scatter_nd_update([[0]], [1.0 + bias[0]])
        model.save_weights(copy.model / "weights")
        with pytest.raises(EvaluationError, match="No current scores of fashion_mnist/test, mnist"):
            evaluate.current_tables(config, copy, data_dir)


def test_files_that_changed_are_scored_again(workdir, data_dir, tmp_path):
    path, rng = tmp_path / "mine.npy", np.random.default_rng(0)
    data = dataclasses.replace(CONFIG.data, out_of_distribution=(f"array:{path}",))
    config = dataclasses.replace(CONFIG, data=data)
    table = workdir.score_table(f"array:{path}", "all")
    means = []
    for top in (2, 2, 250):
        if len(means) != 1:  # the second time nothing changes
            np.save(path, rng.integers(0, top, (5, 28, 28, 1)).astype(np.uint8))
        before = table.stat().st_mtime_ns if table.exists() else None
        evaluate.evaluate(config, workdir, data_dir)
        assert (table.stat().st_mtime_ns == before) == (len(means) == 1)
        means.append(tables.read_score_table(table).bits_per_dim.mean())
    assert means[0] == means[1] != means[2]


@pytest.mark.parametrize(
    "name",
    ["samples.npy", "temperatures.npy", "paths.npy", "reconstructions.npy", "samples.json"],
)
def test_lost_or_damaged_samples_are_made_again(name, workdir, data_dir):
    samples.sample(CONFIG, workdir, data_dir)
    path = workdir.samples / name
    before = path.read_bytes()
    path.write_text("x") if name.endswith("json") else path.unlink()
    samples.sample(CONFIG, workdir, data_dir)
    assert path.read_bytes() == before


def test_a_set_that_grew_after_training_is_refused(data_dir, tmp_path):
    """It would be divided anew, and images of the training be taken for test images."""
    path, rng = tmp_path / "mine.npy", np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 28, 28, 1)).astype(np.uint8)
    np.save(path, images[:29])
    data = DataConfig(f"array:{path}", ("noise",), num_validation=4, num_test=2)
    config, workdir = dataclasses.replace(CONFIG, data=data), open_workdir(tmp_path / "run")
    fit.train(config, workdir, data_dir)
    np.save(path, images)
    with pytest.raises(UserError, match="changed since the training"):
        evaluate.evaluate(config, workdir, data_dir)
    np.save(path, images[:29])  # the same content, at another time
    evaluate.evaluate(config, workdir, data_dir)


def asked_for(config, **changes):
    return dataclasses.replace(config, evaluate=dataclasses.replace(config.evaluate, **changes))


def test_a_reference_adds_its_likelihood_and_makes_tables_anew(workdir, data_dir, tmp_path):
    """The background model has a seed and a noise of its own, and is scored on the same images."""
    data = dataclasses.replace(CONFIG.data, out_of_distribution=("mnist",))
    plain = dataclasses.replace(CONFIG, data=data)
    train = dataclasses.replace(CONFIG.train, mutation_rate=0.3)
    background = dataclasses.replace(plain, train=train, seed=1)
    fit.train(background, open_workdir(tmp_path / "background"), data_dir)
    evaluate.evaluate(plain, workdir, data_dir)
    alone = tables.read_score_table(workdir.score_table("mnist", "test"))
    assert "reference_log_prob" not in alone.column_names
    config = asked_for(plain, reference=str(tmp_path / "background"))
    evaluate.evaluate(config, workdir, data_dir)
    judged, held_out = evaluate.current_tables(config, workdir, data_dir)
    assert all("reference_log_prob" in one.column_names for one in (*judged, held_out))
    np.testing.assert_array_equal(judged[1].log_prob, alone.log_prob)
    images, _ = pipeline.load(pipeline.open_sets(plain.data, data_dir)[1])
    other = fit.load_trained(background, open_workdir(tmp_path / "background"))
    np.testing.assert_allclose(
        judged[1].statistics["reference_log_prob"], other.log_prob(images), rtol=1e-5
    )
    assert len(evaluate.current_tables(plain, workdir, data_dir)[0]) == 2  # it does not hurt
    evaluate.evaluate(plain, workdir, data_dir)
    again = tables.read_score_table(workdir.score_table("mnist", "test"))
    assert again.column_names == alone.column_names


def test_a_reference_that_cannot_be_one_is_refused(workdir, data_dir, tmp_path):
    for path, said in ((tmp_path, "training has ended"), (workdir.root, "of another run")):
        with pytest.raises(UserError, match=f"evaluate.reference.*{said}"):
            evaluate.evaluate(asked_for(CONFIG, reference=str(path)), workdir, data_dir)


def test_a_reference_on_images_of_another_shape_is_refused(workdir, data_dir, tmp_path):
    other = open_workdir(shutil.copytree(workdir.root, tmp_path / "other"))
    data = dataclasses.replace(CONFIG.data, image_shape=(32, 32, 1))
    facts = dataclasses.replace(CONFIG, data=data).training_facts()
    other.config.write_text(json.dumps({**json.loads(other.config.read_text()), **facts}))
    with pytest.raises(UserError, match=r"images of shape \[28, 28, 1\]; its are \[32, 32, 1\]"):
        evaluate.evaluate(asked_for(CONFIG, reference=str(other.root)), workdir, data_dir)


def test_loops_count_the_bits_of_many_images(workdir, data_dir, monkeypatch):
    """Which of the two ways is nothing that a table could be told by."""
    evaluate.evaluate(CONFIG, workdir, data_dir)
    judged, held_out = evaluate.current_tables(CONFIG, workdir, data_dir)
    loops = mock.Mock(side_effect=code_length._Awaited)
    monkeypatch.setattr(code_length, "_Awaited", loops)
    for path in workdir.scores.glob("*.parquet"):
        path.unlink()
    num_values = sum(one.num_images for one in [*judged, held_out]) * held_out.num_dims
    for least, expected in ((num_values + 1, False), (num_values, True)):
        monkeypatch.setattr(code_length, "MANY", least)
        evaluate.evaluate(CONFIG, workdir, data_dir)
        again, held_out_again = evaluate.current_tables(CONFIG, workdir, data_dir)
        assert loops.called == expected
        for one, before in zip([*again, held_out_again], [*judged, held_out], strict=True):
            assert one.metadata == before.metadata
            np.testing.assert_allclose(
                one.statistics["code_bits"], before.statistics["code_bits"], rtol=1e-6
            )
            np.testing.assert_array_equal(one.log_prob, before.log_prob)
        for path in workdir.scores.glob("*.parquet"):
            path.unlink()


def test_further_passes_add_columns_and_make_tables_anew(workdir, data_dir):
    """Switched off, tables are those of runs that never had them."""
    data = dataclasses.replace(CONFIG.data, out_of_distribution=("mnist",))
    plain = dataclasses.replace(CONFIG, data=data)
    evaluate.evaluate(plain, workdir, data_dir)
    alone, _ = evaluate.current_tables(plain, workdir, data_dir)
    config = asked_for(plain, symmetries=True, gradients=True)
    evaluate.evaluate(config, workdir, data_dir)
    judged, held_out = evaluate.current_tables(config, workdir, data_dir)
    passes = {name for name in held_out.column_names if name.startswith(("symmetry", "log_grad"))}
    model = fit.load_trained(CONFIG, workdir)
    assert len(passes) == 7 + 1 + len(model.trainable_variables)
    for one, before in zip(judged, alone, strict=True):
        assert set(one.column_names) == passes | set(before.column_names)
        np.testing.assert_array_equal(one.log_prob, before.log_prob)
    images, _ = pipeline.load(pipeline.open_sets(CONFIG.data, data_dir)[1])
    turned = model.log_prob(np.rot90(images, 2, (1, 2)))
    np.testing.assert_allclose(judged[1].statistics["symmetry.3"], turned, rtol=1e-5)
    with pytest.raises(EvaluationError, match="No current scores"):
        evaluate.current_tables(plain, workdir, data_dir)
    assert {"symmetry", "gradient", "input_gradient"} <= set(
        detectors.panel([held_out], judged).detectors
    )
