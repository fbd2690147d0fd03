"""Ordinary data-parallel jobs: `replicas.py trainer|lightning|accelerate`; rank 1 is slower."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from ranks import Work
from torch import nn

WIDTH, STEPS, BATCH = 16, 7, 4


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH) / WIDTH)

    def forward(self, x):
        slow = os.environ.get("RANK", os.environ.get("LOCAL_RANK")) == "1"
        return Work.apply(x, self.weight, 0.020 if slow else 0.010, 0.010)


def layers() -> nn.Module:
    return nn.Sequential(Layer(), Layer(), Layer())


def trainer() -> None:
    from transformers import Trainer, TrainingArguments

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers()

        def forward(self, x, labels=None):
            return {"loss": nn.functional.mse_loss(self.layers(x), labels)}

    options = TrainingArguments(
        "trained",
        per_device_train_batch_size=BATCH,
        max_steps=STEPS,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
    )
    row = {"x": torch.ones(WIDTH), "labels": torch.zeros(WIDTH)}
    Trainer(model=Net(), args=options, train_dataset=[row] * 80).train()


def lightning() -> None:
    import lightning

    class Net(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers()

        def training_step(self, batch, _):
            return self.layers(batch).square().mean()

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters())

    data = torch.utils.data.DataLoader(torch.ones(80, WIDTH), batch_size=BATCH)
    lightning.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_steps=STEPS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    ).fit(Net(), data)


def accelerate() -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, data = layers(), torch.utils.data.DataLoader(torch.ones(80, WIDTH), batch_size=BATCH)
    model, optimizer, data = accelerator.prepare(model, torch.optim.AdamW(model.parameters()), data)
    for batch in list(data)[:STEPS]:
        accelerator.backward(model(batch).square().mean())
        optimizer.step()
        optimizer.zero_grad()


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"trainer": trainer, "lightning": lightning, "accelerate": accelerate}[sys.argv[1]]()
