"""A CUDA device that is not there: tensors that say they lie on it, and numbers on the CPU.

    with pretend_cuda():
        model.to("cuda")(torch.zeros(1, 4, dtype=torch.long))     # RuntimeError: mixed devices

Everything is computed on the CPU. What differs is that a tensor remembers where it lies, that
tensors of two places cannot meet, and that numpy cannot read what lies on the device. So code that
forgets a `.to(device)` or a `.cpu()` fails here as it would there. Kernels, memory and speed are
not pretended.
"""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

CUDA = torch.device("cuda", 0)
MOVES = ("aten::_to_copy", "aten::copy_", "aten::_foreach_copy_")
"""Operations that may take tensors of both places."""


class There(torch.Tensor):
    """A tensor that says it is on the device; `here` holds its numbers."""

    @staticmethod
    def __new__(cls, here):
        made = torch.Tensor._make_wrapper_subclass(
            cls, here.size(), strides=here.stride(), storage_offset=here.storage_offset(),
            dtype=here.dtype, device="cpu", requires_grad=False,
        )  # fmt: skip
        made.here = here
        return made

    @property
    def device(self):
        return CUDA

    @property
    def is_cuda(self):
        return True

    @property
    def is_cpu(self):
        return False

    def __repr__(self):
        return f"There({self.here!r})"

    def to(self, *args, **kwargs):
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        same = self if dtype in (None, self.dtype) else torch.ops.aten._to_copy(self, dtype=dtype)
        return same if device is None or device.type == "cuda" else Leave.apply(same)

    def cpu(self):
        return self.to("cpu")

    def numpy(self, *_, **__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy: use .cpu() first")

    __array__ = numpy

    def tolist(self):
        return self.here.tolist()

    def __deepcopy__(self, memo):
        found = memo.get(id(self))
        if found is None:
            found = There(self.here.detach().clone()).requires_grad_(self.requires_grad)
            if isinstance(self, torch.nn.Parameter):
                found = torch.nn.Parameter(found, self.requires_grad)
            memo[id(self)] = found
        return found

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


class Enter(torch.autograd.Function):
    """From the CPU to the device, and gradients back."""

    @staticmethod
    def forward(context, x):
        return There(x.detach().clone())

    @staticmethod
    def backward(context, gradient):
        return gradient.here


class Leave(torch.autograd.Function):
    """From the device to the CPU, and gradients back."""

    @staticmethod
    def forward(context, x):
        return x.here.clone()

    @staticmethod
    def backward(context, gradient):
        return There(gradient)


class Draws(TorchFunctionMode):
    """Sees who draws: a generator has to be where its numbers go."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        generator = kwargs.get("generator")
        if generator is not None:
            first = next(
                (x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)), None
            )
            device = kwargs.get("device") or (first.device if first is not None else "cpu")
            if torch.device(device).type != generator.device.type:
                raise RuntimeError(
                    f"Expected a '{torch.device(device).type}' generator in {function.__name__}, "
                    f"but found '{generator.device.type}'"
                )
        if function is torch.Tensor.to and not isinstance(args[0], There):
            device, dtype, *_ = torch._C._nn._parse_to(*args[1:], **kwargs)
            if device is not None and device.type == "cuda":
                return Enter.apply(args[0].to(dtype or args[0].dtype))
        if function is torch.tensor and torch.device(kwargs.get("device") or "cpu").type == "cuda":
            return There(torch.tensor(*args, **{**kwargs, "device": "cpu"}))
        return function(*args, **kwargs)


class Places(TorchDispatchMode):
    """Sees every operation, so that new tensors can be made on the device, too."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


def run(function, args, kwargs):
    """Carry an operation out on the CPU; its results lie where it says, or where its inputs do."""
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
    there = any(isinstance(x, There) for x in tensors)
    name = function._schema.name
    if tensors:
        run.there = there  # where the work is, for what a backward pass makes out of nothing
    if there and name not in MOVES:
        strangers = [x for x in tensors if not isinstance(x, There) and x.dim() > 0]
        indices = name in ("aten::index.Tensor", "aten::index", "aten::index_put_")
        if strangers and not (indices and isinstance(args[0], There)):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found cuda:0 and cpu in {name}"
            )
    wanted = kwargs.get("device")
    if wanted is not None and not there:  # torch says "cpu" of what is there, when it goes back
        backward = torch._C._current_graph_task_id() != -1 and not tensors and run.there
        there = torch.device(wanted).type == "cuda" or backward
        kwargs = {**kwargs, "device": torch.device("cpu") if there else wanted}
    elif name == "aten::copy_" and not isinstance(args[0], There):
        there = False
    here = tree_map_only(There, lambda x: x.here, (args, kwargs))
    found = function(*here[0], **here[1])
    if function._schema.is_mutable and tensors:
        same = {id(x.here): x for x in tensors if isinstance(x, There)}
        return tree_map_only(torch.Tensor, lambda x: same.get(id(x), x), found)
    return tree_map_only(torch.Tensor, There, found) if there else found


run.there = False


class Chance(torch.Generator):
    """A generator that says where it draws."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls, device="cpu")
        made.there = torch.device(device).type == "cuda"
        return made

    def __init__(self, device="cpu"):
        pass

    @property
    def device(self):
        return CUDA if self.there else torch.device("cpu")


@contextmanager
def pretend_cuda():
    """Let torch have a CUDA device within."""
    with ExitStack() as stack:
        told = {
            "is_available": True,
            "_lazy_init": None,
            "synchronize": None,
            "mem_get_info": (140 * 10**9, 141 * 10**9),
            "memory_reserved": 0,
            "memory_allocated": 0,
            "max_memory_allocated": 10**6,
            "reset_peak_memory_stats": None,
            "get_device_capability": (8, 0),
            "is_current_stream_capturing": False,  # asked by optimizers of torch 2.11
        }
        for name, answer in told.items():
            stack.enter_context(patch.object(torch.cuda, name, lambda *_, answer=answer: answer))
        # Optimizers ask it for a stream, which torch's CUDA build would look for on a real device.
        stack.enter_context(
            patch.object(torch.accelerator, "current_accelerator", lambda *_, **__: None)
        )
        stack.enter_context(patch.object(torch, "Generator", Chance))
        real = torch.autocast  # what is cast on a CPU is nearly what is cast on a GPU
        stack.enter_context(
            patch.object(torch, "autocast", lambda _, *a, **k: real("cpu", *a, **k))
        )
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, False)
        mode = torch.autograd.grad_mode.inference_mode  # knows no tensors such as ours
        stack.enter_context(patch.object(mode, "__enter__", torch.no_grad.__enter__))
        stack.enter_context(patch.object(mode, "__exit__", torch.no_grad.__exit__))
        stack.enter_context(Places())
        stack.enter_context(Draws())
        yield
