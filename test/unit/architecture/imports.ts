/** Reads which file of `src` imports what, from the text; enough for sources as plain as ours. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const SRC = fileURLToPath(new URL('../../../src', import.meta.url));

/** `import … from 'x'`, `export … from 'x'`, `import 'x'` and `import('x')`. */
const IMPORT = /^\s*(?:import|export)\s(?:[^'"();]*?\sfrom\s)?\s*'([^']+)'|\bimport\('([^']+)'\)/gm;

/** Specifiers in a source text, in order. */
export function specifiers(text: string): string[] {
  return [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? '');
}

/** The folder directly below `src` that a file of `src` is in. */
export function folderOf(file: string): string {
  return file.split('/', 1)[0] ?? '';
}

export interface Imports {
  /** Files of `src`, by path relative to it, with the files of `src` that they import. */
  files: Map<string, string[]>;
  /** Packages and Node modules, by the file that imports them. */
  packages: Map<string, string[]>;
}

export function readImports(): Imports {
  const files = new Map<string, string[]>();
  const packages = new Map<string, string[]>();
  for (const name of readdirSync(SRC, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts') || name.endsWith('.d.ts')) continue;
    const found = specifiers(readFileSync(join(SRC, name), 'utf8'));
    const own = found.filter((specifier) => specifier.startsWith('.'));
    files.set(name, own.map((specifier) => relative(SRC, join(SRC, dirname(name), specifier)).replace(/\.js$/, '.ts')));
    packages.set(name, found.filter((specifier) => !specifier.startsWith('.')).map(packageOf));
  }
  return { files, packages };
}

function packageOf(specifier: string): string {
  return specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}

/** The first cycle found, as the files along it, or undefined. */
export function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    if (done.has(file)) return undefined;
    const at = path.indexOf(file);
    if (at >= 0) return [...path.slice(at), file];
    path.push(file);
    for (const next of graph.get(file) ?? []) {
      const cycle = visit(next);
      if (cycle !== undefined) return cycle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const cycle = visit(file);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
