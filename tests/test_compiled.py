"""Models through torch's compiler: the same numbers, in one graph, and refusals where it lacks.

What is compiled runs in processes of its own: checked signatures know no tensors of a compiler.
"""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from minids.cli import app
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.train.compiled import compiled, no_compiler


def output_of(code: str, *words: str) -> list[str]:
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


TRACED = """
import torch
from minids.decode.sample import generate
from minids.rl.grpo import Settings, grpo
from minids.rl.rewards import Weighed
from minids.rl.zero import Recipe, newborn
from minids.text.alphabet import alphabet
from minids.text.arithmetic import problems

recipe = Recipe(dim=32, n_layers=1, hidden=64)
model = newborn(recipe, seed=0)

def traced(model):
    return torch.compile(model, backend="eager", dynamic=True, fullgraph=True)

# Prompts of several lengths bring padding and its mask; those of practice have one.
a, b = (generate(m, [[1], [2, 3, 4]], 12, each=2, temperature=0) for m in (model, traced(model)))
print(torch.equal(a.tokens, b.tokens), float((a.logp - b.logp).abs().max()) < 1e-4)

digits = Weighed(lambda problem, response: sum(map(str.isdigit, response)) / 6, 1.0)
steps = []
for way in (lambda model: model, traced):
    _, step = grpo(
        way(newborn(recipe, seed=0)), problems("add-2", seed=0), alphabet(), {"digits": digits},
        steps=2, settings=Settings(prompts=4, group=4, max_new=6, lr=0.01, refresh=1),
        reference=newborn(recipe, seed=0),
    )
    steps.append(step)
a, b = steps
print(a.examples == b.examples and b.parts["kl"] > 0, abs(a.grad_norm / b.grad_norm - 1) < 0.01)
"""


def test_a_traced_model_writes_and_practises_the_same_without_a_break_in_its_graph():
    assert output_of(TRACED) == ["True True"] * 2


RESUMED = """
import json, sys
from dataclasses import replace
from functools import partial
from pathlib import Path
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner
from minids import train
from minids.cli import app, fitting
from minids.huggingface import to_hf
from minids.presets import preset
from minids.train import compiled

# All that the compiler does but for writing programs in C++, which takes half a minute.
torch.compile = partial(torch.compile, backend="aot_eager")
fitting.no_compiler = train.compiled.no_compiler = lambda device: None
folder = Path(sys.argv[1])
tiny = replace(preset("toy-llama"), n_layers=1, hidden=32, context=16)
(folder / "config.json").write_text(json.dumps(to_hf(tiny)))
new = ["train", str(folder / "config.json"), "--compile", "--scale", "smoke"]
for words in (
    [*new, "--steps", "6", "--out", str(folder / "whole")],
    [*new, "--steps", "3", "--out", str(folder / "parts")],
    ["train", "--resume", str(folder / "parts"), "--steps", "6"],
):
    done = CliRunner().invoke(app, words)
    print(done.exit_code, "compiled before the first step" in done.output)
a, b = (load_file(next((folder / run).rglob("*.safetensors"))) for run in ("whole", "parts"))
print(all(torch.equal(a[name], b[name]) for name in a) and len(a) > 5)
"""


def test_a_compiled_run_goes_on_bit_for_bit(tmp_path):
    assert output_of(RESUMED, str(tmp_path)) == ["0 True"] * 3 + ["True"]


def test_what_the_compiler_lacks_is_said(monkeypatch):
    model = Transformer(preset("toy-llama"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="compiles models with no-such-compiler, which is not"):
        compiled(model)
    monkeypatch.setenv("CXX", sys.executable)
    monkeypatch.setattr("sysconfig.get_path", lambda name: os.devnull)
    assert "Python.h, which is missing" in str(no_compiler("cpu"))


def test_what_cannot_be_compiled_is_refused_before_it_begins(tmp_path):
    done = CliRunner().invoke(app, ["train", "toy-v3", "--compile", "--out", str(tmp_path / "r")])
    assert done.exit_code == 2 and "is for dense models on a CPU, and toy-v3" in done.output
    assert not (tmp_path / "r").exists()
