import { writeFileSync } from 'node:fs';

/** A vitest reporter that writes the counts and the reasons of skipped tests to the file that CLIPYARD_TEST_SUMMARY names. */
export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const summary = { passed: 0, failed: unhandledErrors.length, skipped: 0, skips: [] };
    for (const module of modules) {
      // A file that does not load, or a hook that throws, fails without any of its tests failing.
      summary.failed += [module, ...module.children.allSuites()].filter((suite) => suite.errors().length > 0).length;
      for (const test of module.children.allTests()) {
        const { state, note = '' } = test.result();
        if (state === 'passed') summary.passed++;
        else if (state === 'failed') summary.failed++;
        else {
          summary.skipped++;
          summary.skips.push({ name: `${module.relativeModuleId} > ${test.fullName}`, reason: note });
        }
      }
    }
    writeFileSync(process.env.CLIPYARD_TEST_SUMMARY, JSON.stringify(summary));
  }
}
