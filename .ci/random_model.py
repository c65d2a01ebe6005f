"""Write a model with random weights, in diffusers' layout and unlike the built-in one.

Usage: python .ci/random_model.py FOLDER [TOKENIZER]"""
import sys

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer


def random_model(tokenizer):
    "Make a small pipeline of Stable Diffusion's classes: other widths, a VAE of factor 4, another scaling factor."
    torch.manual_seed(0)
    text_encoder = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=77, hidden_act='quick_gelu',
        bos_token_id=49406, eos_token_id=49407, pad_token_id=49407))
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 16), latent_channels=4, norm_num_groups=4, sample_size=32, scaling_factor=0.31,
        down_block_types=('DownEncoderBlock2D',) * 3, up_block_types=('UpDecoderBlock2D',) * 3)
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        down_block_types=('CrossAttnDownBlock2D', 'DownBlock2D'), up_block_types=('UpBlock2D', 'CrossAttnUpBlock2D'),
        cross_attention_dim=48, attention_head_dim=2, norm_num_groups=4)
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear', skip_prk_steps=True, steps_offset=1,
        set_alpha_to_one=False)
    return StableDiffusionPipeline(
        vae, text_encoder, tokenizer, unet, scheduler, None, None, requires_safety_checker=False)


if __name__ == '__main__':
    from sdpipe.loading import part_source
    source = sys.argv[2:] or ['/'.join(part_source('mini', 'tokenizer'))]
    random_model(CLIPTokenizer.from_pretrained(source[0])).save_pretrained(sys.argv[1])
