#!/usr/bin/env node
/**
 * Takes the pictures of docs/guides/dashboard.md with Debian's Chromium, as WebP into docs/images.
 * Usage: node apps/web/scripts/screenshots.mjs [URL], with a server that has trained at least two runs.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import sharp from 'sharp';

const URL_OF = process.argv[2] ?? 'http://127.0.0.1:7070';
const FOLDER = fileURLToPath(new URL('../../../docs/images', import.meta.url));
const QUALITY = 82;
const WIDE = { width: 1280, height: 840 };

const get = async (path) => {
  const response = await fetch(`${URL_OF}/v1${path}`);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return await response.json();
};

const jobs = (await get('/jobs?limit=100')).items;
const trained = jobs.filter((job) => job.state === 'succeeded' && job.latest['eval/zeroshot/top1'] !== undefined);
const best = trained.toSorted((a, b) => b.latest['eval/zeroshot/top1'] - a.latest['eval/zeroshot/top1'])[0];
const other = trained.find((job) => job.id !== best?.id);
if (other === undefined) throw new Error(`${URL_OF} has fewer than two trained runs with a zero-shot evaluation`);
const sweep = (await get('/sweeps')).items.find(({ best }) => best !== null);

const SHOTS = [
  { name: 'runs', path: '/runs' },
  {
    name: 'run',
    path: `/runs/${best.id}`,
    act: (page) =>
      page
        .locator('.slider input')
        .fill('0.6')
        .then(() => page.locator('h1').click()),
  },
  { name: 'timeline', path: `/runs/${best.id}/timeline` },
  { name: 'time', path: `/runs/${best.id}/time`, height: 560 },
  { name: 'evaluations', path: `/runs/${best.id}/evaluations` },
  {
    name: 'inside',
    path: `/runs/${best.id}/inside`,
    height: 1160,
    act: async (page) => {
      await page.locator('.matrix tbody tr').first().waitFor({ timeout: 120_000 });
      await page.getByRole('searchbox').fill('a green heart on the left');
      await page.getByRole('button', { name: 'Search' }).click();
      await page.locator('.found img').first().waitFor();
      await page.waitForTimeout(3000);
    },
  },
  { name: 'compare', path: `/compare?ids=${best.id},${other.id}` },
  {
    name: 'submit',
    path: '/submit',
    act: async (page) => {
      const field = page.locator('[name="batch.global"]');
      await field.fill('-1');
      await field.evaluate((element) => element.scrollIntoView({ block: 'center' }));
    },
  },
  { name: 'nodes', path: '/nodes', height: 460 },
  ...(sweep === undefined ? [] : [{ name: 'sweep', path: `/sweeps/${sweep.id}` }]),
  { name: 'run-dark', path: `/runs/${best.id}`, scheme: 'dark' },
  { name: 'runs-narrow', path: '/runs', width: 360, height: 720, scheme: 'dark' },
];

const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
await mkdir(FOLDER, { recursive: true });
let total = 0;
for (const { name, path, scheme = 'light', act, ...size } of SHOTS) {
  const page = await browser.newPage({ viewport: { ...WIDE, ...size }, colorScheme: scheme, reducedMotion: 'reduce' });
  await page.goto(URL_OF + path);
  await page.locator('main h1').first().waitFor();
  await page.waitForTimeout(2000);
  await act?.(page);
  await page.waitForTimeout(500);
  const webp = await sharp(await page.screenshot())
    .webp({ quality: QUALITY })
    .toBuffer();
  await writeFile(join(FOLDER, `dashboard-${name}.webp`), webp);
  total += webp.byteLength;
  console.log(`docs/images/dashboard-${name}.webp  ${Math.ceil(webp.byteLength / 1024)} KiB`);
  await page.close();
}
await browser.close();
console.log(`${Math.ceil(total / 1024)} KiB in all`);
