"""Sliders beside a picture: the picture is drawn anew, in Python, whenever a control moves.

A PNG inside `widgets.Image` is all that travels, so it works in JupyterLab, classic notebooks and
Colab (ipywidgets 7.7 and 8), and nbval sees a stable text. Readers without a kernel see nothing
of it: a chapter shows the same figure as a plain picture above (lesson.figure).
"""

import inspect
import io
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure


def png(figure: Figure, dpi: int = 80) -> bytes:
    """The figure as an opaque PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        dpi=dpi,
        facecolor="white",
        transparent=False,
        bbox_inches="tight",
        metadata={"Software": None},
    )
    return buffer.getvalue()


def explore(draw: Callable[..., Figure], *, dpi: int = 80, alt: str = "", **controls: Any) -> None:
    """Display one control for each argument of `draw`, and the figure that it returns.

    A control is (low, high) or (low, high, step), a list of choices, a dict of label: value, or
    True/False. Rising numbers in a dict give a slider over its labels. It starts at the default
    of the argument in `draw`, else in the middle of a slider, or at the first choice. Whole
    numbers give whole numbers. `alt` describes the picture for those who cannot see it. Where
    ipywidgets is missing, words take the place of the controls.
    """
    from IPython.display import display

    text = f"[interactive figure: {', '.join(controls)}. Run this cell to move the controls.]"
    try:
        box = panel(draw, dpi=dpi, alt=alt, **controls)
    except ModuleNotFoundError as missing:
        if missing.name != "ipywidgets":
            raise
        display({"text/plain": text}, raw=True)
        return
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    display({"text/plain": text, "application/vnd.jupyter.widget-view+json": view}, raw=True)


def panel(draw: Callable[..., Figure], *, dpi: int = 80, alt: str = "", **controls: Any) -> Any:
    """The box of `explore`: its children are the controls, then the image, then a line of words."""
    import ipywidgets as widgets
    from matplotlib import pyplot

    _same_names(draw, controls)
    defaults = {n: p.default for n, p in inspect.signature(draw).parameters.items()}
    made = {n: _control(n, spec, defaults[n]) for n, spec in controls.items()}
    image = widgets.Image(format="png")
    message = widgets.HTML()

    def redraw(_change: Any = None) -> None:
        try:
            figure = draw(**{name: control.value for name, control in made.items()})
        except ValueError as error:  # settings that exclude each other: say so, keep the picture
            message.value = f"<p role='alert'>{error}</p>"
            return
        message.value = f"<p>{alt}</p>" if alt else ""
        image.value = png(figure, dpi)
        pyplot.close(figure)

    redraw()
    for control in made.values():
        control.observe(redraw, names="value")
    return widgets.VBox([*made.values(), image, message])


def _same_names(draw: Callable[..., Figure], controls: dict[str, Any]) -> None:
    known = inspect.signature(draw).parameters
    strange = [name for name in controls if name not in known]
    if strange or not controls:
        raise ValueError(
            f"draw takes {', '.join(known) or 'nothing'}, and the controls are "
            f"{', '.join(controls) or 'none'}: give one control for each argument to explore"
        )


def _control(name: str, spec: Any, default: Any) -> Any:
    """The ipywidget for one argument."""
    import ipywidgets as widgets

    known = default is not inspect.Parameter.empty
    label: dict[str, Any] = {
        "description": name.replace("_", " "),
        "style": {"description_width": "8em"},
        "layout": {"width": "32em"},
    }
    if isinstance(spec, bool):
        return widgets.Checkbox(value=bool(default) if known else spec, **label)
    if isinstance(spec, tuple):
        return _slider(name, spec, default if known else None, label)
    choices = list(spec.values()) if isinstance(spec, dict) else list(spec)
    start = default if known else choices[0]
    if start not in choices:
        raise ValueError(f"{name}: the default {start!r} is not among the choices {choices}")
    options: Any = list(spec.items()) if isinstance(spec, dict) else choices
    kind = widgets.Dropdown
    if isinstance(spec, dict) and _rising(choices):
        kind, label["continuous_update"] = widgets.SelectionSlider, False
    return kind(options=options, value=start, **label)


def _rising(choices: Sequence[Any]) -> bool:
    numbers = [x for x in choices if isinstance(x, int | float) and not isinstance(x, bool)]
    return len(numbers) == len(choices) > 1 and numbers == sorted(set(numbers))


def _slider(name: str, spec: Sequence[float], default: float | None, label: dict[str, Any]) -> Any:
    import ipywidgets as widgets

    if len(spec) not in (2, 3) or not spec[0] < spec[1]:
        raise ValueError(f"{name}: write (low, high) or (low, high, step), got {tuple(spec)}")
    low, high = spec[0], spec[1]
    whole = all(isinstance(x, int) for x in spec)
    step = spec[2] if len(spec) == 3 else (1 if whole else (high - low) / 50)
    start = default if default is not None else low + (high - low) // (2 * step) * step
    if not low <= start <= high:
        raise ValueError(f"{name}: the default {start} lies outside {low} … {high}")
    kind = widgets.IntSlider if whole else widgets.FloatSlider
    return kind(value=start, min=low, max=high, step=step, continuous_update=False, **label)
