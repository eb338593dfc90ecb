import { PassThrough } from 'node:stream';
import { ClipyardError, fieldError } from '@clipyard/contracts';
import { expect, it } from 'vitest';
import { errorText } from './error-text.js';
import { evaluationLines } from './evaluation-lines.js';
import { formatAge, formatBytes, formatClock, formatDuration, formatNumber } from './format.js';
import { formatPairs, formatTable } from './table.js';
import { processTerminal } from './terminal.js';

it('aligns columns: numbers to the right, text to the left', () => {
  expect(
    formatTable(
      ['NAME', 'STEP'],
      [
        ['a', '5/10'],
        ['longer', '-'],
      ],
    ),
  ).toEqual(['NAME    STEP', 'a       5/10', 'longer     -']);
  expect(formatTable(['NAME'], [])).toEqual(['NAME']);
  expect(
    formatPairs([
      ['a', '1'],
      ['long', '2'],
    ]),
  ).toEqual(['a     1', 'long  2']);
});

it('writes durations, ages, bytes and numbers for people', () => {
  expect([1234, 59_600, 61_000, 3_700_000, 90_000_000, Number.NaN].map(formatDuration)).toEqual([
    '1.2 s',
    '1 min 0 s',
    '1 min 1 s',
    '1 h 1 min',
    '1 d 1 h',
    '-',
  ]);
  expect([4_400, 65_000, 3_725_000].map(formatClock)).toEqual(['0:04', '1:05', '1:02:05']);
  expect(formatAge('2026-01-01T00:00:00Z', Date.parse('2026-01-01T02:30:00Z'))).toBe('2 h');
  expect([512, 1536, 300 << 20].map(formatBytes)).toEqual(['512 B', '1.5 KiB', '300 MiB']);
  expect([3, 1.23456, 0.00012346].map(formatNumber)).toEqual(['3', '1.235', '0.0001235']);
});

it('tells of an error its code, then each field with value and remedy', () => {
  const error = fieldError('batch_not_divisible', {
    path: 'batch.global',
    message: 'is odd',
    value: 7,
    remedy: 'Use 8.',
  });
  expect(errorText(error)).toBe(
    'error batch_not_divisible: The global batch does not divide evenly\n  batch.global: is odd\n    value:  7\n    remedy: Use 8.',
  );
  expect(errorText(new ClipyardError('internal', 'it broke'))).toContain('it broke');
});

function fakeTty(columns: number): { stream: NodeJS.WriteStream; written: () => string } {
  const stream = new PassThrough();
  Object.assign(stream, { isTTY: true, columns, hasColors: () => false });
  return { stream: stream as unknown as NodeJS.WriteStream, written: () => String(stream.read() ?? '') };
}

it('keeps the status line below what is printed, and within the width of the terminal', () => {
  const { stream, written } = fakeTty(10);
  const terminal = processTerminal(stream, stream);
  terminal.status('0123456789abc');
  terminal.out('hello');
  terminal.status(undefined);
  terminal.out('bye');
  const clear = '\r\u001b[2K';
  expect(written()).toBe(`${clear}012345678${clear}hello\n012345678${clear}bye\n`);
});

it('updates a block of lines in place, and no line of it wraps', () => {
  const { stream, written } = fakeTty(10);
  const terminal = processTerminal(stream, stream);
  terminal.block(['one', '0123456789abc']);
  terminal.block(['two']);
  terminal.block(undefined);
  terminal.block(['below']);
  const line = (text: string) => `\u001b[2K${text}\n`;
  expect(written()).toBe(
    `${line('one')}${line('012345678')}\u001b[J\u001b[2A${line('two')}\u001b[J${line('below')}\u001b[J`,
  );
});

it('writes no status where no line can be updated', () => {
  const stream = new PassThrough();
  const terminal = processTerminal(stream as unknown as NodeJS.WriteStream, stream as unknown as NodeJS.WriteStream);
  terminal.status('x');
  terminal.out('y');
  expect(String(stream.read())).toBe('y\n');
});

it('shows the figures of an evaluation, those of corrupted pictures by type and severity', () => {
  const corrupted = [
    { type: 'jpeg', severity: 1, values: { top1: 0.5 } },
    { type: 'jpeg', severity: 5, values: { top1: 0.25 } },
  ];
  const values = {
    top1: 0.75,
    'corrupted/top1': 0.375,
    'corrupted/top1_relative': 0.5,
    'corrupted/jpeg/top1': 0.375,
    'corrupted/image_to_text/r1': 0.1,
  };
  const result = { task: 'zeroshot', type: 'zeroshot', values, details: { corrupted } };
  const evaluation = { id: '1', jobId: 'j', epoch: 1, step: 8, final: true, values: {}, results: [result], at: '' };
  expect(evaluationLines(evaluation)).toEqual([
    'evaluation of the weights after step 8:',
    'TASK      FIGURE                      VALUE',
    'zeroshot  top1                        75.0%',
    'zeroshot  corrupted/top1              37.5%',
    'zeroshot  corrupted/top1_relative     50.0%',
    'zeroshot  corrupted/image_to_text/r1  10.0%',
    '',
    'zeroshot, top1 of corrupted pictures:',
    'CORRUPTION  SEVERITY 1  SEVERITY 5   MEAN',
    'jpeg             50.0%       25.0%  37.5%',
  ]);
});
