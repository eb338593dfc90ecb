import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { dropUnheardErrors } from './unheard-errors.js';

it('drops errors that nobody listens to, and nothing else', () => {
  const emitter = new (dropUnheardErrors(EventEmitter))();
  expect(() => new EventEmitter().emit('error', new Error('lost'))).toThrow('lost');
  expect(emitter.emit('error', new Error('lost'))).toBe(false);
  const heard: unknown[] = [];
  emitter.on('error', (error: Error) => heard.push(error.message));
  emitter.on('notice', (text: string) => heard.push(text));
  expect(emitter.emit('error', new Error('lost'))).toBe(true);
  expect(emitter.emit('notice', 'here')).toBe(true);
  expect(heard).toEqual(['lost', 'here']);
});
