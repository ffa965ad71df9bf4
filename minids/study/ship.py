"""A function as bytes, so that another process can run it, wherever it was written.

What can be imported is sent by name, as `pickle` does. A function written in a notebook cell, a
script or inside another function cannot, so its code is sent, with the globals that it uses and
the variables that it closes over. Nothing here is safe against bytes from strangers.

Left out: classes written in a notebook, and globals that the code looks up by name at run time.
"""

import builtins
import dis
import importlib
import io
import marshal
import pickle
import sys
from collections.abc import Callable
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any


def pack(thing: Any) -> bytes:
    """Return `thing` as bytes for `pickle.loads` in a process of the same Python.

    TypeError naming what cannot be sent.
    """
    buffer = io.BytesIO()
    try:
        _Pickler(buffer).dump(thing)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"this cannot be sent to another process: {error}. Make it inside the function that "
            "is run, or put it in a file and import it"
        ) from error
    return buffer.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        """Say how `pickle` should take things that it would refuse or only name."""
        if isinstance(thing, ModuleType):
            return importlib.import_module, (thing.__name__,)
        if isinstance(thing, type) and thing.__module__ == "__main__":
            raise TypeError(f"the class {thing.__name__} is written in this notebook or script")
        if isinstance(thing, FunctionType) and not _importable(thing):
            closure = thing.__closure__ or ()
            known = {n: thing.__globals__[n] for n in _names(thing.__code__) & {*thing.__globals__}}
            state = {
                "globals": known,
                "closure": [cell.cell_contents for cell in closure],
                "defaults": (thing.__defaults__, thing.__kwdefaults__),
            }
            new = (marshal.dumps(thing.__code__), thing.__name__, len(closure))
            return _make, new, state, None, None, _fill
        return NotImplemented


def _importable(function: Callable[..., Any]) -> bool:
    """Whether another process finds this very function under its name."""
    if function.__module__ == "__main__":
        return False
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


def _names(code: CodeType) -> set[str]:
    """The globals that a piece of code and the pieces inside it look up."""
    looked_up = {"LOAD_GLOBAL", "LOAD_NAME"}
    names = {str(at.argval) for at in dis.get_instructions(code) if at.opname in looked_up}
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return names.union(*map(_names, inner))


def _make(code: bytes, name: str, n_cells: int) -> FunctionType:
    """The function without what it refers to, which may include the function itself."""
    cells = tuple(CellType() for _ in range(n_cells))
    namespace = {"__builtins__": builtins, "__name__": "sent"}
    return FunctionType(marshal.loads(code), namespace, name, None, cells)


def _fill(function: FunctionType, state: dict[str, Any]) -> None:
    function.__globals__.update(state["globals"])
    function.__defaults__, function.__kwdefaults__ = state["defaults"]
    for cell, value in zip(function.__closure__ or (), state["closure"], strict=True):
        cell.cell_contents = value
