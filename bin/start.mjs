/** `npm start -- ARGS`: prepares the checkout as far as needed and runs `iotda-ssh demo ARGS`. */
import checkNode from './lib/check-node.cjs';

checkNode();
const { ensureBuilt, ensurePackages } = await import('./lib/prepare.mjs');
const say = (text) => process.stderr.write(`iotda-ssh: ${text}\n`);
try {
  ensurePackages(say);
  ensureBuilt(say);
} catch (error) {
  if (error.status === undefined) throw error;
  say(error.message);
  process.exit(error.status);
}
// In this very process, so that a signal reaches the demo and its exit code is ours.
const { main } = await import('../dist/cli/main.js');
await main(['demo', ...process.argv.slice(2)]);
