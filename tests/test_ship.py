"""Functions as bytes: what a fresh process can run, and what is refused by name."""

import math
import pickle
import subprocess
import sys
import textwrap
from functools import partial

import pytest
import torch

from minids.config import GQAConfig
from minids.study.ship import pack

FACTOR = 3


def scaled(x):
    return FACTOR * x


def sent(function):
    """The function as another process would get it."""
    return pickle.loads(pack(function))


def in_a_script(code):
    """What a fresh Python prints after it packed `thing` in a script and unpacked it in another."""
    script = textwrap.dedent(code) + "\nimport sys; from minids.study.ship import pack\n"
    script += "sys.stdout.buffer.write(pack(thing))"
    packed = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert packed.returncode == 0, packed.stderr.decode()[-300:]
    return pickle.loads(packed.stdout)


def test_what_can_be_imported_is_sent_by_name():
    assert sent(math.sqrt) is math.sqrt
    assert sent(scaled) is scaled
    assert len(pack(torch.nn.functional.cross_entropy)) < 100


def test_a_function_of_a_script_arrives_with_what_it_uses():
    thing = in_a_script("""
        import math
        from math import floor as down
        size = [1, 2]
        def double(x):
            return 2 * x
        def thing(x, *, more=1):
            def inner(y):
                return math.floor(y) + down(y) + size[1]
            return double(inner(x)) + more
    """)
    assert thing(1.5) == 9
    assert thing(1.5, more=0) == 8


def test_a_function_may_call_itself_and_another_that_calls_it():
    thing = in_a_script("""
        def even(n):
            return n == 0 or odd(n - 1)
        def odd(n):
            return n != 0 and even(n - 1)
        def factorial(n):
            return n * factorial(n - 1) if n else 1
        thing = [even, factorial]
    """)
    assert thing[0](10) and not thing[0](7)
    assert thing[1](5) == 120


def test_closures_lambdas_and_defaults_arrive():
    def adder(n):
        return lambda x, m=10: x + n + m

    assert sent(adder(5))(1) == 16
    assert sent(partial(scaled, x=2))() == 6


def test_values_are_those_of_the_moment_of_packing():
    box = [1]

    def read():
        return box[0]

    arrived = sent(read)
    box[0] = 2
    assert arrived() == 1


def test_configs_and_tensors_arrive():
    config, weights = GQAConfig(n_heads=4, n_kv_heads=2, head_dim=8), torch.arange(3.0)

    def run():
        return config, weights.sum().item()

    assert sent(run)() == (config, 3.0)


def test_what_is_not_used_is_not_sent():
    thing = in_a_script("""
        lock = __import__("threading").Lock()
        import types
        def thing(x):
            return x.lock
        """)
    assert thing(type("Box", (), {"lock": 7})) == 7


def test_a_thing_that_cannot_be_sent_is_refused_with_a_way_out():
    stream = (x for x in range(3))

    def run():
        return next(stream)

    with pytest.raises(TypeError, match="generator.*(?s:.*)put it in a file and import it"):
        pack(run)


def test_a_class_of_a_script_is_refused_by_name():
    script = "from minids.study.ship import pack\nclass Model: pass\npack(lambda: Model())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "TypeError: this cannot be sent to another process: the class Model" in done.stderr
