"What a reader calls, for notebooks: `from sdpipe.all import *`. .ci/check_layout.py checks that nothing is forgotten."
from sdpipe.core import *
from sdpipe.loading import *
from sdpipe.tokens import *
from sdpipe.text import *
from sdpipe.vae import *
from sdpipe.noise import *
from sdpipe.scheduler import *
from sdpipe.samplers import *
from sdpipe.unet import *
from sdpipe.guided_loop import *
from sdpipe.pipeline import *
from sdpipe.edit import *
from sdpipe.prompts import *
from sdpipe.guidance import *
from sdpipe.teach import *
from sdpipe.after import *
from sdpipe.clock import *
from sdpipe.speed import *

# what only other functions of the package call; import these from their own modules
INNER = """
    cannot_load check_choice check_finite check_part check_tensor is_number is_whole quiet_libraries NEEDED
    prompt_list negative_list size_pair check_divides rgb LARGEST check_betas
    check_settings check_steps network_levels plan_sigmas plan_steps sample_noise spaced_sigmas spaced_timesteps
    corrector_target diffusers_scheduler extrapolate_denoised split_heads
    check_batch embedding_list own_scale own_scheduler scale_list seed_list step_generators
    check_latents check_parts check_request
    recommended_guidance
    check_edit list_masks noise_shares step_back
    check_noises multiply_words move_words blend_versions check_weights word_mask Watcher check_shares
    check_new_word check_rank check_training fits_layer read_tensors replace_module save_tensors start_vectors word_ids
    shared_copy
    silent_stderr time_once GraphedCall TensorCache check_supported compiled layout_unet
""".split()
__all__ = [name for name in dir() if not name.startswith('_') and name not in [*INNER, 'INNER']]
