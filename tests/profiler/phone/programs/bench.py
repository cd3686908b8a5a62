"""A phone with a program and a model on it, and no wire in between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from profiler.network import Conv2d, DepthwiseConv2d, GlobalAvgPool2d, Network, Relu6, ResizeNearest, TensorSpec
from profiler.phone import Phone
from profiler.phone._io import ByteInput, Pipes
from profiler.phone.files import SHELL_USER
from profiler.phone.programs import Tool, virtual_program
from profiler.phone.shell import run_script

FOLDER = "/data/local/tmp"
EXACT = "--min_secs=0 --warmup_min_secs=0.2"


def small_network(*, nearest: bool = False) -> Network:
    """Four layers; with `nearest`, one in the middle that XNNPACK leaves to the interpreter."""
    middle = [ResizeNearest("up", ("depth/act",), (40, 40))] if nearest else []
    return Network(
        "small",
        [TensorSpec("image", (1, 32, 32, 3))],
        [
            Conv2d("conv", ("image",), 16, (3, 3)),
            Relu6("conv/act", ("conv",)),
            DepthwiseConv2d("depth", ("conv/act",)),
            Relu6("depth/act", ("depth",)),
            *middle,
            Conv2d("point", ("up" if nearest else "depth/act",), 32, (1, 1)),
            GlobalAvgPool2d("pool", ("point",)),
        ],
        ["pool"],
    ).with_random_weights(np.random.default_rng(0))


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


class Bench:
    """A phone with a program and a model on it, and no wire in between."""

    def __init__(self, phone: Phone, tool: Tool, model: bytes, abi: str = "arm64-v8a") -> None:
        self.phone, self.tool = phone, tool
        self.put(tool, virtual_program(tool, abi), 0o755)
        self.put("model", model)

    def put(self, name: str, content: bytes, mode: int = 0o644) -> None:
        path = name if name.startswith("/") else f"{FOLDER}/{name}"
        self.phone.files.append(self.phone.files.create(path, SHELL_USER, mode), content)

    def get(self, name: str) -> bytes:
        return bytes(self.phone.files.read(f"{FOLDER}/{name}", SHELL_USER))

    def shell(self, text: str) -> Ran:
        return asyncio.run(self.script(text))

    async def script(self, text: str) -> Ran:
        out, err = bytearray(), bytearray()

        async def to_out(data: bytes) -> None:
            out.extend(data)

        async def to_err(data: bytes) -> None:
            err.extend(data)

        code = await run_script(self.phone, f"cd {FOLDER}; {text}", Pipes(ByteInput(b""), to_out, to_err))
        return Ran(code, out.decode(errors="replace"), err.decode(errors="replace"))

    def run(self, arguments: str, mask: str = "80") -> Ran:
        """Run the program on cores; benchmark_model with the model as its graph."""
        graph = "--graph=model " if self.tool == "benchmark_model" else ""
        return self.shell(f"taskset {mask} ./{self.tool} {graph}{arguments}")
