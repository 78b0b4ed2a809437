import { readFileSync } from 'node:fs';
import { END_WATCH } from '../boot.js';
import { checksum } from './checksum.js';
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

export const source = (name: string): string => readFileSync(new URL(`./${name}.sh`, import.meta.url), 'utf8');

/** Without comment lines and indentation: the text crosses the link at every first start. */
export function compact(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .join('\n');
}

let parts: { start: string; front: string; runner: string } | undefined;

/** The lines of the whole device program, start.sh with the others inside. */
export function programLines(parameters: ProgramParameters): string[] {
  parts ??= {
    start: compact(source('start')),
    front: compact(source('front')).replace('@EMITTER@', () => compact(source('emitter'))),
    runner: compact(source('runner')).replace('@JANITOR@', () => compact(source('janitor'))),
  };
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
 * Tells the front the process of the device's SSH server that its login hangs on, to be ended where an
 * agent races with itself and hangs (`Manners.races`); the boot sh is a child of the login shell, and that
 * one of this process.
 */
function server(races: boolean): string {
  return `IS=;${races ? '{ read -r Ix Ix Ix IS Ix </proc/$PPID/stat;} 2>/dev/null;' : ''}export IS;`;
}

/**
 * The loader, one line for the boot sh: takes numbered program lines in order, tells how many it has
 * when asked (`e`), and runs the program when that is all of them and its checksum is right. It keeps
 * the lines in a variable: nothing is written before a directory was chosen.
 */
export function loaderLine(tag: string, races = false): string {
  const take = 'In=${Il%% *};Il=${Il#* };Iz=${Il%% *};Il=${Il#* }';
  const keep = 'if [ "$In" = "$((Ic+1))" ]&&[ ${#Il} = "$Iz" ];then Ip="$Ip$Il$IN";Ic=$In';
  const sum = 'case "$(printf %s "$Ip"|(cksum||md5sum) 2>/dev/null)" in "${Il%% *} "*|"${Il#* } "*)Io=1;;*)Ic=0;Ip=;;esac';
  const end = `elif [ "$In" = e ];then if [ "$Ic" = "$Iz" ];then ${sum};fi;printf ":$IT l $Ic $Ic;";[ "$Io" ]&&break;fi`;
  const loop = ['while IFS= read -r Il;do case $Il in *"$IT "*)Il=${Il##*$IT }', take, keep, end].join(';').concat(';;esac;done');
  return `(${server(races)}IT=${tag};Ic=0;Ip=;Io=;IN=$(printf '\\n.');IN=\${IN%.};${loop};[ "$Io" ]&&eval "$Ip")`;
}

/** Program lines from number `first` on, as the loader takes them, and the question how many it has. */
export function numberedLines(tag: string, lines: readonly string[], first: number): string {
  const text = lines.slice(first - 1).map((line, index) => `${tag} ${first + index} ${line.length} ${line}\n`);
  const whole = Buffer.from(`${lines.join('\n')}\n`);
  return `${text.join('')}${tag} e ${lines.length} ${checksum('cksum', whole)} ${checksum('md5sum', whole)}\n`;
}

/**
 * Attaches again, or says that there is nothing to attach to: also where the directory went with a reboot or the grace
 * time, and somebody else has made one of its name, which all users of the device have seen.
 */
export function attachLine(tag: string, directory: string, races = false): string {
  const quoted = `'${directory.replaceAll("'", `'\\''`)}'`;
  return `${END_WATCH}${server(races)}if [ -O ${quoted} ]&&[ ! -L ${quoted} ]&&[ -r ${quoted}/f ];then setsid sh ${quoted}/f;else printf ':%s g 0 0;' ${tag};fi`;
}
