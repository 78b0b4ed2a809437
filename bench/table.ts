/** The one table of a benchmark run: what was measured, both sides, the ratio, the goal. */
export interface Row {
  name: string;
  /** Ours and the other side's median, in `unit`. */
  ours: number;
  other: number;
  unit: 's' | 'ms' | 'MB/s';
  /** What `other` is: direct ssh to the same sshd, or the frames path's ceiling. */
  against: string;
  /** The ratio to reach, e.g. '<= 1.5', or ours alone with a unit, '<= 30 ms'; undefined: for information. */
  goal?: string;
}

/** ours/other for times (smaller is better) and rates (larger is better) alike. */
export function ratio(row: Row): number {
  return row.ours / row.other;
}

export function met(row: Row): 'yes' | 'no' | '' {
  if (row.goal === undefined) return '';
  const [sign, text, unit] = row.goal.split(' ');
  const bound = Number(text);
  const value = unit === undefined ? ratio(row) : row.ours;
  return (sign === '<=' ? value <= bound : value >= bound) ? 'yes' : 'no';
}

export function markdown(rows: readonly Row[]): string {
  const digits = (n: number): string => n.toFixed(n < 10 ? 2 : 1);
  const lines = rows.map(
    (row) =>
      `| ${row.name} | ${digits(row.ours)} ${row.unit} | ${digits(row.other)} ${row.unit} (${row.against}) | ${digits(ratio(row))} | ${row.goal ?? ''} | ${met(row)} |`,
  );
  return ['| benchmark | ours | other side | ours / other | goal | met |', '|---|---|---|---|---|---|', ...lines, ''].join('\n');
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
