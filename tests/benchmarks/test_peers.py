"""What compares peers, without the peers: they need the extra `[bench]`."""

import functools
import json

from tests.benchmarks import machine, peers, turns


def _sleepers(**seconds):
    import time

    return {name: functools.partial(time.sleep, value) for name, value in seconds.items()}


def test_processes_take_turns_and_what_is_not_asked_for_is_not_timed():
    makers = [
        functools.partial(_sleepers, train_ours=0.004, sample_ours=60.0),
        functools.partial(_sleepers, train_torch=0.04),
    ]
    found = turns.seconds_of_processes(makers, 3, 0.02, ("train",))
    assert set(found) == {"train_ours", "train_torch"}
    assert found["train_torch"] > found["train_ours"]


def test_ratios_are_ours_over_each_peer_and_the_best_is_the_least():
    seconds = {"train_ours": 0.5, "train_torch": 1.0, "train_torch_compiled": 0.75}
    found = peers.comparison({**seconds, "log_prob_ours": 2.0, "log_prob_torch": 1.0}, 32)
    assert found["images_per_second"]["train"] == {
        "ours": 64.0,
        "torch": 32.0,
        "torch_compiled": 42.7,
    }
    assert found["ratio_to_each_peer"]["train"] == {"torch": 2.0, "torch_compiled": 1.5}
    assert found["ratio_to_best_peer"] == {"train": 1.5, "log_prob": 0.5}


def test_what_is_missing_is_said_before_anything_is_timed(monkeypatch, capsys):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(peers.shutil, "which", lambda name: None)
    assert peers.main([]) == 2
    message = capsys.readouterr().err
    assert "package torch" in message and "[bench]" in message
    assert "a C++ compiler (c++, g++, clang++), which torch.compile needs" in message


def test_figures_stand_with_their_machine():
    found = json.loads(json.dumps(machine.facts(["numpy", "no-such-package"])))
    assert set(found["versions"]) == {"numpy"}
    assert found["processor"] and found["cores"] >= 1
