import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { initializeParameters, parameterLayout, parameterSpecs } from './parameters.js';
import { resolveModelConfig } from './presets.js';

it('initial parameters have the same bits as ever', () => {
  const specs = parameterSpecs(resolveModelConfig({ preset: 'clip-tiny' }));
  const layout = parameterLayout(specs);
  const buffer = new Float32Array(layout.total);
  initializeParameters(specs, 7, (name) => layout.view(buffer, name));
  const sum = createHash('sha256').update(buffer).digest('hex');
  expect(sum).toBe('bba67ab271883e37f32dce0ca5415a1ae6ddc94518ea4af515fa31dbb77e8605');
});
