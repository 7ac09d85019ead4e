"""Train on a GPU in recorded steps that do not wait for the host."""

from __future__ import annotations

from typing import Callable

from rdn.training import patches, steps

import torch

import models

LOSS_SCALE = 65536.0  # the initial loss scale in fp16; an overflow halves it
SCALE_GROWTH = 1.0005  # factor on the loss scale after each good step: it doubles in 1,400 steps
WARM_UP_STEPS = 6  # before the recording: CUDA graphs need some


class GraphSteps(steps.Steps):
    """Steps on a GPU that do not wait for the host: the device draws the patches, and each step is one CUDA graph.

    In fp16, the weights stay in fp32, and the loss is scaled. If gradients overflow, the step is skipped and the scale
    is halved. Gradients are clipped through Adam's `grad_scale`, so that no number has to return to the host. On a CPU,
    the same code runs without the graph, for tests.
    """

    at_once = 10

    def __init__(self, model: models.RDN, source: patches.DevicePatches, batch_size: int, fp16: bool, compiled: bool):
        """Prepare the steps; on a GPU, record one.

        Args:
            model: the network, on the CPU.
            source: the patches.
            batch_size: number of patches in a batch.
            fp16: whether to compute in fp16; else in fp32.
            compiled: whether to compile the blocks.
        """
        device = source.device
        on_gpu = device.type == 'cuda'
        self.rate = torch.zeros((), device=device)
        capturable = {'capturable': True} if on_gpu else {}
        super().__init__(model, device, channels_last=on_gpu, lr=self.rate, fused=True, **capturable)
        self.source, self.batch_size, self.fp16 = source, batch_size, fp16
        self.precision = 'fp16' if fp16 else 'fp32'
        self.scale = torch.full((), LOSS_SCALE if fp16 else 1.0, device=device)
        self.share, self.loss_share, self.skipped = (torch.zeros((), device=device) for _ in range(3))
        # Adam's fused step reads both.
        vars(self.optimizer).update(grad_scale=torch.ones((), device=device), found_inf=torch.zeros((), device=device))
        if compiled:
            for block in self.model.rdbs:
                block.compile()
        self._replay = self._record() if on_gpu else self._step
        if not on_gpu:
            self._begin_adam()

    def run(self, first: int, count: int, rate: float, exact: bool = False) -> None:
        """Do some steps. `exact` has no effect, because fp16 with fp32 weights costs no accuracy."""
        self.rate.fill_(rate)
        for step in range(first, first + count):
            if step == first or step < 100:  # after step 100, they hardly change within one call
                self.share.fill_(steps.average_share(step + 1))
                self.loss_share.fill_(steps.loss_share(step + 1))
            self._replay()
        self.wait()  # else the time that the caller measures would not include the work

    def is_failing(self) -> bool:
        """Return whether training has failed: most steps overflow, or the loss is not a finite number."""
        return super().is_failing() or float(self.skipped) > 0.5

    def put(self, state: steps.State) -> None:
        """Restore a state that `keep` copied, and reset the loss scale."""
        super().put(state)
        self.skipped.zero_()
        self.scale.fill_(LOSS_SCALE if self.fp16 else 1.0)

    def _step(self) -> None:
        """Compute one step. All its numbers are tensors, so that it can be recorded."""
        for tensor in self.weights:
            tensor.grad = None
        lr, hr = self.source.draw(self.batch_size)
        with torch.autocast(self.device.type, torch.float16, enabled=self.fp16, cache_enabled=False):
            sr = self.model(lr)
        loss = self.criterion(sr, hr)
        (loss * self.scale).backward()
        gradients = [tensor.grad for tensor in self.weights]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))) / self.scale
        overflow = (~torch.isfinite(norm)).float()
        self.optimizer.found_inf.copy_(overflow)
        clipping = torch.clamp(norm / steps.MAX_GRADIENT_NORM, min=1.0).nan_to_num(1.0, 1.0, 1.0)
        self.optimizer.grad_scale.copy_(self.scale * clipping)
        self.optimizer.step()
        if self.fp16:
            self.scale.mul_(SCALE_GROWTH - (SCALE_GROWTH - 0.5) * overflow).clamp_(1.0, LOSS_SCALE)
        with torch.no_grad():
            change = torch._foreach_sub([tensor.data for tensor in self.weights], self.average_weights)
            torch._foreach_mul_(change, self.share)
            torch._foreach_add_(self.average_weights, change)
            finite = torch.where(torch.isfinite(loss), loss.detach(), self.loss)
            self.loss.copy_(torch.lerp(self.loss, finite, self.loss_share))
            self.skipped.lerp_(overflow, steps.LOSS_SHARE)

    def _record(self) -> Callable[[], object]:
        """Record a step as a CUDA graph, without changing the weights; return the function that replays it."""
        kept = [tensor.detach().clone() for tensor in self.weights]
        benchmark, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True  # all batches have one shape
        usual, graph = torch.cuda.current_stream(), torch.cuda.CUDAGraph()
        try:
            stream = torch.cuda.Stream()
            stream.wait_stream(usual)
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_STEPS):  # with a learning rate of 0
                    self._step()
            usual.wait_stream(stream)
            torch.cuda.synchronize()
            for tensor in self.weights:
                tensor.grad = None
            with torch.cuda.graph(graph):
                self._step()
            torch.cuda.synchronize()
        finally:
            torch.backends.cudnn.benchmark = benchmark
            torch.cuda.set_stream(usual)
        self.put(steps.State(kept, kept, [dict(self.optimizer.state[tensor]) for tensor in self.weights], 0.0))
        self._clear_adam()
        return graph.replay
