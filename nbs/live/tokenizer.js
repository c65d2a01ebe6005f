// CLIP's tokenizer, as in chapter 01: a prompt is split into words, and each word by byte-pair encoding into
// tokens.

const WORDS = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu;
const START = '<|startoftext|>', END = '<|endoftext|>';

export function makeTokenizer(mergesText) {  // the text of merges.txt
  const lines = mergesText.trim().split('\n').slice(1);  // the first line is a version number
  const rank = new Map(lines.map((pair, k) => [pair.trim(), k]));

  // Each byte is written as one character: itself if it prints, otherwise one from 256 on.
  const plain = b => b >= 33 && b < 127 || b >= 161 && b < 173 || b >= 174, bytes = [...Array(256).keys()];
  const letter = {};
  bytes.filter(plain).forEach(b => { letter[b] = String.fromCodePoint(b); });
  bytes.filter(b => !plain(b)).forEach((b, k) => { letter[b] = String.fromCodePoint(256 + k); });

  // The vocabulary follows from the merges: the letters, the letters at a word's end, what each merge makes.
  const letters = [...bytes.filter(plain), ...bytes.filter(b => !plain(b))].map(b => letter[b]);
  const merged = lines.map(pair => pair.trim().replace(' ', ''));
  const tokens = [...letters, ...letters.map(c => c + '</w>'), ...merged, START, END];
  const ids = new Map(tokens.map((token, id) => [token, id]));

  function splitWord(word) {
    let parts = Array.from(new TextEncoder().encode(word), b => letter[b]);
    parts[parts.length - 1] += '</w>';
    while (true) {
      const rankOf = (a, b) => rank.get(a + ' ' + b) ?? Infinity;
      const best = Math.min(...parts.slice(1).map((part, k) => rankOf(parts[k], part)));
      if (best === Infinity) return parts;  // no pair is in the list
      const joined = [];
      for (const part of parts) {
        if (joined.length && rankOf(joined.at(-1), part) === best) joined.push(joined.pop() + part);
        else joined.push(part);
      }
      parts = joined;
    }
  }

  function encode(text) {  // text -> ids, without padding
    const out = [START];
    for (const piece of text.split(/(<\|startoftext\|>|<\|endoftext\|>)/)) {
      if (piece === START || piece === END) { out.push(piece); continue; }
      const lower = Array.from(piece.normalize('NFC'), c => c.toLowerCase()).join('');
      for (const [word] of lower.matchAll(WORDS)) out.push(...splitWord(word));
    }
    return [...out, END].map(token => ids.get(token));
  }

  function pad(all, length, padding) {  // cut or padded to a length; the last one stays end-of-text
    const kept = all.length > length ? [...all.slice(0, length - 1), all.at(-1)] : all;
    return [...kept, ...Array(length - kept.length).fill(padding)];
  }

  return {encode, pad, tokens, ids};
}
