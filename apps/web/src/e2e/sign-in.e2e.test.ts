import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { chromiumPath, launchChromium } from './test-chromium.js';
import { TestService } from './test-service.js';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const TOKEN = 'a-bootstrap-token-of-at-least-32-characters';
const executable = chromiumPath();

describe.skipIf(executable === undefined)(
  executable === undefined ? 'signing in (skipped: no Chromium here, so no page was opened)' : 'signing in',
  () => {
    let service: TestService;
    let browser: Browser;
    let page: Page;

    beforeAll(async () => {
      service = await TestService.start({ CLIPYARD_AUTH: 'token', CLIPYARD_BOOTSTRAP_TOKEN: TOKEN });
      browser = await launchChromium(executable!);
      page = await (await browser.newContext()).newPage();
      page.setDefaultTimeout(30_000);
    });

    afterAll(async () => {
      await browser?.close();
      await service?.close();
    });

    test('a server that asks for a token is asked with one, which pages cannot read', async () => {
      await page.goto(`${service.url}/runs`);
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      await page.getByLabel('Token').fill('wrong');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('alert').getByText('token_invalid').waitFor();
      await page.getByLabel('Token').fill(TOKEN);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByText('No runs yet').waitFor();
      expect(await page.evaluate(() => JSON.stringify([document.cookie, localStorage, sessionStorage]))).not.toContain(
        TOKEN,
      );
      await page.reload();
      await page.getByText('No runs yet').waitFor();
    });
  },
);
