"""Prepare the built-in model for the page "Try it" of the docs site (nbs/live.ipynb, nbs/live/*.js).

.ci/docs.py calls this. Usage on its own: python .ci/live.py [FOLDER]; it also compares nbs/live/kernel.wat with the
bytes in sd.js where the package wasmtime is installed."""
import base64
import hashlib
import json
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from safetensors.numpy import load_file, save

ROOT = Path(__file__).parent.parent
MINI, LIVE = ROOT / 'sdpipe/mini', ROOT / 'nbs/live'
ROWS = 256  # rows of the token embedding matrix in a file: a prompt needs about seven of them


def read_config(name): return json.loads((MINI / name).read_text(encoding='utf-8'))


def prepare(out):
    "Write the weights that the page fetches, and what it must know of them before, into a folder; give the bytes."
    shutil.rmtree(out, ignore_errors=True)
    (out / 'tokens').mkdir(parents=True)
    text = load_file(MINI / 'text_encoder/model.safetensors')
    table = text.pop(next(name for name in text if name.endswith('token_embedding.weight')))
    for k in range(0, len(table), ROWS):
        (out / f'tokens/{k // ROWS:03}.bin').write_bytes(table[k:k + ROWS].astype('<f2').tobytes())
    (out / 'text_encoder.safetensors').write_bytes(save(text))
    shutil.copyfile(MINI / 'unet/diffusion_pytorch_model.safetensors', out / 'unet.safetensors')
    vae = load_file(MINI / 'vae/diffusion_pytorch_model.safetensors')
    decoder = {name: x for name, x in vae.items() if name.startswith(('decoder.', 'post_quant_conv.'))}
    (out / 'decoder.safetensors').write_bytes(save(decoder))
    shutil.copyfile(MINI / 'tokenizer/merges.txt', out / 'merges.txt')

    names = 'text_encoder.safetensors', 'unet.safetensors', 'decoder.safetensors', 'merges.txt'
    everything = b''.join(path.read_bytes() for path in sorted(out.rglob('*.*')))
    config = {part: read_config(f'{part}/config.json') for part in ('unet', 'vae', 'text_encoder')} | {
        'scheduler': read_config('scheduler/scheduler_config.json'),
        'tokenizer': read_config('tokenizer/tokenizer_config.json'),
        'guidance_scale': read_config('generation_config.json')['guidance_scale'],
        'files': {name: (out / name).stat().st_size for name in names},
        'version': hashlib.sha256(everything).hexdigest()[:12],  # names the browser's cache
    }
    (out / 'config.js').write_text(f'export default {json.dumps(config, indent=1)};\n', encoding='utf-8')
    return sum(config['files'].values())


def without_names(code):
    "Drop the sections of a WebAssembly module that only name things."
    kept, at = code[:8], 8
    while at < len(code):
        start, length, shift = at, 0, 0
        at += 1
        while True:  # the section's length, 7 bits a byte
            byte = code[at]
            length, shift, at = length | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128: break
        at += length
        if code[start]: kept += code[start:at]
    return kept


def check_kernel():
    "Say what is wrong with the kernel: the bytes in sd.js must be kernel.wat, assembled; None if nothing is."
    if not find_spec('wasmtime'): return None
    from wasmtime import wat2wasm
    lines = re.search(r'const KERNEL = [^;]*;', (LIVE / 'sd.js').read_text(encoding='utf-8'))[0]
    held = base64.b64decode(''.join(re.findall(r"'([^']*)'", lines)))
    wanted = without_names(wat2wasm((LIVE / 'kernel.wat').read_text(encoding='utf-8')))
    if held == wanted: return None
    return f'sd.js holds another kernel than kernel.wat, which is {base64.b64encode(wanted).decode()}'


def main():
    if len(sys.argv) > 1: print(f'{prepare(Path(sys.argv[1])) / 1e6:.1f} MB')
    problem = check_kernel()
    print(problem or ('the kernel is kernel.wat' if find_spec('wasmtime') else 'not compared: no wasmtime'))
    return problem is not None


if __name__ == '__main__': sys.exit(main())
