/** Lists of algorithms as sshd_config(5) writes them. */
import { Fault } from '../base/errors.js';
import { DEFAULT_ALGORITHMS, WEAK, type AlgorithmLists } from './algorithms.js';
import { matches } from './policy.js';

/**
 * A list made of names with commas between them; with `+` before them they come behind the default list,
 * with `^` to its head, with `-` (and wildcards, if any) they are taken from it. Throws a Fault USAGE that
 * names what is not known, or says that nothing is left.
 */
export function chooseAlgorithms(kind: keyof AlgorithmLists, text: string): readonly string[] {
  const defaults = DEFAULT_ALGORITHMS[kind];
  const known = [...defaults, ...WEAK[kind]];
  const [, sign = '', rest = ''] = /^([-+^]?)(.*)$/s.exec(text.trim()) ?? [];
  const names = rest.split(',').map((name) => name.trim()).filter((name) => name !== '');
  const unknown = names.find((name) => !known.some((each) => (sign === '-' ? matches(name, each) : name === each)));
  if (unknown !== undefined) throw new Fault('USAGE', `${JSON.stringify(unknown.slice(0, 60))} is none of ${known.join(', ')}.`);
  const others = defaults.filter((name) => !names.includes(name));
  const chosen = {
    '': names,
    '+': [...defaults, ...names.filter((name) => !defaults.includes(name))],
    '^': [...names, ...others],
    '-': defaults.filter((name) => !names.some((pattern) => matches(pattern, name))),
  }[sign] ?? [];
  if (chosen.length === 0) throw new Fault('USAGE', 'Nothing is left of the list.');
  return [...new Set(chosen)];
}

/** Those of the chosen algorithms that are weak: to be warned of. */
export function weakAmong(lists: AlgorithmLists): string[] {
  return Object.keys(WEAK).flatMap((kind) => lists[kind as keyof AlgorithmLists].filter((name) => WEAK[kind as keyof AlgorithmLists].includes(name)));
}
