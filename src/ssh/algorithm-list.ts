/** Lists of algorithms as sshd_config(5) writes them. */
import { Fault } from '../base/errors.js';
import { DEFAULT_ALGORITHMS, WEAK, type AlgorithmLists } from './algorithms.js';
import { matches } from './policy.js';

/**
 * A list made of names with commas between them; with `+` before them they come behind the default list,
 * with `^` to its head, with `-` (and wildcards, there alone) they are taken from it, where a name that is not
 * in it does no harm. Throws a Fault USAGE that names what is not known, or says that nothing is left.
 */
export function chooseAlgorithms(kind: keyof AlgorithmLists, text: string): readonly string[] {
  const defaults = DEFAULT_ALGORITHMS[kind];
  const known = [...defaults, ...WEAK[kind]];
  const [, sign = '', rest = ''] = /^([-+^]?)(.*)$/s.exec(text.trim()) ?? [];
  const names = rest.split(',').map((name) => name.trim()).filter((name) => name !== '');
  if (names.length === 0 && sign !== '-') throw new Fault('USAGE', 'There is no name in it.');
  // A certificate signs as its key does; taking its own name away would do nothing, and seem to.
  const idle = names.find((name) => sign === '-' && name.includes('cert'));
  if (idle !== undefined) throw new Fault('USAGE', `${JSON.stringify(idle.slice(0, 60))}: certificates have no names of their own here.`);
  const unknown = sign === '-' ? undefined : names.find((name) => !known.includes(name));
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

/** Those of the chosen algorithms that are weak, to be warned of, by their list; lists without any are left out. */
export function weakAmong(lists: AlgorithmLists): Partial<AlgorithmLists> {
  const kinds = Object.keys(WEAK) as (keyof AlgorithmLists)[];
  const weak = kinds.map((kind) => [kind, lists[kind].filter((name) => WEAK[kind].includes(name))] as const);
  return Object.fromEntries(weak.filter(([, names]) => names.length > 0));
}
