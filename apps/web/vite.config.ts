import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Files smaller than this are sent as they are, bytes. */
const COMPRESS_FROM = 1024;

/** Writes each text file compressed beside itself, so that the API sends it without work. */
function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    async writeBundle({ dir }) {
      for (const name of await readdir(dir!, { recursive: true })) {
        if (!/\.(js|css|html|svg)$/.test(name)) continue;
        const path = join(dir!, name);
        const body = await readFile(path);
        if (body.byteLength < COMPRESS_FROM) continue;
        await writeFile(`${path}.br`, await promisify(brotliCompress)(body));
        await writeFile(`${path}.gz`, await promisify(gzip)(body, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), precompress()],
  build: {
    target: 'es2023',
    // The policy of the page forbids data: URLs and inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    emptyOutDir: true,
  },
  preview: { proxy: { '^/(v1|healthz|readyz|docs|metrics)': process.env.CLIPYARD_URL ?? 'http://127.0.0.1:7070' } },
});
