"""A model and its loss as a Lightning module, for `lightning.Trainer`.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3 to 5.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, UInt8
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR

from capsnet.capsules import CapsNetOutput
from capsnet.data.dataset import Preparation
from capsnet.errors import UserError
from capsnet.models import CapsuleModel, create_model
from capsnet.runs.built import RECON_WEIGHT
from capsnet.training.batches import Batch
from capsnet.training.objective import Losses, find_losses

Images = Float[Tensor, "b c h w"] | UInt8[Tensor, "b c h w"]
ImageBatch = tuple[Images, Int[Tensor, " b"] | Int[Tensor, "b 1"]] | list[Tensor]


class CapsuleModule(LightningModule):
    """Trains a capsule network with Lightning: Adam, learning-rate decay, class and reconstruction loss.

    A batch is images and labels from a `DataLoader`: uint8 from 0 to 255, or floats in [0, 1]. Images are as in the
    data set: the module scales, crops and standardises them as the model's `inputs` say. For another optimiser,
    override `configure_optimizers`.

    Args:
        model: a model's name, which checkpoints record, or a model, which `load_from_checkpoint` then needs again.
        lr: learning rate.
        lr_decay: factor on the learning rate after each epoch.
        recon_weight: weight of the reconstruction loss; None: 0.0005 for a model with a decoder, else 0.
        model_options: arguments of a model that is given by name, such as `{"num_classes": 5}`.
        class_names: a name for each class; None: the model's own, which are "0", "1", ... of a new model.
        preparation: how the saved model prepares image files: as MNIST was made (`"digit"`) or scaled to fit (`"fit"`);
            None: the model's own, which is `"fit"` of a new model.

    Raises:
        UserError: `model_options` together with a model object, a reconstruction loss without a decoder, or another
            number of class names than the model has classes.

    Example:
        >>> module = CapsuleModule("capsnet-tiny", lr=3e-3, preparation="digit")
        >>> lightning.Trainer(max_epochs=5).fit(module, loader, validation_loader)
        >>> module.model.save_pretrained("my-digits")
    """

    def __init__(
        self,
        model: str | CapsuleModel = "capsnet",
        *,
        lr: float = 1e-3,
        lr_decay: float = 0.96,
        recon_weight: float | None = None,
        model_options: dict[str, object] | None = None,
        class_names: Sequence[str] | None = None,
        preparation: Preparation | None = None,
    ) -> None:
        super().__init__()
        if isinstance(model, str):
            self.save_hyperparameters()
            model = create_model(model, **(model_options or {}))
        else:
            # a module in the hyperparameters would be stored twice
            self.save_hyperparameters(ignore=["model"])
            if model_options:
                raise UserError("model_options are for a model given by name; this one is already created")
        self.model, self.lr, self.lr_decay = model, lr, lr_decay
        own = RECON_WEIGHT if model.has_decoder else 0.0
        self.recon_weight = own if recon_weight is None else recon_weight
        if self.recon_weight and not model.has_decoder:
            raise UserError(f"recon_weight must be 0 for a model without a decoder, got {self.recon_weight:g}")
        if class_names is not None:
            count = len(model.class_names)
            if len(class_names) != count:
                raise UserError(f"class_names must be {count}, one for each class of the model, got {len(class_names)}")
            model.class_names = tuple(class_names)
        model.preparation = preparation or model.preparation

    def forward(self, images: Images) -> CapsNetOutput:
        """Compute the class capsules of images."""
        output: CapsNetOutput = self.model(self.model.inputs.normalize(self._view(images)))
        return output

    def training_step(self, batch: ImageBatch, batch_idx: int) -> Float[Tensor, ""]:
        """The loss of a batch."""
        return self._log(batch, "train").total

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Log loss and accuracy on validation images."""
        self._log(batch, "val")

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Log loss and accuracy on test images."""
        self._log(batch, "test")

    def predict_step(self, batch: ImageBatch | Images, batch_idx: int) -> CapsNetOutput:
        """The output for images, with or without labels."""
        images = batch if isinstance(batch, Tensor) else batch[0]
        output: CapsNetOutput = self(images)
        return output

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam with a learning rate that decays after each epoch."""
        optimizer = Adam(self.parameters(), lr=self.lr)
        return {"optimizer": optimizer, "lr_scheduler": ExponentialLR(optimizer, self.lr_decay)}

    def _log(self, batch: ImageBatch, stage: str) -> Losses:
        pixels, labels = self._view(batch[0]), batch[1]
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        progress = torch.tensor(self._progress(), device=pixels.device) if stage == "train" else None
        # the decoder draws pixels in [0, 1], whatever the network's own units are
        prepared = Batch(self.model.inputs.normalize(pixels), labels, pixels / 255)
        losses = find_losses(self.model, prepared, self.recon_weight, progress)
        values = {
            f"{stage}_loss": losses.total,
            f"{stage}_class_loss": losses.margin,
            f"{stage}_reconstruction_loss": losses.reconstruction,
            f"{stage}_accuracy": losses.correct / len(labels),
        }
        self.log_dict(values, prog_bar=True, batch_size=len(labels), on_step=False, on_epoch=True)
        return losses

    def _progress(self) -> float:
        """Fraction of training completed, for losses that change over training."""
        total = self.trainer.estimated_stepping_batches
        return min(self.global_step / total, 1.0)

    def _view(self, images: Images) -> Float[Tensor, "b c y x"]:
        """Scale and crop images as the model's `inputs` say; the result has values from 0 to 255."""
        return self.model.inputs.view(images if images.dtype == torch.uint8 else images * 255)
