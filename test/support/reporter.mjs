/**
 * A vitest reporter that tells test/run.mjs how many tests passed, failed and were skipped, and why
 * each was skipped. vitest's own JSON reporter knows neither the reasons, nor files that could not
 * be loaded, nor errors outside of any test; all of these count here.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';

export default class RunReporter {
  onTestRunEnd(modules, errors) {
    const summary = { passed: 0, failed: 0, failures: [], skipped: [] };
    const fail = (what) => {
      summary.failed++;
      summary.failures.push(what);
    };
    for (const module of modules) {
      const file = relative(process.cwd(), module.moduleId);
      let failedTests = 0;
      for (const test of module.children.allTests()) {
        const { state, note } = test.result();
        const title = `${file} > ${test.fullName}`;
        if (state === 'passed') summary.passed++;
        else if (state === 'skipped') summary.skipped.push({ title, reason: note ?? 'no reason given' });
        else {
          failedTests++;
          fail(title);
        }
      }
      // A file that could not be loaded, or whose hooks failed, with no test to show it.
      if (!module.ok() && failedTests === 0) fail(file);
    }
    for (const error of errors) fail(`outside of any test: ${error.message}`);
    writeFileSync(process.env.IOTDA_SSH_TEST_SUMMARY, JSON.stringify(summary));
  }
}
