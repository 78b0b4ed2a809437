import { expect, test } from 'vitest';
import { behaviourOf, parseOverrides, PROFILE_NAMES, PROFILES } from '../../../src/agent/profiles.js';

test('the profiles are the five that are named', () => {
  expect(PROFILE_NAMES).toEqual(['sound', 'c-agent', 'c-agent-g2', 'c-agent-g1', 'csharp-agent']);
  expect(Object.keys(PROFILES)).toEqual([...PROFILE_NAMES]);
});

test('the sound profile has no fault', () => {
  const rates = Object.entries(PROFILES.sound).filter(([name]) => name.endsWith('Rate') && name !== 'exitNoticeRate');
  expect(rates.every(([, rate]) => rate === 0)).toBe(true);
  expect(PROFILES.sound.floodFrames).toBe(0);
});

test('the C agent has its measured rates', () => {
  expect(PROFILES['c-agent']).toMatchObject({
    silentDeathRate: 0.001,
    recoveryCrashRate: 5 / 37,
    exitNoticeRate: 41 / 48,
    readBytes: 2048,
    cols: 128,
    rows: 30,
    term: 'xterm',
    keepaliveMs: 20_000,
    reconnectTries: 10,
  });
});

test('each switch can be changed alone', () => {
  expect(behaviourOf('c-agent', { silentDeathRate: 0 })).toEqual({ ...PROFILES['c-agent'], silentDeathRate: 0 });
});

test('switches can be written as name=value', () => {
  expect(parseOverrides(['silentDeathRate=0.01', 'nulCutsChunk=true', 'outputText=raw', 'restartMs=-1', 'reconnectTries=Infinity'])).toEqual({
    silentDeathRate: 0.01,
    nulCutsChunk: true,
    outputText: 'raw',
    restartMs: -1,
    reconnectTries: Infinity,
  });
});

test.each([
  ['nothing', 'device fault "nothing" is not of the form name=value'],
  ['nosuch=1', 'unknown device fault "nosuch"'],
  ['constructor=1', 'unknown device fault "constructor"'],
  ['silentDeathRate=2', 'device fault silentDeathRate must be a chance from 0 to 1, not 2'],
  ['silentDeathRate=', 'device fault silentDeathRate must be a number, not ""'],
  ['silentDeathRate=often', 'device fault silentDeathRate must be a number, not null'],
  ['readBytes=0', 'device fault readBytes must be at least 1, not 0'],
  ['restartMs=-2', 'device fault restartMs must be milliseconds, or -1, not -2'],
  ['floodMs=-1', 'device fault floodMs must be a number from 0, not -1'],
  ['typingBlocks=yes', 'device fault typingBlocks must be true or false, not "yes"'],
  ['term=', 'device fault term must be a word, not ""'],
  ['json=pretty', 'device fault json must be one of cjson, compact, not "pretty"'],
])('%s is refused', (text, message) => {
  expect(() => parseOverrides([text])).toThrow(expect.objectContaining({ code: 'USAGE', message }));
});

test('an unknown profile is refused with the names there are', () => {
  expect(() => behaviourOf('best' as 'sound')).toThrow('unknown device profile "best": use one of sound, c-agent, c-agent-g2, c-agent-g1, csharp-agent');
});
