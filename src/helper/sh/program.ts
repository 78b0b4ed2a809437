import { readFileSync } from 'node:fs';
import { SEGMENT_MAX_BYTES, STREAM_SEGMENTS } from './wire.js';

export interface ProgramParameters {
  /** First word of every line and record, unguessable by whoever else writes to the terminal. */
  tag: string;
  /** Name of the state directory, unguessable. */
  name: string;
  graceSeconds: number;
  /** Directory to try before the usual ones, '' for none. */
  stateDir: string;
}

const source = (name: string): string => readFileSync(new URL(`./${name}.sh`, import.meta.url), 'utf8');

/** Without comment lines and indentation: the text crosses the link at every first start. */
function compact(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .join('\n');
}

let parts: { start: string; front: string; runner: string } | undefined;

/** The lines of the whole device program, start.sh with the other two inside. */
export function programLines(parameters: ProgramParameters): string[] {
  parts ??= { start: compact(source('start')), front: compact(source('front')), runner: compact(source('runner')) };
  const { front, runner } = parts;
  const body = parts.start.replace('@FRONT@', () => front).replace('@RUNNER@', () => runner);
  const head = [
    `IT=${parameters.tag}`,
    `IN=${parameters.name}`,
    `IG=${parameters.graceSeconds}`,
    `IW=${STREAM_SEGMENTS}`,
    `IB=${SEGMENT_MAX_BYTES}`,
    `IV='${parameters.stateDir.replaceAll("'", '')}'`,
  ];
  return [...head, ...body.split('\n')];
}

/**
 * The loader, one line for the boot sh: takes numbered program lines in order, tells how many it has
 * when asked (`e`), and runs the program when that is all of them. It keeps the lines in a variable:
 * nothing is written before a directory was chosen.
 */
export function loaderLine(tag: string): string {
  return (
    `(IT=${tag};Ic=0;Ip=;Io=;IN=$(printf '\\n.');IN=\${IN%.};while IFS= read -r Il;do case $Il in *"$IT "*)Il=\${Il##*$IT };` +
    'In=${Il%% *};Il=${Il#* };if [ "$In" = "$((Ic+1))" ];then Ip="$Ip$Il$IN";Ic=$In;elif [ "$In" = e ];then ' +
    'printf ":$IT l $Ic $Ic;";if [ "$Ic" = "$Il" ];then Io=1;break;fi;fi;;esac;done;[ "$Io" ]&&eval "$Ip")'
  );
}

/** Attaches again, or says that there is nothing to attach to. */
export function attachLine(tag: string, directory: string): string {
  const quoted = `'${directory.replaceAll("'", `'\\''`)}'`;
  return `if [ -r ${quoted}/f ];then setsid sh ${quoted}/f;else printf ':%s g 0 0;' ${tag};fi`;
}
