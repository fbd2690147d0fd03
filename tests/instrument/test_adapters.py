"""Adapters label what a framework runs, unless the loop does so itself; they never disturb it."""

from __future__ import annotations

import gzip
import json
import types
from contextlib import nullcontext
from threading import get_ident

import pytest

torch = pytest.importorskip("torch", reason="capturing needs torch")

import dpprof  # noqa: E402
from dpprof.errors import DpprofError  # noqa: E402
from dpprof.instrument.adapters import Adapter, Pipeline, megatron  # noqa: E402
from dpprof.instrument.adapters.patching import (  # noqa: E402
    ignore,
    listen,
    on_failure,
    patch_module,
)
from dpprof.instrument.adapters.registry import find_adapters  # noqa: E402
from dpprof.instrument.labels import (  # noqa: E402
    LabelRecorder,
    start_recording,
    stop_recording,
)


class Engine:
    """A framework's loop: a step of two micro-batches."""

    def train_step(self):
        for number in range(2):
            self.run_forward(number)
        return "trained"

    def run_forward(self, number):
        torch.ones(8).add_(number)


def patched(**fields):
    module = types.ModuleType("engine")
    module.Engine = type("Engine", (Engine,), dict(vars(Engine)))
    given = {
        "slots": {"Engine.run_forward": lambda engine, number: f"F0.{number}"},
        "steps": {"Engine.train_step": lambda engine: Pipeline(pp_rank=2, pp=4, stages=(2,))},
    }
    patch_module(Adapter(name="engine", module="engine", **{**given, **fields}), module)
    return module.Engine()


def capture(folder, act, engine):
    with dpprof.capture(folder, warmup=1, steps=1) as session:
        for _ in range(2):
            assert act(engine) == "trained"
            session.step()
    events = json.loads(gzip.decompress((folder / "rank0.json.gz").read_bytes()))["traceEvents"]
    return [event["name"] for event in events if event["name"].startswith("dpprof:slot")]


def test_calls_are_slots_and_the_pipeline_is_learned(tmp_path):
    found = capture(tmp_path / "run", lambda engine: engine.train_step(), patched())
    assert found == ["dpprof:slot slot=F0.0", "dpprof:slot slot=F0.1"]
    place = json.loads((tmp_path / "run" / "run.json").read_bytes())["ranks"][0]
    assert (place["pp_rank"], place["stages"]) == (2, [2])


def test_a_slot_that_the_loop_labels_itself_is_not_labelled_twice(tmp_path):
    def act(engine):
        for number in range(2):
            with dpprof.slot_label(f"F0.{number}"):
                engine.run_forward(number)
        return "trained"

    found = capture(tmp_path / "run", act, patched())
    assert found == ["dpprof:slot slot=F0.0", "dpprof:slot slot=F0.1"]


@pytest.mark.parametrize("slot", [lambda *_: "nonsense", lambda *_: 1 / 0])
def test_an_adapter_that_fails_is_told_of_and_the_training_goes_on(tmp_path, slot):
    told = []
    on_failure(lambda name, error: told.append((name, type(error))))
    engine = patched(slots={"Engine.run_forward": slot})
    assert capture(tmp_path / "run", lambda one: one.train_step(), engine) == []
    assert {name for name, _ in told} == {"engine"}


def test_adapters_are_known_by_name():
    names = {one.name for one in find_adapters()}
    assert {"torch-pipelining", "dualpipe", "megatron", "deepspeed", "optimizer"} <= names
    assert {one.name for one in find_adapters(["dualpipe"])} == {"dualpipe"}
    with pytest.raises(DpprofError, match=r"no adapter 'nothing'; the known ones are .*megatron"):
        find_adapters(["nothing"])


def test_megatrons_backwards_are_slots_whichever_function_runs_them():
    module, texts = types.ModuleType("schedules"), []
    for name in ("forward_step", "backward_step", "backward_step_multimodule"):
        setattr(module, name, lambda: None)
    patch_module(megatron.ADAPTERS[0], module)
    recorder = LabelRecorder(get_ident(), lambda text: texts.append(text) or nullcontext())
    megatron._trains()  # a step has ended: calls are numbered from 0
    start_recording(recorder)
    try:
        module.forward_step()
        module.backward_step_multimodule()
        module.forward_step()
        module.backward_step()
    finally:
        stop_recording(recorder)
    slots = [text.removeprefix("dpprof:slot slot=") for text in texts]
    assert slots == ["F0.0", "B0.0", "F0.1", "B0.1"]


def test_a_step_within_another_ends_none_but_tells_of_the_pipeline():
    trainer = types.ModuleType("trainer")
    engine = patched()

    class Trainer:
        def train_step(self):
            for _ in range(2):
                engine.train_step()
            return "trained"

        def fail(self):
            engine.train_step()
            raise ValueError("no batch")

        def train_alone(self):
            return "trained"

    trainer.Trainer = Trainer
    steps = dict.fromkeys(["Trainer.train_step", "Trainer.fail", "Trainer.train_alone"])
    patch_module(Adapter(name="trainer", module="trainer", steps=steps), trainer)
    ended = []

    def on_step(adapter, tell):
        ended.append((adapter, tell()))

    listen(on_step)
    try:
        trainer.Trainer().train_step()
        engine.train_step()
        with pytest.raises(ValueError, match="no batch"):
            trainer.Trainer().fail()
        trainer.Trainer().train_alone()
    finally:
        ignore(on_step)
    pipeline = Pipeline(pp_rank=2, pp=4, stages=(2,))
    assert ended == [("trainer", pipeline), ("engine", pipeline), ("trainer", None)]
