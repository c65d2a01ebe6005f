"What the chapters teach, for notebooks: `from sdpipe.all import *`. .ci/check_layout.py holds it complete."
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
from sdpipe.clock import *
from sdpipe.speed import *
