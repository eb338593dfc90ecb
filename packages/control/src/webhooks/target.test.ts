import { expect, it } from 'vitest';
import { assertAllowedTarget, isPublic } from './target.js';

it.each([
  '127.0.0.1',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '224.0.0.1',
  '255.255.255.255',
  '::1',
  '::',
  'fe80::1',
  'fd00::1',
  'ff02::1',
  '::ffff:127.0.0.1',
  '::ffff:a9fe:a9fe',
  '64:ff9b::7f00:1',
  'no address',
])('%s is not public', (address) => {
  expect(isPublic(address)).toBe(false);
});

it.each(['1.1.1.1', '93.184.215.14', '2606:4700::1111', '::ffff:1.1.1.1'])('%s is public', (address) => {
  expect(isPublic(address)).toBe(true);
});

it.each(['https://[::1]/', 'https://127.1/', 'https://2130706433/', 'https://0x7f.0.0.1/', 'http://example.org/'])(
  '%s is refused',
  (url) => {
    const fields = [expect.objectContaining({ path: 'url', value: url })];
    const refused = { code: 'request_invalid', fields };
    expect(() => assertAllowedTarget(url, { allowPrivate: false })).toThrow(expect.objectContaining(refused));
    assertAllowedTarget(url, { allowPrivate: true });
  },
);

it('takes public hosts with TLS, without a password', () => {
  assertAllowedTarget('https://example.org/hook?x=1', { allowPrivate: false });
  expect(() => assertAllowedTarget('https://u:p@example.org/', { allowPrivate: true })).toThrow(/password/);
});
