"Write README.md and its pictures from the stored outputs of nbs/index.ipynb, without Quarto: python .ci/readme.py"
import json
import re

from execnb.nbio import read_nb
from nbconvert import MarkdownExporter
from nbdev.config import get_config
from nbdev.process import NBProcessor
from nbdev.processors import hide_
from nbformat import reads

PICTURES = 'nbs/images'
KEPT = 'cell_type', 'id', 'metadata', 'source', 'outputs', 'execution_count'


def main():
    root = get_config().config_path
    nb, alts = read_nb(root / 'nbs/index.ipynb'), []
    NBProcessor(nb=nb, procs=[hide_]).process()
    for cell in nb.cells:
        directives = getattr(cell, 'directives_', {})
        if directives.get('echo:') == ['false']: cell.metadata['transient'] = {'remove_source': True}
        cell['source'] = re.sub(r'^#\|.*\n', '', cell['source'], flags=re.M)
        alts += [' '.join(directives['fig-alt:'])] if 'fig-alt:' in directives else []
    nb.metadata['language_info'] = {'name': 'python'}
    plain = dict(nb, cells=[{k: c[k] for k in KEPT if k in c} for c in nb.cells])
    text, resources = MarkdownExporter().from_notebook_node(reads(json.dumps(plain), 4), {'unique_key': 'index', 'output_files_dir': PICTURES})
    (root / PICTURES).mkdir(exist_ok=True)
    for old in (root / PICTURES).glob('index_*.png'): old.unlink()
    for name, data in resources['outputs'].items(): (root / name).write_bytes(data)
    text = re.sub(r'!\[png\]', lambda _: f'![{alts.pop(0)}]', text)
    text = re.sub(r'\n\s*\n', '\n\n', text).strip()
    (root / 'README.md').write_text(f'<!-- Made from nbs/index.ipynb by .ci/readme.py: edit the notebook. -->\n\n{text}\n', encoding='utf-8')


if __name__ == '__main__': main()
