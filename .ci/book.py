"What the other tools need to know of the book: its notebooks in reading order, and their modules."
import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NBS = ROOT / 'nbs'


def cells_of(stem): return json.loads((NBS / f'{stem}.ipynb').read_text(encoding='utf-8'))['cells']


def chapters():
    "Give the name and the cells of each numbered notebook, in reading order."
    for path in sorted(NBS.glob('[0-9]*.ipynb')): yield path.stem, cells_of(path.stem)


def source(cell): return ''.join(cell['source'])


def module(cells):
    "Name the module that a notebook is exported to; None if there is none."
    found = re.search(r'#\| *default_exp +([\w.]+)', '\n'.join(map(source, cells)))
    return found and found[1]


def title(stem, cells):
    "Number a chapter as its file is numbered: 05b Samplers."
    return f"{stem.split('_')[0]} {source(cells[0]).splitlines()[0].lstrip('# ')}"
