"""The bench of GRPO: turns with a peer in another process, and rows that say what was measured."""

import pytest

from minids.study import bench_grpo, bench_trl
from minids.study.bench_trl import Elsewhere


def count(ask, tell, first, last):
    """A peer that takes `first` to `last` seconds, and chatters."""
    for seconds in range(first, last + 1):
        ask()
        print("chatter of a trainer")
        tell(float(seconds))


def test_a_peer_elsewhere_takes_a_step_when_it_is_asked(capfd):
    peer = Elsewhere(count, 3, 5)
    assert [peer.step() for _ in range(3)] == [3.0, 4.0, 5.0]
    assert capfd.readouterr().out == ""
    with pytest.raises(RuntimeError, match="the peer's process ended with 0 before"):
        peer.step()


def test_a_peer_that_fails_says_so(capfd):
    with pytest.raises(RuntimeError, match="the peer's process ended with 1 before"):
        Elsewhere(count, "three", 5).step()
    assert "TypeError" in capfd.readouterr().err


class Fixed:
    def __init__(self, seconds):
        self.step = lambda: seconds


@pytest.mark.parametrize("compilers", [0, 1])
def test_each_row_stands_beside_the_peer_of_its_kind(compilers, monkeypatch):
    monkeypatch.setattr(bench_grpo, "no_compiler", lambda _: None if compilers else "none")
    monkeypatch.setattr(bench_grpo, "WARM_UP", 0)
    monkeypatch.setattr(bench_grpo, "compiled", lambda model, dynamic: model)
    seconds = {False: Fixed(40.0), True: Fixed(20.0)}
    monkeypatch.setattr(bench_grpo, "_peers", lambda kinds, _: {k: seconds[k] for k in kinds})
    write, *rows = bench_grpo.measure(repeats=2)
    assert write.peer is None and write.ours > 1000
    titles = [r.name.split(", ")[3] for r in rows]
    plain = [f"fp32 ({bench_grpo.fastest(exact=True)})", "bf16 (bf16)"]
    assert titles == plain + compilers * ["fp32 compiled", "bf16 compiled"]
    assert [r.peer for r in rows] == [40.0, 40.0] + compilers * [20.0, 20.0]
    for r in rows:
        assert r.ratio == pytest.approx(r.peer / r.ours) and 0.01 < r.limit < 1.5


def test_without_a_peer_there_is_no_ratio(monkeypatch):
    monkeypatch.setattr(bench_trl, "installed", lambda: False)
    assert bench_grpo._peers({False, True}, 3) == {}


def test_both_sides_read_the_same_questions_as_words():
    """What the peer gets as words are the tokens that ours reads."""
    pytest.importorskip("transformers")
    from minids.text.alphabet import alphabet
    from minids.text.lessons import asked

    words, a = bench_trl._words(), alphabet()
    for problem in bench_grpo._asked(5):
        ids = a.encode(asked(problem), special=True)
        assert words(" ".join(a.decode([i]) for i in ids))["input_ids"] == ids
