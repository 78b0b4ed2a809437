/** Preloaded into a program under test: its wall clock is wrong by what the file FAULTS_CLOCK says. */
import { readFileSync, watchFile } from 'node:fs';

const file = process.env.FAULTS_CLOCK;
const real = Date.now;
let offset = 0;
if (file !== undefined) {
  const read = () => {
    try {
      offset = Number(readFileSync(file, 'utf8'));
    } catch {
      offset = 0;
    }
  };
  read();
  watchFile(file, { interval: 100, persistent: false }, read);
}
Date.now = () => real() + offset;
