"""The command for a GPU: equal sizes, rows that say where they come from, going on where it was."""

import json

import pytest
import torch

from minids import accounting
from minids.study import segmentation as s
from minids.study.segmentation_arms import ARMS, SIZES, model_of

GPU = SIZES["gpu"]


def test_mixtures_of_gpu_size_are_equal_and_as_large_as_promised():
    sizes = {arm: accounting.parameters(model_of(arm, GPU, 1024)) for arm in ARMS}
    mixed = [p for arm, p in sizes.items() if ARMS[arm]]
    assert len({p.routed + p.shared for p in mixed}) == 1
    assert all(0.1e9 < p.total < 0.3e9 for p in mixed)
    active = [accounting.activated(model_of(arm, GPU, 1024)) - p.router for arm, p in sizes.items()]
    assert max(active) == min(active)


def test_widths_suit_the_grouped_product_of_a_gpu():
    for arm in ARMS:
        c = model_of(arm, GPU, 1024)
        assert c.moe is None or 2 * c.moe.hidden % 16 == 0


def test_an_unknown_arm_or_scale_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no arm 'fine'; there are: dense"):
        model_of("fine", GPU, 1024)
    with pytest.raises(ValueError, match="no scale 'huge'; there are: gpu, smoke"):
        s.run(1, "huge")


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        s.main(["--seeds", "3", "--scale", "gpu"])
    assert "no CUDA device" in str(stopped.value)
    assert "--scale smoke" in str(stopped.value)


def test_the_smoke_scale_writes_rows_with_their_origin_and_goes_on(tmp_path, monkeypatch, capsys):
    out = tmp_path / "rows.json"
    s.main(["--seeds", "1", "--scale", "smoke", "--out", str(out)])
    page = json.loads(out.read_text(encoding="utf-8"))
    assert [row["arm"] for row in page["rows"]] == list(ARMS)
    assert "torch" in page["machine"]
    assert page["settings"]["train_tokens"] > 1000
    assert all(0 < row["lowest"] <= row["loss"] < 8 for row in page["rows"])
    assert "fine-grained: 8 of 64" in capsys.readouterr().out

    page["rows"] = page["rows"][:3]
    out.write_text(json.dumps(page), encoding="utf-8")
    trained = []
    whole = s.train
    monkeypatch.setattr(s, "train", lambda *a: trained.append(a[:2]) or whole(*a))
    s.run(1, "smoke", out=out)
    assert trained == [("fine-grained and shared: 7 of 63 + 1", 0)]
    assert len(json.loads(out.read_text(encoding="utf-8"))["rows"]) == 4


def test_rows_of_other_settings_are_not_mixed(tmp_path):
    out = tmp_path / "rows.json"
    out.write_text(json.dumps({"settings": {"scale": "gpu"}, "rows": []}), encoding="utf-8")
    with pytest.raises(ValueError, match="other settings"):
        s.run(1, "smoke", out=out)
