import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Job } from '@clipyard/contracts';
import { sleep } from '@clipyard/runtime';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { chromiumPath, launchChromium } from './test-chromium.js';
import { TestService } from './test-service.js';
import { smallSpec } from './test-specs.js';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const executable = chromiumPath();
const NARROW = { width: 360, height: 740 };

// Real processes, a real browser: what people do, from end to end.
describe.skipIf(executable === undefined)(
  executable === undefined ? 'the dashboard (skipped: no Chromium here, so no page was opened)' : 'the dashboard',
  () => {
    let service: TestService;
    let browser: Browser;
    let context: BrowserContext;
    let page: Page;
    let finished: Job;
    /** What the browser complained of, and what it asked others for. */
    const complaints: string[] = [];
    /** Requests fail while the server is away. */
    let away = false;

    beforeAll(async () => {
      service = await TestService.start();
      browser = await launchChromium(executable!);
      context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
      page = await context.newPage();
      page.setDefaultTimeout(30_000);
      page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
      page.on('console', (message) => {
        // Chromium notes each answer that refuses something.
        const refused = message.text().startsWith('Failed to load resource: the server responded with a status of 4');
        if (['error', 'warning'].includes(message.type()) && !away && !refused)
          complaints.push(`console: ${message.text()}`);
      });
      page.on('request', (request) => {
        if (!request.url().startsWith(service.url) && !/^(data|blob):/.test(request.url()))
          complaints.push(`request: ${request.url()}`);
      });
    });

    afterAll(async () => {
      await browser?.close();
      await service?.close();
    });

    const open = async (path: string) => {
      await page.goto(service.url + path);
    };
    const state = (job: Job) => page.locator('tr', { hasText: job.name }).locator('.state');
    const until = async (look: () => Promise<boolean>) => {
      while (!(await look())) await sleep(50);
    };
    const end = async (id: string): Promise<Job> => {
      for (;;) {
        const job = await service.client.get(id);
        if (['succeeded', 'failed', 'cancelled'].includes(job.state)) return job;
        await sleep(100);
      }
    };

    test('an empty list says what to do, then shows runs as they come and go on', async () => {
      await open('/');
      await page.getByText('No runs yet').waitFor();
      const job = await service.client.submit(smallSpec('first', 150));
      await page.getByRole('link', { name: 'first' }).waitFor();
      const progress = page.getByRole('progressbar', { name: 'Progress of first' });
      await until(async () => Number(await progress.getAttribute('aria-valuenow')) > 0);
      await state(job).getByText('succeeded').waitFor();
      finished = await end(job.id);
      expect(finished.state).toBe('succeeded');
    });

    test('curves grow while a run trains', async () => {
      const job = await service.client.submit(smallSpec('curves', 3000));
      await open(`/runs/${job.id}`);
      const chart = page.locator('figure.chart', { hasText: 'loss' }).first();
      await chart.locator('canvas').waitFor();
      const step = page.locator('dl.figures div', { hasText: 'Step' }).locator('dd');
      const stepOf = async () => Number.parseInt((await step.innerText()).replace(',', ''), 10);
      const loss = await chart.locator('output').innerText();
      const before = await stepOf();
      await until(async () => (await stepOf()) > before && (await chart.locator('output').innerText()) !== loss);
      const stored = await service.client.metricNames(job.id);
      expect(stored.find(({ name }) => name === 'loss')!.points).toBeGreaterThan(1);
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.locator('.page-head .state').getByText('cancelled').waitFor();
      expect((await end(job.id)).state).toBe('cancelled');
    });

    test('a drag zooms all charts, and the button shows all steps again', async () => {
      await open(`/runs/${finished.id}`);
      const plot = page.locator('figure.chart .u-over').first();
      await plot.waitFor();
      const box = (await plot.boundingBox())!;
      await page.mouse.move(box.x + 0.3 * box.width, box.y + 20);
      await page.mouse.down();
      await page.mouse.move(box.x + 0.6 * box.width, box.y + 20, { steps: 5 });
      await page.mouse.up();
      await page.getByRole('button', { name: 'All steps' }).click();
      await page.getByText('Drag to zoom').waitFor();
    });

    test('every part of a run has what belongs there', async () => {
      await open(`/runs/${finished.id}/timeline`);
      await page.getByText('Job succeeded').waitFor();
      await open(`/runs/${finished.id}/time`);
      await page.getByRole('row', { name: /^backward/ }).waitFor();
      await open(`/runs/${finished.id}/logs`);
      await page.getByRole('searchbox', { name: 'Search the log' }).fill('compiled train');
      await page.locator('.log mark').first().waitFor();
      expect(await page.locator('.log-line').count()).toBeLessThan(10);
      await open(`/runs/${finished.id}/evaluations`);
      await page.getByRole('img').first().waitFor();
      await page.getByRole('row', { name: /^zeroshot\/top1/ }).waitFor();
      await open(`/runs/${finished.id}/spec`);
      await page.getByText('name: first').waitFor();
      await open(`/runs/${finished.id}/checkpoints`);
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('link', { name: 'open_clip_config.json' }).first().click(),
      ]);
      const config = JSON.parse(await readFile(await download.path(), 'utf8')) as { model_cfg: object };
      expect(config.model_cfg).toMatchObject({ embed_dim: 16 });
    });

    test('a checkpoint shows its similarity matrix with pictures, and finds pictures by text, as the API does', async () => {
      const [checkpoint] = await service.client.checkpoints(finished.id);
      await open(`/runs/${finished.id}/inside`);
      await page.locator('.matrix tbody tr').first().waitFor();
      const { samples, matrix } = await service.client.similarity(checkpoint!.id, { count: 16 });
      expect(await page.locator('.matrix tbody tr').count()).toBe(16);
      const shown = await page.locator('.matrix tbody tr').nth(3).locator('td').allInnerTexts();
      expect(shown).toEqual(matrix[3]!.map((value) => value.toFixed(3)));
      await until(async () => await everyPicture('.matrix img'));
      await page.getByRole('searchbox', { name: 'Text to find pictures with' }).fill('a red circle');
      await page.getByRole('button', { name: 'Search' }).click();
      await page.locator('.found li').first().waitFor();
      const found = await service.client.searchPictures(checkpoint!.id, { text: 'a red circle', limit: 24 });
      const captions = await page.locator('.found .caption').allInnerTexts();
      expect(captions).toEqual(found.map(({ caption }) => caption));
      expect(samples).toHaveLength(16);
      expect(await everyPicture('.found li:nth-child(-n+6) img')).toBe(true);
    });

    const everyPicture = (selector: string) =>
      page
        .locator(selector)
        .evaluateAll((images) => images.every((image) => (image as HTMLImageElement).naturalWidth > 0));

    test('filters keep what matches, and stand in the address', async () => {
      await open('/runs');
      await page.getByRole('link', { name: 'curves' }).waitFor();
      await page.keyboard.press('/');
      await page.keyboard.type('first');
      await page.getByRole('link', { name: 'curves' }).waitFor({ state: 'detached' });
      expect(new URL(page.url()).searchParams.get('q')).toBe('first');
      await page.getByRole('button', { name: 'cancelled' }).click();
      await page.getByText('No run matches').waitFor();
      await page.reload();
      await page.getByText('No run matches').waitFor();
      await page.getByRole('link', { name: 'Show all runs' }).click();
      await page.getByRole('link', { name: 'curves' }).waitFor();
    });

    test('marked runs are compared, with the fields in which their specs differ', async () => {
      const other = await service.client.submit(smallSpec('second', 60, { optimizer: { lr: 3e-3 } }));
      await end(other.id);
      await open('/runs');
      await page.getByRole('checkbox', { name: 'Compare first' }).check();
      await page.getByRole('checkbox', { name: 'Compare second' }).check();
      await page.getByRole('link', { name: 'Compare (2)' }).click();
      const row = page.getByRole('row', { name: /^optimizer\.lr/ });
      await row.waitFor();
      expect(await row.locator('td').allInnerTexts()).toEqual(['0.0005', '0.003']);
      const legend = page.locator('figure.chart', { hasText: 'loss' }).first().locator('.u-legend');
      expect(await legend.innerText()).toMatch(/first[\s\S]*second/);
    });

    test('a wrong field is refused at the field, by the form and by the server, and a right spec is submitted', async () => {
      await open('/submit');
      const field = (path: string) => page.locator(`[name="${path}"]`);
      await field('batch.global').fill('-1');
      const wrong = page.locator('.spec-field', { has: field('batch.global') }).locator('.problems');
      await wrong.waitFor();
      const submit = page.getByRole('button', { name: 'Submit' });
      expect(await submit.isDisabled()).toBe(true);
      await field('batch.global').fill('16');
      await wrong.waitFor({ state: 'detached' });
      // Only the server knows the presets.
      await field('model.preset').fill('no-such-model');
      await submit.click();
      const refused = page.locator('.spec-field', { has: field('model.preset') }).locator('.problems');
      await refused.waitFor();
      await page.getByRole('alert').getByText('preset_unknown').waitFor();
      await page
        .getByRole('textbox', { name: 'The same as YAML or JSON' })
        .fill(JSON.stringify(smallSpec('third', 20)));
      await submit.click();
      await page.waitForURL(/\/runs\/job-/);
      await page.getByRole('heading', { name: 'third' }).waitFor();
    });

    test('the keyboard moves, opens, marks, goes and helps', async () => {
      await open('/runs');
      await page.getByRole('link', { name: 'first' }).waitFor();
      const focused = () => page.evaluate(() => document.activeElement?.textContent);
      await page.keyboard.press('j');
      const top = await focused();
      await page.keyboard.press('j');
      expect(await focused()).not.toBe(top);
      await page.keyboard.press('x');
      await page.getByRole('link', { name: 'Compare (1)' }).waitFor();
      await page.keyboard.press('k');
      expect(await focused()).toBe(top);
      await page.keyboard.press('Enter');
      await page.waitForURL(/\/runs\/job-/);
      await page.keyboard.press('g');
      await page.keyboard.press('n');
      await page.waitForURL(/\/nodes$/);
      await page.keyboard.press('?');
      await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    });

    test('a server that is away takes nothing off the screen, and all goes on when it is back', async () => {
      await open('/runs');
      await page.getByRole('link', { name: 'first' }).waitFor();
      away = true;
      await service.stopApi('SIGKILL');
      await page.getByText('The server does not answer').waitFor();
      expect(await page.getByRole('link', { name: 'first' }).isVisible()).toBe(true);
      await service.startApi();
      await page.getByText('The server does not answer').waitFor({ state: 'detached' });
      away = false;
      await service.client.submit(smallSpec('after', 20));
      await page.getByRole('link', { name: 'after' }).waitFor();
    });

    test('what is not there is said with its code', async () => {
      await open('/nowhere');
      await page.getByText('There is no such page').waitFor();
      await open('/runs/job-none');
      await page.getByRole('alert').getByText('job_not_found').waitFor();
    });

    test('pages are accessible in both themes, and fit a narrow screen', async () => {
      const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
      const pages = ['/runs', `/runs/${finished.id}`, `/runs/${finished.id}/timeline`, `/runs/${finished.id}/time`];
      pages.push(`/runs/${finished.id}/logs`, `/runs/${finished.id}/checkpoints`, `/runs/${finished.id}/evaluations`);
      pages.push(`/runs/${finished.id}/inside`, `/runs/${finished.id}/spec`, '/submit', '/nodes', '/queue', '/sweeps');
      const found: string[] = [];
      for (const [i, path] of pages.entries()) {
        await page.emulateMedia({ colorScheme: i % 2 === 0 ? 'light' : 'dark', reducedMotion: 'reduce' });
        await open(path);
        await page.locator('main h1, main h2').first().waitFor();
        await sleep(400);
        await page.evaluate(axe);
        const violations = await page.evaluate(async () => {
          const run = (globalThis as unknown as { axe: { run(options: object): Promise<AxeResult> } }).axe;
          return (await run.run({ resultTypes: ['violations'] })).violations;
        });
        for (const { id, nodes } of violations) found.push(`${path} ${id}: ${nodes[0]!.html.slice(0, 160)}`);
        await page.setViewportSize(NARROW);
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        if (width > NARROW.width) found.push(`${path} is ${width} px wide on a screen of ${NARROW.width} px`);
        await page.setViewportSize({ width: 1280, height: 860 });
      }
      expect(found).toEqual([]);
    });

    test('the colours are those of the system until others are chosen', async () => {
      const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      await page.emulateMedia({ colorScheme: 'light' });
      await open('/runs');
      const light = await background();
      await page.emulateMedia({ colorScheme: 'dark' });
      await until(async () => (await background()) !== light);
      await page.getByRole('button', { name: /^Colours: system/ }).click();
      await until(async () => (await background()) === light);
      await page.reload();
      expect(await background()).toBe(light);
    });

    test('the browser found nothing to complain of, and asked nobody else', () => expect(complaints).toEqual([]));
  },
);

interface AxeResult {
  readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
}
