"""What is kept of an expert besides its pictures: nothing, an adapter, or every weight."""

from safetensors.torch import save

from suti.ml.experts.lora import lora_files
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.tuning import Expert


def expert_files(expert: Expert, recipe: ExpertRecipe) -> dict[str, bytes]:
    """Files by name: a PEFT folder for an adapter; for DreamBooth the tuned UNet (and text encoder) in half precision.

    The UNet's file takes the place of the base's `unet/diffusion_pytorch_model.safetensors`.
    """
    if recipe.keep_experts == "none":
        return {}
    if recipe.method == "lora":
        return lora_files(expert.unet)
    tuned = {"unet/diffusion_pytorch_model.safetensors": expert.unet}
    if recipe.train_text_encoder:
        names = ("text_encoder", "text_encoder_2")
        tuned |= {f"{name}/model.safetensors": model for name, model in zip(names, expert.text.models, strict=False)}
    return {
        path: save(
            {name: value.detach().half().cpu().contiguous() for name, value in module.state_dict().items()},
            metadata={"format": "pt"},
        )
        for path, module in tuned.items()
    }
